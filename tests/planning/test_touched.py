"""What an install makes the node's own, told from its plan."""

import pytest

from imaged.model.plan import (
    CheckFile,
    InstallPlan,
    KeepSecret,
    MakeLink,
    MakeSwapFile,
    Phase,
    Reboot,
    RemovePath,
    RunInTarget,
    Step,
    WriteFile,
)
from imaged.planning.touched import touched, touched_by


@pytest.mark.parametrize(
    ("step", "paths"),
    [
        (WriteFile("/etc/hostname", "n"), ("/etc/hostname",)),
        (RemovePath("/etc/ssh/ssh_host_*"), ("/etc/ssh/ssh_host_*",)),
        (MakeLink("/a", "/b"), ("/a",)),
        (KeepSecret("/s"), ("/s",)),
        (MakeSwapFile("/swap", 1, "u"), ("/swap",)),
        (RunInTarget(("ssh-keygen", "-A")), ("/etc/ssh/ssh_host_*",)),
        (RunInTarget(("grub-install", "--target=x86_64-efi", "--efi-directory=/efi")), ("/boot/grub/", "/efi/")),
        (RunInTarget(("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg")), ("/boot/grub2/grub.cfg",)),
        (RunInTarget(("cp", "-f", "--", "/usr/x.efi", "/boot/efi/x.efi")), ("/boot/efi/x.efi",)),
        (RunInTarget(("dracut", "--force", "--kver", "6", "/boot/initrd-6")), ("/boot/initrd-6",)),
        (RunInTarget(("mkinitfs", "-o", "/boot/initramfs-lts", "6")), ("/boot/initramfs-lts",)),
        (RunInTarget(("update-initramfs", "-u", "-k", "6")), ("/boot/initrd.img-6",)),
        (RunInTarget(("bootctl", "--no-variables", "--esp-path=/boot", "install")), ("/boot/",)),
        (CheckFile("/etc/hostname"), ()),
        (Reboot(), ()),
    ],
)  # fmt: skip
def test_each_step(step: Step, paths: tuple[str, ...]) -> None:
    assert touched_by((step,)) == paths


def test_a_plan_names_each_once_in_order() -> None:
    steps = (WriteFile("/b", ""), WriteFile("/a", ""), RemovePath("/b"))
    assert touched(InstallPlan("n", "i@1", "l", (Phase("fixups", steps), Phase("verify", steps[:1])))) == ("/a", "/b")
