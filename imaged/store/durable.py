"""Writes that a power cut leaves either whole or not begun."""

import ctypes
import os
from pathlib import Path


def write_file(path: Path, text: str) -> None:
    """Replace ``path`` atomically: written beside it, on the disk, then renamed (rename(2))."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """A rename is on the disk only once its directory is (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(path: Path) -> None:
    """Everything written so far on the filesystem of ``path`` is on the disk (syncfs(2)).

    One call for a whole tree: fsync of each of its files would be a journal commit per file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs failed", str(path))
    finally:
        os.close(descriptor)
