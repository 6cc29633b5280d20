"""Subvolumes of a fresh btrfs, see btrfs-subvolume(8)."""

import array
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imaged.model.plan import MakeSubvolumes
from installer.process import Run
from installer.tree import inside, make_directories

_TOP = 5  # BTRFS_FS_TREE_OBJECTID: the top, whatever is mounted by default
_GETFLAGS, _SETFLAGS, _NOCOW = 0x80086601, 0x40086602, 0x00800000  # linux/fs.h: FS_IOC_GETFLAGS, FS_NOCOW_FL


def make_subvolumes(step: MakeSubvolumes, run: Run) -> None:
    """Make them in the plan's order; what lies between them are plain directories."""
    with mounted(step.device, ("-t", "btrfs", "-o", f"subvolid={_TOP}"), run) as top:
        for each in step.subvolumes:
            path = inside(top, f"/{each.path}")
            make_directories(path.parent)
            run(("btrfs", "subvolume", "create", str(path)))
            if each.nodatacow:
                no_copy_on_write(path)  # new files in it inherit the mark
        if step.default:
            run(("btrfs", "subvolume", "set-default", str(inside(top, f"/{step.default}"))))


def no_copy_on_write(path: Path) -> None:
    """chattr(1) +C, which also switches compression off. Files must be empty."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flags = array.array("L", (0,))
        fcntl.ioctl(descriptor, _GETFLAGS, flags)
        flags[0] |= _NOCOW
        fcntl.ioctl(descriptor, _SETFLAGS, flags)
    finally:
        os.close(descriptor)


@contextmanager
def mounted(device: str, how: tuple[str, ...], run: Run) -> Iterator[Path]:
    """The device's filesystem at a place of our own, outside the target, for as long as the block lasts."""
    place = Path(tempfile.mkdtemp(prefix="imaged-", dir="/run"))
    try:
        run(("mount", *how, device, str(place)))
        try:
            yield place
        finally:
            run(("umount", str(place)))
    finally:
        place.rmdir()  # never the whole tree: it may still be mounted
