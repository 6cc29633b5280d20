"""Two network namespaces, a server in one and clients in the other, and what a server's processes cost."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

SERVER, CLIENT = "10.99.0.1", "10.99.0.2"  # each with /16
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 30.0  # seconds until a server is there


@frozen
class Link:
    """``server`` and ``client`` are the words before a command that run it there."""

    server: tuple[str, ...]
    client: tuple[str, ...]


@contextmanager
def link() -> Iterator[Link]:
    """Needs root. The namespaces are gone afterwards, and whatever still runs in them."""
    ends = {f"imaged-bench-{os.getpid()}-{end}": address for end, address in (("s", SERVER), ("c", CLIENT))}
    devices = {name: f"ib{name[-1]}{os.getpid() % 100000}" for name in ends}
    server, client = ends
    try:
        for name in ends:
            _ip("netns", "add", name)
        _ip("link", "add", devices[server], "netns", server, "type", "veth", "peer", devices[client], "netns", client)
        for name, address in ends.items():
            for words in (
                ("link", "set", "lo", "up"),
                ("link", "set", devices[name], "up"),
                ("address", "add", f"{address}/16", "dev", devices[name]),
            ):
                _ip("-n", name, *words)
        yield Link(*(("nsenter", f"--net=/run/netns/{name}") for name in ends))
    finally:
        for name in ends:
            left = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
            for pid in left.split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", name], check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@frozen
class Server:
    """A server that runs. ``pid`` is that of its first process; ``beside`` those of others that it needs."""

    pid: int
    log: Path
    beside: tuple[int, ...] = ()

    def cpu(self) -> float:
        """Seconds of processor time, user and system, of all its processes, ended ones too as far as it waited."""
        return sum(_spent(pid) for pid in self._all())

    def memory(self) -> float:
        """MiB resident, of its first process."""
        return _told(self.pid, "VmRSS:") / 1024

    def peak(self) -> float:
        """The most MiB that its first process ever had resident."""
        return _told(self.pid, "VmHWM:") / 1024

    def pin(self, processors: str) -> None:
        """All its processes to these, as taskset(1) names them."""
        for pid in self._all():
            subprocess.run(["taskset", "-acp", processors, str(pid)], stdout=subprocess.DEVNULL, check=False)

    def _all(self) -> Iterator[int]:
        waiting = [self.pid, *self.beside]
        while waiting:
            pid = waiting.pop()
            yield pid
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(OSError):
                    waiting += map(int, task.read_text().split())


@contextmanager
def serving(argv: Sequence[str], ready: Callable[[Server], bool]) -> Iterator[Server]:
    """Start a server in the foreground; it is there when ``ready`` says so. Raises RuntimeError with what it wrote."""
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as scratch:
        log = Path(scratch, "log")
        with log.open("wb") as written:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
        server = Server(process.pid, log)
        try:
            begun = time.monotonic()
            while not ready(server):
                if process.poll() is not None or time.monotonic() - begun > _PATIENCE:
                    raise RuntimeError(f"{' '.join(argv)} does not serve:\n{log.read_text(errors='replace')}")
                time.sleep(0.05)
            yield server
        finally:
            for pid in reversed(tuple(server._all())):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def says(text: bytes) -> Callable[[Server], bool]:
    """Ready when its log has this."""
    return lambda server: text in server.log.read_bytes()


def binds(link: Link, kind: str, port: int) -> Callable[[Server], bool]:
    """Ready when a socket of ``kind`` (tcp, udp) is bound to ``port`` at the server's end."""
    argv = [*link.server, "ss", f"--{kind}", "-lnH", f"sport = :{port}"]
    return lambda server: bool(subprocess.run(argv, capture_output=True, check=True).stdout.strip())


def _spent(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def _told(pid: int, what: str) -> int:
    """KiB (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))
