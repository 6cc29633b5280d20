"""How values are written on a page: times, sizes, counts. Pure."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from imaged.model.size import format_size

_DIGITS = re.compile(r"(\d+)")


@lru_cache(maxsize=2**15)  # a page that is open sorts the same names once a second
def natural(name: str) -> tuple[str | int, ...]:
    """Sorts ``node2`` before ``node10``."""
    return tuple(int(part) if at % 2 else part for at, part in enumerate(_DIGITS.split(name)))


def stamp(time: float) -> str:
    """``2026-11-21 21:10:25``, UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(time: float) -> str:
    """As an attribute of an element has it (RFC 3339)."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def count(number: int, one: str, many: str = "") -> str:
    """``1 node``, ``2,000 nodes``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def seconds(time: float) -> str:
    """``0.3 s``, ``41 s``, ``3 min 20 s``: how long something took."""
    if time < 9.95:
        return f"{max(time, 0.0):.1f} s"
    whole = round(time)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02} s"


def left(time: float | None) -> str:
    """As a forecast is told: no more exact than it is."""
    if time is None:
        return ""
    if time < 90:
        return f"{max(5, 5 * round(time / 5))} s"
    minutes = round(time / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def speed(rate: float | None) -> str:
    """``11.2 MiB/s``."""
    return "" if rate is None else f"{format_size(int(rate))}/s"


def plain(value: Any) -> str:
    """A value of an event, as a line has it."""
    if value in (None, "", []):
        return ""
    if isinstance(value, list):
        return " ".join(map(plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={plain(each)}" for key, each in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """What, from what, to what; for each key of an event's two sides."""
    keys = dict.fromkeys((*before, *after))
    return tuple((key, plain(before.get(key)), plain(after.get(key))) for key in keys)
