"""Writes that a power cut leaves either whole or not begun."""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imaged.model.errors import ImagedError

_HINTS = {
    errno.ENOSPC: "Make room there, then run the same command again. `imaged pruneimage -n` shows what could go.",
    errno.EDQUOT: "Make room there, then run the same command again. `imaged pruneimage -n` shows what could go.",
    errno.EROFS: "The disk is read-only: mounted so, or by the kernel after a fault (see `dmesg`).",
    errno.EIO: "The disk fails: see `dmesg`.",
}


@contextmanager
def explained(where: Path) -> Iterator[None]:
    """Say what is the disk's fault (full, read-only, broken) as an ImagedError; anything else stays what it is."""
    try:
        yield
    except OSError as error:
        if error.errno not in _HINTS:
            raise
        what = error.strerror or str(error)
        raise ImagedError(what, where=os.fsdecode(error.filename or where), hint=_HINTS[error.errno]) from None


def write_file(path: Path, text: str) -> None:
    """Replace ``path`` atomically: written beside it, on the disk, then renamed (rename(2))."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)  # half a file on a full disk
        raise
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
