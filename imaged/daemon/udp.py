"""One UDP socket that knows which of our addresses each datagram was sent to (IP_PKTINFO, ip(7)). Transport only.

Twisted's own UDP port uses recvfrom(2), which cannot tell; a server with several addresses must answer from the one
that was asked, or clients and firewalls drop the answer.
"""

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from imaged.model.errors import ImagedError

_IP_PKTINFO: Final = 8  # <linux/in.h>; Python's socket module has no name for it yet
_INFO: Final = struct.Struct("=i4s4s")  # struct in_pktinfo: interface, our address, the header's destination
_LONGEST: Final = 65535  # bytes of a datagram
_BATCH: Final = 64  # datagrams per turn of the reactor, so that a flood leaves time for everybody else
_BUFFER: Final = 1 << 20  # bytes asked of the kernel each way; it gives less where its limits say so


@frozen
class Datagram:
    """A UDP payload as it arrived. ``source`` is (host, port); ``local`` the address of ours that it was sent to.

    ``interface`` is the index of the network interface that it came in by.
    """

    payload: bytes
    source: tuple[str, int]
    local: str
    interface: int = 0


Received = Callable[[Datagram], None]


@implementer(IReadDescriptor)
class UdpSocket:
    """Hands every unicast datagram to ``received``; an exception there is logged and costs that datagram only."""

    _log = Logger()

    def __init__(self, address: str, port: int, received: Received, reactor: Any) -> None:
        """Bind ``address`` ("": all) and ``port`` (0: any). Raises ImagedError when that is not possible."""
        self._received = received
        self._reactor = reactor
        self._address = address
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise ImagedError(f"no socket: {error.strerror}", where=f"UDP port {port}") from None
        for level, option, value in (
            (socket.IPPROTO_IP, _IP_PKTINFO, 1),
            (socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER),
            (socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER),
        ):
            self._socket.setsockopt(level, option, value)
        try:
            self._socket.bind((address, port))
        except OSError as error:
            self._socket.close()
            where = f"UDP {address or '*'}:{port}"
            raise ImagedError(f"cannot listen: {error.strerror}", where=where) from None
        self._reactor.addReader(self)

    @property
    def port(self) -> int:
        """The port that is bound."""
        bound: int = self._socket.getsockname()[1]
        return bound

    def send(self, payload: bytes, to: tuple[str, int], local: str) -> bool:
        """Send from our address ``local``; False if the kernel did not take it.

        A full buffer, a firewall's EPERM, a route that is gone are loss like any other on the way.
        """
        try:
            if self._address:
                self._socket.sendto(payload, to)
            else:
                info = _INFO.pack(0, socket.inet_aton(local), bytes(4))
                self._socket.sendmsg([payload], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, to)
        except OSError as error:
            self._log.debug("to {host}: {error}", host=to[0], error=error)
            return False
        return True

    def close(self) -> None:
        """Stop listening. A second call does nothing."""
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def doRead(self) -> None:
        """Called by the reactor when there is something to read."""
        for _ in range(_BATCH):
            if self._socket.fileno() < 0:  # closed by what it has just received
                return
            try:
                datagram = self._receive()
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EINTR):
                    self._log.warn("receive: {error}", error=error)
                return
            if datagram:
                self._hand_on(datagram)

    def _receive(self) -> Datagram | None:
        if self._address:  # the kernel gives such a socket nothing else, broadcasts neither
            payload, source = self._socket.recvfrom(_LONGEST)
            return Datagram(payload, source, self._address)
        payload, ancillary, _flags, source = self._socket.recvmsg(_LONGEST, socket.CMSG_SPACE(_INFO.size))
        for level, kind, data in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                interface, local, destination = _INFO.unpack(data)
                # They differ for broadcast and multicast, which TFTP must not answer (RFC 1123 section 4.2.3.4).
                if local == destination:
                    return Datagram(payload, source, socket.inet_ntoa(local), interface)
        return None

    def _hand_on(self, datagram: Datagram) -> None:
        try:
            self._received(datagram)
        except Exception:  # the edge of one request: a reader that raises is thrown out of the reactor
            self._log.failure("a datagram of {source} could not be dealt with", source=datagram.source)

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor when it drops us, at its own end."""
        self._socket.close()

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "udp"
