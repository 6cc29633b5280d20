"""What is mounted below a directory, asked before anything there is removed."""

import os
from pathlib import Path

from imaged.model.errors import Conflict


def refuse_mounts(directory: Path) -> None:
    """Raises Conflict when something is mounted in it: somebody's /dev or /home must not be removed through it."""
    inside = [point for point in _mount_points() if point.is_relative_to(directory.resolve())]
    if inside:
        raise Conflict(
            "something is mounted in a working tree", where=str(inside[0]), hint="Unmount it, then try again."
        )


def _mount_points() -> list[Path]:
    """proc_pid_mountinfo(5), field 5, with blanks and the like as ``\\ooo``."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return [Path(os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1"))) for line in lines]
