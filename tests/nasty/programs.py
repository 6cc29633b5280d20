"""Real programs and disks of the machine that the tests run on, and what a test needs of it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import parted
import pytest

from installer.process import Processes

needs_disks = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="needs root and loop devices"
)


def needs(*programs: str, root: bool = False) -> pytest.MarkDecorator:
    """Programs that a machine may lack, by name or path, and root, for mounts, owners and flags."""
    missing = [name for name in programs if not shutil.which(name) and not Path(name).exists()]
    missing += ["root"] if root and os.geteuid() != 0 else []
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def processes() -> Processes:
    return Processes(lambda _: None)


def run(*argv: str, **more: Any) -> str:
    """What a program prints; that it fails, fails the test."""
    return str(subprocess.run(argv, check=True, capture_output=True, text=True, **more).stdout)


@contextmanager
def loop(path: Path, size: int, sector: int = 512) -> Iterator[str]:
    """A disk of the kernel's own, of a sparse file; gone afterwards with its partitions."""
    with path.open("wb") as file:
        file.truncate(size)
    argv = ("losetup", "--partscan", "--sector-size", str(sector), "--find", "--show", str(path))
    device = run(*argv).strip()
    parted.freeAllDevices()  # libparted remembers what was behind that name, and its sectors
    try:
        yield device
    finally:
        subprocess.run(("partx", "--delete", device), check=False, capture_output=True)
        run("losetup", "--detach", device)
