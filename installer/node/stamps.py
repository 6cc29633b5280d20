"""What was proven of each path, and when: its inode and change time, one pair for each line of the manifest.

Nobody can set a change time (inode(7), ctime), so a path whose inode and ctime are as they were has the content,
owner, mode and attributes that it had; a directory, the names in it. That is more than size and mtime say, and costs
one lstat.
"""

import array
import os
import sys
from typing import Iterable, Optional

# A change within one tick of the kernel's clock leaves the ctime as it was: what changed so short a time before we
# looked is not proven by it, as git has it with its index. Two seconds cover every filesystem's grain.
RACY = 2 * 10**9  # nanoseconds
_HEAD = b"imaged stamps 1 "


class Stamps(object):
    """Pairs (ctime in nanoseconds, inode) by number of line, (0, 0) for what is not proven."""

    def __init__(self, values: Optional["array.array[int]"] = None) -> None:
        self.values = array.array("Q") if values is None else values

    def __len__(self) -> int:
        return len(self.values) // 2

    @classmethod
    def blank(cls, lines: int) -> "Stamps":
        """Nothing is proven."""
        return cls(array.array("Q", bytes(16 * lines)))

    @classmethod
    def read(cls, path: str, key: str) -> Optional["Stamps"]:
        """None unless they were written with this ``key`` (manifest and rules), on a machine with this byte order."""
        try:
            with open(path, "rb") as file:
                head = file.readline().rstrip(b"\n")
                values = array.array("Q")
                values.frombytes(file.read())
        except (OSError, ValueError):
            return None
        return cls(values) if head == _head(key) and len(values) % 2 == 0 else None

    def write(self, path: str, key: str) -> None:
        """Replace the file. Losing it costs one slow comparison, so nobody waits for the disk."""
        temporary = path + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(_head(key) + b"\n")
            self.values.tofile(file)
        os.rename(temporary, path)

    def prove(self, line: int, status: os.stat_result, now: int) -> None:
        """The path of this line is as it shall be. ``now``: when we began to look, nanoseconds since the epoch."""
        proven = 0 < status.st_ctime_ns < now - RACY
        self.values[2 * line] = status.st_ctime_ns if proven else 0
        self.values[2 * line + 1] = status.st_ino if proven else 0

    def clear(self) -> None:
        """Nothing is proven any more."""
        self.values = array.array("Q", bytes(8 * len(self.values)))

    def forget(self, lines: Iterable[int]) -> None:
        """Nothing is proven of these any more."""
        for line in lines:
            self.values[2 * line] = self.values[2 * line + 1] = 0

    def known(self, line: int) -> bool:
        """Whether the path of this line was proven at some time."""
        return self.values[2 * line] != 0


def _head(key: str) -> bytes:
    return _HEAD + "{} {}".format(sys.byteorder, key).encode("ascii")
