"""Reads what an install left on a disk, from outside and with no code of ours: GPT, filesystems, attributes."""

import errno
import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from attrs import frozen


@frozen
class Part:
    """A partition: its name in the GPT; start and size in bytes."""

    name: str
    start: int
    size: int


@frozen
class Attributes:
    """All that two copies of a path must agree on. ``content`` is a hash, a link's target or a device number."""

    kind: int
    mode: int
    uid: int
    gid: int
    time: int
    size: int
    links: tuple[str, ...]
    xattrs: tuple[tuple[str, bytes], ...]
    content: str


def partitions(image: Path, sector: int = 512) -> tuple[Part, ...]:
    """Entries of the GPT (UEFI 2.10, section 5.3) on a raw disk."""
    with image.open("rb") as disk:
        disk.seek(sector)
        header = disk.read(92)
        assert header[:8] == b"EFI PART", f"{image} has no GPT"
        first, count, size = struct.unpack_from("<QII", header, 72)
        disk.seek(first * sector)
        entries = [disk.read(size) for _ in range(count)]
    return tuple(
        Part(entry[56:128].decode("utf-16-le").rstrip("\0"), begin * sector, (end - begin + 1) * sector)
        for entry in entries
        if entry[:16] != bytes(16)
        for begin, end in (struct.unpack_from("<QQ", entry, 32),)
    )


def identifiers(image: Path, sector: int = 512) -> dict[str, str]:
    """Partition name -> UUID of the filesystem or swap space that blkid(8) finds in it; without one: missing."""
    found = {}
    for part in partitions(image, sector):
        argv = ("blkid", "--probe", "--offset", str(part.start), "--size", str(part.size), "-o", "value", "-s", "UUID")
        uuid = subprocess.run((*argv, image), capture_output=True, text=True, check=False).stdout.strip()
        if uuid:
            found[part.name] = uuid
    return found


@contextmanager
def mounted(image: Path, part: Part, at: Path) -> Iterator[Path]:
    """The ext4 filesystem in ``part``, read only and with its journal left alone."""
    at.mkdir(exist_ok=True)
    options = f"ro,noload,loop,offset={part.start},sizelimit={part.size}"
    subprocess.run(("mount", "-t", "ext4", "-o", options, image, at), check=True)
    try:
        yield at
    finally:
        subprocess.run(("umount", at), check=True)


def attributes(root: Path) -> dict[str, Attributes]:
    """Every path below ``root`` on its filesystem, relative, with what copies of it must share."""
    device = root.lstat().st_dev
    found: dict[str, os.stat_result] = {}
    for directory, names, files in os.walk(root):
        here = Path(directory)
        for name in (*names, *files):
            found[str((here / name).relative_to(root))] = (here / name).lstat()
        names[:] = [name for name in names if (here / name).lstat().st_dev == device and not (here / name).is_symlink()]
    same: dict[int, list[str]] = {}
    for path, status in found.items():
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            same.setdefault(status.st_ino, []).append(path)
    return {path: _attributes(root, path, status, same) for path, status in found.items()}


def _attributes(root: Path, path: str, status: os.stat_result, same: dict[int, list[str]]) -> Attributes:
    at, kind = root / path, stat.S_IFMT(status.st_mode)
    names = os.listxattr(at, follow_symlinks=False)
    linked = same.get(status.st_ino, [])
    return Attributes(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        time=status.st_mtime_ns,
        size=0 if kind == stat.S_IFDIR else status.st_size,  # a directory's own is its filesystem's affair
        links=tuple(sorted(linked)) if len(linked) > 1 else (),  # a version shares files with others
        xattrs=tuple((name, os.getxattr(at, name, follow_symlinks=False)) for name in sorted(names)),
        content=_content(at, kind, status),
    )


def _content(at: Path, kind: int, status: os.stat_result) -> str:
    if kind == stat.S_IFREG:
        with at.open("rb") as file:
            digest = sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()
    if kind == stat.S_IFLNK:
        return str(at.readlink())
    return str(status.st_rdev)


def untouched(image: Path) -> bool:
    """Whether nothing was ever written to a sparse disk: it has no data at all (lseek(2), SEEK_DATA)."""
    with image.open("rb") as disk:
        try:
            os.lseek(disk.fileno(), 0, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True
            raise
    return False
