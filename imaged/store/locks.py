"""Locks between processes: flock(2) on a file, so that none outlives its holder."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from imaged.model.errors import Conflict


@contextmanager
def alone(path: Path, taken: Callable[[str], Conflict]) -> Iterator[None]:
    """Hold ``path``; its directory is there. ``taken`` makes the error of what the holder wrote into it.

    Raises that error at once while somebody holds it, and Conflict when the directory is renamed or removed meanwhile:
    the file that was locked is then another one than those who come later will lock.
    """
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise taken(file.read().strip()) from None
        if not _is_still(path, file):
            raise _moved(path)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold ``path``, waiting for whoever does: for what is done in a moment."""
    with _opened(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a+", encoding="ascii")
    except FileNotFoundError:
        raise _moved(path) from None


def _is_still(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _moved(path: Path) -> Conflict:
    return Conflict("was renamed or removed at this moment", where=path.parent.name, hint="Try again.")
