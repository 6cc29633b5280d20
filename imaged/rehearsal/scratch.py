"""A rehearsal's own directory, and the removal of what rehearsals that were killed have left."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imaged.rehearsal import namespace

_REGISTER = Path("/run/imaged-rehearsal")  # like the namespaces themselves, gone after a restart of the host
_PREFIX = "imaged-rehearsal-"


class Scratch:
    """A new directory below ``parent``; its name is also free for a network.

    While we live we hold a lock on an entry in /run. The kernel drops it with us, however we end, and the next
    rehearsal removes everything whose lock is free. (A PID would not do: it may be somebody else's by then.)
    """

    def __init__(self, parent: Path) -> None:
        reap()
        with _register():
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            self.name = self.path.name
            self._entry = os.open(_REGISTER / self.name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._entry, fcntl.LOCK_EX)
            os.write(self._entry, str(self.path).encode())

    def release(self, *, keep: bool) -> None:
        """Give up the name; the directory goes too, unless ``keep``."""
        with _register():
            if not keep:
                shutil.rmtree(self.path, ignore_errors=True)
            (_REGISTER / self.name).unlink(missing_ok=True)
            os.close(self._entry)


def reap() -> tuple[str, ...]:
    """Remove networks, processes and directories of rehearsals that are no longer alive; returns their names."""
    with _register():
        return tuple(entry.name for entry in sorted(_REGISTER.iterdir()) if _reap(entry))


def _reap(entry: Path) -> bool:
    descriptor = os.open(entry, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        namespace.remove(entry.name)
        left = Path(os.read(descriptor, 4096).decode())
        if left.name == entry.name and left.name.startswith(_PREFIX):
            shutil.rmtree(left, ignore_errors=True)
        entry.unlink()
        return True
    finally:
        os.close(descriptor)


@contextmanager
def _register() -> Iterator[None]:
    """One at a time: an entry must not be seen between its creation and its lock."""
    _REGISTER.mkdir(mode=0o755, exist_ok=True)
    descriptor = os.open(_REGISTER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
