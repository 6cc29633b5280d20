"""Telling how the install goes: to the screen, to the log, and to the server, in the order in which it happens."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import define, field

from imaged.model.errors import ImagedError
from imaged.model.report import Report, Status
from installer.console import Console
from installer.server import Server

_BATCH = 200_000  # characters of log in one request
_KEPT = 20_000  # lines that wait for a server that is away
_PERIOD = 2.0  # seconds between two reports of progress


@define
class Journal:
    """Log lines that the server has not got yet. Any thread may add. ``kept`` is a file that gets them all."""

    kept: Path | None = None
    _lines: list[str] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def add(self, line: str) -> None:
        """Keep a line; the oldest goes when too many wait."""
        with self._lock:
            self._lines.append(line)
            del self._lines[:-_KEPT]
            if self.kept:
                with suppress(OSError), self.kept.open("a", encoding="utf-8", errors="replace") as file:
                    file.write(f"{line}\n")

    def ship(self, send: Callable[[str], None]) -> None:
        """Hand everything to ``send``, a batch at a time; what it raises on stays for the next time."""
        while batch := self._take():
            try:
                send("\n".join(batch))
            except ImagedError:
                with self._lock:
                    self._lines[:0] = batch
                raise

    def _take(self) -> list[str]:
        with self._lock:
            size = count = 0
            for line in self._lines:
                if count and size + len(line) > _BATCH:
                    break
                size, count = size + len(line) + 1, count + 1
            batch, self._lines = self._lines[:count], self._lines[count:]
            return batch


@define
class Reporter:
    """Reports of one install. ``current`` is the phase at work; it stays the one that failed.

    ``kernel`` is the kernel's own log, which the server keeps apart.
    ``wait`` is called with each phase's name before (True) and after it: it returns when the install may go on.
    """

    server: Server
    console: Console
    journal: Journal
    clock: Callable[[], float]
    kernel: Journal = field(factory=Journal)
    current: str = "claim"
    wait: Callable[[str, bool], None] = lambda _phase, _before: None
    _last: float = 0.0
    _sending: threading.Lock = field(factory=threading.Lock)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Report ``started``, then ``done`` unless the body raises."""
        self.wait(name, True)
        self.current = name
        self.console.started(name)
        self._tell(name, Status.STARTED)
        yield
        self._tell(name, Status.DONE)
        self.console.done(name)
        self.wait(name, False)

    def waiting(self, phase: str, message: str) -> None:
        """The install has stopped for a person."""
        self.console.say(message)
        self.journal.add(message)
        with suppress(ImagedError):
            self._tell(phase, Status.PROGRESS, message)

    def progress(self, percent: float) -> None:
        """Every two seconds at most, never at the price of the work: by a thread, dropped while one is on its way."""
        now = self.clock()
        if now - self._last < _PERIOD:
            return
        self._last = now
        self.console.progress(self.current, percent)
        if self._sending.acquire(blocking=False):
            report = Report(self.current, Status.PROGRESS, now, percent=round(percent, 1))
            threading.Thread(target=self._glimpse, args=(report,), daemon=True).start()

    def failed(self, reason: str) -> None:
        """The screen first: the server may be what failed."""
        self.console.failed(reason)
        self.journal.add(f"FAILED in {self.current}: {reason}")
        with suppress(ImagedError):
            self._tell(self.current, Status.FAILED, reason)

    def _tell(self, phase: str, status: Status, message: str = "") -> None:
        with self._sending:  # a report of progress that is on its way arrives before this one
            self.server.report(Report(phase, status, self.clock(), message))
            if status is Status.STARTED:
                return  # the log went with the end of the phase before, a moment ago
            with suppress(ImagedError):
                self._ship()

    def _ship(self) -> None:
        self.journal.ship(self.server.log)
        self.kernel.ship(self.server.console)

    def _glimpse(self, report: Report) -> None:
        try:
            with suppress(ImagedError):
                self.server.glimpse(report)
                self._ship()
        finally:
            self._sending.release()
