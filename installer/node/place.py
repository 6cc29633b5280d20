"""Paths of the node's tree, opened one component at a time: no symbolic link, planted or not, leads out of the root."""

import ctypes
import errno
import os
import stat
from typing import Dict, Iterator, List, Optional, Tuple

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40  # path_resolution(7)
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_FLEETING = ("dev", "proc", "run", "sys", "tmp")  # nothing there outlasts a boot


class Place:
    """A tree below ``root``. Paths are bytes without a leading slash; ``b"."`` is the root itself."""

    def __init__(self, root: bytes) -> None:
        self.root = root
        self._top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._last = b""
        self._fd = -1

    def close(self) -> None:
        """Let go of every descriptor."""
        self.forget()
        os.close(self._top)

    def forget(self) -> None:
        """A directory was replaced: what we hold open may be the old one."""
        if self._fd >= 0:
            os.close(self._fd)
        self._last, self._fd = b"", -1

    def parent(self, path: bytes) -> Tuple[int, bytes]:
        """The open directory that holds ``path``, ours until the next call, and the last name. Raises OSError, also
        where a symbolic link is in the way (ELOOP, ENOTDIR)."""
        directory, _, name = path.rpartition(b"/")
        if name in (b"", b".."):
            raise OSError(errno.EINVAL, "not a path of the tree", os.fsdecode(path))
        if not directory:
            return self._top, name
        if directory != self._last or self._fd < 0:
            self.forget()
            self._fd, self._last = self.directory(directory), directory
        return self._fd, name

    def directory(self, path: bytes) -> int:
        """``path`` opened; the caller closes it."""
        fd = os.dup(self._top)
        try:
            for part in path.split(b"/"):
                if part in (b"", b"."):
                    continue
                if part == b"..":
                    raise OSError(errno.EINVAL, "not a path of the tree", os.fsdecode(path))
                below = os.open(part, DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
        except OSError as error:
            os.close(fd)
            raise OSError(error.errno, error.strerror, os.fsdecode(path)) from None
        return fd

    def lstat(self, path: bytes) -> Optional[os.stat_result]:
        """None when nothing is there."""
        try:
            fd, name = self.parent(path)
            return os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise

    def full(self, path: bytes) -> bytes:
        """For programs and messages."""
        return os.path.join(self.root, path) if path != b"." else self.root

    def walk(self, path: bytes) -> Iterator[Tuple[bytes, os.stat_result]]:
        """Everything below a directory, each directory before what it holds; other filesystems are not entered."""
        fd = self.directory(path)
        try:
            device = os.fstat(fd).st_dev
            names = sorted(os.listdir(fd))
            found = [(os.fsencode(name), os.stat(name, dir_fd=fd, follow_symlinks=False)) for name in names]
        finally:
            os.close(fd)
        for raw, status in found:
            below = raw if path == b"." else path + b"/" + raw
            yield below, status
            if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                for each in self.walk(below):
                    yield each


def remove_tree(fd: int, name: bytes) -> None:
    """Remove ``name`` in the open directory and all that it holds, never through a link or into another filesystem."""
    try:
        os.unlink(name, dir_fd=fd)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    below = os.open(name, DIRECTORY, dir_fd=fd)
    try:
        if os.fstat(below).st_dev != os.fstat(fd).st_dev:
            raise OSError(errno.EBUSY, "a filesystem is mounted there", os.fsdecode(name))
        for each in os.listdir(below):
            remove_tree(below, os.fsencode(each))
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=fd)


def exchange(old_fd: int, old: bytes, new_fd: int, new: bytes) -> None:
    """Swap two names of one filesystem at once (renameat2(2)); where the kernel or libc cannot, by two renames, between
    which ``new`` is absent for a moment. Either way what was at ``new`` is then at ``old``."""
    if _renameat2(old_fd, old, new_fd, new):
        return
    aside = old + b".aside"
    os.rename(new, aside, src_dir_fd=new_fd, dst_dir_fd=old_fd)
    os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)
    os.rename(aside, old, src_dir_fd=old_fd, dst_dir_fd=old_fd)


def _renameat2(old_fd: int, old: bytes, new_fd: int, new: bytes) -> bool:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # glibc before 2.28, musl
        return False
    if call(old_fd, ctypes.c_char_p(old), new_fd, ctypes.c_char_p(new), ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):  # this filesystem or kernel has no exchange
        return False
    raise OSError(number, os.strerror(number), os.fsdecode(new))


def inside(root: str, path: str, follow: bool = True) -> str:
    """Where ``path`` of the node lies, as a process with that root would find it (openat2(2), RESOLVE_IN_ROOT).

    What does not exist yet is taken as written. Without ``follow`` a link in the last place is the answer itself.
    """
    waiting = _parts(path)[::-1]
    place: List[str] = []
    links = 0
    while waiting:
        part = waiting.pop()
        here = os.path.join(root, *(place + [part]))
        if part == "..":
            del place[-1:]
        elif (waiting or follow) and os.path.islink(here):
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(here)
            if target.startswith("/"):
                place = []
            waiting += _parts(target)[::-1]
        else:
            place.append(part)
    return os.path.join(root, *place) if place else root


def lasting(root: str, path: str) -> str:
    """Where a file of the node goes. A link in its place is followed, but not one that leads in a circle or to where
    nothing outlasts a boot: the file takes its place."""
    try:
        found = inside(root, path)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return inside(root, path, follow=False)
    fleeting = os.path.relpath(found, root).split(os.sep)[0] in _FLEETING
    return inside(root, path, follow=False) if fleeting else found


def _parts(path: str) -> List[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


class Filesystems:
    """Which filesystem a path of the tree is on, and the directory at its top, where staging goes."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._devices: Dict[bytes, int] = {}
        self._tops: Dict[int, bytes] = {}

    def device(self, directory: bytes) -> int:
        """Of the deepest directory of ``directory`` that exists."""
        if directory not in self._devices:
            status = os.fstat(self._place._top) if directory == b"." else self._place.lstat(directory)
            if status is not None and stat.S_ISDIR(status.st_mode):
                self._devices[directory] = status.st_dev
            else:
                self._devices[directory] = self.device(_above(directory))
        return self._devices[directory]

    def tops(self) -> Tuple[bytes, ...]:
        """Every filesystem that was asked for."""
        return tuple(self._tops.values())

    def top(self, path: bytes) -> bytes:
        """The topmost directory of the filesystem where ``path`` is or will be."""
        directory = _above(path) if path != b"." else path
        device = self.device(directory)
        if device not in self._tops:
            while directory != b"." and self.device(_above(directory)) == device:
                directory = _above(directory)
            self._tops[device] = directory
        return self._tops[device]


def _above(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"."
