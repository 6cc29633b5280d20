"""A private network: a namespace with one bridge, a tap per NIC. Nothing in it can reach, or be reached from, the host.

Since nobody else is there, addresses and ports are always the same; any number of these can exist side by side.
"""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from imaged import process
from imaged.model.errors import CommandFailed

NETNS = Path("/run/netns")
BRIDGE = "imaged0"
NETWORK = IPv4Network("10.99.0.0/24")
SERVER = IPv4Address("10.99.0.1")
FIRST_NODE = IPv4Address("10.99.0.10")
POOL_FIRST, POOL_LAST = IPv4Address("10.99.0.200"), IPv4Address("10.99.0.250")
# The first port with a lower MAC would change a bridge's own, and with it what clients have in their ARP caches.
_BRIDGE_MAC = "52:54:00:00:00:01"
_DIES = 10.0  # seconds for killed processes to be gone; QEMU gives back its memory first


def creation(name: str) -> tuple[tuple[str, ...], ...]:
    """The commands that make the network ``name``, in order. Pure."""
    inside = ("ip", "-n", name)
    return (
        ("ip", "netns", "add", name),
        (*inside, "link", "set", "lo", "up"),
        # Without a forward delay, a port works at once: firmware gives up on DHCP sooner than the usual 15 s.
        (*inside, "link", "add", BRIDGE, "address", _BRIDGE_MAC, "type", "bridge", "stp_state", "0",
         "forward_delay", "0", "mcast_snooping", "0"),
        (*inside, "address", "add", f"{SERVER}/{NETWORK.prefixlen}", "broadcast", "+", "dev", BRIDGE),
        (*inside, "link", "set", BRIDGE, "up"),
    )  # fmt: skip


def tap_creation(name: str, tap: str) -> tuple[tuple[str, ...], ...]:
    """The commands that plug one more cable into the bridge. Pure."""
    inside = ("ip", "-n", name)
    return (
        (*inside, "tuntap", "add", "dev", tap, "mode", "tap"),
        (*inside, "link", "set", tap, "master", BRIDGE),
        (*inside, "link", "set", tap, "up"),
    )


class PrivateNetwork:
    """The network ``name``; exists from ``create`` to ``remove``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._taps = 0

    @property
    def path(self) -> Path:
        """The file that is the namespace; see ip-netns(8)."""
        return NETNS / self.name

    def create(self) -> None:
        """Raises CommandFailed where namespaces are not allowed."""
        for argv in creation(self.name):
            process.run(argv)

    def tap(self) -> str:
        """One more tap on the bridge; returns its name."""
        tap = f"tap{self._taps}"
        for argv in tap_creation(self.name, tap):
            process.run(argv)
        self._taps += 1
        return tap

    def inside(self, argv: Sequence[str]) -> tuple[str, ...]:
        """``argv`` as it runs in here. Each program in the chain replaces itself by the next: the PID stays.

        The kernel kills it when we die (prctl(2), PR_SET_PDEATHSIG): a rehearsal that got a SIGKILL cannot.
        """
        return "setpriv", "--pdeathsig", "KILL", "--", "nsenter", f"--net={self.path}", "--", *argv

    def holds(self, pid: int) -> bool:
        """Whether the process has arrived in here."""
        try:
            return Path(f"/proc/{pid}/ns/net").stat().st_ino == self.path.stat().st_ino
        except OSError:
            return False

    def remove(self) -> None:
        """Kill all that runs in here, then unmake it with bridge and taps. Nothing there is fine."""
        remove(self.name)


def remove(name: str) -> None:
    """Unmake the network ``name``, whoever made it; the processes in it are killed. Nothing there is fine."""
    if not (NETNS / name).exists():
        return
    deadline = time.monotonic() + _DIES
    while (pids := _pids(name)) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    process.run(("ip", "netns", "delete", name), check=False)


def _pids(name: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in process.run(("ip", "netns", "pids", name)).output.split())
    except CommandFailed:
        return ()


def listening(table: str, port: int, *, udp: bool = False) -> bool:
    """Whether ``/proc/PID/net/tcp`` (or ``udp``) says that somebody listens on ``port``; see proc(5). Pure."""
    state = "07" if udp else "0A"  # TCP_CLOSE is what an unconnected UDP socket shows; TCP_LISTEN
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[3] == state and int(words[1].rpartition(":")[2], 16) == port:
            return True
    return False
