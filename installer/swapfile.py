"""A swap file in the target: every block its own from the start, for the kernel swaps around the filesystem."""

import os
from pathlib import Path

from imaged.model.plan import MakeSwapFile
from installer.process import Run
from installer.subvolumes import no_copy_on_write
from installer.tree import inside, make_directories

_BTRFS = 0x9123683E  # linux/magic.h


def make_swap_file(step: MakeSwapFile, root: Path, run: Run) -> None:
    """Make it. Raises OSError when it does not fit."""
    path = inside(root, step.path)
    make_directories(path.parent)
    path.unlink(missing_ok=True)  # of an image that brings one, which may be shared, compressed or have holes
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        if filesystem_type(path, run) == _BTRFS:
            no_copy_on_write(path)  # only an empty file can be given the mark: btrfs(5), "SWAPFILE SUPPORT"
        os.posix_fallocate(descriptor, 0, step.size)  # writes zeros by itself where the filesystem cannot
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    run(("mkswap", "-U", step.uuid, str(path)))


def filesystem_type(path: Path, run: Run) -> int:
    """statfs(2) f_type, which Python's own statvfs leaves out."""
    return int(run(("stat", "-f", "-c", "%t", str(path))).output.strip(), 16)
