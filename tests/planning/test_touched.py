"""What an install makes the node's own, told from its plan."""

import json

import pytest

from imaged.model.plan import (
    CheckFile,
    CopyFile,
    InstallPlan,
    KeepSecret,
    MakeLink,
    MakeSwapFile,
    OpenCrypt,
    Phase,
    Reboot,
    RemovePath,
    RestoreIdentity,
    RunInTarget,
    Step,
    WriteFile,
)
from imaged.model.stack import Filesystem, Unlock
from imaged.model.system import PlannedCrypt, PlannedFilesystem, PlannedSwap, System
from imaged.model.uefi import InstallGrub
from imaged.planning.touched import RECORD, Touch, before_fixups, record, recorded, touched, touched_by, touches


@pytest.mark.parametrize(
    ("step", "paths"),
    [
        (WriteFile("/etc/hostname", "n"), ("/etc/hostname",)),
        (RemovePath("/etc/ssh/ssh_host_*"), ("/etc/ssh/ssh_host_*",)),
        (MakeLink("/a", "/b"), ("/a",)),
        (KeepSecret("/s"), ("/s",)),
        (MakeSwapFile("/swap", 1, "u"), ("/swap",)),
        (RunInTarget(("ssh-keygen", "-A")), ("/etc/ssh/ssh_host_*",)),
        (InstallGrub("/efi", ("grub-install", "--target=x86_64-efi")), ("/boot/grub/", "/efi/EFI/")),
        (RunInTarget(("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg")), ("/boot/grub2/grub.cfg",)),
        (CopyFile("/usr/x.efi", "/boot/efi/x.efi"), ("/boot/efi/x.efi",)),
        (RunInTarget(("dracut", "--force", "--kver", "6", "/boot/initrd-6")), ("/boot/initrd-6",)),
        (RunInTarget(("mkinitfs", "-o", "/boot/initramfs-lts", "6")), ("/boot/initramfs-lts",)),
        (RunInTarget(("update-initramfs", "-u", "-k", "6")), ("/boot/initrd.img-6",)),
        (RunInTarget(("bootctl", "--no-variables", "--esp-path=/boot", "install")), ("/boot/EFI/", "/boot/loader/")),
        (RunInTarget(("mkdir", "-p", "--", "/srv/a", "/srv/b")), ("/srv/a", "/srv/b")),
        (RunInTarget(("sed", "-i", "-E", "/^A=/d", "/etc/sysconfig/network")), ("/etc/sysconfig/network",)),
        (RunInTarget(("setfiles", "-F", "/etc")), ()),
        (RunInTarget(("env", "A=b", "ssh-keygen", "-A")), ("/etc/ssh/ssh_host_*",)),
        (RestoreIdentity(), ("/etc/ssh/ssh_host_*",)),
        (OpenCrypt("/dev/sda3", "c", "u", "/etc/imaged/keys/c"), ("/etc/imaged/keys/c",)),
        (OpenCrypt("/dev/sda3", "c", "u"), ()),
        (CheckFile("/etc/hostname"), ()),
        (Reboot(), ()),
    ],
)  # fmt: skip
def test_each_step(step: Step, paths: tuple[str, ...]) -> None:
    assert touched_by((step,)) == paths


def test_a_plan_names_each_once_in_order() -> None:
    steps = (WriteFile("/b", ""), WriteFile("/a", ""), RemovePath("/b"))
    assert touched(InstallPlan("n", "i@1", "l", (Phase("fixups", steps), Phase("verify", steps[:1])))) == ("/a", "/b")


def test_what_came_last_is_what_is_there() -> None:
    steps = (RemovePath("/etc/ssh/ssh_host_*", "shared"), RunInTarget(("ssh-keygen", "-A"), reason="its own"),
             WriteFile("/a", "x\n", reason="why"))  # fmt: skip
    assert touches(steps) == (
        Touch("/a", "written", "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac", "why"),
        Touch("/etc/ssh/ssh_host_*", "ssh-keygen", reason="its own"),
    )


def test_the_list_on_the_node_has_an_entry_in_each_line_and_not_itself() -> None:
    steps = (WriteFile("/a", "\udcff", reason="not UTF-8"), RemovePath("/b"))
    kept = record(steps)
    assert (kept.path, kept.mode) == (RECORD, "0600")
    assert [each["path"] for each in json.loads(kept.content)] == ["/a", "/b"]
    assert len(kept.content.splitlines()) == 4
    assert record((*steps, kept)) == kept
    assert recorded((*steps, kept)) == kept.content
    assert recorded(steps) == ""


def test_what_lies_in_the_tree_before_any_fixup() -> None:
    system = System(
        (PlannedFilesystem("/dev/sda1", Filesystem.EXT4, "u", "/"),),
        swaps=(PlannedSwap("/dev/sda2", "v"), PlannedSwap("/var/swap", "w", file=True)),
        crypts=(PlannedCrypt("a", "/dev/sda3", "x"), PlannedCrypt("b", "/dev/sda4", "y", (Unlock.KEYFILE,))),
    )
    assert touched_by(before_fixups(system)) == ("/etc/imaged/keys/b", "/var/swap")
