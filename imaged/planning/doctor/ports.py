"""Who holds the ports that the settings want: our daemon, nobody, or somebody else."""

import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from imaged.model.settings import DhcpMode, Settings
from imaged.planning.doctor.finding import Finding, Voice

_SAY = Voice("ports")
_PID = re.compile(r"pid=(\d+)")


@frozen
class Listener:
    """A socket that waits, as ss(8) prints it. ``interface`` is empty where it is bound to none."""

    protocol: str
    address: str
    port: int
    interface: str = ""
    pids: tuple[int, ...] = ()


@frozen
class Process:
    """One of /proc. ``ours``: it has this server's database open."""

    pid: int
    command: str
    ours: bool = False

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid})"


@frozen
class Wanted:
    """A port of the settings. ``interface`` is empty for all."""

    protocol: str
    port: int
    key: str
    interface: str = ""

    def __str__(self) -> str:
        return f"{self.protocol.upper()} {self.port}{f' on {self.interface}' if self.interface else ''}"


def read_sockets(text: str) -> tuple[Listener, ...]:
    """Of ``ss -H -l -n -t -u -p``: ``udp UNCONN 0 0 0.0.0.0%br0:67 0.0.0.0:* users:(("dnsmasq",pid=7,fd=3))``."""
    found = []
    for line in text.splitlines():
        words = line.split(maxsplit=6)
        if len(words) < 6:
            continue
        place, _, port = words[4].rpartition(":")
        address, _, interface = place.partition("%")
        if port.isdecimal():
            pids = tuple(dict.fromkeys(int(each) for each in _PID.findall(words[6] if len(words) > 6 else "")))
            found.append(Listener(words[0], address.strip("[]"), int(port), interface, pids))
    return tuple(found)


def wanted(settings: Settings, interfaces: Sequence[str]) -> tuple[Wanted, ...]:
    """Every port that the daemon opens; DHCP on each of ``interfaces``."""
    dhcp, monitor = settings.dhcp, settings.monitor
    ports = [
        Wanted("tcp", settings.http.port, "http.port"),
        Wanted("tcp", settings.rsync.port, "rsync.port"),
        Wanted("udp", settings.tftp.port, "tftp.port"),
    ]
    ports += [Wanted("tcp", monitor.port, "monitor.port")] if monitor.port else []
    ports += [Wanted("udp", monitor.netconsole, "monitor.netconsole")] if monitor.netconsole else []
    if dhcp.mode is not DhcpMode.OFF:
        ports += [Wanted("udp", dhcp.port, "dhcp.port", name) for name in interfaces]
    if dhcp.mode is DhcpMode.PROXY:
        ports += [Wanted("udp", dhcp.proxy_port, "dhcp.proxy_port", name) for name in interfaces]
    return tuple(ports)


def findings(
    ports: Sequence[Wanted], listeners: Sequence[Listener], processes: Mapping[int, Process], daemon: Process | None
) -> Iterator[Finding]:
    """``daemon`` is the one that runs on this server's database, if any does."""
    good, hidden = [], False
    for port in ports:
        holders = [each for each in listeners if _conflicts(each, port)]
        mine = [each for each in holders if any(processes[pid].ours for pid in each.pids if pid in processes)]
        others = [each for each in holders if each not in mine]
        hidden |= any(not each.pids for each in others)
        if others:
            yield _taken(port, others[0], processes)
        elif daemon is not None and not mine:
            todo = "Start it anew: the settings have changed since, or see its log."
            yield _SAY.error(f"our daemon runs (process {daemon.pid}) and does not listen", str(port), todo)
        else:
            good.append(str(port))
    if daemon is None and not hidden:
        yield _SAY.note("the daemon does not run", todo="`imaged serve` starts it, or its systemd unit.")
    if good:
        yield _SAY.ok(f"{', '.join(good)}: {'our daemon listens' if daemon else 'free'}")


def _conflicts(listener: Listener, port: Wanted) -> bool:
    """Whether the kernel would not give us the port beside it, or may give our packets to it."""
    if (listener.protocol, listener.port) != (port.protocol, port.port):
        return False
    return not listener.interface or not port.interface or listener.interface == port.interface


def _taken(port: Wanted, holder: Listener, processes: Mapping[int, Process]) -> Finding:
    known = [processes[pid] for pid in holder.pids if pid in processes]
    if known:
        return _SAY.error(f"is held by {known[0]}", str(port), f"End it, or set `{port.key}` to another port.")
    return _SAY.note("is held by a process that only root may look at", str(port), "Run this as root.")
