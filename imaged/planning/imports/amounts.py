"""Sizes as other programs write them, and as our layouts do: fixed, or a weight."""

import re
from collections.abc import Iterable
from typing import Any

from imaged.model.size import GIB, KIB, MIB, TIB
from imaged.planning.imports.foreign import REST, Amount

UNITS = {
    "TB": 10**12, "TIB": TIB, "GB": 10**9, "GIB": GIB, "MB": 10**6, "MIB": MIB, "KB": 10**3, "KIB": KIB, "B": 1,
    "S": 512,
}  # fmt: skip  # parted's, in capitals; sectors are of 512 bytes there
PERCENT = ("%", "PERCENT", "PERCENTAGE")
_NUMBER = re.compile(r"([0-9]{1,15})(\.[0-9]{1,6})?")
_LVM = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([bskmgtBSKMGT]?)(?:iB|B)?")
_LVM_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%(?:VG|FREE|PVS)?")
_LVM_UNITS = {"": MIB, "b": 1, "s": 512, "k": KIB, "m": MIB, "g": GIB, "t": TIB}  # lvcreate(8), -L: powers of 1024


def amount(text: str, unit: str) -> Amount | None:
    """``text`` counted in ``unit`` (parted's, or ``%``); ``*`` is the rest. None for what is no size."""
    text = text.strip()
    if text == "*":
        return REST
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    if unit.upper() in PERCENT:
        return Amount(percent=min(100.0, float(text)))
    factor = UNITS.get(unit.upper())
    return None if factor is None else Amount(bytes=_times(found[1], found[2], factor))


def lvm_amount(text: str) -> Amount | None:
    """As lvcreate(8) takes them: ``2097152K``, ``10G``, ``50%VG``, ``*``; bare numbers are MiB."""
    text = text.strip()
    if text in ("*", "100%FREE", "100%"):
        return REST
    if found := _LVM_PERCENT.fullmatch(text):
        return Amount(percent=min(100.0, float(found[1])))
    if found := _LVM.fullmatch(text):
        whole, point, rest = found[1].partition(".")
        return Amount(bytes=_times(whole, point + rest, _LVM_UNITS[found[2].lower()]))
    return None


def _times(whole: str, fraction: str | None, factor: int) -> int:
    digits = (fraction or ".")[1:]
    return int(whole) * factor + (int(digits) * factor // 10 ** len(digits) if digits else 0)


def size(wanted: Amount, all_of_it: Iterable[Amount]) -> Any:
    """The value of a layout's ``size``. Shares in percent become weights; the rest gets what they leave of 100."""
    if wanted.bytes is not None:
        return shown(wanted.bytes)
    if wanted.percent is not None:
        return {"weight": max(1, round(wanted.percent * 100))}
    shares = [each.percent for each in all_of_it if each.percent is not None]
    return {"weight": max(1, round((100 - sum(shares)) * 100)) if shares else 1000}


def shown(count: int) -> str:
    """Up to whole MiB, as partitions are."""
    count = max(1, -(-count // MIB)) * MIB
    for unit, letter in ((TIB, "T"), (GIB, "G")):
        if count % unit == 0:
            return f"{count // unit}{letter}"
    return f"{count // MIB}M"
