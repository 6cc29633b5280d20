"""What people are told when a layout falls on no disk or on too many: every disk, and the line that fits it alone."""

import re
from collections.abc import Mapping, Sequence

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Disk
from imaged.model.layout import DiskSpec
from imaged.model.match import Match
from imaged.model.size import format_size
from imaged.planning.matching import mismatches, unusable


def none_fits(spec: DiskSpec, disks: Sequence[Disk], taken: Mapping[str, str], where: str) -> CannotPlan:
    """No alternative finds enough disks; ``taken`` are those of other entries, by path."""
    if not disks:
        return CannotPlan(
            "the machine has no disk", where=where, hint="Is its controller's driver in the boot ramdisk?"
        )
    passed = [f"{disk}: {'; '.join(_why_not(spec, disk, taken))}" for disk in disks]
    if spec.count.min == 1:
        what = "none of the machine's disks fits"
    elif spec.count.min == spec.count.max:
        what = f"{spec.count.min} disks are wanted, within {spec.similar:g} % of one size, and so many do not fit"
    else:
        what = f"at least {spec.count.min} disks are wanted, and so many do not fit"
    return CannotPlan(what, where=where, hint="\n  ".join(passed))


def tie(best: Sequence[Disk], match: Match, spec: DiskSpec, fitting: int, where: str) -> CannotPlan:
    """``best`` are more disks than the entry takes, of ``fitting`` that meet ``match``."""
    return CannotPlan(_tie(best, spec), where=where, hint=_how_to_tell_apart(best, match, spec, fitting))


def not_alike(disks: Sequence[Disk], spec: DiskSpec, where: str) -> CannotPlan:
    """All of ``disks`` match, and their sizes differ too much for one entry."""
    small, large = (format_size(pick(disk.size for disk in disks)) for pick in (min, max))
    lines = [*map(str, disks), "Give match a size that leaves the like ones, or raise similar."]
    what = f"the disks that fit differ by more than {spec.similar:g} %: {small} to {large}"
    return CannotPlan(what, where=where, hint="\n  ".join(lines))


def _why_not(spec: DiskSpec, disk: Disk, taken: Mapping[str, str]) -> list[str]:
    if disk.path in taken:
        return [f"is taken by {taken[disk.path]!r}"]
    if reason := unusable(disk):
        return [reason]
    several = len(spec.match) > 1
    return [
        (f"match[{index}]: " if several else "") + (", ".join(mismatches(match, disk)) or "fits")
        for index, match in enumerate(spec.match)
    ]


def _tie(best: Sequence[Disk], spec: DiskSpec) -> str:
    count = "two" if len(best) == 2 else str(len(best))
    at_most = "" if spec.count.min == spec.count.max else "at most "
    wanted = "" if spec.count.max == 1 else f" where {at_most}{spec.count.max} are wanted"
    return f"{count} disks fit equally{wanted}, and a guess could wipe the wrong one"


def _how_to_tell_apart(best: Sequence[Disk], match: Match, spec: DiskSpec, fitting: int) -> str:
    lines = [f"{disk}: {_own_line(disk, best)}" for disk in best]
    if spec.count.max > 1:
        lines.append('To take several, list them in one match, such as  wwn: ["first", "second"]')
    same_size = len({disk.size for disk in best}) < len(best)
    if match.pick is None and (not same_size or spec.count.max > 1):
        lines.append("Or say which by size, with pick: smallest or pick: largest.")
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
