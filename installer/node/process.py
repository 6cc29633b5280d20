"""The door to child processes on a node. They end with us: rsync must not write on while a rerun works."""

import ctypes
import os
import shlex
import signal
import subprocess
import tempfile
from typing import IO, Callable, Dict, NamedTuple, Optional, Sequence

from installer.node.errors import Failed

Say = Callable[[str], None]
_TAIL = 15  # lines of a failed command's output that a person is shown
_PDEATHSIG = 1  # PR_SET_PDEATHSIG, prctl(2)
_LIBC = ctypes.CDLL(None)


class Ended(NamedTuple):
    """Exit code (negative: the signal), what it printed, and its errors, as text."""

    code: int
    output: str
    errors: str


def run(
    argv: Sequence[str],
    say: Say,
    stdin: str = "",
    timeout: Optional[float] = None,
    env: Optional[Dict[str, str]] = None,
) -> Ended:
    """Run to the end; every line goes to ``say``. Raises Failed, with the last lines, for any end but 0."""
    ended = watch(argv, say, stdin=stdin.encode("utf-8", "surrogateescape"), timeout=timeout, env=env)
    if ended.code:
        what = "was killed by signal {}".format(-ended.code) if ended.code < 0 else "ended with {}".format(ended.code)
        raise Failed(what, where=quoted(argv), hint="\n  ".join(tail(ended)))
    return ended


def watch(
    argv: Sequence[str],
    say: Say,
    stdin: bytes = b"",
    timeout: Optional[float] = None,
    env: Optional[Dict[str, str]] = None,
    secret: Optional[Dict[str, str]] = None,
) -> Ended:
    """Run to whatever end. ``env`` and ``secret`` are added to our environment.

    Raises Failed when it cannot start, or takes longer than ``timeout`` seconds.
    """
    say("+ {}".format(quoted(argv)))
    surroundings = dict(os.environ, LC_ALL="C", **dict(env or {}, **(secret or {})))
    # Files, not pipes: a daemon that a script starts keeps a pipe open for ever.
    with tempfile.TemporaryFile() as into, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        into.write(stdin)
        into.seek(0)
        try:
            child = subprocess.Popen(
                tuple(argv), stdin=into, stdout=out, stderr=err, env=surroundings, start_new_session=True,
                preexec_fn=_die_with_parent,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise Failed("did not start: {}".format(error), where=quoted(argv)) from None
        late = _wait(child, timeout)
        ended = Ended(child.returncode, _text(out), _text(err))
    for line in ended.output.splitlines() + ended.errors.splitlines():
        say("  " + line)
    if late:
        raise Failed("gave up after {:g} s".format(timeout or 0), where=quoted(argv), hint="\n  ".join(tail(ended)))
    return ended


def tail(ended: Ended) -> Sequence[str]:
    """The last lines that say something."""
    text = ended.errors if ended.errors.strip() else ended.output
    return [line.rstrip() for line in text.splitlines() if line.strip()][-_TAIL:]


def quoted(argv: Sequence[str]) -> str:
    """As a shell would be told."""
    return " ".join(map(shlex.quote, argv))


def _die_with_parent() -> None:
    _LIBC.prctl(_PDEATHSIG, signal.SIGKILL)


def _wait(child: "subprocess.Popen[bytes]", timeout: Optional[float]) -> bool:
    """Wait for the end; True when it took too long and was killed, with all that it started."""
    try:
        child.wait(timeout)
        return False
    except subprocess.TimeoutExpired:
        return True
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
