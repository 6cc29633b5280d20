"""What the server's state scripts want of this machine as long as it is in the ramdisk. Nothing hangs on it."""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from imaged.model.errors import CommandFailed, ImagedError
from installer.process import Run, ended
from installer.reports import Reporter
from installer.server import PAUSES
from installer.tree import replace

_HOME = Path("/run/imaged")
_TIMEOUT = 3600  # seconds, as a script of an install
_TOOK_TOO_LONG = 124  # timeout(1)
_BRIEFLY = PAUSES[:4]


def come_to(state: str, reporter: Reporter, run: Run, root: Path | None = None, home: Path = _HOME) -> None:
    """Ask, run what there is, and tell how it ended. What fails is logged, and that is all.

    ``root`` is where the node's own system is mounted, if it is.
    """
    name = str(uuid.uuid4())
    # What failed may be the server or the way to it, and a person waits for the shell.
    pauses = _BRIEFLY if state == "failed" else PAUSES
    try:
        text = reporter.server.wanted(state, name, pauses)
        if text:
            code = _run(state, text, reporter, run, root, home)
            reporter.server.was_run(state, name, code, pauses)
    except (ImagedError, OSError) as error:
        _tell(reporter, f"state/{state}: {error}")


def _run(state: str, text: str, reporter: Reporter, run: Run, root: Path | None, home: Path) -> int:
    reporter.console.say(f"runs what the server's scripts of state/{state} want")
    path = home / f"state-{state}"
    env = {**os.environ, "LC_ALL": "C", **({"IMAGED_TARGET": str(root)} if root else {})}
    replace(path, text.encode(), 0o700)
    try:
        done = run(("sh", str(path)), env=env, timeout=_TIMEOUT, check=False)
    except CommandFailed as error:
        _tell(reporter, f"state/{state}: {error.what}")
        return _TOOK_TOO_LONG
    finally:
        with suppress(OSError):
            path.unlink()
    if done.code:
        _tell(reporter, f"state/{state}: {ended(done.code)}")
    return done.code


def _tell(reporter: Reporter, text: str) -> None:
    for line in text.splitlines():
        reporter.console.say(line)
        reporter.journal.add(line)
