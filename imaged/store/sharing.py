"""Lets identical files of two sealed versions be one on the disk: nobody writes into either, so links are safe.

A file that is the same in every attribute becomes a hard link of the older version's: no block and no inode twice. One
that differs only in attributes shares its blocks where the filesystem can (FIDEDUPERANGE, ioctl_fideduperange(2): the
kernel itself compares the bytes). What a manifest says of the older file is not believed but compared with what lies on
the disk, byte by byte: a file that a disk has damaged must not take the place of a good one.
"""

import errno
import fcntl
import os
import struct
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from imaged.store import seal
from imaged.store.manifest import Entry, Kind

_FIDEDUPERANGE = 0xC0189436
_RANGE = struct.Struct("=QQHHIqQQiI")  # struct file_dedupe_range with one file_dedupe_range_info
_BLOCK = 1 << 20
_MOST = 16 << 20  # bytes that one call may take
_CANNOT = frozenset(
    {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.EPERM, errno.ETXTBSY}
)


def share(tree: Path, entries: Iterable[Entry], older: Path, older_entries: Iterable[Entry]) -> int:
    """Bytes that the new ``tree`` need not take; both trees stay exactly as their ``entries`` say.

    ``tree`` is no version yet: each file changes by one rename, which moves its directory's time for a moment. The name
    ``.share`` beside it is ours meanwhile. Raises OSError for a failing disk.
    """
    listed = tuple(entries)
    wanted = {entry.sha256 for entry in listed if _is_plain(entry)}
    known = [entry for entry in older_entries if _is_plain(entry) and entry.sha256 in wanted]
    twins = _Twins(older, known)
    times = {entry.path: entry.time for entry in listed if entry.kind is Kind.DIRECTORY}
    beside = _at(tree.parent, ".share")
    plain = [(entry, _at(tree, entry.path)) for entry in listed if _is_plain(entry)]
    for _, mine in plain:
        twins.take(os.lstat(mine))
    saved, dedupes = 0, True
    for entry, mine in plain:
        if twins.has(os.lstat(mine)):
            saved += entry.size
        elif (other := twins.equal(entry)) is not None:
            parent = entry.path.rpartition("/")[0] or "."
            if _same_bytes(mine, other) and _link(other, beside, mine):
                twins.take(os.lstat(mine))
                os.utime(_at(tree, parent), ns=(times[parent], times[parent]))  # the rename moved it
                saved += entry.size
        elif dedupes and (other := twins.alike(entry)) is not None:
            dedupes = _dedupe(other, mine, entry.size)
            saved += entry.size if dedupes else 0
    return saved


class _Twins:
    """Files of an older tree that are as they were sealed, as far as that can be told without reading them.

    Each has one name in the new tree at most: two equal files must not become one there, or an edit of the first would
    change the second as well.
    """

    def __init__(self, older: Path, entries: Iterable[Entry]) -> None:
        self._taken: set[tuple[int, int]] = set()
        self._inodes: dict[tuple[int, int], bytes] = {}
        self._paths: dict[str, tuple[Entry, bytes]] = {}
        self._equal: defaultdict[Entry, list[bytes]] = defaultdict(list)
        self._alike: dict[str, bytes] = {}
        for entry in entries:
            path = _at(older, entry.path)
            try:
                status = os.lstat(path)
                found = seal.describe(os.fsencode(entry.path), path, status)
            except OSError:
                continue
            if evolve(found, links=1, sha256=entry.sha256) == entry:
                self._inodes[_inode(status)] = path
                self._paths[entry.path] = (_pathless(entry), path)
                self._equal[_pathless(entry)].append(path)
                self._alike[entry.sha256] = path

    def take(self, status: os.stat_result) -> None:
        """This file has a name in the new tree."""
        self._taken.add(_inode(status))

    def has(self, status: os.stat_result) -> bool:
        """Whether that file is one of these."""
        return _inode(status) in self._inodes

    def equal(self, entry: Entry) -> bytes | None:
        """One that has all that ``entry`` has, and no name in the new tree; of the same path where there is one."""
        key = _pathless(entry)
        at = self._paths.get(entry.path)
        if at and at[0] == key and self._is_free(at[1]):
            return at[1]
        candidates = self._equal[key]
        while candidates and not self._is_free(candidates[-1]):
            candidates.pop()
        return candidates[-1] if candidates else None

    def alike(self, entry: Entry) -> bytes | None:
        """One with its content."""
        return self._alike.get(entry.sha256)

    def _is_free(self, path: bytes) -> bool:
        return _inode(os.lstat(path)) not in self._taken


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _pathless(entry: Entry) -> Entry:
    return evolve(entry, path="")


def _is_plain(entry: Entry) -> bool:
    """A file with one name: groups of hard links are left alone, an empty file has nothing to share."""
    return entry.kind is Kind.FILE and entry.links == 1 and entry.size > 0


def _same_bytes(one: bytes, other: bytes) -> bool:
    """False also for a file that cannot be read."""
    try:
        with open(one, "rb", buffering=0) as mine, open(other, "rb", buffering=0) as theirs:
            while block := mine.read(_BLOCK):
                if block != theirs.read(_BLOCK):
                    return False
            return not theirs.read(1)
    except OSError:
        return False


def _link(source: bytes, beside: bytes, target: bytes) -> bool:
    try:
        _remove(beside)
        os.link(source, beside, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EMLINK, errno.EXDEV, errno.EPERM):
            return False
        raise
    os.rename(beside, target)  # noqa: PTH104
    return True


def _remove(path: bytes) -> None:
    """What a crash left."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


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


def _at(tree: Path, path: str) -> bytes:
    return os.fsencode(tree) + b"/" + os.fsencode(path)
