"""Facts of this machine: interfaces, routes, sockets and who holds them, clock, programs, limits."""

import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from imaged import process
from imaged.daemon import interfaces
from imaged.model.errors import CommandFailed
from imaged.planning.doctor.network import Link, Route, read_routes
from imaged.planning.doctor.ports import Listener, Process, read_sockets
from imaged.planning.doctor.system import PROGRAMS, Limits

_PROC = Path("/proc")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX = 512  # bytes: more than struct timex has anywhere
_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def links() -> tuple[Link, ...]:
    """Interfaces with IPv4 addresses."""
    return tuple(Link(each.name, each.addresses, _carrier(each.name)) for each in interfaces.find())


def routes() -> tuple[Route, ...]:
    """The kernel's IPv4 routes."""
    return read_routes((_PROC / "net/route").read_text())


def listeners() -> tuple[Listener, ...]:
    """Sockets that wait. Raises CommandFailed without ss(8)."""
    return read_sockets(process.run(("ss", "-H", "-l", "-n", "-t", "-u", "-p"), env={"PATH": _PATH}).output)


def processes(pids: Sequence[int], mark: Path) -> dict[int, Process]:
    """Who these are, as far as we may look, and every daemon that has ``mark`` open: its database, or its socket."""
    found = {pid: _process(pid, mark) for pid in pids}
    found |= {each.pid: each for each in _daemons(mark)}
    return {pid: each for pid, each in found.items() if each}


def synchronised() -> bool | None:
    """Whether the kernel believes that something keeps its clock right (adjtimex(2))."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _TIME_ERROR)


def programs() -> dict[str, bool]:
    """Which of those are there that something needs."""
    return {name: shutil.which(name, path=_PATH) is not None for name in PROGRAMS}


def rsync_version(program: str) -> str:
    """What it says; empty where it is not there."""
    with suppress(CommandFailed, subprocess.SubprocessError):
        return process.run((program, "--version"), check=False, timeout=10).output
    return ""


def limits(daemon: int | None) -> Limits:
    """Of the daemon with that pid, else of what we start; it raises its soft limit to the hard one."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError, IndexError):
        lines = (_PROC / str(daemon or "self") / "limits").read_text().splitlines()
        files = int(next(line for line in lines if line.startswith("Max open files")).split()[4])
    memory = {}
    for line in (_PROC / "meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        memory[name] = int(value.split()[0]) * 1024
    return Limits(files, memory.get("MemTotal", 0), memory.get("MemAvailable", 0))


def _carrier(name: str) -> bool | None:
    try:
        return Path("/sys/class/net", name, "carrier").read_text().strip() == "1"
    except OSError:  # down
        return None


def _daemons(mark: Path) -> Iterator[Process]:
    for path in _PROC.iterdir():
        if path.name.isdecimal() and int(path.name) != os.getpid() and "serve" in _words(int(path.name)):
            found = _process(int(path.name), mark)
            if found and found.ours:
                yield found


def _process(pid: int, mark: Path) -> Process | None:
    words = _words(pid)
    return Process(pid, " ".join(words)[:80] or "?", _has_open(pid, mark)) if words else None


def _words(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:  # it has ended
        return []


def _has_open(pid: int, path: Path) -> bool:
    """A file, or a socket that is bound there (proc(5), net/unix)."""
    bound = [line.split() for line in (_PROC / "net/unix").read_text().splitlines()[1:]]
    wanted = {str(path.resolve()), *(f"socket:[{words[6]}]" for words in bound if words[7:] == [str(path)])}
    try:
        return any(str(each.readlink()) in wanted for each in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
