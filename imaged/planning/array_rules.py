"""What must hold for each array and each encrypted device by itself: names, levels, metadata, ways to unlock."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from imaged.model.stack import Array, Crypt, LevelFor, Preserve, Unlock
from imaged.planning.capacity import least_members
from imaged.planning.layout_draft import Draft

_LEVELS = (0, 1, 4, 5, 6, 10)
_ARRAY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")  # md's superblock keeps 32 bytes, md(4)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_METADATA = ("1.0", "1.1", "1.2")


def array_faults(draft: Draft) -> Iterator[str]:
    """Of each array and encrypted device by itself."""
    for at, array in draft.raid:
        yield from _of_array(at, array)
    for at, crypt in draft.luks:
        yield from _of_crypt(at, crypt)
    for at, consumer in draft.consumers():
        if not consumer.devices and (isinstance(consumer, Array | Crypt) or consumer.preserve is not Preserve.REQUIRED):
            yield f"{at}.devices: there must be at least one"


def _of_array(at: str, array: Array) -> Iterator[str]:
    name = array.name or array.id
    if not _ID.fullmatch(array.id):
        yield f"{at}.id: {array.id!r} must be letters, digits, '-' or '_'"
    elif not _ARRAY_NAME.fullmatch(name):
        yield f"{at}.{'name' if array.name else 'id'}: {name!r} must be 1 to 32 letters, digits and _ . -"
    if array.metadata not in _METADATA:
        yield f"{at}.metadata: {array.metadata!r} is not one of {', '.join(_METADATA)}"
    if array.spares < 0:
        yield f"{at}.spares: {array.spares} is less than none"
    if array.spares and any(each.level == 0 for each in array.level):
        yield f"{at}.spares: level 0 has no use for them"
    yield from level_faults(f"{at}.level", array.level)


def level_faults(at: str, levels: Sequence[LevelFor]) -> Iterator[str]:
    """Of levels by themselves, and of two for one number of members."""
    for each in levels:
        needed = least_members(each.level)
        if each.level not in _LEVELS or needed is None:
            yield f"{at}: {each.level} is not one of {', '.join(map(str, _LEVELS))}"
        elif each.most is not None and each.most < max(each.least, needed):
            yield f"{at}: level {each.level} for {_span(each)} members, and it needs {max(each.least, needed)} at least"
    ordered = sorted(levels, key=lambda each: each.least)
    for lower, upper in pairwise(ordered):
        if lower.most is None or lower.most >= upper.least:
            yield f"{at}: {upper.least} members may have level {lower.level} or {upper.level}"


def _span(level: LevelFor) -> str:
    return f"{level.least}+" if level.most is None else f"{level.least}-{level.most}"


def _of_crypt(at: str, crypt: Crypt) -> Iterator[str]:
    if not _ID.fullmatch(crypt.id):
        yield f"{at}.id: {crypt.id!r} must be letters, digits, '-' or '_'"
    if len(crypt.devices) > 1:
        yield f"{at}.devices: an encrypted device lies on exactly one other, not on {len(crypt.devices)}"
    if not crypt.unlock:
        yield f"{at}.unlock: there must be at least one of {', '.join(each.value for each in Unlock)}"
    if len(set(crypt.unlock)) < len(crypt.unlock):
        yield f"{at}.unlock: says one thing twice"
