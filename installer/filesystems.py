"""mkfs and its kin: argv by pure functions, run with the identity and the features that the plan chose."""

import tempfile

from imaged.model.errors import ImagedError
from imaged.model.plan import CheckDevice, MakeFilesystem, MakeSwap
from imaged.model.stack import Filesystem
from installer.process import Run


def make_filesystem(step: MakeFilesystem, run: Run) -> None:
    """Make it. ext4's features come from ``step.config``, the image's own mke2fs.conf: a ramdisk newer than the
    image would else make what the image's kernel or GRUB cannot read."""
    if step.fs is not Filesystem.EXT4 or not step.config:
        run(mkfs(step))
        return
    with tempfile.NamedTemporaryFile("w", prefix="mke2fs-", suffix=".conf") as config:
        config.write(step.config)
        config.flush()
        run(("env", f"MKE2FS_CONFIG={config.name}", *mkfs(step)))


def mkfs(step: MakeFilesystem) -> tuple[str, ...]:
    """The program and its arguments, the layout's own last: they may say otherwise.

    Old signatures are no reason to ask: nobody is there to answer.
    """
    more, label = (*step.arguments, step.device), step.label
    match step.fs:
        case Filesystem.EXT4:
            return ("mkfs.ext4", "-F", "-q", "-U", step.uuid, *(("-L", label) if label else ()), *more)
        case Filesystem.XFS:
            return ("mkfs.xfs", "-f", "-q", "-m", f"uuid={step.uuid}", *(("-L", label) if label else ()), *more)
        case Filesystem.BTRFS:
            return ("mkfs.btrfs", "-f", "-q", "-U", step.uuid, *(("-L", label) if label else ()), *more)
        case Filesystem.F2FS:
            return ("mkfs.f2fs", "-f", "-q", "-U", step.uuid, *(("-l", label) if label else ()), *more)
        case Filesystem.VFAT:
            volume_id = step.uuid.replace("-", "")
            return ("mkfs.vfat", "-F", "32", "-i", volume_id, *(("-n", label) if label else ()), *more)


def make_swap(step: MakeSwap, run: Run) -> None:
    """mkswap(8); ``-f`` because a partition that begins with an old boot sector makes it refuse."""
    run(("mkswap", "-f", "-U", step.uuid, step.device))


def check_device(step: CheckDevice, run: Run) -> None:
    """Ask the device itself, not blkid's cache or udev. Raises ImagedError when another UUID is there."""
    found = run(("blkid", "-p", "-s", "UUID", "-o", "value", step.device), check=False).output.strip()
    if found.lower() != step.uuid.lower():
        raise ImagedError(f"has the UUID {found or '(none)'}, planned was {step.uuid}", where=step.device)
