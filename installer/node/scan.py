"""Finds what is not as the manifest says: one lstat a path, a closer look at what moved, a listing where names are new.

Memory grows with what is suspect, not with what there is, but for 16 bytes a path of stamps: the manifest is read as a
stream.
"""

import mmap
import os
import stat
import struct
import time
from typing import Callable, FrozenSet, Iterator, List, NamedTuple, Optional, Set, Tuple

from installer.node import look
from installer.node.compare import EXTRA, IMAGE, LOCAL, MISSING, Difference, Groups, Look, compare, type_of
from installer.node.manifest import Entry, parse, path_of
from installer.node.mounts import Mounts
from installer.node.stamps import Stamps

_FEW = 20000  # lines that one process looks at sooner than it starts another
_NONE: FrozenSet[str] = frozenset()


class Rules(NamedTuple):
    """What a scan passes over. ``skip``: whether a path is nobody's business here: protected, an override's, a fixup's.
    ``way``: whether a directory that the image does not have leads to such a path. ``within``: only what is below this
    path (empty: everything)."""

    skip: Callable[[bytes], bool]
    mounts: Mounts
    checksum: bool = False
    within: bytes = b""
    way: Callable[[bytes], bool] = lambda path: False


def scan(root: bytes, manifest: str, stamps: Stamps, rules: Rules) -> Iterator[Difference]:
    """Every path of the image that differs, in the manifest's order; after those of a directory, the names in it that
    nothing provides. ``stamps`` learn what was found to be right.

    Raises OSError for what cannot be looked at.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    now = int(time.time() * 10**9)
    try:
        if rules.checksum:
            stamps.forget(range(len(stamps)))
        suspects = _suspects(fd, manifest, stamps)
        if suspects:
            for found in _Examination(fd, look.at(fd), rules, stamps, now).of(manifest, suspects):
                yield found
    finally:
        os.close(fd)


# --- which lines need a closer look ------------------------------------------


def _suspects(fd: int, manifest: str, stamps: Stamps) -> Set[int]:
    """Numbers of lines whose path is not the one that was proven; by as many processes as there are cores."""
    count = min(len(os.sched_getaffinity(0)), len(stamps) // _FEW + 1)
    with open(manifest, "rb") as file:
        ranges = _ranges(file.fileno(), count)
        children = [_Child(fd, manifest, stamps, each) for each in ranges[1:]]
        found = set(_moved(fd, manifest, stamps, ranges[0]))
    for child in children:
        found.update(child.result())
    return found


class _Range(NamedTuple):
    """Bytes of the manifest that begin and end with a line, and the number of the first."""

    start: int
    end: int
    line: int


def _ranges(descriptor: int, count: int) -> List[_Range]:
    size = os.fstat(descriptor).st_size
    if not size:
        return [_Range(0, 0, 0)]
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as text:
        cuts = [0] + [text.find(b"\n", size * part // count) + 1 for part in range(1, count)] + [size]
        ranges, line = [], 0
        for start, end in zip(cuts, cuts[1:]):
            ranges.append(_Range(start, end, line))
            line += text[start:end].count(b"\n")
    return ranges


def _moved(fd: int, manifest: str, stamps: Stamps, part: _Range) -> Iterator[int]:
    """The loop that runs once for every file of the system: nothing in it that need not be."""
    lstat, values, at = os.stat, stamps.values, part.line
    with open(manifest, "rb") as file:
        file.seek(part.start)
        left = part.end - part.start
        for line in file:
            left -= len(line)
            if left < 0:
                return
            if line[:1] == b".":
                name = line[: line.index(b" ")]
                if b"\\" in name:
                    name = path_of(line.rstrip(b"\n"))
                try:
                    status = lstat(name, dir_fd=fd, follow_symlinks=False)
                    if status.st_ctime_ns != values[2 * at] or status.st_ino != values[2 * at + 1]:
                        yield at
                except OSError:
                    yield at
            at += 1


class _Child(object):
    """A forked process that looks at one range and writes the numbers it found into a pipe."""

    def __init__(self, fd: int, manifest: str, stamps: Stamps, part: _Range) -> None:
        self._read, write = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            code = 1
            try:
                with open(write, "wb") as pipe:
                    for number in _moved(fd, manifest, stamps, part):
                        pipe.write(struct.pack("=I", number))
                code = 0
            finally:
                os._exit(code)
        os.close(write)

    def result(self) -> Tuple[int, ...]:
        """Raises OSError when the process ended before its range did."""
        with open(self._read, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        if status:
            raise OSError("a process of the scan ended with {}".format(status))
        return struct.unpack("={}I".format(len(data) // 4), data)


# --- the closer look ---------------------------------------------------------


class _Directory(object):
    """A directory whose names may be others than before; ``names`` are those that no line has claimed yet."""

    def __init__(self, path: bytes, names: Set[bytes], line: int, status: os.stat_result, right: bool) -> None:
        self.path = path
        self.prefix = b"" if path == b"." else path + b"/"
        self.names = names
        self.line = line
        self.status = status
        self.right = right


class _Examination(object):
    """One pass over the manifest in which suspects are compared and the directories among them listed."""

    def __init__(self, fd: int, closely: Look, rules: Rules, stamps: Stamps, now: int) -> None:
        self._fd, self._look, self._rules, self._stamps, self._now = fd, closely, rules, stamps, now
        self._open: List[_Directory] = []  # from the root down to where we are; all but suspects are left out
        self._gone = b""  # no directory any more: what the manifest has below it is missing
        self._groups = Groups()

    def of(self, manifest: str, suspects: Set[int]) -> Iterator[Difference]:
        """See ``scan``."""
        with open(manifest, "rb") as file:
            for number, line in enumerate(file):
                if line[:1] != b".":
                    continue
                suspect, linked = number in suspects, b" nlink=" in line
                if not (suspect or linked or self._open or self._gone):
                    continue
                path = path_of(line.rstrip(b"\n"))
                for found in self._leave(path):
                    yield found
                self._claim(path)
                if suspect or linked or self._gone:
                    for found in self._line(number, line.rstrip(b"\n"), path, suspect or bool(self._gone)):
                        yield found
        for found in self._leave(None):
            yield found

    def _line(self, number: int, line: bytes, path: bytes, suspect: bool) -> Iterator[Difference]:
        rules = self._rules
        if (rules.within and not _below(path, rules.within)) or rules.mounts.reason(path):
            return
        status = None if self._gone else self._lstat(path)
        entry = parse(line)
        if entry.kind == "dir" and (status is None or not stat.S_ISDIR(status.st_mode)):
            self._gone = self._gone or path + b"/"
        what = MISSING if status is None else self._compared(number, entry, status, suspect)
        right = not what and not rules.skip(path)
        if what and not rules.skip(path):
            yield Difference(path, entry, IMAGE, what, type_of(status) if status is not None else "")
        if status is None or not suspect:
            return
        if entry.kind == "dir" and stat.S_ISDIR(status.st_mode):
            self._open.append(_Directory(path, self._names(path), number, status, right))
        elif right and not rules.mounts.is_coarse(path):
            self._stamps.prove(number, status, self._now)

    def _compared(self, number: int, entry: Entry, status: os.stat_result, suspect: bool) -> FrozenSet[str]:
        rules = self._rules
        coarse = rules.mounts.is_coarse(entry.path)
        what = compare(entry, status, self._look, rules.checksum, coarse) if suspect else _NONE
        # Proven once, touched since, and nothing to be seen of it: size and time may have been put back.
        doubtful = suspect and not what and entry.kind == "file" and self._stamps.known(number)
        if doubtful and self._look.sha256(entry.path) != entry.sha256:
            what = frozenset(("sha256",))
        fits = self._groups.fits(entry, status) or coarse or type_of(status) != entry.kind
        return what if fits else what | frozenset(("links",))

    def _claim(self, path: bytes) -> None:
        """A line names ``path``: it is not new in its directory."""
        if self._open and path != b".":
            directory, _, name = path.rpartition(b"/")
            last = self._open[-1]
            if last.path == (directory or b"."):
                last.names.discard(name)

    def _leave(self, path: Optional[bytes]) -> Iterator[Difference]:
        """Directories that ``path`` is not in are through: what is left of their names is new."""
        if path is None or not path.startswith(self._gone):
            self._gone = b""
        while self._open and (path is None or not path.startswith(self._open[-1].prefix)):
            done = self._open.pop()
            clean = done.right
            for name in sorted(done.names):
                for found in self._extra(done.prefix + name):
                    clean = False
                    yield found
            if clean:
                self._stamps.prove(done.line, done.status, self._now)

    def _extra(self, path: bytes) -> Iterator[Difference]:
        """Something that the image does not have, and all that is below it."""
        rules = self._rules
        within = not rules.within or _below(path, rules.within)
        if rules.skip(path) or rules.mounts.reason(path) or not within:
            return
        status = self._lstat(path)
        if status is None:
            return
        kind = type_of(status)
        if kind != "dir" or not rules.way(path):
            yield Difference(path, None, LOCAL, EXTRA, kind)
        if kind == "dir":
            for name in sorted(self._names(path)):
                for found in self._extra(path + b"/" + name):
                    yield found

    def _lstat(self, path: bytes) -> Optional[os.stat_result]:
        try:
            return os.stat(path, dir_fd=self._fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _names(self, path: bytes) -> Set[bytes]:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._fd)
        try:
            return {os.fsencode(name) for name in os.listdir(fd)}
        finally:
            os.close(fd)


def _below(path: bytes, top: bytes) -> bool:
    return path == top or path.startswith(top + b"/")
