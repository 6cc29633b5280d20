"""A capture as people read it: what is taken, what is left out and why, what changes. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from imaged.model.capture import Golden, GoldenFacts
from imaged.model.size import format_size
from imaged.planning.capture import CapturePlan
from imaged.planning.capture_rsync import Change

_SHOWN = 8  # paths of each group
_SIGNS = {"new": "+", "content": "~", "attributes": "~", "gone": "-"}
_WORDS = {"new": "new", "content": "other content", "attributes": "other owner, mode or times", "gone": "gone"}


def dry_run_text(
    golden: Golden,
    facts: GoldenFacts,
    plan: CapturePlan,
    changes: Sequence[Change],
    hidden: Sequence[tuple[str, str]],
    last: str,
    size: int,
) -> str:
    """The whole of ``getimage --dry-run``: ``size`` is the sum of the sizes of all files, in bytes.

    ``last`` is the version that ``changes`` compare with; empty: none.
    """
    system = facts.os_release.get("PRETTY_NAME", "an unknown system")
    boots = ", ".join(part for part in (facts.arch, facts.firmware.upper(), f"kernel {facts.release}") if part.strip())
    lines = [f"{golden} is {facts.hostname}: {system}, {boots}", "", "Captured:"]
    lines += [f"  {kept.at:<24} {kept.fstype:<6} {_amount(kept.used, kept.inodes)}" for kept in plan.kept]
    lines += ["", "Left out, the mount point kept:"] if plan.left_out else []
    lines += [f"  {each.at:<24} {each.fstype:<10} {each.reason}" for each in plan.left_out]
    lines += ["", "Left out:", *_hidden(plan, hidden)] if hidden else []
    lines += ["", *_changes(changes, last, size)]
    kernel = () if facts.kernels else ("no kernel was found there: nodes will not start from this image",)
    warnings = [f"Warning: {warning}." for warning in (*plan.warnings, *kernel)]
    lines += ["", *warnings] if warnings else []
    return "\n".join(lines)


def changing_text(changing: Sequence[Change], log: str) -> str:
    """What a person must know of files that did not hold still."""
    shown = "".join(f"\n  {_SIGNS[each.what]} /{each.path}  ({_WORDS[each.what]})" for each in changing[:_SHOWN])
    more = f"\n  and {len(changing) - _SHOWN} more" if len(changing) > _SHOWN else ""
    return (
        f"Warning: {len(changing)} paths were still changing on the golden client; the image has them as of one "
        f"moment each:{shown}{more}\n  Stop what writes there, or leave it out with --exclude. All of them: {log}"
    )


def _amount(used: int, inodes: int) -> str:
    return f"{format_size(used):>10}" + (f" in {inodes} inodes" if inodes else "") if used else ""


def _hidden(plan: CapturePlan, hidden: Sequence[tuple[str, str]]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    mounts = {f"{each.at}/" for each in plan.left_out}
    for path, pattern in hidden:
        if not any(f"/{path}".startswith(mount) for mount in mounts):
            groups.setdefault(plan.why.get(pattern, pattern), []).append(path)
    for reason, paths in sorted(groups.items()):
        yield f"  {reason} ({len(paths)})"
        yield from (f"    /{path}" for path in paths[:_SHOWN])
        if len(paths) > _SHOWN:
            yield f"    and {len(paths) - _SHOWN} more"


def _changes(changes: Sequence[Change], last: str, size: int) -> Iterator[str]:
    if not last:
        yield f"There is no version yet: all {len(changes)} paths would be moved, {format_size(size)}."
        return
    counts = Counter(change.what for change in changes)
    if not changes:
        yield f"Nothing is different from {last}."
        return
    yield f"Different from {last}: " + ", ".join(f"{counts[what]} {_WORDS[what]}" for what in _WORDS if counts[what])
    for what in _WORDS:
        paths = [change.path for change in changes if change.what == what]
        yield from (f"  {_SIGNS[what]} /{path}" for path in paths[:_SHOWN])
        if len(paths) > _SHOWN:
            yield f"  {_SIGNS[what]} and {len(paths) - _SHOWN} more"
