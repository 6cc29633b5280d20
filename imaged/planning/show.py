"""A plan as people read it before they say yes: what is lost, what is kept, every step in a line."""

import shlex
from collections.abc import Callable, Iterable
from typing import Any

from attrs import evolve

from imaged.model.hardware import partition_path
from imaged.model.plan import (
    CheckDevice,
    CheckFile,
    CheckInitrd,
    CopyFile,
    InstallPlan,
    KeepSecret,
    MakeArray,
    MakeCrypt,
    MakeFilesystem,
    MakeGroup,
    MakeLink,
    MakeSubvolumes,
    MakeSwap,
    MakeSwapFile,
    MakeTable,
    MakeVolume,
    Mount,
    MoveFile,
    OpenCrypt,
    Reboot,
    RemovePath,
    RestoreIdentity,
    RunInTarget,
    RunScript,
    StartArray,
    StartGroup,
    Step,
    SyncOverrides,
    SyncTree,
    Unmount,
    WipeDisk,
    WriteFile,
)
from imaged.model.size import format_size
from imaged.model.uefi import InstallGrub, MirrorEsp, SetBootEntries


def plan_text(plan: InstallPlan, digest: str, leftovers: Iterable[str] = ()) -> str:
    """The whole plan as lines of text, each disk named by model, serial and size first.

    ``leftovers``: a warning for each, see ``planning.leftovers``.
    """
    lines = [f"Install of {plan.image} on {plan.node}, layout {plan.layout} (plan {digest})", "", "Lost for good:"]
    lines += [f"  {disk}" for disk in plan.lost]
    lines += ["", "Kept:", *(f"  {disk}" for disk in plan.kept)] if plan.kept else ["", "Kept: no other disk is there"]
    if warned := [f"  {each}" for each in leftovers]:
        lines += ["", "Warning: these files of the image name disks of the golden client, and nothing rewrites them:"]
        lines += warned
    for phase in (each for each in plan.phases if each.steps):
        lines += ["", f"{phase.name}:"]
        lines += [f"  {line}" for step in phase.steps for line in step_lines(step)]
    return "\n".join(lines)


def presentable(plan: InstallPlan) -> InstallPlan:
    """The plan for a person's or a program's eyes: a hash in the place of each script, which may hold secrets."""
    return evolve(plan, phases=tuple(evolve(each, steps=tuple(map(_hidden, each.steps))) for each in plan.phases))


def _hidden(step: Step) -> Step:
    return evolve(step, content=f"sha256 {step.digest}") if isinstance(step, RunScript) else step


def step_lines(step: Step) -> list[str]:
    """One step in one line; a partition table has a line for each partition."""
    return _SAID[type(step)](step)


def _table(step: MakeTable) -> list[str]:
    verb = "change the" if any(part.kept for part in step.partitions) else "write a"
    lines = [f"{verb} {step.label.value} partition table on {step.disk.path}"]
    for part in step.partitions:
        what = ("stays: " if part.kept else "") + (part.fs.value if part.fs else part.role.value)
        path = partition_path(step.disk.path, part.number)
        lines.append(f"  {path}  {part.name:<8} {format_size(part.size):>10}  {what}")
    return lines


def _mkfs(step: MakeFilesystem) -> list[str]:
    return [f"make {step.fs.value} on {step.device}, UUID {step.uuid}"]


def _wipe(step: WipeDisk) -> list[str]:
    if step.keep:
        return [f"wipe {step.disk} but for partition {', '.join(map(str, step.keep))}"]
    return [f"wipe every signature on {step.disk}"]


def _array(step: MakeArray) -> list[str]:
    spares = f", spare {', '.join(step.spares)}" if step.spares else ""
    return [f"make RAID {step.level} {step.device} of {', '.join(step.members)}{spares}, UUID {step.uuid}"]


def _crypt(step: MakeCrypt) -> list[str]:
    ways = [way for way, wanted in (("TPM", step.tpm2), ("key file", step.keyfile)) if wanted]
    opened = f", opened by {' or '.join(ways)}" if ways else ""
    return [f"encrypt {step.device} as /dev/mapper/{step.name}{opened}, UUID {step.uuid}"]


def _start_group(step: StartGroup) -> list[str]:
    gone = f", and remove {', '.join(step.remove)} from it" if step.remove else ""
    return [f"start volume group {step.group} as it is{gone}"]


def _volume(step: MakeVolume) -> list[str]:
    what = "thin pool" if step.thin else f"thin volume in {step.pool}" if step.pool else "volume"
    return [f"make {what} /dev/{step.group}/{step.name}, {format_size(step.size)}"]


def _mirror(step: MirrorEsp) -> list[str]:
    verb, to = ("check the copies of", "on") if step.check else ("copy", "to")
    return [f"{verb} {step.source} {to} {', '.join(step.devices)}"]


def _modules(step: CheckInitrd) -> str:
    return ", ".join(" or ".join(each) for each in step.modules)


def _sync(step: SyncTree) -> list[str]:
    if step.foreign:
        return [f"copy what {step.image} has below {step.at}"]
    whole = f"copy {step.image} to {step.at}: {format_size(step.bytes)}, {step.entries} entries"
    return [f"{whole}, filtered by {', '.join(map(repr, step.rules))}" if step.rules else whole]


def _entries(step: SetBootEntries) -> list[str]:
    place = "behind the network's" if step.network_first else "before all others"
    return [f"boot entry of the firmware, {place}: {step.loader} on {', '.join(step.devices)}"]


def _script(step: RunScript) -> list[str]:
    kind = "post-install" if step.in_target else "pre-install"
    return [f"run {kind} script {step.name}, sha256 {step.digest[:16]}"]


def _because(text: str, reason: str) -> list[str]:
    return [f"{text}  # {reason}" if reason else text]


_SAID: dict[type, Callable[[Any], list[str]]] = {
    WipeDisk: _wipe,
    MakeTable: _table,
    MakeFilesystem: _mkfs,
    MakeSwap: lambda s: [f"make swap on {s.device}, UUID {s.uuid}"],
    MakeArray: _array,
    StartArray: lambda s: [f"start {s.device} as it is, UUID {s.uuid}"],
    MakeCrypt: _crypt,
    OpenCrypt: lambda s: [f"open {s.device} as /dev/mapper/{s.name}, UUID {s.uuid}"],
    MakeGroup: lambda s: [f"make volume group {s.group} of {', '.join(s.members)}"],
    StartGroup: _start_group,
    MakeVolume: _volume,
    MakeSubvolumes: lambda s: [f"make subvolumes on {s.device}: {', '.join(each.path for each in s.subvolumes)}"],
    MakeSwapFile: lambda s: [f"make swap file {s.path}, {format_size(s.size)}"],
    InstallGrub: lambda s: _because(f"run {shlex.join(s.argv)} for {s.esp}", s.reason),
    MirrorEsp: _mirror,
    Mount: lambda s: [f"mount {s.device} at {s.at}"],
    SyncTree: _sync,
    SyncOverrides: lambda s: [f"lay the node's overrides over {s.at}"],
    WriteFile: lambda s: _because(f"write {s.path} ({s.mode})", s.reason),
    CopyFile: lambda s: _because(f"copy {s.source} to {s.path}", s.reason),
    MoveFile: lambda s: _because(f"rename {s.source} to {s.path}", s.reason),
    RemovePath: lambda s: _because(f"remove {s.path}", s.reason),
    MakeLink: lambda s: _because(f"link {s.path} -> {s.target}", s.reason),
    RestoreIdentity: lambda _: ["write back the node's ssh host keys, where the server keeps some"],
    KeepSecret: lambda s: [f"keep the node's secret in {s.path} (0600)"],
    RunInTarget: lambda s: _because(f"run {shlex.join(s.argv)}", s.reason),
    RunScript: _script,
    CheckFile: lambda s: _because(f"check {s.path}", s.reason),
    CheckInitrd: lambda s: _because(f"check that {s.path} has {_modules(s)}", s.reason),
    CheckDevice: lambda s: _because(f"check that {s.device} has UUID {s.uuid}", s.reason),
    SetBootEntries: _entries,
    Unmount: lambda _: ["unmount everything"],
    Reboot: lambda _: ["reboot"],
}
