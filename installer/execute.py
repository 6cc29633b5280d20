"""Carrying out a plan, exactly as it stands: one table from the kind of a step to the function that does it."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from imaged.model.errors import ImagedError
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
from imaged.model.uefi import InstallGrub, MirrorEsp, SetBootEntries
from imaged.model.vault import KeptFiles
from installer import (
    arrays,
    chroot,
    confirm,
    crypts,
    disks,
    dmi,
    esp,
    filesystems,
    groups,
    initrd,
    mounts,
    nvram,
    scripts,
    subvolumes,
    swapfile,
    transfer,
    tree,
    udev,
    vault,
    wipe,
)
from installer.process import Processes
from installer.reports import Reporter

Actions = Mapping[type, Callable[[Any], object]]


@frozen
class Target:
    """What steps work on: the root that the node's filesystems are mounted below, where its image comes from, and the
    keys of its encrypted devices."""

    root: Path
    source: transfer.Source
    keys: crypts.Keys
    identity: Callable[[], KeptFiles] = KeptFiles


def execute(plan: InstallPlan, actions: Actions, reporter: Reporter, after: Callable[[str], None]) -> None:
    """All phases in order, each reported around; ``after`` is called with a phase's name when its steps are done.

    Stops at the first step that fails: raises ImagedError that names the step.
    """
    for phase in plan.phases:
        with reporter.phase(phase.name):
            for step in phase.steps:
                carry_out(step, actions, reporter)
            after(phase.name)


def carry_out(step: Step, actions: Actions, reporter: Reporter) -> None:
    """One step. Every fault that a person can do something about is an ImagedError with the step's name."""
    reporter.journal.add(f"step: {describe(step)}")
    try:
        actions[type(step)](step)
    except ImagedError as error:
        raise type(error)(_within(step, error.where, error.what), hint=error.hint) from error
    except OSError as error:
        raise ImagedError(_within(step, str(error.filename or ""), error.strerror or str(error))) from error


def actions(target: Target, processes: Processes, reporter: Reporter, plan: InstallPlan) -> Actions:
    """What does each kind of step."""
    root, run = target.root, processes.run

    def fresh(step: WipeDisk | MakeTable) -> None:
        confirm.confirm(step.disk, udev.disks())

    def sync(step: SyncTree) -> None:
        share = progress_share(plan, step)
        transfer.sync_tree(
            step, root, target.source, processes,
            progress=lambda count: reporter.progress(share(count)), say=reporter.console.say, sleep=time.sleep,
        )  # fmt: skip

    def lay(step: SyncOverrides) -> None:
        transfer.sync_tree(
            step, root, target.source, processes,
            progress=lambda _: None, say=reporter.console.say, sleep=time.sleep,
        )  # fmt: skip

    def wipe_disk(step: WipeDisk) -> None:
        fresh(step)
        wipe.wipe(step, run)

    def make_table(step: MakeTable) -> None:
        fresh(step)
        disks.make_table(step, run)

    return {
        WipeDisk: wipe_disk,
        MakeTable: make_table,
        MakeFilesystem: partial(filesystems.make_filesystem, run=run),
        MakeSwap: partial(filesystems.make_swap, run=run),
        MakeArray: partial(arrays.make_array, run=run),
        StartArray: partial(arrays.start_array, run=run),
        MakeCrypt: partial(crypts.make_crypt, keys=target.keys, memory=dmi.memory(), run=run),
        OpenCrypt: partial(crypts.open_crypt, keys=target.keys, run=run),
        MakeGroup: partial(groups.make_group, run=run),
        StartGroup: partial(groups.start_group, run=run),
        MakeVolume: partial(groups.make_volume, run=run),
        MakeSubvolumes: partial(subvolumes.make_subvolumes, run=run),
        MakeSwapFile: partial(swapfile.make_swap_file, root=root, run=run),
        InstallGrub: partial(esp.install_grub, root=root, run=run),
        MirrorEsp: partial(esp.mirror_esp, root=root, run=run),
        Mount: partial(mounts.mount, root=root, run=run),
        SyncTree: sync,
        SyncOverrides: lay,
        WriteFile: partial(tree.write_file, root=root),
        CopyFile: partial(esp.copy_file, root=root),
        MoveFile: partial(tree.move_file, root=root),
        RemovePath: partial(tree.remove_path, root=root),
        MakeLink: partial(tree.make_link, root=root),
        RestoreIdentity: lambda _: vault.restore(target.identity(), root),
        KeepSecret: partial(tree.keep_secret, root=root, secret=target.source.secret),
        RunInTarget: partial(chroot.run_in_target, root=root, run=run),
        RunScript: partial(scripts.run_script, root=root, run=run),
        CheckFile: partial(tree.check_file, root=root),
        CheckInitrd: partial(initrd.check_initrd, root=root, run=run),
        SetBootEntries: partial(nvram.set_boot_entries, say=reporter.console.say, run=run),
        CheckDevice: partial(filesystems.check_device, run=run),
        Unmount: lambda _: mounts.unmount(root, run),
        Reboot: lambda _: None,  # leaving comes after the last report
    }


def ends_with_reboot(plan: InstallPlan) -> bool:
    """Whether the plan wants the ramdisk left when all is done."""
    return any(isinstance(step, Reboot) for phase in plan.phases[-1:] for step in phase.steps[-1:])


def progress_share(plan: InstallPlan, step: SyncTree) -> Callable[[int], float]:
    """Percent of its phase that ``count`` bytes of this step make. Never falls: a new attempt starts from nothing."""
    phase = next((each for each in plan.phases if step in each.steps), Phase("", (step,)))
    syncs = [each for each in phase.steps if isinstance(each, SyncTree)]
    total = sum(each.bytes for each in syncs)
    before = sum(each.bytes for each in syncs[: syncs.index(step)])
    most = 0.0

    def share(count: int) -> float:
        nonlocal most
        if total:
            most = max(most, min(100.0, 100.0 * (before + min(count, step.bytes)) / total))
        return most

    return share


def _within(step: Step, where: str, what: str) -> str:
    return ": ".join(part for part in (describe(step), where, what) if part)


def describe(step: Step) -> str:
    """The step in a few words, for the log and for the reason of a failure."""
    match step:
        case WipeDisk(disk=disk):
            return f"wipe {disk}"
        case MakeTable(disk=disk, label=label):
            return f"write a {label.value} partition table to {disk}"
        case MakeFilesystem(device=path, fs=fs):
            return f"make {fs.value} on {path}"
        case MakeSwap(device=path):
            return f"make swap on {path}"
        case MakeArray(device=path, level=level):
            return f"make RAID {level} {path}"
        case StartArray(device=path):
            return f"start {path}"
        case MakeCrypt(device=path, name=name):
            return f"encrypt {path} as {name}"
        case OpenCrypt(device=path, name=name):
            return f"open {path} as {name}"
        case MakeGroup(group=group):
            return f"make volume group {group}"
        case StartGroup(group=group):
            return f"start volume group {group}"
        case MakeVolume(group=group, name=name, thin=thin):
            return f"make {'thin pool' if thin else 'volume'} {group}/{name}"
        case MakeSubvolumes(device=path):
            return f"make subvolumes on {path}"
        case MakeSwapFile(path=path):
            return f"make swap file {path}"
        case InstallGrub(argv=argv, esp=at):
            return f"run {' '.join(argv)} for {at}"
        case MirrorEsp(source=source, devices=devices, check=True):
            return f"check the copies of {source} on {', '.join(devices)}"
        case MirrorEsp(source=source, devices=devices):
            return f"copy {source} to {', '.join(devices)}"
        case Mount(device=path, at=at):
            return f"mount {path} at {at}"
        case SyncTree(image=image, at=at):
            return f"transfer {image} to {at}"
        case SyncOverrides(at=at):
            return f"lay overrides over {at}"
        case WriteFile(path=path):
            return f"write {path}"
        case CopyFile(path=path):
            return f"copy {path}"
        case MoveFile(source=source, path=path):
            return f"rename {source} to {path}"
        case RemovePath(path=path):
            return f"remove {path}"
        case MakeLink(path=path, target=target):
            return f"link {path} to {target}"
        case RestoreIdentity():
            return "write back the node's identity"
        case KeepSecret(path=path):
            return f"keep the node's secret in {path}"
        case RunInTarget(argv=argv):
            return f"run {' '.join(argv)} in the target"
        case RunScript(name=name, in_target=in_target):
            return f"run {'post' if in_target else 'pre'}-install script {name}"
        case CheckFile(path=path):
            return f"check {path}"
        case CheckInitrd(path=path):
            return f"check what is in {path}"
        case CheckDevice(device=path):
            return f"check {path}"
        case SetBootEntries(loader=loader):
            return f"set the firmware's boot entry for {loader}"
        case Unmount():
            return "unmount"
        case Reboot():
            return "reboot"
