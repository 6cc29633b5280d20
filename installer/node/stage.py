"""Where new inodes are made before they are renamed into the tree: ``.imaged`` at the top of each filesystem concerned.

``stage`` keeps fetched contents under their own paths, so that a rerun finds what an interrupted one has got; ``new``
holds whatever is being put together and is worthless after a crash.
"""

import ctypes
import os
from typing import Dict, Iterable, List, Tuple

from installer.node.place import Filesystems, Place, remove_tree

NAME = b".imaged"


class Stage:
    """Staging of one update. Open directories are kept until ``close``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._filesystems = Filesystems(place)
        self._new: Dict[bytes, int] = {}
        self._count = 0

    def top(self, path: bytes) -> bytes:
        """The filesystem that ``path`` belongs to, by its topmost directory."""
        return self._filesystems.top(path)

    def content(self, path: bytes) -> bytes:
        """Where the fetched content of ``path`` lies, as a path of the tree."""
        return _join(_join(self.top(path), NAME), b"stage/" + path)

    def directory(self, top: bytes) -> bytes:
        """Where rsync writes, made for root's eyes only: a set-user-id file in it is nobody's to run."""
        base = _join(top, NAME)
        for each in (base, base + b"/stage", base + b"/new"):
            fd, name = self._place.parent(each)
            try:
                os.mkdir(name, 0o700, dir_fd=fd)
            except FileExistsError:
                pass
        return base + b"/stage"

    def fresh(self, path: bytes) -> Tuple[int, bytes]:
        """An open directory on the filesystem of ``path`` and a name in it that nothing has."""
        top = self.top(path)
        if top not in self._new:
            self.directory(top)
            self._new[top] = self._place.directory(_join(top, NAME) + b"/new")
        self._count += 1
        return self._new[top], b"%d" % self._count

    def sweep_new(self, tops: Iterable[bytes]) -> None:
        """Remove what a crash left half made; fetched contents stay."""
        for top in tops:
            base = _join(top, NAME)
            if self._place.lstat(base) is not None:
                fd = self._place.directory(base)
                try:
                    remove_tree(fd, b"new")
                finally:
                    os.close(fd)

    def remove(self, tops: Iterable[bytes]) -> None:
        """Remove staging wholly."""
        self.close()
        for top in tops:
            fd = self._place.directory(top)
            try:
                remove_tree(fd, NAME)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Let go of the open directories."""
        for fd in self._new.values():
            os.close(fd)
        self._new = {}

    def sync(self) -> None:
        """Wait until the filesystems concerned are on their disks: theirs only, syncfs(2)."""
        for top in self._filesystems.tops():
            fd = self._place.directory(top)
            try:
                if ctypes.CDLL(None).syncfs(fd):
                    os.sync()
            finally:
                os.close(fd)

    def room(self, top: bytes) -> int:
        """Bytes free there for root."""
        fd = self._place.directory(top)
        try:
            free = os.statvfs(fd)
        finally:
            os.close(fd)
        return free.f_bfree * free.f_frsize

    def rows(self, paths: Iterable[bytes]) -> Dict[bytes, List[bytes]]:
        """Paths by the filesystem that they are on."""
        found: Dict[bytes, List[bytes]] = {}
        for path in paths:
            found.setdefault(self.top(path), []).append(path)
        return found


def _join(top: bytes, name: bytes) -> bytes:
    return name if top == b"." else top + b"/" + name
