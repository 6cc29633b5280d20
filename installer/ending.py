"""Leaving the ramdisk, in the way that was wished."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from imaged.model.errors import ImagedError
from imaged.model.wishes import Then
from installer.process import Run

STAYS = {Then.SHELL: 10, Then.BEEP: 11}  # exit codes of the agent that imaged-init knows: the machine stays
LOG_ON_NODE = "var/log/imaged-install.log"
_MENU = ("boot/grub/grub.cfg", "boot/grub2/grub.cfg")
_LINUX = re.compile(r"^\s*linux(?:efi|16)?\s+(\S+)\s*(.*)$", re.M)
_INITRD = re.compile(r"^\s*initrd(?:efi|16)?\s+(\S+)", re.M)


@frozen
class Kernel:
    """What kexec(8) loads; paths from the node's root."""

    image: str
    initrd: str
    arguments: str


def keep_log(journal: Path, root: Path) -> None:
    """Leave the install's log so far on the node. Nothing hangs on it."""
    with suppress(OSError):
        target = root / LOG_ON_NODE
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(journal, target)
        target.chmod(0o640)


def first_kernel(menu: str, boot: str = "") -> Kernel | None:
    """What GRUB starts when nobody touches a key: its first entry. ``boot`` stands before paths of a /boot of its own.

    Pure.
    """
    linux = _LINUX.search(menu)
    if linux is None or "$" in linux[1] + linux[2]:
        return None
    initrd = _INITRD.search(menu, linux.end())
    following = _LINUX.search(menu, linux.end())
    own = initrd if initrd and (following is None or initrd.start() < following.start()) else None
    return Kernel(boot + linux[1], boot + own[1] if own else "", linux[2].strip())


def load(root: Path, run: Run) -> None:
    """Load the node's own kernel while its tree is mounted. Raises ImagedError when that cannot be."""
    for name in _MENU:
        with suppress(FileNotFoundError):
            text = (root / name).read_text(errors="replace")
            kernel = first_kernel(text)
            if kernel and not (root / kernel.image.lstrip("/")).is_file():
                kernel = first_kernel(text, "/boot")
            if kernel:
                run(kexec_argv(kernel, root), timeout=120)
                return
    raise ImagedError("no kernel to start by kexec was found", where=str(root / "boot"))


def kexec_argv(kernel: Kernel, root: Path) -> tuple[str, ...]:
    """kexec(8) --load. Pure."""
    initrd = (f"--initrd={root}{kernel.initrd}",) if kernel.initrd else ()
    # By the system call that checks signatures where there are any, else by the older one.
    return ("kexec", "--load", "--kexec-syscall-auto", f"{root}{kernel.image}", *initrd,
            f"--command-line={kernel.arguments}")  # fmt: skip


def leave(then: Then, run: Run) -> int:
    """End the ramdisk, or say by the exit code that it stays. Raises CommandFailed when the machine does not go."""
    os.sync()
    if then in STAYS:
        return STAYS[then]
    run({Then.KEXEC: ("kexec", "--exec"), Then.SHUTDOWN: ("poweroff", "-f")}.get(then, ("reboot", "-f")))
    return 0
