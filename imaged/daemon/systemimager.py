"""SystemImager's monitor port: its clients tell how they do, and show beside our nodes. Nothing is answered.

They prove nothing, so nothing follows from what they say.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from imaged.model.errors import Conflict, MalformedPacket
from imaged.model.foreign import Foreign
from imaged.model.net import Mac
from imaged.planning import foreign as planning
from imaged.planning.throttle import Throttle
from imaged.store.foreign import Foreigners
from imaged.wire.systemimager import LONGEST, Hello, Said, Update, decode

_MOST_MACHINES: Final = 10_000
_MOST_CONNECTIONS: Final = 4096
_OF_ONE_SOURCE: Final = 64  # connections; a rack may sit behind one address
_RATE, _BURST = 50, 5000  # lines of a connection: a second, and at once, as a client's log before its network was up
_GARBAGE: Final = 10.0  # seconds between lines of log about garbage


class Client(LineOnlyReceiver):
    """One connection. 4.x has one for each line, 5.x one for the whole install."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = LONGEST

    def __init__(self, service: "MonitorService") -> None:
        self.mac: Mac | None = None
        self.source = ""
        self._service = service
        self._lines = Throttle(_RATE, _BURST)

    def connectionMade(self) -> None:
        """Called by Twisted."""
        self.source = self.transport.getPeer().host
        self.transport.setTcpKeepAlive(True)
        self._service.arrived(self)

    def lineReceived(self, line: bytes) -> None:
        """Called by Twisted."""
        if line.strip() and self._lines.admits(self._service.seconds()):
            self._service.heard(self, line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Called by Twisted: no client of SystemImager's."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted."""
        self._service.departed(self)


class MonitorService:
    """``clock`` gives seconds since the epoch. ``flush`` writes what was heard since the last time."""

    _log = Logger()

    def __init__(self, port: int, store: Foreigners, clock: Callable[[], float], reactor: Any) -> None:
        self._wanted = port
        self._store = store
        self._clock = clock
        self._reactor = reactor
        self._known: dict[Mac, Foreign] = {each.mac: each for each in store.all()}
        self._changed: set[Mac] = set()
        self._sources: Counter[str] = Counter()
        self._garbage = Throttle(rate=1 / _GARBAGE, burst=1)
        self._listening: Any = None

    @property
    def port(self) -> int:
        """The TCP port that is bound; 0 before the start."""
        return self._listening.getHost().port if self._listening else 0

    def start(self) -> None:
        """Listen. Raises ImagedError when the port cannot be had."""
        factory = Factory.forProtocol(partial(Client, self))
        factory.noisy = False
        try:
            self._listening = self._reactor.listenTCP(self._wanted, factory)
        except CannotListenError as error:
            raise Conflict(f"cannot listen: {error.socketError}", where=f"monitor.port {self._wanted}") from None

    def stop(self) -> Any:
        """Stop listening."""
        listening, self._listening = self._listening, None
        return listening.stopListening() if listening else None

    def seconds(self) -> float:
        """The reactor's."""
        now: float = self._reactor.seconds()
        return now

    def arrived(self, client: Client) -> None:
        """A connection was accepted."""
        self._sources[client.source] += 1
        if self._sources[client.source] > _OF_ONE_SOURCE or self._sources.total() > _MOST_CONNECTIONS:
            client.transport.abortConnection()

    def departed(self, client: Client) -> None:
        """A connection is gone."""
        self._sources[client.source] -= 1
        if not self._sources[client.source]:
            del self._sources[client.source]

    def heard(self, client: Client, line: bytes) -> None:
        """One line."""
        try:
            said = decode(line)
        except MalformedPacket as fault:
            if self._garbage.admits(self.seconds()):
                self._log.info("monitor: {source}: {fault}", source=client.source, fault=fault)
            return
        now = self._clock()
        client.mac = (said.mac if isinstance(said, Hello | Update) else None) or client.mac
        if client.mac is None:
            return
        known = self._known.get(client.mac) or Foreign(client.mac, now, now, address=client.source)
        if isinstance(said, Update):
            known = planning.updated(known, said, now)
        elif isinstance(said, Said):
            known = planning.said(known, said, now)
        if client.mac in self._known or len(self._known) < _MOST_MACHINES:
            self._known[client.mac] = known
            self._changed.add(client.mac)

    def flush(self) -> None:
        """Write what is new, and forget who was silent for long."""
        if not self._changed:
            return
        before = self._clock() - planning.FORGOTTEN
        changed, self._changed = self._changed, set()
        self._store.save([self._known[mac] for mac in changed], before=before)
        self._known = {mac: each for mac, each in self._known.items() if each.last_seen >= before}
