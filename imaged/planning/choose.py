"""Which real disks each disk entry of a layout falls on. Never a guess: disks that fit equally are refused."""

from collections.abc import Sequence

from attrs import frozen

from imaged.model.hardware import Disk, Inventory
from imaged.model.layout import DiskSpec, Layout
from imaged.model.match import Match, Pick
from imaged.planning.choose_refusal import none_fits, not_alike, tie
from imaged.planning.matching import in_order, mismatches, natural, unusable
from imaged.planning.pruning import facts_of, prune
from imaged.planning.sectors import refuse_bios_on_large_sectors, refuse_mixed_sectors
from imaged.planning.together import refuse_both


def choose(layout: Layout, inventory: Inventory) -> dict[str, tuple[Disk, ...]]:
    """The disks for each id of ``layout.disks``, in that order; no disk twice, those of an entry by their place.

    An entry takes its disks from the first alternative of its ``match`` that finds enough. Raises CannotPlan when none
    does (naming every disk and why it was passed over), when several choices are equally good (naming the disks, with
    a line for ``match`` that tells them apart), for an array of disks whose sectors differ, for disks that the BIOS of
    the machine cannot start, and when the conditions of the layout contradict each other on these disks.
    """
    chosen: dict[str, tuple[Disk, ...]] = {}
    for index, spec in enumerate(layout.disks):
        where = f"layout {layout.name}: disks[{index}] ({spec.id})"
        chosen[spec.id] = _disks_for(spec, inventory.disks, chosen, where)
    left = prune(layout, facts_of(inventory, chosen))
    refuse_both(layout, left)
    refuse_mixed_sectors(left, chosen)
    refuse_bios_on_large_sectors(left, chosen, inventory.firmware)
    return chosen


def alike(disks: Sequence[Disk], percent: float) -> bool:
    """Whether no disk is smaller than the largest by more than ``percent`` of that."""
    return _near(min(disk.size for disk in disks), max(disk.size for disk in disks), percent)


def _disks_for(
    spec: DiskSpec, disks: Sequence[Disk], chosen: dict[str, tuple[Disk, ...]], where: str
) -> tuple[Disk, ...]:
    taken = {disk.path: id for id, theirs in chosen.items() for disk in theirs}
    free = [disk for disk in disks if disk.path not in taken and not unusable(disk)]
    for match in spec.match:
        fitting = in_order([disk for disk in free if not any(mismatches(match, disk))])
        found = _of_fitting(fitting, match, spec)
        if found.sets > 1 or len(found.disks) > spec.count.max:
            raise tie(found.disks, match, spec, len(fitting), where)
        if found.disks:
            if not alike(found.disks, spec.similar):
                raise not_alike(found.disks, spec, where)
            return in_order(found.disks)
    if spec.count.min == 0:
        return ()
    raise none_fits(spec, disks, taken, where)


@frozen
class _Found:
    """What one alternative could take: ``sets`` above 1, or more disks than wanted, are choices equally good."""

    disks: tuple[Disk, ...] = ()
    sets: int = 1


def _of_fitting(fitting: tuple[Disk, ...], match: Match, spec: DiskSpec) -> _Found:
    count = spec.count
    if not fitting or len(fitting) < count.min:
        return _Found()
    if count.min == count.max > 1 and match.pick is not Pick.FIRST_BY_PATH:
        return _like_disks(fitting, match.pick, spec)
    return _Found(_best(fitting, match.pick, count.max))


def _like_disks(fitting: tuple[Disk, ...], pick: Pick | None, spec: DiskSpec) -> _Found:
    """So many like disks, told from others by their size. Two such sets are a tie, unless ``pick`` says which."""
    sets = [each for each in _sets_alike(fitting, spec.similar) if len(each) >= spec.count.min]
    if not sets:
        return _Found()
    if pick is None:
        return _Found(tuple({disk.path: disk for each in sets for disk in each}.values()), len(sets))
    return _Found(_best(sets[0] if pick is Pick.SMALLEST else sets[-1], pick, spec.count.max))


def _sets_alike(disks: tuple[Disk, ...], percent: float) -> list[tuple[Disk, ...]]:
    """Every set of disks that are alike and to which none can be added, the smallest sizes first."""
    sets: list[tuple[Disk, ...]] = []
    for largest in sorted({disk.size for disk in disks}):
        like = tuple(disk for disk in disks if disk.size <= largest and _near(disk.size, largest, percent))
        if sets and set(sets[-1]) <= set(like):
            sets.pop()
        sets.append(like)
    return sets


def _near(size: int, largest: int, percent: float) -> bool:
    return (largest - size) * 100 <= largest * percent


def _best(disks: tuple[Disk, ...], pick: Pick | None, most: int) -> tuple[Disk, ...]:
    """At most ``most``; or more, where the last of them is no better than one that would be left out."""
    if pick is None or len(disks) <= most:
        return disks
    if pick is Pick.FIRST_BY_PATH and not all(disk.by_path for disk in disks):
        return disks  # one without a place cannot be ranked before or behind any other
    last = sorted(_rank(pick, disk) for disk in disks)[most - 1]
    return tuple(disk for disk in disks if _rank(pick, disk) <= last)


def _rank(pick: Pick, disk: Disk) -> tuple[tuple[int, str], ...]:
    if pick is Pick.FIRST_BY_PATH:
        return natural(disk.by_path)
    return ((disk.size if pick is Pick.SMALLEST else -disk.size, ""),)
