"""sha256 of a file on a node."""

import errno
import hashlib
import os
from typing import Iterator, Tuple

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)


def sha256(fd: int) -> str:
    """Of an open regular file, in hex. Zeros of holes are hashed, as must be, but not fetched through the kernel."""
    hashed = hashlib.sha256()
    size, at = os.fstat(fd).st_size, 0
    for start, end in _extents(fd, size):
        for done in range(at, start, _BLOCK):
            hashed.update(_ZEROS[: min(_BLOCK, start - done)])
        at = os.lseek(fd, start, os.SEEK_SET)
        while at < end:
            block = os.read(fd, min(_BLOCK, end - at))
            if not block:
                return hashed.hexdigest()  # somebody made it shorter meanwhile
            hashed.update(block)
            at += len(block)
    return hashed.hexdigest()


def _extents(fd: int, size: int) -> Iterator[Tuple[int, int]]:
    """Beginning and end of everything that is no hole (lseek(2)); the end of the file comes last, as nothing."""
    if os.fstat(fd).st_blocks * 512 >= size:
        yield 0, size
        return
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but a hole is left
                raise
            break
        at = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, at
    yield size, size
