"""The door to child processes, with real children."""

import os
import select
import signal
from pathlib import Path

import pytest

from imaged.model.errors import CommandFailed
from installer.process import Processes


@pytest.fixture
def log() -> list[str]:
    return []


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def test_output_input_and_log(log: list[str]) -> None:
    done = Processes(log.append).run(sh("cat; echo oops >&2"), stdin="given\n")
    assert (done.code, done.output, done.errors) == (0, "given\n", "oops\n")
    assert log == ["+ sh -c 'cat; echo oops >&2'", "  given", "  oops"]


def test_environment() -> None:
    done = Processes(lambda _: None).run(("/usr/bin/env",), env={"ONLY": "this"})
    assert done.output == "ONLY=this\n"
    assert "LC_ALL=C\n" in Processes(lambda _: None).run(("env",)).output


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (sh("echo reason >&2; exit 3"), "ended with 3\n  reason"),
        (sh("echo only stdout; exit 1"), "only stdout"),
        (sh("kill -9 $$"), "killed by signal 9"),
        (("no-such-program-here",), "not in the boot ramdisk"),
        (("/etc/passwd",), "did not start"),
        (("echo", "a\0b"), "did not start"),
    ],
)
def test_failures_say_why(argv: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        Processes(lambda _: None).run(argv)


def test_unchecked() -> None:
    assert Processes(lambda _: None).run(sh("exit 2"), check=False).code == 2


def test_too_long_ends_the_whole_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(CommandFailed, match=r"gave up after 0\.2 s") as caught:
        Processes(lambda _: None).run(sh(f"echo begun; sleep 600 & echo $! > {pid}; wait"), timeout=0.2)
    assert "begun" in str(caught.value)
    assert gone(int(pid.read_text()))


def test_a_child_left_behind_neither_holds_us_up_nor_stays(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    done = Processes(lambda _: None).run(sh(f"sleep 600 & echo $! > {pid}; echo done"))
    assert done.output == "done\n"
    assert gone(int(pid.read_text()))


def test_watched_until_its_end(log: list[str], tmp_path: Path) -> None:
    """The child ends because it was looked at: a tick that never came would leave it there for ever."""
    script = f"cat {tmp_path}/fifo; echo bad >&2; echo $PROBE >&2; exit 23"
    os.mkfifo(tmp_path / "fifo")

    def look() -> None:
        (tmp_path / "fifo").write_text("out\n")

    done = Processes(log.append).watch(sh(script), look, env={"PROBE": "x"})
    assert (done.code, done.output, done.errors) == (23, "out\n", "bad\nx\n")
    assert log[1:] == ["  out", "  bad", "  x"]


def gone(pid: int) -> bool:
    """Whether the process ends without our doing; killed if not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = select.select([descriptor], [], [], 10)
        if not ended:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return bool(ended)
    finally:
        os.close(descriptor)


def test_what_is_to_stay_stays_in_a_session_of_its_own(log: list[str], tmp_path: Path) -> None:
    pid, output = tmp_path / "pid", tmp_path / "output"
    output.write_text("before\n")
    Processes(log.append).start(
        sh(f"echo said; echo oops >&2; echo $$ > {pid}.new; mv {pid}.new {pid}; exec cat"), output
    )
    while not pid.exists():
        pass
    assert (log[0][-2:], output.read_text()) == (" &", "before\nsaid\noops\n")
    assert gone(int(pid.read_text())), "it had nothing to read"
    Processes(log.append).start(sh(f"echo $$ > {pid}2.new; mv {pid}2.new {pid}2; exec sleep 600"), output)
    while not (tmp_path / "pid2").exists():
        pass
    child = int((tmp_path / "pid2").read_text())
    Processes(log.append).run(("true",))
    assert os.getsid(child) == child
    os.kill(child, signal.SIGKILL)
    with pytest.raises(CommandFailed, match="not in the boot ramdisk"):
        Processes(log.append).start(("no-such-program-here",), output)
