"""What must hold for arrays and encrypted devices, and for the references that say what everything is made of."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.layout import DiskSpec, Partition, Role
from imaged.model.stack import Array, Crypt, LevelFor, Preserve, Unlock, Volume
from imaged.planning.capacity import least_members
from imaged.planning.layout_draft import Consumer, Draft, Holder
from imaged.planning.references import Reference, parse_reference

_LEVELS = (0, 1, 4, 5, 6, 10)
_ARRAY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")  # md's superblock keeps 32 bytes, md(4)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_METADATA = ("1.0", "1.1", "1.2")
_CONSUMED = {Role.RAID: "array", Role.PV: "volume group", Role.LUKS: "encrypted device"}
_MAY_LIE_ON = {
    "array": (Role.RAID.value, "encrypted device"),
    "encrypted device": (Role.LUKS.value, "array", "volume"),
    "volume group": (Role.PV.value, "array", "encrypted device"),
}
_MADE_OF = {
    "array": "an array is made of partitions of role raid, or of encrypted devices",
    "encrypted device": "an encrypted device is made of a partition of role luks, an array or a volume",
    "volume group": "a volume group is made of partitions of role pv, arrays or encrypted devices",
}


def item_faults(draft: Draft) -> Iterator[str]:
    """Of each array and encrypted device by itself."""
    for at, array in draft.raid:
        yield from _array_faults(at, array)
    for at, crypt in draft.luks:
        yield from _crypt_faults(at, crypt)
    for at, consumer in draft.consumers():
        if not consumer.devices and (isinstance(consumer, Array | Crypt) or consumer.preserve is not Preserve.REQUIRED):
            yield f"{at}.devices: there must be at least one"


def _array_faults(at: str, array: Array) -> Iterator[str]:
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


def _crypt_faults(at: str, crypt: Crypt) -> Iterator[str]:
    if not _ID.fullmatch(crypt.id):
        yield f"{at}.id: {crypt.id!r} must be letters, digits, '-' or '_'"
    if len(crypt.devices) > 1:
        yield f"{at}.devices: an encrypted device lies on exactly one other, not on {len(crypt.devices)}"
    if not crypt.unlock:
        yield f"{at}.unlock: there must be at least one of {', '.join(each.value for each in Unlock)}"
    if len(set(crypt.unlock)) < len(crypt.unlock):
        yield f"{at}.unlock: says one thing twice"


@frozen
class _Use:
    """A reference, the path of its key, and what is made of it, with its path."""

    at: str
    reference: Reference
    of: str
    consumer: Consumer


def reference_faults(draft: Draft) -> Iterator[str]:
    """Of all references: what they name is there, is of the right kind, and is nobody else's."""
    holders = {holder.key: holder for holder in draft.holders()}
    entries = {spec.id: spec for spec in draft.specs}
    uses: list[_Use] = []
    lost = False
    for at, by, consumer in _consumers(draft):
        lost = lost or (not consumer.devices and consumer.preserve is Preserve.NEVER)
        for index, text in enumerate(consumer.devices):
            path = f"{at}.devices[{index}]"
            try:
                reference = parse_reference(text)
            except BadInput as error:
                yield f"{path}: {error.what} ({error.hint.removesuffix('.')})"
                lost = True
                continue
            if found := tuple(dangling(reference, entries, set(holders))):
                yield from (f"{path}: {fault}" for fault in found)
                lost = True
                continue
            yield from _kind_faults(path, by, holders[key_of(reference)])
            uses.append(_Use(path, reference, at, consumer))
    yield from _shared_faults(uses, holders)
    if not lost:  # what a slip of the pen leaves unused is not a second fault
        yield from _unused_faults(holders, {key_of(use.reference) for use in uses})
    yield from _cycle_faults(uses, draft)


def key_of(reference: Reference) -> str:
    """As ``Holder.key``."""
    return f"{reference.disk}.{reference.part}" if reference.disk else reference.part


def dangling(reference: Reference, entries: dict[str, DiskSpec], keys: set[str]) -> Iterator[str]:
    """What is wrong with a reference to something that is not there, or not one thing."""
    if not reference.disk:
        if reference.part in keys:
            return
        if reference.part in entries:
            yield f"{reference.part!r} is a disk entry: name a partition of it, such as {reference.part}.pv"
        else:
            yield f"no array, encrypted device or volume is called {reference.part!r}"
        return
    entry = entries.get(reference.disk)
    if entry is None:
        yield f"there is no disk entry {reference.disk!r} (there is {', '.join(entries)})"
        return
    if key_of(reference) not in keys:
        has = ", ".join(partition.id for partition in entry.partitions)
        yield f"the disk entry {entry.id!r} has no partition {reference.part!r} (it has {has})"
    most = entry.count.max
    if reference.index is not None and reference.index >= most > 0:
        yield f"the disk entry {entry.id!r} has at most {most} disk{'s' * (most > 1)}, counted from 0"
    if reference.index is None and not reference.every and entry.count.max > 1:
        each = f"{entry.id}[*].{reference.part}"
        yield f"the disk entry {entry.id!r} may have several disks: write {each}, or [0] for the first"


def _consumers(draft: Draft) -> Iterator[tuple[str, str, Consumer]]:
    yield from ((at, _kind_of(consumer), consumer) for at, consumer in draft.consumers())


def _kind_of(consumer: Consumer) -> str:
    if isinstance(consumer, Array):
        return "array"
    return "encrypted device" if isinstance(consumer, Crypt) else "volume group"


def _kind(holder: Holder) -> str:
    content = holder.content
    if isinstance(content, Partition):
        return content.role.value
    if isinstance(content, Volume):
        return "volume"
    return "array" if isinstance(content, Array) else "encrypted device"


def _kind_faults(at: str, by: str, holder: Holder) -> Iterator[str]:
    kind = _kind(holder)
    if kind not in _MAY_LIE_ON[by]:
        has = f"has role {kind}" if isinstance(holder.content, Partition) else f"is of the kind {kind}"
        yield f"{at}: {holder.key} {has}, and {_MADE_OF[by]}"


def _shared_faults(uses: list[_Use], holders: dict[str, Holder]) -> Iterator[str]:
    for number, use in enumerate(uses):
        earlier = next((each for each in uses[:number] if _overlap(each.reference, use.reference)), None)
        if earlier and not _alternatives(earlier, use):
            yield f"{use.at}: {use.reference} is part of something already ({earlier.at})"
    for use in uses:
        holder = holders[key_of(use.reference)]
        carried = [key for key in ("fs", "swap") if getattr(holder.content, key, None)]
        right = not tuple(_kind_faults(use.at, _kind_of(use.consumer), holder))
        if carried and right and not isinstance(holder.content, Partition):
            yield f"{holder.at}.{carried[0]}: {holder.key} is part of {use.of}, so it carries nothing itself"


def _alternatives(one: _Use, other: _Use) -> bool:
    """Under different conditions only one of them may be made."""
    return bool(one.consumer.when and other.consumer.when and one.consumer.when != other.consumer.when)


def _overlap(one: Reference, other: Reference) -> bool:
    if key_of(one) != key_of(other):
        return False
    return one.every or other.every or (one.index or 0) == (other.index or 0)


def _unused_faults(holders: dict[str, Holder], used: set[str]) -> Iterator[str]:
    for key, holder in holders.items():
        content = holder.content
        if not isinstance(content, Partition) or content.role not in _CONSUMED or key in used:
            continue
        if content.preserve is Preserve.NEVER:
            yield f"{holder.at}.role: no {_CONSUMED[content.role]} is made of {key}, as role {content.role.value} says"


def _cycle_faults(uses: list[_Use], draft: Draft) -> Iterator[str]:
    made_by = {each.id: at for at, each in draft.raid} | {each.id: at for at, each in draft.luks}
    made_by |= {volume.id: group.at for group in draft.lvm for _, volume in group.lvs}
    below: dict[str, list[str]] = {}
    for use in uses:
        if not use.reference.disk:
            below.setdefault(use.of, []).append(made_by[use.reference.part])
    for at in below:
        if path := _way_back(at, below):
            yield f"{at}.devices: goes round in a circle ({' -> '.join(path)})"


def _way_back(start: str, below: dict[str, list[str]]) -> tuple[str, ...]:
    """From ``start`` down to itself; empty where there is no such way."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while ways:
        way = ways.pop()
        for each in below.get(way[-1], ()):
            if each == start:
                return (*way, each)
            if each not in seen:
                seen.add(each)
                ways.append((*way, each))
    return ()
