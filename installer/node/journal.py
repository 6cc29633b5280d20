"""What an update has under way, written before it is done: a rerun after a crash knows which steps were owed.

The tree itself needs no undoing: every file changes by one rename(2), so at any moment each path is wholly old or
wholly new, and the next comparison finds what is missing. What would be lost without this file is *why* a path changed:
after the rename it no longer differs, and the step it triggers (update-initramfs, update-grub) would never run.
"""

import os
from typing import IO, Iterable, Optional, Set, Tuple

_HEAD = b"imaged journal 1 "


class Journal:
    """``path`` exists while an update is under way. Records are NUL-ended: a name may hold a newline."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: Optional[IO[bytes]] = None

    def owed(self) -> Set[bytes]:
        """Paths that an unfinished update changed or was about to change. A record cut short by the crash is dropped:
        its path was not touched yet."""
        try:
            with open(self._path, "rb") as file:
                records = file.read().split(b"\0")[:-1]
        except FileNotFoundError:
            return set()
        return {record[1:] for record in records if record[:1] == b"/"}

    def begin(self, serial: str, paths: Iterable[bytes]) -> None:
        """Write down what will be touched, behind what is still owed, and wait until the disk has it."""
        owed = self.owed()
        fresh = not owed
        if fresh:
            temporary = self._path + ".new"
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(_HEAD + serial.encode("utf-8", "replace") + b"\0")
                _write(file, paths)
            os.rename(temporary, self._path)
            return
        with open(self._path, "r+b") as file:
            content = file.read()
            file.seek(content.rfind(b"\0") + 1)
            file.truncate()
            _write(file, (path for path in paths if path not in owed))

    def finish(self) -> None:
        """The node is in step: nothing is owed."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass


def _write(file: IO[bytes], paths: Iterable[bytes]) -> None:
    for path in paths:
        file.write(b"/" + path + b"\0")
    file.flush()
    os.fsync(file.fileno())


def triggers(changed: Iterable[bytes], owed: Set[bytes]) -> Tuple[bytes, ...]:
    """All paths whose change may ask for a step: this run's and those of the run that did not end."""
    return tuple(dict.fromkeys(list(changed) + sorted(owed)))
