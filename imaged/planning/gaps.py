"""Where new partitions may lie beside those that stay, and which numbers are left for them, by GPT's and MBR's rules.

An MBR has four entries. One of them may be an extended partition, in which any number of logical ones are chained: each
has a sector in front that says where the next one lies, and their numbers count from 5 along that chain.
"""

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundPartition
from imaged.model.hardware import Disk
from imaged.model.layout import Label

_ENTRIES = {Label.GPT: 128, Label.MSDOS: 4}
_LAST_LOGICAL = 60  # libparted and the kernel stop about there


@frozen
class Gap:
    """Bytes from ``start`` to ``end``; ``record`` of them go in front of each partition. ``numbers`` are those that are
    left, in order."""

    start: int
    end: int
    numbers: tuple[int, ...]
    record: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return max(self.end - self.start, 0)


def gaps(
    label: Label, disk: Disk, kept: Sequence[FoundPartition], room: tuple[int, int], grain: int
) -> tuple[Gap, ...]:
    """Stretches of ``room`` that no kept partition touches, the largest first: of equals the first, and of those for
    logical partitions and for others one each. Raises CannotPlan where what is to stay would not have its number."""
    numbers = {each.number for each in kept}
    frame = next((each for each in disk.partitions if each.is_extended), None) if label is Label.MSDOS else None
    logical = tuple(sorted((each for each in kept if frame and each.number > 4), key=lambda each: each.start))
    if frame is None or not (logical or frame.number in numbers):
        return (_largest(room, kept, grain, _left(label, numbers)),)
    _refuse_holes(disk, {each.number for each in logical})
    primary = [each for each in kept if each.number <= 4 and each.number != frame.number]
    outside = _largest(room, (*primary, frame), grain, _left(label, {*numbers, frame.number}))
    inside = _inside(frame, logical, _grown(frame, primary, room, numbers), grain)
    return tuple(sorted((outside, inside), key=lambda gap: -gap.size))


def _left(label: Label, taken: set[int]) -> tuple[int, ...]:
    return tuple(number for number in range(1, _ENTRIES[label] + 1) if number not in taken)


def _largest(room: tuple[int, int], kept: Iterable[FoundPartition], grain: int, numbers: tuple[int, ...]) -> Gap:
    found = (Gap(*each, numbers) for each in _between(*room, kept, grain))
    return max(found, key=lambda gap: (gap.size, -gap.start))


def _between(first: int, end: int, kept: Iterable[FoundPartition], grain: int) -> Iterator[tuple[int, int]]:
    for each in sorted(kept, key=lambda each: each.start):
        yield first, min(each.start // grain * grain, end)
        first = max(first, -(-(each.start + each.size) // grain) * grain)
    yield first, end


def _grown(frame: FoundPartition, primary: Sequence[FoundPartition], room: tuple[int, int], kept: set[int]) -> int:
    """Where the extended partition may end: it grows up to what lies behind it, unless it is itself to stay."""
    if frame.number in kept:
        return frame.start + frame.size
    return min([room[1], *(each.start for each in primary if each.start > frame.start)])


def _inside(frame: FoundPartition, logical: Sequence[FoundPartition], end: int, grain: int) -> Gap:
    """In front of each logical partition, kept or new, there is a grain for its record."""
    taken = [FoundPartition(each.number, each.start - grain, each.size + grain) for each in logical]
    numbers = tuple(range(5 + len(logical), _LAST_LOGICAL + 1))
    start = -(-frame.start // grain) * grain
    gap = _largest((start, end // grain * grain), taken, grain, numbers)
    return Gap(gap.start, gap.end, gap.numbers, record=grain)


def _refuse_holes(disk: Disk, logical: set[int]) -> None:
    gone = {each.number for each in disk.partitions if each.number > 4} - logical
    if gone and logical and min(gone) < max(logical):
        what = f"partition {max(logical)} stays and {min(gone)} does not: logical partitions count from 5 without holes"
        raise CannotPlan(what, where=str(disk), hint="Preserve those before it too, or say `wipe: none`.")
