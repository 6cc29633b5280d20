"""The sockets of one interface for DHCP: what comes in by it, and answers to machines without an address. No decisions.

One set per interface, bound to it (SO_BINDTODEVICE, socket(7)): a broadcast says nothing else about where it came
from, and an answer to 255.255.255.255 must leave by that interface.
"""

import socket
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, Final, Protocol

from attrs import frozen
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer  # type: ignore[import-untyped]

from imaged.daemon.interfaces import Interface
from imaged.model.errors import ImagedError
from imaged.model.net import spelled
from imaged.planning.dhcp_reply import Broadcast, Destination, ToClient, ToHardware, ToRelay, ToSender
from imaged.wire import udp

_IP_PKTINFO: Final = 8  # <linux/in.h>; Python's socket module has no name for it yet
_INFO: Final = struct.Struct("=i4s4s")  # struct in_pktinfo: interface, our address, (unused in sending)
_ETH_P_IP: Final = 0x0800
_EVERYBODY: Final = IPv4Address("255.255.255.255")
_BATCH: Final = 256  # datagrams that are taken from the kernel in a turn of the reactor
_BUFFER: Final = 1 << 20  # bytes; the packets of a whole row of racks that was switched on at once
_LARGEST: Final = 1 << 16
_GATHER: Final = 0.012  # seconds for which packets are left to gather,
_DENSE: Final = 0.005  # where they come at such distances


@frozen
class Ports:
    """UDP ports: ``server`` 67, ``client`` 68; ``proxy`` 4011 where we are the boot server of a proxy, else None."""

    server: int
    client: int
    proxy: int | None = None


class Link(Protocol):
    """An interface as the DHCP service sees it."""

    @property
    def interface(self) -> Interface: ...

    def send(self, payload: bytes, to: Destination, *, on_proxy_port: bool = False) -> None:
        """Send a UDP payload; a packet that cannot be sent is lost like any other."""


Received = Callable[[Link, Sequence[tuple[bytes, tuple[IPv4Address, int]]], bool], None]  # payloads, their senders

_address = lru_cache(maxsize=4096)(IPv4Address)


@implementer(IReadDescriptor)
class Reader:
    """Feeds one socket's datagrams to a callback, as many at a time as there are.

    Where they come one after the other they are left to gather: to wake up for a packet costs several times what the
    packet costs, and leases wait as long for others that go to the disk with them. A lone packet waits for nothing.
    """

    def __init__(self, bound: socket.socket, received: Callable[[Any], None], lost: Any, reactor: Any) -> None:
        self._socket = bound
        self._received = received
        self._lost = lost
        self._reactor = reactor
        self._buffer = bytearray(_LARGEST)
        self._last = float("-inf")
        self._gathering: Any = None
        reactor.addReader(self)

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "dhcp"

    def doRead(self) -> None:
        """Called by the reactor when there is something to read."""
        now = self._reactor.seconds()
        dense, self._last = now - self._last < _DENSE, now
        taken = self._take()
        if dense and self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._gather(taken)

    def close(self) -> None:
        """Read no more. The socket is not closed."""
        self._reactor.removeReader(self)
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def connectionLost(self, reason: object) -> None:
        """Called by the reactor when it drops us."""
        self._lost()

    def _gathered(self) -> None:
        self._gathering = None
        taken = self._take()
        if self._socket.fileno() < 0:
            return
        if taken:
            self._last = self._reactor.seconds()
            self._gather(taken)
        else:
            self._reactor.addReader(self)

    def _gather(self, taken: int) -> None:
        # More may lie there than one turn takes, and the kernel would drop what there is no room for.
        self._gathering = self._reactor.callLater(0 if taken == _BATCH else _GATHER, self._gathered)

    def _take(self) -> int:
        arrived = []
        try:
            for _ in range(_BATCH):
                size, (host, port) = self._socket.recvfrom_into(self._buffer)
                arrived.append((bytes(self._buffer[:size]), (_address(host), port)))
        except (BlockingIOError, ConnectionError):  # nothing left; or an ICMP error about an answer of ours
            pass
        except OSError:
            self._lost()  # the interface went away or down
        if arrived:
            self._received(arrived)
        return len(arrived)


class InterfaceSockets:
    """The sockets of one interface: a ``Link``. Raises ImagedError when a port is taken or not permitted."""

    _log = Logger()

    def __init__(
        self, interface: Interface, ports: Ports, source: IPv4Address, received: Received, reactor: Any
    ) -> None:
        """``source`` is the address of ours that answers come from. ``received`` must not raise."""
        self.interface = interface
        self.alive = True
        self._ports = ports
        self._source = source
        # The kernel would answer from the interface's first address, which need not be the one we call ourselves.
        info = _INFO.pack(interface.index, source.packed, b"\0" * 4)
        self._ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, info)]
        self._reactor = reactor
        self._sockets: dict[bool, socket.socket] = {}
        self._readers: list[Reader] = []
        self._raw: socket.socket | None = None
        try:
            for on_proxy_port, port in ((False, ports.server), (True, ports.proxy)):
                if port is not None:
                    self._sockets[on_proxy_port] = _bound(interface, port)
        except ImagedError:
            self.close()
            raise
        self._raw = _raw(interface)
        if self._raw is None:
            self._log.info(
                "DHCP on {name}: no raw socket, so answers to machines without an address are broadcast",
                name=interface.name,
            )
        for on_proxy_port, bound in self._sockets.items():
            self._read(bound, on_proxy_port, received)

    def send(self, payload: bytes, to: Destination, *, on_proxy_port: bool = False) -> None:
        """See ``Link``."""
        if isinstance(to, ToHardware) and self._raw is not None:
            ends = (self._source, self._ports.server), (to.address, self._ports.client)
            frame_to = (self.interface.name, _ETH_P_IP, 0, 0, to.hardware)
            self._lossy(lambda raw: raw.sendto(udp.datagram(*ends, payload), frame_to), self._raw)
            return
        address, port = self._udp_end(to)
        bound = self._sockets.get(on_proxy_port)
        if bound is not None:
            self._lossy(lambda it: it.sendmsg([payload], self._ancillary, 0, (spelled(address), port)), bound)

    def close(self) -> None:
        """Stop listening on this interface; safe to call again."""
        self.alive = False
        for reader in self._readers:
            reader.close()
        for opened in (*self._sockets.values(), *([self._raw] if self._raw else [])):
            opened.close()
        self._readers, self._sockets, self._raw = [], {}, None

    def _read(self, bound: socket.socket, on_proxy_port: bool, received: Received) -> None:
        self._readers.append(
            Reader(bound, lambda arrived: received(self, arrived, on_proxy_port), self.close, self._reactor)
        )

    def _udp_end(self, to: Destination) -> tuple[IPv4Address, int]:
        match to:
            case ToRelay(address):
                return address, self._ports.server
            case ToClient(address):
                return address, self._ports.client
            case ToSender(address, port):
                return address, port
            case Broadcast() | ToHardware():
                return _EVERYBODY, self._ports.client

    def _lossy(self, send: Callable[[socket.socket], object], through: socket.socket) -> None:
        try:
            send(through)
        except OSError as error:
            self._log.debug("DHCP on {name}: not sent: {error}", name=self.interface.name, error=error)


def _bound(interface: Interface, port: int) -> socket.socket:
    where = f"UDP port {port} on {interface.name}"
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # Not SO_REUSEADDR: a second DHCP server on this interface shall be told, not share our packets.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode() + b"\0")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        opened.bind(("", port))
    except OSError as error:
        opened.close()
        raise ImagedError(
            f"cannot listen: {error.strerror}",
            where=where,
            hint="Is another DHCP server running? Ports below 1024 need root or CAP_NET_BIND_SERVICE.",
        ) from None
    return opened


def _raw(interface: Interface) -> socket.socket | None:
    """A packet socket (packet(7)) that only sends: protocol 0 receives nothing. None where it is not permitted."""
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    except PermissionError:
        return None
    try:
        opened.bind((interface.name, 0))
    except OSError:
        opened.close()
        return None
    return opened
