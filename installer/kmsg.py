"""The kernel's own messages, followed: a disk's errors say more than the program that they made fail."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from imaged.model.kmsg import lines

_RECORD = 8192  # bytes, more than the longest (Documentation/ABI/testing/dev-kmsg)


def follow(add: Callable[[str], None], path: Path = Path("/dev/kmsg")) -> None:
    """Hand every line since the start to ``add``, and what follows, in a thread. Nothing hangs on it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        threading.Thread(target=_read, args=(descriptor, add), daemon=True).start()


def _read(descriptor: int, add: Callable[[str], None]) -> None:
    while True:
        try:
            record = os.read(descriptor, _RECORD)
        except BrokenPipeError:  # records were overwritten before we came to them; the next one can be read
            continue
        except OSError:
            record = b""
        if not record:
            os.close(descriptor)
            return
        for line in lines(record.decode("utf-8", "replace")):
            add(line)
