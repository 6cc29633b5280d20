"""The kernel's initramfs format: cpio archives ("newc") one after another. PURE.

The kernel's Documentation/driver-api/early-userspace/buffer-format.rst:

initramfs := ("\\0" | cpio archive | compressed cpio archive)*
"""

from collections.abc import Iterable

from attrs import frozen

ALIGNMENT = 4  # an archive that follows another must begin at a multiple of this; the kernel skips zeros between them
_DIRECTORY, _FILE, _LINK = 0o040000, 0o100000, 0o120000


@frozen
class Entry:
    """A directory, file or symbolic link of root. ``path`` has no leading slash; ``content`` of a link: its target."""

    path: str
    mode: int
    content: bytes = b""

    @classmethod
    def file(cls, path: str, content: bytes, mode: int = 0o644) -> "Entry":
        return cls(path, _FILE | mode, content)

    @classmethod
    def directory(cls, path: str, mode: int = 0o755) -> "Entry":
        return cls(path, _DIRECTORY | mode)

    @classmethod
    def link(cls, path: str, target: str) -> "Entry":
        return cls(path, _LINK | 0o777, target.encode())


def archive(entries: Iterable[Entry]) -> bytes:
    """A whole archive, padded. All dates are 0: the same entries give the same bytes."""
    members = [*with_parents(entries), Entry("TRAILER!!!", 0)]
    return padded(b"".join(_member(number, entry) for number, entry in enumerate(members, start=1)))


def with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """Sorted, with every missing parent directory: the kernel makes none."""
    named = {entry.path: entry for entry in entries}
    for path in tuple(named):
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            named.setdefault(parent, Entry.directory(parent))
    return [named[path] for path in sorted(named)]


def padded(blob: bytes) -> bytes:
    """``blob`` with zeros up to where the next archive may begin."""
    return blob + bytes(-len(blob) % ALIGNMENT)


def _member(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if entry.mode & 0o170000 == _DIRECTORY else 1
    # ino, mode, uid, gid, nlink, mtime, filesize, dev major and minor, rdev major and minor, namesize, check
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + name) + padded(entry.content)
