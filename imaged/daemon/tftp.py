"""TFTP service: sockets, files and timers around ``planning.tftp``. What is answered is decided there."""

import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from twisted.logger import Logger

from imaged.daemon.content import BytesContent, Content, FileContent
from imaged.daemon.udp import Datagram, Received, UdpSocket
from imaged.model.errors import ImagedError, MalformedPacket, NotFound
from imaged.model.settings import Settings
from imaged.planning import tftp as decide
from imaged.planning.throttle import Throttle
from imaged.store.paths import open_beneath
from imaged.wire import tftp as wire

Generated = Callable[[str, IPv4Address], bytes | None]

# A machine fetches one file at a time, a boot loader a few; whole racks may hide behind one NAT address.
_PER_SOURCE: Final = 64

Listen = Callable[[str, int, Received, Any], UdpSocket]


class Session:
    """One transfer: its own socket, which is the server's transfer ID (RFC 1350 section 4), and one timer."""

    _log = Logger()

    def __init__(
        self,
        request: Datagram,
        name: str,
        content: Content,
        terms: decide.Terms,
        tries: int,
        reactor: Any,
        ended: Callable[["Session"], None],
    ) -> None:
        self.request = request
        self._peer = request.source
        self._name = name
        self._content = content
        self._offer = wire.encode(wire.OptionAck(terms.accepted))
        self._transfer = decide.Transfer(terms, content.size, tries)
        self._reactor = reactor
        self._ended: Callable[[Session], None] | None = ended
        self._socket: UdpSocket | None = None
        self._timer: Any = None
        self._wake = 0.0
        self._begun = reactor.seconds()

    def begin(self, listen: Listen) -> None:
        """Open the socket on the address that was asked and send the first packet. Raises ImagedError."""
        self._socket = listen(self.request.local, 0, self.received, self._reactor)
        self._follow(self._transfer.begin(self._begun))

    def received(self, datagram: Datagram) -> None:
        """What comes to our transfer ID. A packet from elsewhere does not touch the transfer (RFC 1350 section 4)."""
        try:
            packet = wire.decode(datagram.payload)
        except MalformedPacket:
            return
        if datagram.source != self._peer:
            if not isinstance(packet, wire.Error):  # an answer to an error would be answered with an error, and so on
                self._send(wire.encode(decide.UNKNOWN_TRANSFER), datagram.source)
        elif isinstance(packet, wire.Ack):
            self._follow(self._transfer.acknowledged(packet.block, self._reactor.seconds()))
        elif isinstance(packet, wire.Error):
            # UEFI firmware asks for tsize, leaves with an error and asks again: nothing is wrong.
            self.close(f"the client left with {packet.text[:100]!r}")

    def requested_again(self) -> bool:
        """The client repeated its request. True if this session is still the one to answer it."""
        if self._transfer.confirmed:
            return False
        self._follow(self._transfer.requested_again(self._reactor.seconds()))
        return True

    def close(self, why: str) -> None:
        """End the transfer and give everything back. A second call does nothing."""
        if self._ended is None:
            return
        ended, self._ended = self._ended, None
        # Whoever has not answered may never have asked; of such lines there could be any number.
        say = self._log.info if self._transfer.confirmed else self._log.debug
        say(
            "tftp {client}: {name!r}, {size} bytes: {why} after {seconds:.1f} s",
            client=self._peer[0], name=self._name, size=self._content.size, why=why,
            seconds=self._reactor.seconds() - self._begun,
        )  # fmt: skip
        if self._timer and self._timer.active():
            self._timer.cancel()
        self._content.close()
        if self._socket:
            self._socket.close()
        ended(self)

    def _follow(self, move: decide.Move) -> None:
        if self._ended is None:
            return
        if move.ending:
            self.close(move.ending.value)
            return
        self._arm(move.wake)
        if move.offer:
            self._send(self._offer, self._peer)
        for block in move.blocks:
            offset, length = self._transfer.span(block)
            payload = self._read(offset, length)
            if len(payload) != length:
                self._send(wire.encode(decide.BROKEN), self._peer)
                self.close("the file shrank or cannot be read")
                return
            if not self._send(wire.encode(wire.Data(block & 0xFFFF, payload)), self._peer):
                return  # the rest of the window would meet the same; the timer repeats it

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return self._content.read(offset, length)
        except OSError as error:
            self._log.error("tftp {name!r}: {error}", name=self._name, error=error)
            return b""

    def _send(self, payload: bytes, to: tuple[str, int]) -> bool:
        return self._socket is not None and self._socket.send(payload, to, self.request.local)

    def _arm(self, wake: float) -> None:
        """Ring at ``wake``. A timer that rings early and is set again is cheaper than one moved with every ACK."""
        self._wake = wake
        if self._timer and self._timer.active():
            if self._timer.getTime() <= wake:
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(max(0.0, wake - self._reactor.seconds()), self._ring)

    def _ring(self) -> None:
        self._follow(self._transfer.tick(self._reactor.seconds()))


class TftpService:
    """Serves the files below ``root`` and generated ones, read only.

    ``generated(name, client)`` is asked first: bytes, or None for "look on disk". ``name`` has forward slashes only and
    none at its beginning. ``reactor`` is an IReactorTime and IReactorFDSet.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        root: Path,
        reactor: Any,
        generated: Generated | None = None,
        listen: Listen = UdpSocket,
    ) -> None:
        self._tftp = settings.tftp
        self._interfaces = settings.interfaces
        self._limits = decide.Limits(settings.tftp.max_block, settings.tftp.max_window)
        self._root = root
        self._reactor = reactor
        self._generated = generated
        self._listen = listen
        self._listener: UdpSocket | None = None
        self._sessions: set[Session] = set()
        self._latest: dict[tuple[str, int], Session] = {}
        self._of_source: Counter[str] = Counter()
        self._refusals = Throttle(rate=10, burst=100)

    @property
    def port(self) -> int:
        """The UDP port that is bound; 0 before the start."""
        return self._listener.port if self._listener else 0

    @property
    def sessions(self) -> int:
        """Transfers going on."""
        return len(self._sessions)

    def start(self) -> None:
        """Listen. Raises ImagedError when the port cannot be had."""
        self._listener = self._listen("", self._tftp.port, self.received, self._reactor)

    def stop(self) -> None:
        """Stop listening and end every transfer."""
        if self._listener:
            self._listener.close()
            self._listener = None
        for session in tuple(self._sessions):
            session.close("the server stops")

    def received(self, datagram: Datagram) -> None:
        """Whatever arrives at the port. Only a request is answered; anything else may be somebody's echo."""
        try:
            request = wire.decode(datagram.payload)
        except MalformedPacket:
            return
        if not isinstance(request, wire.ReadRequest | wire.WriteRequest) or not self._serves(datagram.interface):
            return
        earlier = self._latest.get(datagram.source)
        if earlier and earlier.request.payload == datagram.payload and earlier.requested_again():
            return
        error = decide.refusal(request) or self._begin(request, datagram)
        if error and self._listener:
            self._listener.send(wire.encode(error), datagram.source, datagram.local)
            self._tell(request, datagram, error.text)

    def _begin(self, request: wire.ReadRequest | wire.WriteRequest, datagram: Datagram) -> wire.Error | None:
        if len(self._sessions) >= self._tftp.sessions or self._of_source[datagram.source[0]] >= _PER_SOURCE:
            # No answer: the client asks again in a moment, while an error would make its firmware give up.
            self._tell(request, datagram, "too many transfers, not answered")
            return None
        try:
            content = self._open(request.name, datagram.source[0])
        except NotFound:
            return decide.NOT_FOUND
        except OSError as error:
            self._log.error("tftp {name!r}: {error}", name=request.name[:200], error=error)
            return None
        terms = decide.negotiate(request.options, content.size, self._limits)
        if isinstance(terms, wire.Error):
            content.close()
            return terms
        session = Session(datagram, request.name, content, terms, self._tftp.retries, self._reactor, self._ended)
        self._sessions.add(session)
        self._latest[datagram.source] = session
        self._of_source[datagram.source[0]] += 1
        try:
            session.begin(self._listen)
        except ImagedError as error:
            self._log.error("tftp {name!r}: {error}", name=request.name[:200], error=error)
            session.close("no socket")
        return None

    def _open(self, name: str, client: str) -> Content:
        """Raises NotFound, or OSError when we are out of descriptors."""
        if self._generated:
            content = self._generated(name.replace("\\", "/").lstrip("/"), IPv4Address(client))
            if content is not None:
                return BytesContent(content)
        return FileContent(open_beneath(self._root, name))

    def _ended(self, session: Session) -> None:
        source = session.request.source
        self._sessions.discard(session)
        if self._latest.get(source) is session:
            del self._latest[source]
        self._of_source[source[0]] -= 1
        if not self._of_source[source[0]]:
            del self._of_source[source[0]]

    def _serves(self, interface: int) -> bool:
        if not self._interfaces:
            return True
        try:
            return socket.if_indextoname(interface) in self._interfaces
        except OSError:  # it has gone since
            return False

    def _tell(self, request: wire.ReadRequest | wire.WriteRequest, datagram: Datagram, what: str) -> None:
        if self._refusals.admits(self._reactor.seconds()):
            client = datagram.source[0]
            self._log.info("tftp {client}: {name!r}: {what}", client=client, name=request.name[:200], what=what)
