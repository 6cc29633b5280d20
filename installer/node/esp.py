"""Files of an EFI system partition, replaced so that a machine that loses its power in the middle still starts.

What is new is on the disk before any of it takes its name. FAT knows no transactions: so the removable path, where all
firmware looks, follows when everything else is on the disk, and copies of the partition follow when that is whole.
"""

import contextlib
import ctypes
import os
import shutil
from typing import Dict, Iterator, List

STAGE = ".imaged-boot"
_BESIDE = ".imaged-new"
_REMOVABLE = "efi/boot/"  # UEFI 2.10, 3.5.1.1
_COARSE = 2 * 10**9  # nanoseconds; FAT's own grain


def copy(source: str, path: str) -> bool:
    """Whether ``path`` was another file than ``source``, which it is now. Raises OSError."""
    if os.path.isfile(path) and _equal(source, path):
        return False
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o755, exist_ok=True)
    _write(source, path + _BESIDE)
    _sync(directory)
    os.rename(path + _BESIDE, path)
    _sync(directory)
    return True


@contextlib.contextmanager
def stage(esp: str) -> Iterator[str]:
    """A new directory on the partition mounted at ``esp``. What lies in it at the end of the block takes its place; if
    the block fails, nothing does. Raises OSError."""
    place = os.path.join(esp, STAGE)
    shutil.rmtree(place, ignore_errors=True)  # what a power cut left
    os.mkdir(place, 0o700)
    try:
        yield place
        _settle(place, esp)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def mirror(source: str, esp: str) -> bool:
    """Make ``esp`` hold what ``source`` does and nothing else; whether it did not. Raises OSError."""
    wanted, there = _files(source), _files(esp)
    new = [path for key, path in wanted.items() if key not in there or _differ(source, path, esp, there[key])]
    gone = [path for key, path in there.items() if key not in wanted]
    if new:
        with stage(esp) as place:
            for path in new:
                os.makedirs(os.path.dirname(os.path.join(place, path)), exist_ok=True)
                _write(os.path.join(source, path), os.path.join(place, path))
    for path in gone:
        os.unlink(os.path.join(esp, path))
    _sync(esp)
    return bool(new or gone)


def unlike(source: str, esp: str) -> List[str]:
    """Paths of either that the other does not hold byte for byte. Raises OSError."""
    one, two = _files(source), _files(esp)
    keys = sorted(set(one) | set(two))
    return [
        one.get(key) or two[key] for key in keys
        if key not in one or key not in two or not _equal(os.path.join(source, one[key]), os.path.join(esp, two[key]))
    ]  # fmt: skip


def _settle(place: str, esp: str) -> None:
    found = _files(place)
    _sync(place)
    for removable in (False, True):
        for path in (path for key, path in found.items() if key.startswith(_REMOVABLE) == removable):
            os.makedirs(os.path.dirname(os.path.join(esp, path)), exist_ok=True)
            os.rename(os.path.join(place, path), os.path.join(esp, path))
        _sync(esp)


def _files(top: str) -> Dict[str, str]:
    """Every file below ``top``, by a key that does without the case of letters, as FAT does."""
    found: Dict[str, str] = {}
    for directory, names, files in os.walk(top):
        names[:] = sorted(name for name in names if name != STAGE)
        for name in sorted(files):
            path = os.path.relpath(os.path.join(directory, name), top)
            found[path.lower()] = path
    return found


def _differ(source: str, path: str, esp: str, other: str) -> bool:
    """By size and time: what has them was written by us, and is whole."""
    one, two = os.stat(os.path.join(source, path)), os.stat(os.path.join(esp, other))
    return one.st_size != two.st_size or abs(one.st_mtime_ns - two.st_mtime_ns) > _COARSE


def _equal(one: str, two: str) -> bool:
    with open(one, "rb") as first, open(two, "rb") as second:
        while True:
            block, other = first.read(1 << 20), second.read(1 << 20)
            if block != other or not block:
                return block == other


def _write(source: str, path: str) -> None:
    """With the time of its source. Modes are FAT's own, and it refuses those that it cannot show."""
    with open(source, "rb") as old, open(path, "wb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
    status = os.stat(source)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _sync(directory: str) -> None:
    """Wait until the filesystem there is on its disk, and no other: syncfs(2)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None).syncfs(fd):
            os.sync()
    finally:
        os.close(fd)
