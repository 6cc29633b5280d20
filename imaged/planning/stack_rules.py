"""What must hold for the references that say what arrays, encrypted devices and volume groups are made of."""

from collections.abc import Iterator

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.layout import DiskSpec, Partition, Role
from imaged.model.stack import Array, Crypt, Preserve, Volume
from imaged.planning.layout_draft import Consumer, Draft, Holder
from imaged.planning.references import Reference, parse_reference

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
