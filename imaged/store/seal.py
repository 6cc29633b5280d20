"""Reads a tree into manifest entries: one walk, every regular file hashed once, all cores at work.

hashlib lets go of the interpreter lock for blocks above 2047 bytes, so threads are enough for the hashing itself.
"""

import errno
import hashlib
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import evolve, frozen

from imaged.model.errors import Conflict
from imaged.store.breakdown import below
from imaged.store.manifest import Entry, Kind

_BLOCK = 1 << 20
_BATCH = 4 << 20  # bytes handed to a thread at once: small files in bundles, or their hand-over costs more than they do
# XFS shows POSIX ACLs a second time, in the form that it has on the disk (fs/xfs/xfs_xattr.c, xfs_xattr_put_listent).
_TWICE = frozenset({"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"})
_SPARSE = 1 << 20  # bytes; what holes smaller files have is not worth a look
_ZEROS = memoryview(bytes(_BLOCK))
_KINDS = {
    stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.LINK, stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK, stat.S_IFIFO: Kind.FIFO, stat.S_IFSOCK: Kind.SOCKET,
}  # fmt: skip


@frozen
class Sealed:
    """The entries of a tree in the order of the manifest; ``bytes`` is the sum of file sizes, hard links once and holes
    left out, and ``usage`` how many of them lie below the directories of the first levels. ``sparse`` are the paths of
    files with holes, and how many bytes of each are none."""

    entries: tuple[Entry, ...]
    bytes: int
    usage: dict[str, int]
    sparse: dict[str, int]


@frozen
class _Found:
    """``inode`` tells the hard links of one file from others; a tree is on one filesystem. ``data`` are the bytes of a
    file that are no hole: what it takes on a disk, as nodes write holes as holes."""

    entry: Entry
    inode: int
    data: int


def read_tree(root: Path, *, workers: int | None = None, on_hashed: Callable[[int], None] | None = None) -> Sealed:
    """Walk and hash the tree below ``root``.

    ``on_hashed`` is called with the number of files hashed since it was called last. Raises Conflict when a
    filesystem is mounted inside the tree or a file changes under our hands.
    """
    base = os.fsencode(root)
    found = list(_walk(base))
    firsts: dict[int, int] = {}
    for index, each in enumerate(found):
        if each.entry.kind is Kind.FILE:
            firsts.setdefault(each.inode, index)
    digests: dict[int, str] = {}
    ended = threading.Event()
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        batches = _batches([found[index] for index in firsts.values()])
        try:
            for hashed in pool.map(
                lambda batch: [(each.inode, digest(base, each.entry, ended)) for each in batch], batches
            ):
                digests.update(hashed)
                if on_hashed:
                    on_hashed(len(hashed))
        except BaseException:
            ended.set()  # a Ctrl-C must not wait until the threads have read all of a large file
            raise
    files = [evolve(found[index].entry, size=found[index].data) for index in firsts.values()]
    sparse = {f"/{each.entry.path}": each.data for each in found if each.data < each.entry.size}
    return Sealed(tuple(_finished(found, digests)), sum(each.size for each in files), below(files), sparse)


def walk(root: Path) -> Iterator[Entry]:
    """The entries of a tree in the order of the manifest, no file read: without ``sha256`` and ``group``.

    Raises Conflict when a filesystem is mounted inside the tree.
    """
    return (found.entry for found in _walk(os.fsencode(root)))


def _walk(base: bytes) -> Iterator[_Found]:
    """Depth first, names in byte order, directories before what they hold."""
    device = os.lstat(base).st_dev
    todo = [(b".", base)]
    while todo:
        name, path = todo.pop()
        status = os.lstat(path)
        if status.st_dev != device:
            raise Conflict("a filesystem is mounted inside the tree", where=os.fsdecode(path), hint="Unmount it first.")
        yield _Found(describe(name, path, status), status.st_ino, _data(path, status))
        if stat.S_ISDIR(status.st_mode):
            prefix = b"" if name == b"." else name + b"/"
            names = sorted(os.listdir(path), reverse=True)  # noqa: PTH208 - bytes, as no Path can be
            todo += [(prefix + name, path + b"/" + name) for name in names]


def _data(path: bytes, status: os.stat_result) -> int:
    """Blocks alone do not tell: a filesystem that compresses has few for many bytes, and for new files none at all."""
    if not _has_holes(status):
        return status.st_size
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return sum(end - start for start, end in _extents(descriptor, status.st_size))
    finally:
        os.close(descriptor)


def _has_holes(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size >= max(_SPARSE, status.st_blocks * 512 + 1)


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Beginning and end of everything in the first ``size`` bytes that is no hole (lseek(2))."""
    at = 0
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        at = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, at


def describe(name: bytes, path: bytes, status: os.stat_result) -> Entry:
    """The entry ``name`` of what lies at ``path``, no file read: without ``sha256`` and ``group``. Raises OSError."""
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    special = kind in (Kind.CHARACTER, Kind.BLOCK)
    return Entry(
        path=os.fsdecode(name),
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        time=status.st_mtime_ns,
        size=status.st_size if kind is Kind.FILE else 0,
        target=os.fsdecode(os.readlink(path)) if kind is Kind.LINK else "",  # noqa: PTH115 - bytes
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if special else None,
        links=1 if kind is Kind.DIRECTORY else status.st_nlink,
        xattrs=_xattrs(path),
    )


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    names = os.listxattr(path, follow_symlinks=False)
    if not names:
        return ()
    kept = sorted(name for name in names if name not in _TWICE)
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in kept)


def _batches(files: list[_Found]) -> Iterator[list[_Found]]:
    batch: list[_Found] = []
    size = 0
    for each in files:
        batch.append(each)
        size += each.entry.size + 4096
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def digest(base: bytes, entry: Entry, ended: threading.Event | None = None) -> str:
    """sha256 (hex) of the file ``entry`` below ``base``, of no use once ``ended``.

    Raises Conflict when it is not the file that the walk saw.
    """
    path = base + b"/" + os.fsencode(entry.path)
    hashed = hashlib.sha256()
    length = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for block in _content(descriptor, entry.size):
            hashed.update(block)
            length += len(block)
            if length > entry.size or (ended and ended.is_set()):
                break
        status = os.fstat(descriptor)
    except OSError as error:
        error.filename = path  # read(2) does not know it
        raise
    finally:
        os.close(descriptor)
    if {length, status.st_size} != {entry.size} or status.st_mtime_ns != entry.time:
        raise Conflict("changed while it was sealed", where=os.fsdecode(path), hint="Stop what writes there.")
    return hashed.hexdigest()


def _content(descriptor: int, size: int) -> Iterator[bytes | memoryview]:
    """All that is in an open file, which is more or less than ``size`` only where somebody writes there. Of a hole the
    zeros are hashed, as must be, but not fetched through the kernel."""
    at = 0
    for start, end in _extents(descriptor, size) if _has_holes(os.fstat(descriptor)) else ((0, size),):
        yield from _zeros(start - at)
        at = os.lseek(descriptor, start, os.SEEK_SET)
        while block := os.read(descriptor, min(_BLOCK, end - at)):
            at += len(block)
            yield block
        if at < end:
            return
    yield from _zeros(size - at)
    os.lseek(descriptor, size, os.SEEK_SET)
    yield os.read(descriptor, 1)


def _zeros(count: int) -> Iterator[memoryview]:
    yield from (_ZEROS[: min(_BLOCK, count - done)] for done in range(0, count, _BLOCK))


def _finished(found: list[_Found], digests: dict[int, str]) -> Iterator[Entry]:
    """Entries with their digests, and hard links numbered in the order of the manifest.

    Links count within the tree: an unchanged file has a name in other versions as well.
    """
    links = Counter(each.inode for each in found if each.entry.links > 1)
    groups: dict[int, int] = {}
    for each in found:
        entry = each.entry
        if entry.links > 1:
            several = links[each.inode] > 1
            group = groups.setdefault(each.inode, len(groups) + 1) if several else 0
            entry = evolve(entry, links=links[each.inode], group=group)
        if entry.kind is Kind.FILE:
            entry = evolve(entry, sha256=digests[each.inode])
        yield entry
