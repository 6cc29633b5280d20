"""Children that nobody has proved: whatever they do, they end, and what they printed is bounded."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from imaged.model.errors import CommandFailed
from imaged.process import Completed, confined


def shell(line: str, *, timeout: float = 30, most: int = 1000) -> Completed:
    return confined(("sh", "-c", line), timeout=timeout, most=most)


def ends(pid: int) -> bool:
    """Whether it is gone, or goes now: a signal to another's child takes its time."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], 60)[0])
    finally:
        os.close(watch)


def test_every_end_is_an_answer() -> None:
    done = shell("echo out; echo err >&2; exit 3")
    assert (done.code, done.output, done.errors) == (3, "out\n", "err\n")
    assert shell("kill -9 $$").code == -signal.SIGKILL
    assert shell("exec true").output == ""


def test_it_reads_nothing_and_leads_a_session() -> None:
    sid, pid = shell("cat; ps -o sid= -p $$; echo $$").output.split()
    assert sid == pid


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("head -c 100000000 /dev/zero", "printed more than 1000 bytes"),
        ("head -c 100000000 /dev/zero >&2", "printed more than 1000 bytes"),
        ("echo before >&2; sleep 1000", "gave up after 0.5 s"),
        ("trap '' TERM INT; while :; do sleep 1000; done", "gave up after 0.5 s"),
        ("exec >&- 2>&-; sleep 1000", "gave up after 0.5 s"),
    ],
)
def test_a_limit_that_is_broken_is_said(line: str, what: str) -> None:
    with pytest.raises(CommandFailed) as raised:
        shell(line, timeout=0.5 if "gave" in what else 60)
    assert raised.value.what == what
    assert raised.value.hint == ("before" if "before" in line else raised.value.hint)


def test_what_cannot_start(tmp_path: Path) -> None:
    assert confined((str(tmp_path / "none"),), timeout=9, most=9999).code == 127
    (tmp_path / "text").write_text("#!/bin/sh\n")
    assert confined((str(tmp_path / "text"),), timeout=9, most=9999).code == 126
    with pytest.raises(CommandFailed, match="did not start: No such file"):
        confined(("true",), timeout=9, most=99, cwd=tmp_path / "none")


def test_what_it_leaves_running_is_killed_and_not_waited_for(tmp_path: Path) -> None:
    assert ends(int(shell("sleep 1000 & echo $!", timeout=60).output))
    line = f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 1000"
    gone = shell(f"setsid --fork sh -c '{line}'; until test -e {tmp_path}/pid; do :; done; cat {tmp_path}/pid")
    os.kill(int(gone.output), signal.SIGKILL)  # it left the session and held the streams open: ours to end


def test_another_thread_may_end_it() -> None:
    started: list[subprocess.Popen[bytes]] = []
    there = threading.Event()

    def begun(child: "subprocess.Popen[bytes]") -> None:
        started.append(child)
        there.set()

    ending = threading.Thread(target=lambda: (there.wait(), os.killpg(started[0].pid, signal.SIGKILL)))
    ending.start()
    assert confined(("sleep", "1000"), timeout=600, most=9, on_start=begun).code == -signal.SIGKILL
    ending.join()


def test_it_does_not_outlive_us(tmp_path: Path) -> None:
    line = f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 1000"
    program = f"from imaged.process import confined; confined(('sh', '-c', {line!r}), timeout=900, most=9)"
    ours = subprocess.Popen((sys.executable, "-c", program))
    while not (tmp_path / "pid").exists():
        assert ours.poll() is None
    pid = int((tmp_path / "pid").read_text())
    ours.kill()
    ours.wait()
    assert ends(pid), "the kernel ends it with us"


def test_capabilities_of_ours_are_not_its_own() -> None:
    found = shell("grep -E '^Cap(Inh|Amb)' /proc/self/status").output.split()
    assert found == ["CapInh:", "0" * 16, "CapAmb:", "0" * 16]
