"""A manifest as a sorted file: a line is found by its path without reading those between."""

import mmap
import os
import re
from typing import Iterator, NamedTuple, Optional

from installer.node.errors import Failed
from installer.node.manifest import Entry, order, parse, path_of

_LINKED = re.compile(rb"^(\.[^\n]* nlink=[^\n]*)$", re.MULTILINE)
_FIRST = re.compile(rb"^\.", re.MULTILINE)


class Line(NamedTuple):
    """One line without its newline, where it begins, and where the next does."""

    text: bytes
    start: int
    end: int

    @property
    def path(self) -> bytes:
        """The path that it names."""
        return path_of(self.text)

    @property
    def is_directory(self) -> bool:
        """Without taking the line apart."""
        return b" type=dir " in self.text


class Lookup(object):
    """Use as ``with Lookup(path) as manifest``. Offsets are bytes of the file."""

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._text = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise Failed("is empty", where=path) from None
        finally:
            os.close(fd)
        first = _FIRST.search(self._text)
        self._begin = first.start() if first else len(self._text)
        self._size = len(self._text)

    def __enter__(self) -> "Lookup":
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def line(self, start: int) -> Line:
        """The line that begins there."""
        end = self._text.find(b"\n", start)
        end = self._size if end < 0 else end
        return Line(self._text[start:end], start, end + 1)

    def entry(self, path: bytes) -> Optional[Entry]:
        """What the manifest says of a path; None for one that it does not have."""
        key = order(path)
        start = self._from(key)
        if start < self._size:
            found = self.line(start)
            if found.path == path:
                return parse(found.text)
        return None

    def children(self, directory: Line) -> Iterator[Line]:
        """The lines of what is directly in a directory, each subtree passed over in a few steps."""
        path = directory.path
        prefix = b"" if path == b"." else path + b"/"
        start = directory.end
        while start < self._size:
            found = self.line(start)
            if not found.path.startswith(prefix):
                return
            yield found
            start = self.beyond(found) if found.is_directory else found.end

    def subtree(self, directory: Line) -> Iterator[Line]:
        """The lines of everything below a directory."""
        start, end = directory.end, self.beyond(directory)
        while start < end:
            found = self.line(start)
            yield found
            start = found.end

    def beyond(self, directory: Line) -> int:
        """Where the first line begins that is not below the directory."""
        path = directory.path
        if path == b".":
            return self._size
        if directory.end < self._size and not self.line(directory.end).path.startswith(path + b"/"):
            return directory.end  # it is empty: so are most that hold no directories
        return self._from(order(path) + b"\0\xff\xff", directory.end)

    def linked(self) -> Iterator[bytes]:
        """The lines of files with several names."""
        for found in _LINKED.finditer(self._text):
            yield found.group(1)

    def _from(self, key: bytes, low: int = 0) -> int:
        """Where the first line begins whose key is not less: bisection over lines of unequal lengths."""
        low, high = max(low, self._begin), self._size
        while low < high:
            middle = self._text.rfind(b"\n", low, (low + high) // 2) + 1
            start = middle if middle > low else low
            found = self.line(start)
            if order(found.path) < key:
                low = found.end
            else:
                high = start
        return min(low, self._size)
