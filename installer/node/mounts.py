"""What is mounted below the node's root, and which of it belongs to the image: proc_pid_mountinfo(5), fstab(5)."""

import re
from typing import Dict, Iterable, List, NamedTuple, Set, Tuple

# Filesystems of local disks: what the installer makes. Anything else that is mounted is not the image's business.
_LOCAL = frozenset((b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"f2fs", b"vfat", b"overlay"))
_COARSE = frozenset((b"vfat", b"msdos", b"exfat"))  # no owners, no modes, times to two seconds
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mounts(NamedTuple):
    """Mount points, bytes without a leading slash. ``foreign``: left alone, with the reason. ``coarse``: of the image,
    on a filesystem that knows no owners, modes and exact times."""

    foreign: Dict[bytes, str]
    coarse: Tuple[bytes, ...]

    def reason(self, path: bytes) -> str:
        """Why ``path`` is no business of ours; empty if it is. A mount point itself belongs to what is mounted."""
        for point, why in self.foreign.items():
            if path == point or path.startswith(point + b"/"):
                return why
        return ""

    def is_coarse(self, path: bytes) -> bool:
        """Whether only content, size and a rough time can be compared."""
        return any(path == point or path.startswith(point + b"/") for point in self.coarse)


def read(mountinfo: bytes, fstab: bytes, root: bytes = b"/") -> Mounts:
    """Of the image are local filesystems that fstab mounts at that place; a bind mount, a network or memory filesystem,
    and a disk that somebody mounted by hand are not."""
    top = root.rstrip(b"/")
    wanted = _of_fstab(fstab)
    foreign: Dict[bytes, str] = {}
    coarse: List[bytes] = []
    for point, kind, inner in _mounted(mountinfo.splitlines()):
        if not point.startswith(top + b"/"):
            continue
        path = point[len(top) + 1 :]
        if not path:
            continue
        foreign.pop(path, None)  # the last one mounted at a place is the one that is seen
        subvolume = kind == b"btrfs"
        if kind in _LOCAL and path in wanted and (inner == b"/" or subvolume):
            if kind in _COARSE:
                coarse.append(path)
        else:
            foreign[path] = "{} is mounted at /{}".format(_text(kind), _text(path))
    return Mounts(foreign, tuple(coarse))


def _mounted(lines: Iterable[bytes]) -> Iterable[Tuple[bytes, bytes, bytes]]:
    """(mount point, filesystem type, root within that filesystem)."""
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) >= 5 and kinds:
            yield _plain(fields[4]), kinds[0], _plain(fields[3])


def _of_fstab(text: bytes) -> Set[bytes]:
    points: Set[bytes] = set()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 3 and not line.lstrip().startswith(b"#"):
            points.add(_plain(fields[1]).strip(b"/"))
    return points


def _plain(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes((int(match.group(1), 8) & 255,)), field)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
