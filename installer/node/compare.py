"""One path as the manifest has it against what is there: the attributes that differ. The looking is injected. Pure.

Names of attributes: ``type mode uid gid size mtime link device xattrs links sha256``, ``missing`` and ``extra``.
"""

import os
import stat
from typing import Callable, Dict, FrozenSet, NamedTuple, Optional, Set, Tuple

from installer.node.dress import LOCAL_XATTRS
from installer.node.manifest import Entry

IMAGE, OVERRIDE, FIXUP, LOCAL = "image", "override", "fixup", "local"
MISSING, EXTRA = frozenset(("missing",)), frozenset(("extra",))
_COARSE_TIME = 2 * 10**9  # nanoseconds; FAT's own grain
_TYPES = {
    stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFCHR: "char", stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
}  # fmt: skip


class Difference(NamedTuple):
    """A path that differs: how it shall be (None: not at all), whose it is, in which attributes, what type is there now
    (empty: nothing)."""

    path: bytes
    entry: Optional[Entry]
    owner: str
    what: FrozenSet[str]
    was: str


class Look(NamedTuple):
    """How to learn more of a path than lstat says: its link, extended attributes, sha256. Each may raise OSError."""

    link: Callable[[bytes], bytes]
    xattrs: Callable[[bytes], Tuple[Tuple[bytes, bytes], ...]]
    sha256: Callable[[bytes], str]


def type_of(status: os.stat_result) -> str:
    """In the manifest's words."""
    return _TYPES.get(stat.S_IFMT(status.st_mode), "file")


def compare(
    entry: Entry, status: os.stat_result, look: Look, checksum: bool = False, coarse: bool = False
) -> FrozenSet[str]:
    """The attributes that differ; empty: none. Hard-link groups are ``Groups``' business.

    Same size and another time: the content decides, so that a touched file is no changed one. ``checksum``: it decides
    always. ``coarse``: the filesystem has no owners, modes, links and attributes, and times of two seconds.
    """
    kind = type_of(status)
    if kind != entry.kind:
        return frozenset(("type",))
    found: Set[str] = set()
    if coarse:
        if kind == "file":
            late = abs(status.st_mtime_ns - entry.time) > _COARSE_TIME
            _content(found, entry, status, look, checksum or late)
        return frozenset(found)
    if kind != "link" and stat.S_IMODE(status.st_mode) != entry.mode:
        found.add("mode")
    if status.st_uid != entry.uid:
        found.add("uid")
    if status.st_gid != entry.gid:
        found.add("gid")
    late = status.st_mtime_ns != entry.time
    if kind == "file":
        _content(found, entry, status, look, checksum or late)
    elif kind == "link":
        if look.link(entry.path) != entry.target:
            found.add("link")
    elif entry.device is not None and entry.device != (os.major(status.st_rdev), os.minor(status.st_rdev)):
        found.add("device")
    if late and kind != "dir":  # a directory's time moves with every name that anybody adds or removes
        found.add("mtime")
    if entry.kind != "dir" and status.st_nlink != entry.links:
        found.add("links")
    if _of_image(look.xattrs(entry.path), entry) != _of_image(entry.xattrs, entry):
        found.add("xattrs")
    return frozenset(found)


def _content(found: Set[str], entry: Entry, status: os.stat_result, look: Look, doubtful: bool) -> None:
    if status.st_size != entry.size:
        found.add("size")
    elif doubtful and look.sha256(entry.path) != entry.sha256:
        found.add("sha256")


def _of_image(xattrs: Tuple[Tuple[bytes, bytes], ...], entry: Entry) -> Dict[bytes, bytes]:
    """Labels that the node's own policy gives count only where the image has them too."""
    said = {name for name, _ in entry.xattrs}
    return {name: value for name, value in xattrs if os.fsdecode(name) not in LOCAL_XATTRS or name in said}


class Groups(object):
    """Hard links as they come by: names that shall be one file must be one, and of no other group."""

    def __init__(self) -> None:
        self._inodes: Dict[int, Tuple[int, int]] = {}

    def fits(self, entry: Entry, status: os.stat_result) -> bool:
        """Whether this name is a link of the file that the group's first name is."""
        if entry.links < 2:
            return True
        inode = (status.st_dev, status.st_ino)
        return self._inodes.setdefault(entry.group, inode) == inode
