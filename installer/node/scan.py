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
from installer.node.lookup import Line, Lookup
from installer.node.manifest import Entry, parse, path_of
from installer.node.mounts import Mounts
from installer.node.stamps import Stamps

_FEW = 20000  # lines that one process looks at sooner than it starts another


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
            stamps.clear()
        suspects = _suspects(fd, manifest, stamps)
        if suspects:
            with Lookup(manifest) as lookup:
                for found in _Examination(fd, look.at(fd), rules, stamps, now, lookup).of(suspects):
                    yield found
    finally:
        os.close(fd)


# --- which lines need a closer look ------------------------------------------

_PAIR = struct.Struct("=IQ")


def _suspects(fd: int, manifest: str, stamps: Stamps) -> List[Tuple[int, int]]:
    """(number, offset) of the lines whose path is not the one that was proven, in order. One process for each core."""
    count = min(len(os.sched_getaffinity(0)), len(stamps) // _FEW + 1)
    with open(manifest, "rb") as file:
        ranges = _ranges(file.fileno(), count)
    children = [_Child(fd, manifest, stamps, each) for each in ranges[1:]]
    found = list(_moved(fd, manifest, stamps, ranges[0]))
    for child in children:
        found += child.result()
    return found


class _Range(NamedTuple):
    """Bytes of the manifest that begin and end with a line, and the number of the first."""

    start: int
    end: int
    line: int


def _ranges(descriptor: int, count: int) -> List[_Range]:
    size = os.fstat(descriptor).st_size
    if not size or count == 1:
        return [_Range(0, size, 0)]
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as text:
        cuts = [0] + [text.find(b"\n", size * part // count) + 1 for part in range(1, count)] + [size]
        ranges, line = [], 0
        for start, end in zip(cuts, cuts[1:]):
            ranges.append(_Range(start, end, line))
            line += text[start:end].count(b"\n")
    return ranges


def _moved(fd: int, manifest: str, stamps: Stamps, part: _Range) -> Iterator[Tuple[int, int]]:
    """The loop that runs once for every file of the system: nothing in it that need not be."""
    lstat, values, at, offset = os.stat, stamps.values, part.line, part.start
    with open(manifest, "rb") as file:
        file.seek(part.start)
        for line in file:
            if offset >= part.end:
                return
            if line[:1] == b".":
                name = line[: line.index(b" ")]
                if b"\\" in name:
                    name = path_of(line)
                try:
                    status = lstat(name, dir_fd=fd, follow_symlinks=False)
                    if status.st_ctime_ns != values[2 * at] or status.st_ino != values[2 * at + 1]:
                        yield at, offset
                except OSError:
                    yield at, offset
            at += 1
            offset += len(line)


class _Child(object):
    """A forked process that looks at one range and writes what it found into a pipe."""

    def __init__(self, fd: int, manifest: str, stamps: Stamps, part: _Range) -> None:
        self._read, write = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            code = 1
            try:
                with open(write, "wb") as pipe:
                    for pair in _moved(fd, manifest, stamps, part):
                        pipe.write(_PAIR.pack(*pair))
                code = 0
            finally:
                os._exit(code)
        os.close(write)

    def result(self) -> List[Tuple[int, int]]:
        """Raises OSError when the process ended before its range did."""
        with open(self._read, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        if status:
            raise OSError("a process of the scan ended with {}".format(status))
        return list(_PAIR.iter_unpack(data))


# --- the closer look ---------------------------------------------------------


class _Examination(object):
    """Suspects are compared, and the directories among them listed."""

    def __init__(self, fd: int, closely: Look, rules: Rules, stamps: Stamps, now: int, lookup: Lookup) -> None:
        self._fd, self._look, self._rules, self._stamps, self._now = fd, closely, rules, stamps, now
        self._lookup = lookup
        self._groups = Groups()

    def of(self, suspects: List[Tuple[int, int]]) -> Iterator[Difference]:
        """See ``scan``."""
        done = 0  # up to here everything is told: below a directory that is none any more
        self._know_groups(suspects)
        for number, offset in suspects:
            if offset < done:
                continue
            line = self._lookup.line(offset)
            path = line.path
            if self._elsewhere(path):
                continue
            status = self._lstat(path)
            if line.is_directory and (status is None or not stat.S_ISDIR(status.st_mode)):
                done = self._lookup.beyond(line)
                found = self._vanished(line, status)
            else:
                found = self._present(number, line, status)
            for each in found:
                yield each

    def _present(self, number: int, line: Line, status: Optional[os.stat_result]) -> Iterator[Difference]:
        rules = self._rules
        entry = parse(line.text)
        what = MISSING if status is None else self._compared(number, entry, status)
        right = not what and not rules.skip(entry.path)
        if what and not rules.skip(entry.path):
            yield Difference(entry.path, entry, IMAGE, what, type_of(status) if status is not None else "")
        if status is None:
            return
        if entry.kind == "dir":
            for extra in self._news(line, entry.path):
                right = False
                yield extra
        if right and not rules.mounts.is_coarse(entry.path):
            self._stamps.prove(number, status, self._now)

    def _vanished(self, line: Line, status: Optional[os.stat_result]) -> Iterator[Difference]:
        """No directory any more: what the manifest has below it is missing, even if a link leads to it."""
        entry = parse(line.text)
        if not self._rules.skip(entry.path):
            what = MISSING if status is None else frozenset(("type",))
            yield Difference(entry.path, entry, IMAGE, what, type_of(status) if status is not None else "")
        for each in self._lookup.subtree(line):
            path = each.path
            if not self._elsewhere(path) and not self._rules.skip(path):
                yield Difference(path, parse(each.text), IMAGE, MISSING, "")

    def _compared(self, number: int, entry: Entry, status: os.stat_result) -> FrozenSet[str]:
        coarse = self._rules.mounts.is_coarse(entry.path)
        what = compare(entry, status, self._look, self._rules.checksum, coarse)
        # Proven once, touched since, and nothing to be seen of it: size and time may have been put back.
        doubtful = not what and entry.kind == "file" and self._stamps.known(number)
        if doubtful and self._look.sha256(entry.path) != entry.sha256:
            what = frozenset(("sha256",))
        fits = self._groups.fits(entry, status) or coarse or type_of(status) != entry.kind
        return what if fits else what | frozenset(("links",))

    def _know_groups(self, suspects: List[Tuple[int, int]]) -> None:
        """Which file each group of hard links is: its first name decides, be it a suspect or not."""
        if any(b" nlink=" in self._lookup.line(offset).text for _, offset in suspects):
            for text in self._lookup.linked():
                entry = parse(text)
                status = self._lstat(entry.path)
                if status is not None and type_of(status) == entry.kind:
                    self._groups.fits(entry, status)

    def _news(self, line: Line, path: bytes) -> Iterator[Difference]:
        """Names in a directory that the image does not have there."""
        names = self._names(path)
        for child in self._lookup.children(line):
            names.discard(child.path.rpartition(b"/")[2])
        prefix = b"" if path == b"." else path + b"/"
        for name in sorted(names):
            for found in self._extra(prefix + name):
                yield found

    def _extra(self, path: bytes) -> Iterator[Difference]:
        """Something that the image does not have, and all that is below it."""
        rules = self._rules
        if self._elsewhere(path) or rules.skip(path):
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

    def _elsewhere(self, path: bytes) -> bool:
        rules = self._rules
        return bool(rules.within and not _below(path, rules.within)) or bool(rules.mounts.reason(path))

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
