"""A daemon that runs, for the tests that come to it from outside."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(state: Path) -> Iterator[str]:
    """The URL of one with this state directory. It must have had no fault of its own when it is ended."""
    ports = free_ports(3)
    settings, log = state.parent / "imaged.yaml", state.parent / "daemon.log"
    settings.write_text(
        f"address: 127.0.0.1\nstate: {state}\ndhcp: {{subnets: [{{network: 10.0.0.0/24}}]}}\n"
        f"http: {{port: {ports[0]}}}\ntftp: {{port: {ports[1]}}}\nrsync: {{port: {ports[2]}}}\n"
    )
    with log.open("wb") as errors:
        line = (sys.executable, "-m", "imaged", "--settings", str(settings), "serve")
        process = subprocess.Popen(line, stderr=subprocess.PIPE)
        assert process.stderr is not None
        for each in process.stderr:
            errors.write(each)
            if b"ready: " in each:
                break
        errors.flush()
        reader = subprocess.Popen(("cat",), stdin=process.stderr, stdout=errors)
        try:
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            reader.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


def free_ports(count: int) -> list[int]:
    """Nobody listens there now."""
    found = [socket.socket() for _ in range(count)]
    for each in found:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in found]
    for each in found:
        each.close()
    return ports
