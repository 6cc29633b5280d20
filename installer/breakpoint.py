"""Waiting for a person: a shell on every console, and a command for those who came by ssh."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from imaged.model.wishes import Wishes
from installer import tree
from installer.reports import Reporter

GO_ON = Path("/usr/bin/imaged-continue")
_FLAG = Path("/run/imaged/continue")
_ACTIVE = Path("/sys/class/tty/console/active")
_SCRIPT = f"#!/bin/sh\n# Lets an install that waits at a breakpoint go on.\n: > {_FLAG}\n"


def waits(wishes: Wishes, reporter: Reporter) -> Callable[[str, bool], None]:
    """What a reporter calls around each phase: returns at once where no breakpoint is."""

    def wait(phase: str, before: bool) -> None:
        if not wishes.at(phase, before=before):
            return
        where = f"{'before' if before else 'after'} {phase}"
        reporter.waiting(
            phase, f"breakpoint {where}: the install waits; `exit` here or `{GO_ON.name}` by ssh lets it go on"
        )
        _until_told()
        reporter.journal.add(f"going on {where}")

    return wait


def _until_told() -> None:
    """Until any of the shells ends, or somebody has run the command."""
    tree.replace(GO_ON, _SCRIPT.encode(), 0o755)
    _FLAG.unlink(missing_ok=True)
    with ExitStack() as shells:
        running = [shell for name in consoles(_read(_ACTIVE)) if (shell := _shell(name, shells))]
        while not _FLAG.exists() and all(shell.poll() is None for shell in running):
            time.sleep(0.5)
    _FLAG.unlink(missing_ok=True)


def consoles(active: str) -> tuple[str, ...]:
    """Terminals of the kernel's consoles, as /dev/NAME; tty0 is whichever screen is shown. Pure."""
    return tuple(f"/dev/{'tty1' if name == 'tty0' else name}" for name in active.split())


def _shell(console: str, until: ExitStack) -> "subprocess.Popen[bytes] | None":
    """A session of its own: ^C works, and the console is its terminal."""
    try:
        terminal = until.enter_context(_terminal(console))
        shell = subprocess.Popen(("setsid", "-c", "sh", "-l"), stdin=terminal, stdout=terminal, stderr=terminal)
    except OSError:  # a console that is not there must not hold the install up
        return None
    until.callback(_end, shell)
    return shell


@contextmanager
def _terminal(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _end(shell: "subprocess.Popen[bytes]") -> None:
    shell.kill()
    shell.wait()


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return "console"
