"""A plan as people read it before they say yes: what is lost, what is kept, every step in a line."""

import shlex
from collections.abc import Callable
from typing import Any

from imaged.model.hardware import partition_path
from imaged.model.plan import (
    CheckDevice,
    CheckFile,
    InstallPlan,
    KeepSecret,
    MakeFilesystem,
    MakeLink,
    MakeSwap,
    MakeTable,
    Mount,
    Reboot,
    RemovePath,
    RunInTarget,
    Step,
    SyncOverrides,
    SyncTree,
    Unmount,
    WipeDisk,
    WriteFile,
)
from imaged.model.size import format_size


def plan_text(plan: InstallPlan, digest: str) -> str:
    """The whole plan as lines of text, each disk named by model, serial and size first."""
    lines = [f"Install of {plan.image} on {plan.node}, layout {plan.layout} (plan {digest})", "", "Lost for good:"]
    lines += [f"  {disk}" for disk in plan.lost]
    lines += ["", "Kept:", *(f"  {disk}" for disk in plan.kept)] if plan.kept else ["", "Kept: no other disk is there"]
    for phase in plan.phases:
        lines += ["", f"{phase.name}:"]
        lines += [f"  {line}" for step in phase.steps for line in step_lines(step)]
    return "\n".join(lines)


def step_lines(step: Step) -> list[str]:
    """One step in one line; a partition table has a line for each partition."""
    return _SAID[type(step)](step)


def _table(step: MakeTable) -> list[str]:
    lines = [f"write a {step.label.value} partition table on {step.disk.path}"]
    for part in step.partitions:
        what = part.fs.value if part.fs else part.role.value
        path = partition_path(step.disk.path, part.number)
        lines.append(f"  {path}  {part.name:<8} {format_size(part.size):>10}  {what}")
    return lines


def _mkfs(step: MakeFilesystem) -> list[str]:
    return [f"make {step.fs.value} on {step.device}, UUID {step.uuid}"]


def _sync(step: SyncTree) -> list[str]:
    if step.foreign:
        return [f"copy what {step.image} has below {step.at}"]
    return [f"copy {step.image} to {step.at}: {format_size(step.bytes)}, {step.entries} entries"]


def _because(text: str, reason: str) -> list[str]:
    return [f"{text}  # {reason}" if reason else text]


_SAID: dict[type, Callable[[Any], list[str]]] = {
    WipeDisk: lambda s: [f"wipe every signature on {s.disk}"],
    MakeTable: _table,
    MakeFilesystem: _mkfs,
    MakeSwap: lambda s: [f"make swap on {s.device}, UUID {s.uuid}"],
    Mount: lambda s: [f"mount {s.device} at {s.at}"],
    SyncTree: _sync,
    SyncOverrides: lambda s: [f"lay the node's overrides over {s.at}"],
    WriteFile: lambda s: _because(f"write {s.path} ({s.mode})", s.reason),
    RemovePath: lambda s: _because(f"remove {s.path}", s.reason),
    MakeLink: lambda s: _because(f"link {s.path} -> {s.target}", s.reason),
    KeepSecret: lambda s: [f"keep the node's secret in {s.path} (0600)"],
    RunInTarget: lambda s: _because(f"run {shlex.join(s.argv)}", s.reason),
    CheckFile: lambda s: [f"check {s.path}"],
    CheckDevice: lambda s: [f"check that {s.device} has UUID {s.uuid}"],
    Unmount: lambda _: ["unmount everything"],
    Reboot: lambda _: ["reboot"],
}
