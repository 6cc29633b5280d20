"""THE door to child processes. Everything the server runs to completion goes through here."""

import os
import selectors
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from imaged.model.errors import CommandFailed

_TAIL = 15  # lines of a failed command's output that a person is shown
_GRACE = 3  # seconds that a child has to clean up when we are interrupted


@frozen
class Completed:
    """What a child left behind. ``output`` is stdout, ``errors`` stderr, both text."""

    argv: tuple[str, ...]
    code: int
    output: str
    errors: str


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    check: bool = True,
    errors: str = "replace",
) -> Completed:
    """Run ``argv`` (never a shell string) to its end.

    ``env`` is added to ours. ``errors`` says what becomes of output that is not UTF-8 (codecs, Error Handlers). Raises
    CommandFailed when it cannot start, takes longer than ``timeout`` seconds, or, with ``check``, ends with anything
    but 0.
    """
    try:
        done = subprocess.run(
            tuple(argv), input=stdin, capture_output=True, text=True, errors=errors, cwd=cwd, timeout=timeout,
            env=_environment(env), check=False, stdin=subprocess.DEVNULL if stdin is None else None,
        )  # fmt: skip
    except FileNotFoundError:
        raise CommandFailed(f"{argv[0]} is not installed", hint=f"Install the package that has {argv[0]}.") from None
    except OSError as error:
        raise CommandFailed(f"{argv[0]} did not start: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"gave up after {timeout:.0f} s", where=shlex.join(argv)) from None
    completed = Completed(tuple(argv), done.returncode, done.stdout, done.stderr)
    if check and completed.code:
        raise failure(argv, completed.code, completed.errors or completed.output)
    return completed


def confined(
    argv: Sequence[str],
    *,
    timeout: float,
    most: int,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_start: Callable[["subprocess.Popen[bytes]"], None] = lambda child: None,
    errors: str = "replace",
) -> Completed:
    """Run a program that nobody has proved, to its end: at most ``timeout`` seconds and ``most`` bytes on each stream.

    It leads a session of its own, and whatever of that is left at its end is killed; it does not outlive us. What has
    left the session is not waited for. ``on_start`` gets the child; ``errors`` as for ``run``. Raises CommandFailed
    where it cannot start or breaks a limit; every exit code is an answer.
    """
    try:
        child = subprocess.Popen(
            ("setpriv", "--pdeathsig", "KILL", "--inh-caps=-all", "--ambient-caps=-all", "--", *argv),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
            env=_environment(env), start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise CommandFailed(f"did not start: {error.strerror}", where=shlex.join(argv)) from None
    on_start(child)
    with child:
        assert child.stdout is not None and child.stderr is not None
        said: dict[int, bytearray] = {stream.fileno(): bytearray() for stream in (child.stdout, child.stderr)}
        try:
            fault = _listen(child.pid, said, timeout, most)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    output, complaints = (bytes(each).decode(errors=errors) for each in said.values())
    if fault:
        raise CommandFailed(fault, where=shlex.join(argv), hint="\n  ".join(last_lines(complaints)))
    return Completed(tuple(argv), child.returncode, output, complaints)


def _listen(pid: int, said: dict[int, bytearray], timeout: float, most: int) -> str:
    """Read until the child has ended: its streams may stay open for ever, held by something that it left running.

    Returns which limit it broke, if any.
    """
    until = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        ended = os.pidfd_open(pid)
        try:
            for descriptor in (*said, ended):
                selector.register(descriptor, selectors.EVENT_READ)
            while ready := [key.fd for key, _ in selector.select(max(0, until - time.monotonic()))]:
                if ready == [ended]:  # and there is nothing more to read
                    return ""
                for descriptor in set(ready) - {ended}:
                    chunk = os.read(descriptor, 65536)
                    said[descriptor] += chunk
                    if len(said[descriptor]) > most:
                        return f"printed more than {most} bytes"
                    if not chunk:
                        selector.unregister(descriptor)
            return f"gave up after {timeout:g} s"
        finally:
            os.close(ended)


def stream(
    argv: Sequence[str],
    on_line: Callable[[str], None],
    *,
    stdin: str = "",
    patient: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    on_start: Callable[["subprocess.Popen[str]"], object] = lambda child: None,
) -> int:
    """Run ``argv``, handing each line of its output (both streams) to ``on_line``; how it ended, below 0 by a signal.

    It reads ``stdin`` before it says anything. ``patient``: the first Ctrl-C (or SystemExit, which another signal may
    be) asks it to end (SIGTERM), what it still says is heard, and then it is raised. ``on_start`` gets the child.
    Raises CommandFailed when it cannot start and, with ``check``, when it ends with anything but 0.
    """
    try:
        child = subprocess.Popen(
            tuple(argv), stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", cwd=cwd, env=_environment(env),
        )  # fmt: skip
    except FileNotFoundError:
        raise CommandFailed(f"{argv[0]} is not installed", hint=f"Install the package that has {argv[0]}.") from None
    last: list[str] = []
    interrupted: BaseException | None = None
    with child:
        assert child.stdout is not None
        try:
            on_start(child)
            if child.stdin is not None:
                with suppress(BrokenPipeError), child.stdin:  # it has ended, and says why itself
                    child.stdin.write(stdin)
            while True:
                try:
                    line = child.stdout.readline()
                except (KeyboardInterrupt, SystemExit) as told:
                    if interrupted or not patient:
                        raise
                    interrupted = told
                    child.terminate()
                    continue
                if not line:
                    break
                on_line(line.rstrip("\n"))
                last = [*last[-_TAIL:], line]
        except BaseException:
            _end(child)
            raise
    if interrupted:
        raise interrupted
    if child.returncode and check:
        raise failure(argv, child.returncode, "".join(last))
    return child.returncode


def feed(argv: Sequence[str], chunks: Iterable[bytes], *, env: Mapping[str, str] | None = None) -> str:
    """Run ``argv`` with ``chunks`` as its input; returns what it printed (both streams).

    Raises CommandFailed when it cannot start, ends with anything but 0, or ends before it has read everything. When
    ``chunks`` raises, the child is ended first.
    """
    whole = False
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                tuple(argv), stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=_environment(env)
            )
        except FileNotFoundError:
            raise CommandFailed(
                f"{argv[0]} is not installed", hint=f"Install the package that has {argv[0]}."
            ) from None
        assert child.stdin is not None
        try:
            with suppress(BrokenPipeError):  # it has ended, and says why itself
                for chunk in chunks:
                    child.stdin.write(chunk)
                child.stdin.close()
                whole = True
        except BaseException:
            _end(child)
            raise
        finally:
            with suppress(BrokenPipeError):
                child.stdin.close()
            child.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if child.returncode:
        raise failure(argv, child.returncode, said)
    if not whole:
        raise CommandFailed("ended before it had read everything", where=shlex.join(argv))
    return said


def start(argv: Sequence[str], *, output: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start ``argv`` and leave it running; both of its streams are appended to ``output``.

    It gets a session of its own, so that a Ctrl-C on the terminal reaches only us and we stop it in our order.
    Raises CommandFailed when it cannot start.
    """
    try:
        with output.open("ab") as log:
            return subprocess.Popen(
                tuple(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=_environment(env),
                start_new_session=True,
            )  # fmt: skip
    except FileNotFoundError:
        raise CommandFailed(f"{argv[0]} is not installed", hint=f"Install the package that has {argv[0]}.") from None
    except OSError as error:
        raise CommandFailed(f"{argv[0]} did not start: {error.strerror}") from None


def attach(argv: Sequence[str]) -> int:
    """Run ``argv`` on our own terminal, as a shell would, and return how it ended: 128 and more for a signal.

    Ctrl-C and Ctrl-\\ are the child's. Afterwards the terminal is ours again and as it was, whatever the child did to
    it. Raises CommandFailed when it cannot start.
    """
    with _kept_terminal():
        try:
            with subprocess.Popen(tuple(argv)) as child:
                code = child.wait()
        except FileNotFoundError:
            raise CommandFailed(
                f"{argv[0]} is not installed", hint=f"Install the package that has {argv[0]}."
            ) from None
    return code if code >= 0 else 128 - code


@contextmanager
def _kept_terminal() -> Iterator[None]:
    # A function, not SIG_IGN, which the child would inherit.
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGINT, signal.SIGQUIT)}
    terminal = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else -1
    modes = termios.tcgetattr(terminal) if terminal >= 0 else None
    try:
        yield
    finally:
        if modes is not None:
            # A shell that was killed left the terminal to its own process group: taking it back would stop us.
            before[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            with suppress(OSError, termios.error):  # hung up
                os.tcsetpgrp(terminal, os.getpgrp())
                termios.tcsetattr(terminal, termios.TCSADRAIN, modes)
        for each, handler in before.items():
            signal.signal(each, handler)


def _end(child: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Ask, then insist: unshare(1) for one holds SIGTERM back while its own child runs."""
    child.terminate()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()


def failure(argv: Sequence[str], code: int, said: str) -> CommandFailed:
    """The error for a child that ended with ``code``; ``said`` is what it printed."""
    ended = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    return CommandFailed(ended, where=shlex.join(argv), hint="\n  ".join(last_lines(said)))


def last_lines(said: str) -> tuple[str, ...]:
    """Those that a person is shown of what a failed command printed."""
    return tuple(line for line in said.strip().splitlines() if line.strip())[-_TAIL:]


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}
