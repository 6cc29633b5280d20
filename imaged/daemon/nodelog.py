"""Log files of each node on the server's disk, kept through failures: its own words, and its kernel's."""

import time
from collections.abc import Callable
from pathlib import Path

_LIMIT = 16 * 2**20  # bytes; then the file is turned over once, so that a chatty node cannot fill the disk


class NodeLogs:
    """Appends lines to ``<directory>/<node>.<kind>``, each with the server's time. ``kind``: ``log``, ``console``."""

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock

    def append(self, node: str, text: str, kind: str = "log") -> None:
        """``node`` is a checked name. Control characters, which a terminal would obey, are shown as dots."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{node}.{kind}"
        if path.exists() and path.stat().st_size > _LIMIT:
            path.replace(path.with_suffix(f".{kind}.1"))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{stamp} {_printable(line)}\n" for line in text.splitlines() if line.strip())


def _printable(line: str) -> str:
    return "".join(ch if ch.isprintable() or ch == "\t" else "." for ch in line)
