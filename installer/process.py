"""The agent's door to child processes. They run in a session of their own, so that nothing they start outlives them."""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from attrs import frozen

from imaged.model.errors import CommandFailed

_TICK = 1.0  # seconds
_LONG = 5.0  # seconds: a command that took longer says so in the log
_TAIL = 15  # lines of a failed command's output that a person is shown


@frozen
class Completed:
    """What a child left behind: its exit code (negative: the signal), its stdout and its stderr as text."""

    argv: tuple[str, ...]
    code: int
    output: str
    errors: str


class Run(Protocol):
    """How steps start programs; ``Processes.run`` is the real one, tests record calls."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Completed:
        """See ``Processes.run``."""


@frozen
class Processes:
    """Runs programs and hands every command line and every line they print to ``log``."""

    log: Callable[[str], None]

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Completed:
        """Run ``argv`` to its end; ``env`` replaces the environment (None: ours, in the C locale).

        Raises CommandFailed when it cannot start, takes longer than ``timeout`` seconds or, with ``check``, ends
        with anything but 0. Whatever it left running is killed.
        """
        self.log(f"+ {shlex.join(argv)}")
        began = time.monotonic()
        # Files, not pipes: a daemon that a maintainer script starts keeps a pipe open for ever.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with _start(argv, stdin, out, err, env) as child:
                late = _wait(child, stdin, timeout)
            done = Completed(tuple(argv), child.returncode, _text(out), _text(err))
        for line in (*done.output.splitlines(), *done.errors.splitlines()):
            self.log(f"  {line}")
        took = time.monotonic() - began
        if took >= _LONG:
            self.log(f"  took {took:.0f} s")
        if late:
            raise CommandFailed(f"gave up after {timeout:g} s", where=shlex.join(argv), hint=_tail(done))
        if check and done.code:
            raise CommandFailed(ended(done.code), where=shlex.join(argv), hint=_tail(done))
        return done

    def start(self, argv: Sequence[str], output: Path) -> None:
        """Start a program that outlives the agent, in a session of its own; what it prints is added to ``output``.

        Raises CommandFailed when it cannot start.
        """
        self.log(f"+ {shlex.join(argv)} &")
        with output.open("ab") as file:
            _start(argv, "", file, file, None)

    def watch(
        self, argv: Sequence[str], tick: Callable[[], None], *, env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run ``argv`` to its end, calling ``tick`` every second meanwhile. ``env`` is added to ours.

        Returns whatever the exit code. Raises CommandFailed only when it cannot start.
        """
        self.log(f"+ {shlex.join(argv)}")
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with _start(argv, "", out, err, {**_environment(None), **(env or {})}) as child:
                try:
                    while _lives(child):
                        tick()
                finally:
                    _kill_session(child)
            done = Completed(tuple(argv), child.returncode, _text(out), _text(err))
        for line in (*done.output.splitlines(), *done.errors.splitlines()):
            self.log(f"  {line}")
        return done


def ended(code: int) -> str:
    """``ended with 1`` or ``was killed by signal 9``."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with {code}"


def tail(text: str) -> tuple[str, ...]:
    """The last lines that say something."""
    return tuple(line.rstrip() for line in text.splitlines() if line.strip())[-_TAIL:]


def _tail(done: Completed) -> str:
    return "\n  ".join(tail(done.errors or done.output))


def _start(
    argv: Sequence[str], stdin: str, out: IO[bytes], err: IO[bytes], env: Mapping[str, str] | None
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            tuple(argv), stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, stdout=out, stderr=err,
            env=dict(env) if env is not None else _environment(env), start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise CommandFailed(
            f"{argv[0]} is not in the boot ramdisk", hint="Build the ramdisk again: imaged mkramdisk."
        ) from None
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{argv[0]} did not start: {error}") from None


def _wait(child: "subprocess.Popen[bytes]", stdin: str, timeout: float | None) -> bool:
    """Wait for the end; True when it took too long and was killed."""
    try:
        child.communicate(stdin.encode() if stdin else None, timeout=timeout)
        return False
    except subprocess.TimeoutExpired:
        return True
    finally:
        _kill_session(child)


def _lives(child: "subprocess.Popen[bytes]") -> bool:
    """Whether it still runs after a tick."""
    try:
        child.wait(_TICK)
        return False
    except subprocess.TimeoutExpired:
        return True


def _kill_session(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return dict(env) if env is not None else {**os.environ, "LC_ALL": "C"}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
