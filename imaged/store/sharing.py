"""Lets identical files of two sealed versions be one on the disk: nobody writes into either, so links are safe.

A file that is the same in every attribute becomes a hard link of the older version's: no block and no inode twice. One
that differs only in attributes shares its blocks where the filesystem can (FIDEDUPERANGE, ioctl_fideduperange(2): the
kernel itself compares the bytes).
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from attrs import evolve

from imaged.store.manifest import Entry, Kind

_FIDEDUPERANGE = 0xC0189436
_RANGE = struct.Struct("=QQHHIqQQiI")  # struct file_dedupe_range with one file_dedupe_range_info
_MOST = 16 << 20  # bytes that one call may take
_CANNOT = frozenset(
    {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.EPERM, errno.ETXTBSY}
)


def share(tree: Path, entries: Iterable[Entry], older: Path, older_entries: Iterable[Entry]) -> int:
    """Bytes that the new ``tree`` need not take; both trees stay exactly as their ``entries`` say.

    Each file changes by one rename, so a crash in between leaves a whole tree. Raises OSError for a failing disk.
    """
    files = {entry.sha256: entry for entry in older_entries if _is_plain(entry)}
    times: dict[str, int] = {}
    listed = tuple(entries)
    saved, dedupes = 0, True
    for entry in listed:
        twin = files.get(entry.sha256) if _is_plain(entry) else None
        if twin is None:
            continue
        mine, other = _at(tree, entry.path), _at(older, twin.path)
        if os.path.samefile(mine, other):  # noqa: PTH121 - bytes, as no Path can be
            saved += entry.size
        elif _same_attributes(entry, twin) and _link(other, mine):
            times[entry.path.rpartition("/")[0] or "."] = 0
            saved += entry.size
        elif dedupes:
            dedupes = _dedupe(other, mine, entry.size)
            saved += entry.size if dedupes else 0
    _restore(tree, (entry for entry in listed if entry.kind is Kind.DIRECTORY and entry.path in times))
    return saved


def _is_plain(entry: Entry) -> bool:
    """A file with one name: groups of hard links are left alone, an empty file has nothing to share."""
    return entry.kind is Kind.FILE and entry.links == 1 and entry.size > 0


def _same_attributes(one: Entry, other: Entry) -> bool:
    return evolve(one, path="") == evolve(other, path="")


def _link(source: bytes, target: bytes) -> bool:
    beside = target[: target.rindex(b"/") + 1] + b".imaged-share"
    try:
        os.link(source, beside, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EMLINK, errno.EXDEV, errno.EPERM):
            return False
        raise
    os.rename(beside, target)  # noqa: PTH104
    return True


def _dedupe(source: bytes, target: bytes, size: int) -> bool:
    """False when this filesystem has no such thing, so that nobody need ask again."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    reading, writing = os.open(source, flags), os.open(target, flags)
    try:
        at = 0
        while at < size:
            length = min(_MOST, size - at)
            asked = _RANGE.pack(at, length, 1, 0, 0, writing, at, 0, 0, 0)
            answer = _RANGE.unpack(fcntl.ioctl(reading, _FIDEDUPERANGE, asked))
            if answer[8] < 0 and -answer[8] in _CANNOT:
                return False
            if not answer[7]:
                return True  # these differ after all, or are too small for a block
            at += answer[7]
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    finally:
        os.close(reading)
        os.close(writing)
    return True


def _restore(tree: Path, directories: Iterable[Entry]) -> None:
    """A rename moves the time of its directory, which is part of the version."""
    for entry in directories:
        os.utime(_at(tree, entry.path), ns=(entry.time, entry.time))


def _at(tree: Path, path: str) -> bytes:
    return os.fsencode(tree) + b"/" + os.fsencode(path)
