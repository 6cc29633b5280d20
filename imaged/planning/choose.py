"""Which real disk each disk of a layout falls on. Never a guess: disks that fit equally are refused."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Disk, Inventory
from imaged.model.layout import DiskSpec, Layout, Match, Pick

_NOT_DISKS = ("/dev/loop", "/dev/ram", "/dev/zram", "/dev/sr", "/dev/fd", "/dev/nbd")


def choose(layout: Layout, inventory: Inventory) -> dict[str, Disk]:
    """The disk for each id of ``layout.disks``, in that order; no disk twice.

    Raises CannotPlan when none fits (naming every disk and why it was passed over) or several fit equally (naming
    them, with a line for ``match`` that tells them apart).
    """
    chosen: dict[str, Disk] = {}
    for index, spec in enumerate(layout.disks):
        where = f"layout {layout.name}: disks[{index}] ({spec.id})"
        chosen[spec.id] = _disk_for(spec, inventory.disks, chosen, where)
    return chosen


def _disk_for(spec: DiskSpec, disks: Sequence[Disk], chosen: dict[str, Disk], where: str) -> Disk:
    taken = {disk.path: id for id, disk in chosen.items()}
    free = [disk for disk in disks if disk.path not in taken and not unusable(disk)]
    for match in spec.match:
        fitting = [disk for disk in free if not any(mismatches(match, disk))]
        best = _picked(match.pick, fitting)
        if len(best) > 1:
            raise CannotPlan(_tie(best), where=where, hint=_how_to_tell_apart(best, match, len(fitting)))
        if best:
            return best[0]
    if not disks:
        raise CannotPlan("the machine has no disk", where=where, hint="Is its controller's driver in the boot ramdisk?")
    passed = [f"{disk}: {'; '.join(_why_not(spec, disk, taken))}" for disk in disks]
    raise CannotPlan("none of the machine's disks fits", where=where, hint="\n  ".join(passed))


def unusable(disk: Disk) -> str:
    """Why no layout may ever have this disk; empty when one may."""
    if disk.path.startswith(_NOT_DISKS):
        return "is not a disk of its own"
    if disk.size <= 0:
        return "has no medium"
    if disk.read_only:
        return "is read-only"
    return f"is in use ({disk.in_use})" if disk.in_use else ""


def mismatches(match: Match, disk: Disk) -> Iterator[str]:
    """Every condition of ``match`` that ``disk`` does not meet, in words."""
    if match.bus and disk.bus not in match.bus:
        yield f"bus is {disk.bus.value}, not {' or '.join(bus.value for bus in match.bus)}"
    if match.rotational is not None and disk.rotational is not match.rotational:
        yield "is rotational" if disk.rotational else "is not rotational"
    if disk.removable is not match.removable:
        yield "is removable" if disk.removable else "is not removable"
    if match.size and not match.size.holds(disk.size):
        yield f"size is not {match.size}"
    if match.sector not in (None, disk.logical_sector):
        yield f"sector is {disk.logical_sector}, not {match.sector}"
    for key, patterns, found in _texts(match, disk):
        if patterns and not any(_fits(pattern, found) for pattern in patterns):
            yield f"{key} is {found!r}, not {' or '.join(map(repr, patterns))}"


def _texts(match: Match, disk: Disk) -> Iterator[tuple[str, Sequence[str], str]]:
    yield "model", [_blanks(pattern) for pattern in match.model], _blanks(disk.model)
    yield "vendor", [_blanks(pattern) for pattern in match.vendor], _blanks(disk.vendor)
    yield "serial", match.serial, disk.serial
    yield "wwn", match.wwn, disk.wwn
    yield "path", [pattern.removeprefix("/dev/disk/by-path/") for pattern in match.path], disk.by_path


def _blanks(text: str) -> str:
    """udev's ID_MODEL has ``_`` where the disk's own text has a blank; people write either."""
    return text.replace("_", " ").strip()


def _fits(pattern: str, text: str) -> bool:
    return fnmatchcase(text.lower(), pattern.lower())


def _picked(pick: Pick | None, disks: list[Disk]) -> list[Disk]:
    """All of the best: one, or those that are equally good."""
    if not disks or pick is None:
        return disks
    if pick is Pick.FIRST_BY_PATH:
        placed = [disk for disk in disks if disk.by_path]
        if len(placed) != len(disks):  # a disk without a place cannot be ranked before or behind any other
            return disks
        first = min(_natural(disk.by_path) for disk in placed)
        return [disk for disk in placed if _natural(disk.by_path) == first]
    wanted = (min if pick is Pick.SMALLEST else max)(disk.size for disk in disks)
    return [disk for disk in disks if disk.size == wanted]


def _natural(path: str) -> tuple[tuple[int, str], ...]:
    """``ata-2`` before ``ata-10``: digits count as the numbers they are."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", path))


def _why_not(spec: DiskSpec, disk: Disk, taken: dict[str, str]) -> list[str]:
    if disk.path in taken:
        return [f"is taken by {taken[disk.path]!r}"]
    if reason := unusable(disk):
        return [reason]
    several = len(spec.match) > 1
    return [
        (f"match[{index}]: " if several else "") + ", ".join(mismatches(match, disk))
        for index, match in enumerate(spec.match)
    ]


def _tie(best: Sequence[Disk]) -> str:
    count = "two" if len(best) == 2 else str(len(best))
    return f"{count} disks fit equally, and a guess could wipe the wrong one"


def _how_to_tell_apart(best: Sequence[Disk], match: Match, fitting: int) -> str:
    lines = [f"{disk}: {_own_line(disk, best)}" for disk in best]
    same_size = len({disk.size for disk in best}) < len(best)
    if match.pick is None and not same_size:
        lines.append("Or say which by its size, with pick: smallest or pick: largest.")
    elif match.pick is not None:
        lines.append(f"pick: {match.pick.value} leaves these of {fitting} that match.")
    return "\n  ".join(lines)


def _own_line(disk: Disk, others: Sequence[Disk]) -> str:
    """The line of ``match`` that this disk alone fits, by what lasts longest: identity before place."""
    for key, attribute in (("wwn", "wwn"), ("serial", "serial"), ("path", "by_path")):
        own = getattr(disk, attribute)
        if own and [getattr(other, attribute).lower() for other in others].count(own.lower()) == 1:
            return f'to take it, add to match  {key}: "{_escaped(own)}"'
    return "nothing that the machine says of it tells it from the others"


def _escaped(text: str) -> str:
    """A text as a glob that matches only itself, within a YAML double quote."""
    glob = re.sub(r"([*?\[])", r"[\1]", text)
    return glob.replace("\\", "\\\\").replace('"', '\\"')
