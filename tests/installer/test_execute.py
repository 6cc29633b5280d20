"""Plans are carried out in order, every kind of step by its own function, and a fault names its step."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from attrs import define, field

from imaged.model.codec import from_json, to_json
from imaged.model.errors import CommandFailed, Conflict, ImagedError
from imaged.model.hardware import Disk
from imaged.model.layout import Label
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
    Phase,
    PlannedSubvolume,
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
from imaged.model.report import Report
from imaged.model.stack import Filesystem
from imaged.model.uefi import InstallGrub, MirrorEsp, SetBootEntries
from installer.console import Console
from installer.crypts import Keys
from installer.execute import Target, actions, describe, ends_with_reboot, execute, progress_share
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.transfer import Source

DISK = Disk("/dev/sda", 2**33, model="M", serial="S")
STEPS: tuple[Step, ...] = (
    WipeDisk(DISK), MakeTable(DISK, Label.GPT, ()), MakeFilesystem("/dev/sda1", Filesystem.EXT4, "u"),
    MakeSwap("/dev/sda2", "u"), Mount("/dev/sda1", Filesystem.EXT4, "/"), SyncTree("i@1", "/", 10, 1),
    SyncOverrides(),
    WriteFile("/etc/hostname", "n"), RemovePath("/etc/x"), MakeLink("/a", "/b"), RestoreIdentity(),
    KeepSecret("/s"),
    MakeArray("/dev/md/root", 1, "1.2", "u", ("/dev/sda1", "/dev/sdb1")), StartArray("/dev/md/root", "u"),
    MakeCrypt("/dev/sda3", "crypt0", "u"), OpenCrypt("/dev/sda3", "crypt0", "u"),
    MakeGroup("vg", ("/dev/sda4",), 2**22), StartGroup("vg", "u"), MakeVolume("vg", "root", 2**30),
    MakeVolume("vg", "pool", 2**30, thin=True),
    MakeSubvolumes("/dev/sda5", (PlannedSubvolume("@/var", nodatacow=True),)), MakeSwapFile("/swap", 2**30, "u"),
    InstallGrub("/boot/efi", ("grub-install",)), MirrorEsp("/boot/efi", ("/dev/sdb2",)),
    CopyFile("/usr/a.efi", "/boot/efi/a.efi"), MoveFile("/boot/a", "/boot/b"),
    RunInTarget(("ssh-keygen", "-A")), RunScript("10all.x", "#!/bin/sh\n", {"A": "b"}),
    CheckFile("/etc/hostname"), CheckInitrd("/boot/i", "6.1", "lsinitramfs", (("ext4",),)),
    CheckDevice("/dev/sda1", "u"),
    SetBootEntries("imaged", "/EFI/BOOT/BOOTX64.EFI", ("/dev/sda1",)), Unmount(), Reboot(),
)  # fmt: skip
PLAN = InstallPlan(
    "node07", "i@1", "one-disk",
    (Phase("wipe", STEPS[:2]), Phase("mkfs", STEPS[2:4]), Phase("rest", STEPS[4:-1]), Phase("reboot", STEPS[-1:])),
)  # fmt: skip


@define
class Events:
    """Everything that happens, in one list."""

    seen: list[object] = field(factory=list)

    def report(self, report: Report) -> None:
        self.seen.append(f"{report.phase} {report.status.value}")

    def log(self, _: str) -> None:
        pass

    console = log

    def recording(self, fails: Callable[[Any], None] = lambda _: None) -> dict[type, Callable[[Any], None]]:
        def carry(step: Any) -> None:
            self.seen.append(step)
            fails(step)

        return {type(step): carry for step in STEPS}

    def reporter(self) -> Reporter:
        return Reporter(self, Console((io.StringIO(),), lambda: 0.0), Journal(), lambda: 0.0)  # type: ignore[arg-type]


def test_every_kind_of_step_has_its_function_and_its_words() -> None:
    kinds = set(get_args(Step))
    assert {type(step) for step in STEPS} == kinds
    target = Target(Path("/target"), Source("h", 1, "n"), Keys(str))
    assert set(actions(target, Processes(print), Events().reporter(), PLAN)) == kinds
    assert len({describe(step) for step in STEPS}) == len(STEPS)


def test_a_plan_that_crossed_the_wire_is_the_same_plan() -> None:
    assert from_json(to_json(PLAN), InstallPlan) == PLAN


def test_in_order_with_a_report_around_every_phase() -> None:
    events = Events()
    execute(PLAN, events.recording(), events.reporter(), lambda name: events.seen.append(f"after {name}"))
    expected: list[object] = []
    for phase in PLAN.phases:
        expected += [f"{phase.name} started", *phase.steps, f"after {phase.name}", f"{phase.name} done"]
    assert events.seen == expected


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (CommandFailed("ended with 1", where="mkfs.ext4 /dev/sda1", hint="stderr"), CommandFailed,
         "make ext4 on /dev/sda1: mkfs.ext4 /dev/sda1: ended with 1\n  stderr"),
        (Conflict("in use"), Conflict, "make ext4 on /dev/sda1: in use"),
        (OSError(28, "No space left on device", "/target/x"), ImagedError,
         "make ext4 on /dev/sda1: /target/x: No space left on device"),
    ],
)  # fmt: skip
def test_the_first_fault_ends_it(fault: Exception, kind: type[ImagedError], said: str) -> None:
    events = Events()

    def fails(step: object) -> None:
        if isinstance(step, MakeFilesystem):
            raise fault

    reporter = events.reporter()
    with pytest.raises(kind) as caught:
        execute(PLAN, events.recording(fails), reporter, lambda _: None)
    assert str(caught.value) == said
    assert events.seen == ["wipe started", *STEPS[:2], "wipe done", "mkfs started", STEPS[2]]
    assert reporter.current == "mkfs"


def test_a_fault_of_ours_is_not_dressed_up() -> None:
    events = Events()

    def fails(_: object) -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        execute(PLAN, events.recording(fails), events.reporter(), lambda _: None)


@pytest.mark.parametrize(
    ("phases", "expected"),
    [(PLAN.phases, True), (PLAN.phases[:-1], False), ((), False), ((Phase("reboot", ()),), False)],
)
def test_reboot_only_where_the_plan_ends_with_it(phases: tuple[Phase, ...], expected: bool) -> None:
    assert ends_with_reboot(InstallPlan("n", "i@1", "l", phases)) is expected


def test_percent_is_of_the_whole_phase_and_never_falls() -> None:
    tree, home, esp = SyncTree("i", "/", 600, 1), SyncTree("i", "/home", 400, 1), SyncTree("i", "/efi", 0, 0)
    plan = InstallPlan("n", "i@1", "l", (Phase("transfer", (tree, home, esp)),))
    share = progress_share(plan, tree)
    assert [share(count) for count in (0, 300, 60, 600, 10_000)] == [0.0, 30.0, 30.0, 60.0, 60.0]
    assert [progress_share(plan, home)(count) for count in (0, 400)] == [60.0, 100.0]
    assert progress_share(plan, esp)(5) == 100.0
    assert progress_share(InstallPlan("n", "i@1", "l", ()), esp)(5) == 0.0
