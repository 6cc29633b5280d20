"""The EFI system partition at an install: loaders for it, and copies on other disks, so that each can start alone."""

from pathlib import Path

from imaged.model.errors import ImagedError
from imaged.model.plan import CopyFile, RunInTarget
from imaged.model.uefi import InstallGrub, MirrorEsp
from installer.chroot import run_in_target
from installer.node import esp
from installer.process import Run
from installer.subvolumes import mounted
from installer.tree import inside


def copy_file(step: CopyFile, root: Path) -> None:
    """The file beside its place, then there."""
    esp.copy(str(inside(root, step.source)), str(inside(root, step.path)))


def install_grub(step: InstallGrub, root: Path, run: Run) -> None:
    """Run it for a directory on the partition, then move what it made."""
    with esp.stage(str(inside(root, step.esp))):
        argv = (*step.argv, f"--efi-directory={step.esp}/{esp.STAGE}")
        run_in_target(RunInTarget(argv), root, run)


def mirror_esp(step: MirrorEsp, root: Path, run: Run) -> None:
    """Make each device hold exactly what ``source`` does, or see that it does. Raises ImagedError."""
    source = str(inside(root, step.source))
    for device in step.devices:
        with mounted(device, ("-t", "vfat", "-o", "ro" if step.check else "umask=0077"), run) as place:
            if not step.check:
                esp.mirror(source, str(place))
            elif found := esp.unlike(source, str(place)):
                raise ImagedError(f"is not what {step.source} is: {', '.join(found[:5])}", where=device)
