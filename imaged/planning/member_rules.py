"""How many members arrays, encrypted devices and volume groups get, for every number of disks that a layout allows."""

from collections.abc import Iterator, Mapping
from itertools import islice, product

from imaged.model.errors import BadInput
from imaged.model.layout import DiskSpec
from imaged.model.stack import Array, Crypt
from imaged.planning.array_rules import level_faults
from imaged.planning.capacity import least_members
from imaged.planning.layout_draft import Consumer, Draft
from imaged.planning.references import Reference, parse_reference
from imaged.planning.stack_rules import dangling
from imaged.planning.when import Condition, may_hold, parse

_CASES = 4096  # combinations of disk counts that are looked at: three entries of 0 to 15 disks
_BEYOND = 2  # above the last number that any level names all is as there


def member_faults(draft: Draft) -> Iterator[str]:
    """The first number of disks for which something cannot be made, of each thing."""
    entries = {spec.id: spec for spec in draft.specs if 0 <= spec.count.min <= spec.count.max > 0}
    keys = {holder.key for holder in draft.holders()}
    for at, consumer in draft.consumers():
        try:
            references = [parse_reference(text) for text in consumer.devices]
            condition = parse(consumer.when) if consumer.when else None
        except BadInput:
            continue  # told already
        told = isinstance(consumer, Array) and any(level_faults(at, consumer.level))
        if references and not told and not any(any(dangling(each, entries, keys)) for each in references):
            yield from islice(_faults(at, consumer, references, condition, entries), 1)


def _faults(
    at: str, consumer: Consumer, references: list[Reference], condition: Condition | None, entries: dict[str, DiskSpec]
) -> Iterator[str]:
    asked = sorted({each.disk for each in references if each.disk})
    most = _interesting(consumer, references)
    spans = [range(max(entries[id].count.min, 0), min(entries[id].count.max, most) + 1) for id in asked]
    for counts in islice(product(*spans), _CASES):
        known = dict(zip(asked, counts, strict=True))
        if condition is not None and not may_hold(condition, known):
            continue
        members = sum(_members(each, known) for each in references)
        if fault := _fault(consumer, members):
            disks = " and ".join(f"{count} of {id}" for id, count in known.items())
            hint = f" (`when: count({asked[0]}) >= ...` leaves it out)" if asked else ""
            yield f"{at}.{fault}" + (f", as with {disks}{hint}" if _varies(asked, entries) else "")


def _varies(asked: list[str], entries: dict[str, DiskSpec]) -> bool:
    return any(entries[id].count.min != entries[id].count.max for id in asked)


def _interesting(consumer: Consumer, references: list[Reference]) -> int:
    """Disks of an entry above which nothing changes any more."""
    most = max((each.index or 0 for each in references), default=0) + _BEYOND
    if isinstance(consumer, Array):
        levels = [max(each.least, each.most or 0, least_members(each.level) or 0) for each in consumer.level]
        most = max([most, *levels]) + max(consumer.spares, 0) + _BEYOND
    return most


def _members(reference: Reference, counts: Mapping[str, int]) -> int:
    if not reference.disk:
        return 1
    count = counts[reference.disk]
    return count if reference.every else int((reference.index or 0) < count)


def _fault(consumer: Consumer, members: int) -> str:
    """What is wrong with so many, after the path of the thing; empty where nothing is."""
    if isinstance(consumer, Array):
        return _array_fault(consumer, members)
    if isinstance(consumer, Crypt):
        return "" if members == 1 else f"devices: an encrypted device lies on exactly one other, not on {members}"
    return "" if members else "devices: there would be none"


def _array_fault(array: Array, members: int) -> str:
    active = members - array.spares
    have = f"{members} members, {array.spares} of them spare" if array.spares else f"{members} members"
    level = next(
        (each.level for each in array.level if each.least <= active and (each.most is None or active <= each.most)),
        None,
    )
    if level is None:
        return f"level: there is none for {have}"
    needed = least_members(level) or 1
    return f"level: {level} needs {needed} members at least, not {have}" if active < needed else ""
