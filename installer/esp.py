"""Copies of the EFI system partition on the other disks, so that each can start the machine alone."""

from pathlib import Path

from imaged.model.plan import MirrorEsp
from installer.process import Run
from installer.subvolumes import mounted
from installer.tree import inside


def mirror_esp(step: MirrorEsp, root: Path, run: Run) -> None:
    """Make each device hold exactly what ``source`` does."""
    source = inside(root, step.source)
    for device in step.devices:
        with mounted(device, ("-t", "vfat", "-o", "umask=0077"), run) as place:
            run(copy(source, place))


def copy(source: Path, place: Path) -> tuple[str, ...]:
    """rsync(1) between two FAT filesystems: no owners or modes there, and times in steps of two seconds."""
    return ("rsync", "--recursive", "--times", "--modify-window=2", "--delete", f"{source}/", f"{place}/")
