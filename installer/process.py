"""The agent's door to child processes. They run in a session of their own, so that nothing they start outlives them."""

import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Protocol

from attrs import frozen

from imaged.model.errors import CommandFailed

_PIPE = 1 << 20  # bytes: a second of rsync's fastest chatter, so that it never waits for us (pipe(7))
_BETWEEN_READS = 0.25  # seconds
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
        # Files, not pipes: a daemon that a maintainer script starts keeps a pipe open for ever.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with _start(argv, stdin, out, err, env) as child:
                late = _wait(child, stdin, timeout)
            done = Completed(tuple(argv), child.returncode, _text(out), _text(err))
        for line in (*done.output.splitlines(), *done.errors.splitlines()):
            self.log(f"  {line}")
        if late:
            raise CommandFailed(f"gave up after {timeout:g} s", where=shlex.join(argv), hint=_tail(done))
        if check and done.code:
            raise CommandFailed(ended(done.code), where=shlex.join(argv), hint=_tail(done))
        return done

    def stream(
        self, argv: Sequence[str], on_line: Callable[[str], None], *, env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run ``argv``, handing each line of stdout to ``on_line`` as it comes (``\\r`` ends a line too).

        ``env`` is added to ours. Returns whatever the exit code; ``output`` stays empty. Raises CommandFailed only
        when it cannot start.
        """
        self.log(f"+ {shlex.join(argv)}")
        environment = {**_environment(None), **(env or {})}
        with (
            tempfile.TemporaryFile() as err,
            _start(argv, "", subprocess.PIPE, err, environment) as child,
        ):
            assert child.stdout is not None
            try:
                for line in _lines(child.stdout):
                    on_line(line)
                child.wait()
            finally:
                _kill_session(child)
            done = Completed(tuple(argv), child.returncode, "", _text(err))
        for line in done.errors.splitlines():
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
    argv: Sequence[str], stdin: str, out: IO[bytes] | int, err: IO[bytes], env: Mapping[str, str] | None
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


def _kill_session(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return dict(env) if env is not None else {**os.environ, "LC_ALL": "C"}


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """rsync writes its progress after every file. Woken each time, we took half as long again as the copy itself."""
    fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
    rest = b""
    while chunk := os.read(stream.fileno(), _PIPE):
        *whole, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        yield from (line.decode(errors="replace") for line in whole if line.strip())
        time.sleep(_BETWEEN_READS)
    if rest.strip():
        yield rest.decode(errors="replace")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
