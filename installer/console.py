"""What a person in front of the machine sees: one line per phase, percent while it runs, the reason in red."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from attrs import define

_RED, _BOLD, _PLAIN, _CLEAR = "\x1b[1;31m", "\x1b[1m", "\x1b[0m", "\x1b[K"
_STEP = 10  # percent between two lines where a line cannot be overwritten


def uptime() -> float:
    """Seconds since the kernel started: the one clock of a bare machine that is surely right."""
    return float(Path("/proc/uptime").read_text().split()[0])


@define
class Console:
    """Writes to every screen that the kernel was told to use. A screen that fails is let be."""

    screens: tuple[TextIO, ...]
    clock: Callable[[], float] = uptime
    _begun: float = 0.0
    _shown: int = -1
    _open_line: bool = False

    @classmethod
    def everywhere(cls) -> "Console":
        """Our stdout, which is the last ``console=``, and the other active ones: screen and serial line both."""
        return cls((sys.stdout, *_other_consoles(Path("/sys/class/tty/console/active"))))

    def say(self, text: str) -> None:
        """A plain line."""
        self._line(text)

    def started(self, phase: str) -> None:
        """A phase begins."""
        self._begun, self._shown = self.clock(), -1
        self._line(f"{phase} ...")

    def progress(self, phase: str, percent: float) -> None:
        """How far the phase is; overwrites itself on a terminal."""
        whole = int(percent)
        if whole == self._shown:
            return
        for screen in self.screens:
            if screen.isatty():
                _write(screen, f"\r{self._stamp()} {phase} {whole} %{_CLEAR}")
                self._open_line = True
            elif whole // _STEP != self._shown // _STEP:
                _write(screen, f"{self._stamp()} {phase} {whole} %\n")
        self._shown = whole

    def done(self, phase: str) -> None:
        """A phase is over."""
        self._line(f"{phase} done in {self.clock() - self._begun:.1f} s", _BOLD)

    def failed(self, reason: str) -> None:
        """The install is over, and why."""
        self._line(f"FAILED: {reason}", _RED)
        self._line("This machine stays as it is; nothing is retried by itself.")

    def _line(self, text: str, colour: str = "") -> None:
        for screen in self.screens:
            tty = screen.isatty()
            clean = f"\r{_CLEAR}" if tty and self._open_line else ""
            shown = f"{colour}{text}{_PLAIN}" if tty and colour else text
            _write(screen, f"{clean}{self._stamp()} {shown}\n")
        self._open_line = False

    def _stamp(self) -> str:
        return f"[{self.clock():8.1f}]"


def _other_consoles(active: Path) -> list[TextIO]:
    try:
        names = active.read_text().split()[:-1]
    except OSError:
        return []
    found: list[TextIO] = []
    for name in names:
        try:
            # No carrier, no reader: a serial line without a cable must not hold the install up.
            descriptor = os.open(f"/dev/{name}", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        found.append(os.fdopen(descriptor, "w", encoding="utf-8", errors="replace"))
    return found


def _write(screen: TextIO, text: str) -> None:
    try:
        screen.write(text)
        screen.flush()
    except OSError:
        pass
