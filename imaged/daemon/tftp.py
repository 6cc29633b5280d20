"""TFTP service: the port, the files and who is served. What is answered is decided in ``planning.tftp``.

Not one block passes through this process: ``daemon.ferry`` carries the transfers.
"""

import os
import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from attrs import define
from twisted.logger import Logger

from imaged.daemon.ferry.fleet import Confirmed, Ended, Fleet
from imaged.daemon.ferry.messages import Order
from imaged.daemon.udp import Datagram, Received, UdpSocket
from imaged.model.errors import MalformedPacket, NotFound
from imaged.model.settings import Settings
from imaged.planning import tftp as decide
from imaged.planning.throttle import Throttle
from imaged.store.paths import open_beneath
from imaged.wire import tftp as wire

Generated = Callable[[str, IPv4Address], bytes | None]

# A machine fetches one file at a time, a boot loader a few; whole racks may hide behind one NAT address.
_PER_SOURCE: Final = 64
# Who has not answered within so many seconds may be nobody, and gives up its place to one who asks now.
_FAITH: Final = 1.0

Listen = Callable[[str, int, Received, Any], UdpSocket]
MakeFleet = Callable[[int, Any, Confirmed, Ended], Fleet]


@define(eq=False)
class Transfer:
    """One that is under way in a ferry."""

    number: int
    request: Datagram
    name: str
    size: int
    begun: float
    confirmed: bool = False


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
        fleet: MakeFleet = Fleet,
    ) -> None:
        self._tftp = settings.tftp
        self._interfaces = settings.interfaces
        self._limits = decide.Limits(settings.tftp.max_block, settings.tftp.max_window)
        self._root = root
        self._reactor = reactor
        self._generated = generated
        self._listen = listen
        self._listener: UdpSocket | None = None
        self._fleet = fleet(settings.tftp.processes, reactor, self._confirmed, self._ended)
        self._transfers: dict[int, Transfer] = {}
        self._unanswered: dict[int, Transfer] = {}  # of those, with the oldest first
        self._latest: dict[tuple[str, int], Transfer] = {}
        self._of_source: Counter[str] = Counter()
        self._numbers = 0
        self._refusals = Throttle(rate=10, burst=100)
        self.turned_away = 0  # requests that found no place

    @property
    def port(self) -> int:
        """The UDP port that is bound; 0 before the start."""
        return self._listener.port if self._listener else 0

    @property
    def sessions(self) -> int:
        """Transfers going on."""
        return len(self._transfers)

    @property
    def sent(self) -> int:
        """Bytes of files since the start."""
        return self._fleet.sent

    @property
    def processes(self) -> int:
        """Processes that carry transfers."""
        return self._fleet.ferries

    def start(self) -> None:
        """Listen. Raises ImagedError when the port cannot be had."""
        self._listener = self._listen("", self._tftp.port, self.received, self._reactor)
        self._fleet.start()

    def stop(self) -> None:
        """Stop listening and end every transfer."""
        if self._listener:
            self._listener.close()
            self._listener = None
        self._fleet.stop()

    def received(self, datagram: Datagram) -> None:
        """Whatever arrives at the port. Only a request is answered; anything else may be somebody's echo."""
        try:
            request = wire.decode(datagram.payload)
        except MalformedPacket:
            return
        if not isinstance(request, wire.ReadRequest | wire.WriteRequest) or not self._serves(datagram.interface):
            return
        earlier = self._latest.get(datagram.source)
        if earlier and not earlier.confirmed and earlier.request.payload == datagram.payload:
            self._fleet.again(earlier.number)
            return
        error = decide.refusal(request) or self._begin(request, datagram)
        if error and self._listener:
            self._listener.send(wire.encode(error), datagram.source, datagram.local)
            self._tell(request, datagram, error.text)

    def _begin(self, request: wire.ReadRequest | wire.WriteRequest, datagram: Datagram) -> wire.Error | None:
        if not self._has_place(datagram.source[0]):
            # No answer: the client asks again in a moment, while an error would make its firmware give up.
            self.turned_away += 1
            self._tell(request, datagram, "too many transfers, not answered")
            return None
        try:
            descriptor = self._open(request.name, datagram.source[0])
        except NotFound:
            return decide.NOT_FOUND
        except OSError as error:
            self._log.error("tftp {name!r}: {error}", name=request.name[:200], error=error)
            return None
        try:
            return self._hand_over(request, datagram, descriptor)
        finally:
            os.close(descriptor)

    def _hand_over(
        self, request: wire.ReadRequest | wire.WriteRequest, datagram: Datagram, descriptor: int
    ) -> wire.Error | None:
        size = os.fstat(descriptor).st_size
        terms = decide.negotiate(request.options, size, self._limits)
        if isinstance(terms, wire.Error):
            return terms
        self._numbers += 1
        transfer = Transfer(self._numbers, datagram, request.name, size, self._reactor.seconds())
        source = datagram.source
        self._transfers[transfer.number] = self._unanswered[transfer.number] = self._latest[source] = transfer
        self._of_source[source[0]] += 1
        order = Order(transfer.number, *source, datagram.local, size, terms, self._tftp.retries)
        if not self._fleet.begin(order, descriptor):
            self.turned_away += 1
            self._ended(transfer.number, "nobody to carry it", False)
        return None

    def _has_place(self, source: str) -> bool:
        """Whether there is one; the oldest of those who never answered gives up its own."""
        if self._of_source[source] >= _PER_SOURCE:
            return False
        if len(self._transfers) < self._tftp.sessions:
            return True
        oldest = next(iter(self._unanswered.values()), None)
        if oldest is None or self._reactor.seconds() - oldest.begun < _FAITH:
            return False
        self._fleet.drop(oldest.number)
        self._ended(oldest.number, "its place was needed", False)
        return True

    def _open(self, name: str, client: str) -> int:
        """A descriptor. Raises NotFound, or OSError when we are out of descriptors."""
        if self._generated:
            content = self._generated(name.replace("\\", "/").lstrip("/"), IPv4Address(client))
            if content is not None:
                return _in_memory(content)
        return open_beneath(self._root, name)

    def _confirmed(self, number: int) -> None:
        if transfer := self._unanswered.pop(number, None):
            transfer.confirmed = True

    def _ended(self, number: int, why: str, confirmed: bool) -> None:
        transfer = self._transfers.pop(number, None)
        if transfer is None:  # its place was given to another
            return
        self._unanswered.pop(number, None)
        source = transfer.request.source
        if self._latest.get(source) is transfer:
            del self._latest[source]
        self._of_source[source[0]] -= 1
        if not self._of_source[source[0]]:
            del self._of_source[source[0]]
        # Whoever has not answered may never have asked; of such lines there could be any number.
        say = self._log.info if confirmed or transfer.confirmed else self._log.debug
        say(
            "tftp {client}: {name!r}, {size} bytes: {why} after {seconds:.1f} s",
            client=source[0], name=transfer.name, size=transfer.size, why=why,
            seconds=self._reactor.seconds() - transfer.begun,
        )  # fmt: skip

    def _serves(self, interface: int) -> bool:
        if not self._interfaces:
            return True
        try:
            # By the loopback comes only who is on this very machine, such as `imaged doctor`.
            return socket.if_indextoname(interface) in (*self._interfaces, "lo")
        except OSError:  # it has gone since
            return False

    def _tell(self, request: wire.ReadRequest | wire.WriteRequest, datagram: Datagram, what: str) -> None:
        if self._refusals.admits(self._reactor.seconds()):
            client = datagram.source[0]
            self._log.info("tftp {client}: {name!r}: {what}", client=client, name=request.name[:200], what=what)


def _in_memory(content: bytes) -> int:
    """A file that is nowhere, so that what is generated is carried like any other."""
    descriptor = os.memfd_create("generated")
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
