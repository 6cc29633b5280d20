"""Amounts of bytes as people write them."""

import re
from enum import Enum
from typing import NewType

from attrs import frozen

from imaged.model.errors import BadInput

Bytes = NewType("Bytes", int)  # in YAML and JSON a number, or text such as 512M
KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
_UNITS = {
    "": 1, "B": 1,
    "K": KIB, "M": MIB, "G": GIB, "T": TIB,
    "KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": TIB,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
_SIZE: re.Pattern[str] = re.compile(r"(\d{1,19})(\.\d{1,6})?\s*([A-Za-z]{0,3})", re.ASCII)


def parse_size(text: str | int) -> int:
    """Bytes of ``512M``, ``1.5G``, ``800GB`` or a plain number. K, M, G, T are powers of 1024; KB.. of 1000.

    Raises BadInput, also for a fraction of one byte.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if not match or match[3].upper() not in _UNITS:
        raise BadInput(f"{text!r} is not a size", hint="Write it like 512M, 20G or 1.5T.")
    unit = _UNITS[match[3].upper()]
    whole: int = int(match[1]) * unit
    if match[2] is None:
        return whole
    if unit == 1:
        raise BadInput(f"{text!r} is a fraction of a byte", hint="Write it like 512M, 20G or 1.5T.")
    fraction = match[2][1:]
    return whole + int(fraction) * unit // int(10 ** len(fraction))


def format_size(count: int) -> str:
    """The shortest of ``512 MiB``, ``1.5 GiB``, ..., with one digit after the point where it is not whole."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            value = count / unit
            return f"{value:.0f} {name}" if value.is_integer() else f"{value:.1f} {name}"
    return f"{count} B"


@frozen
class SizeBounds:
    """A condition on a size: ``>=8G``, ``<=2T``, ``400G..2T`` (both ends included), or an exact size."""

    low: int = 0
    high: int | None = None

    @classmethod
    def parse(cls, text: str) -> "SizeBounds":
        """Raises BadInput for anything else, and for an empty range."""
        stripped = str(text).strip()
        if stripped.startswith(">="):
            return cls(low=parse_size(stripped[2:]))
        if stripped.startswith("<="):
            return cls(high=parse_size(stripped[2:]))
        if ".." in stripped:
            low, high = (parse_size(end) for end in stripped.split("..", 1))
            if low > high:
                raise BadInput(f"{text!r} is an empty range of sizes", hint="Write the smaller size first.")
            return cls(low, high)
        exact = parse_size(stripped)
        return cls(exact, exact)

    def holds(self, size: int) -> bool:
        """Whether ``size`` bytes lie within."""
        return self.low <= size and (self.high is None or size <= self.high)

    def __str__(self) -> str:
        """What ``parse`` reads back as the same bounds."""
        if self.high is None:
            return f">={_exact_size(self.low)}"
        if self.low == self.high:
            return _exact_size(self.low)
        return f"{_exact_size(self.low)}..{_exact_size(self.high)}" if self.low else f"<={_exact_size(self.high)}"


def _exact_size(count: int) -> str:
    """``8G``, ``800GB`` or the bare number: the shortest spelling that loses nothing."""
    for unit in ("T", "G", "M", "K", "TB", "GB", "MB", "KB"):
        if count and count % _UNITS[unit] == 0:
            return f"{count // _UNITS[unit]}{unit}"
    return str(count)


class Cap(Enum):
    """What else limits a size: ``ram`` is the memory of the node."""

    RAM = "ram"


@frozen
class SizeSpec:
    """Wanted size in bytes (repart.d(5)). ``cap`` lowers ``max``, never below ``min``; ``weight`` 0: min."""

    min: Bytes = Bytes(0)
    max: Bytes | None = None
    weight: int = 1000
    cap: Cap | None = None
