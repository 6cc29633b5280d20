"""Network namespaces, bridges and veth pairs for tests with real clients. All that is made is unmade at the end."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_NETNS = Path("/run/netns")
_NAME = re.compile(r"imt(\d+)-.*")
_PR_SET_PDEATHSIG = 1


def missing(*programs: str) -> str:
    """Why a lab cannot be had here (for pytest.skip), or an empty string."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [program for program in ("ip", "nsenter", *programs) if not shutil.which(program, path=_path())]
    if absent:
        return f"not installed: {', '.join(absent)}"
    probe = f"imt{os.getpid()}-probe"
    made = subprocess.run(("ip", "netns", "add", probe), capture_output=True, check=False).returncode == 0
    subprocess.run(("ip", "netns", "delete", probe), capture_output=True, check=False)
    return "" if made else "network namespaces are not allowed here"


class Namespace:
    """One network namespace. ``name`` is what ip(8) calls it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._children: list[subprocess.Popen[Any]] = []

    def run(self, *argv: str, timeout: float = 30, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in here to its end; stdout and stderr are captured together as text.

        Into a file, not a pipe: clients leave a daemon behind that would hold the pipe open.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            ended = subprocess.run(
                self._inside(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                timeout=timeout, check=False, env=_environment(), preexec_fn=_die_with_parent,
            )  # fmt: skip
            output.seek(0)
            done = subprocess.CompletedProcess(argv, ended.returncode, output.read())
        assert not check or done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}"
        return done

    def start(self, *argv: str, stdout: int | IO[Any] = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a program in here; it is killed when the lab ends. Both streams come out of its ``stdout``."""
        child = subprocess.Popen(
            self._inside(argv), stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT, text=True,
            env=_environment(), preexec_fn=_die_with_parent,
        )  # fmt: skip
        self._children.append(child)
        return child

    def up(self, interface: str, *addresses: str) -> None:
        """Set ``interface`` up, with ``addresses`` such as ``10.0.0.1/24``."""
        for address in addresses:
            self.run("ip", "address", "add", address, "broadcast", "+", "dev", interface)
        self.run("ip", "link", "set", interface, "up")

    def mac(self, interface: str) -> str:
        """The hardware address of ``interface``."""
        return self.run("ip", "-br", "link", "show", interface).stdout.split()[2]

    def bridge(self, name: str, *addresses: str) -> None:
        """Make a bridge in here; without spanning tree, a port forwards at once."""
        self.run("ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        self.up(name, *addresses)

    def close(self) -> None:
        """Kill what still runs in here, and remove the namespace with all its interfaces."""
        for child in self._children:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
        _remove(self.name)

    def _inside(self, argv: Sequence[str]) -> tuple[str, ...]:
        return ("nsenter", f"--net={_NETNS / self.name}", *argv)


class Lab:
    """The namespaces of one test. Use ``with lab() as it:``."""

    def __init__(self) -> None:
        self._namespaces: list[Namespace] = []

    def namespace(self, name: str) -> Namespace:
        """A new namespace with its loopback up. ``name`` is unique within this lab only, and short."""
        made = Namespace(f"imt{os.getpid()}-{name}")
        subprocess.run(("ip", "netns", "add", made.name), check=True, capture_output=True)
        self._namespaces.append(made)
        made.up("lo")
        return made

    def link(self, one: Namespace, name: str, other: Namespace, far_name: str, *, bridge: str = "") -> None:
        """A cable between two namespaces; with ``bridge``, the far end becomes a port of that bridge. Both ends up."""
        one.run("ip", "link", "add", name, "type", "veth", "peer", "name", far_name, "netns", other.name)
        if bridge:
            other.run("ip", "link", "set", far_name, "master", bridge)
        one.up(name)
        other.up(far_name)

    def close(self) -> None:
        """Unmake everything, in reverse."""
        while self._namespaces:
            self._namespaces.pop().close()


@contextmanager
def lab() -> Iterator[Lab]:
    """A lab that is gone at the end of the block. What a killed test run left behind goes first."""
    for left in _NETNS.glob("imt*"):
        match = _NAME.fullmatch(left.name)
        if match and not Path("/proc", match[1]).exists():
            _remove(left.name)
    made = Lab()
    try:
        yield made
    finally:
        made.close()


def _remove(name: str) -> None:
    inside = subprocess.run(("ip", "netns", "pids", name), capture_output=True, text=True, check=False).stdout
    for pid in inside.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue
    subprocess.run(("ip", "netns", "delete", name), capture_output=True, check=False)


def _die_with_parent() -> None:
    """A test run that is killed cannot clean up: let the kernel do it (prctl(2)). nsenter keeps it over exec."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": _path(), "LC_ALL": "C.UTF-8"}


def _path() -> str:
    """Clients live in sbin, which is not on everybody's path."""
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
