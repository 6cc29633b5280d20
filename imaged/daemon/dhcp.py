"""The DHCP service: packets in, decisions of ``planning.dhcp``, leases to disk, answers out. It judges no packet.

An answer that gives a lease leaves after the commit of that lease: it survives kill -9. Commits are made by a thread
for many machines at once, so a rack that is switched on costs some disk flushes instead of one for each machine.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, Final, NamedTuple

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from imaged.daemon import interfaces
from imaged.daemon.group_commit import GroupCommit, InThread
from imaged.daemon.interfaces import Interface
from imaged.daemon.packet_socket import InterfaceSockets, Link, Ports
from imaged.model.boot import BootClient
from imaged.model.errors import ImagedError, MalformedPacket
from imaged.model.machine import PROBE_MACS, Machine
from imaged.model.net import Mac
from imaged.model.settings import DhcpMode, Settings
from imaged.planning import dhcp as planning
from imaged.planning.backlog import Backlog
from imaged.planning.dhcp import Decision
from imaged.planning.dhcp_reply import Answer, Arrival, Request
from imaged.planning.leases import LeaseBook
from imaged.planning.throttle import Throttle
from imaged.store.directory import Directory
from imaged.store.leases import LeaseStore
from imaged.wire import dhcp as wire
from imaged.wire import dhcp_options as opt
from imaged.wire import pxe

_RESCAN: Final = 5.0  # seconds between looks at the interfaces: bridges and addresses come and go
_WAITING: Final = 4096  # packets of each kind that wait to be served: the machines of a hall
_PATIENCE: Final = 2.0  # seconds that a packet waits at most; firmware asks again after four, dhclient after three
_SLICE: Final = 64  # packets that are served in a turn of the reactor, so that a flood leaves time for everybody else
_SIGHTING: Final = 30.0  # seconds until the same machine, unchanged, is recorded again
_SIGHTINGS: Final = 50  # records per second at most, since anybody can make up MACs,
_AT_ONCE: Final = 20_000  # but all that are switched on at once
_RECORDED: Final = 0.5  # seconds until a sighting is on disk
_REMEMBERED: Final = 16_384  # machines whose last sighting is kept in mind
_LOADERS: Final = 1.0  # seconds between looks for boot loaders
_LINES: Final = 20  # log lines per second at most,
_LINES_AT_ONCE: Final = 100  # but a row of them
_GARBAGE: Final = 10.0  # seconds between lines about malformed packets


class _Arrived(NamedTuple):
    """A payload, and how it came."""

    link: Link
    payload: bytes
    source: tuple[IPv4Address, int]
    on_proxy_port: bool


class _Outcome(NamedTuple):
    """A decision that waits for its commit."""

    link: Link
    request: Request
    decision: Decision


class _Stranger(NamedTuple):
    """A packet of a machine that may get a name first."""

    machine: Machine
    link: Link
    request: Request


_Kept = _Outcome | _Stranger | Machine


class DhcpService:
    """DHCP on every interface that we serve.

    ``directory`` knows the nodes and their addresses. ``clock`` gives seconds since the epoch. Where ``may_name`` says
    so, a machine without a name waits until ``name`` has looked at it, which is called in a thread. Nothing listens
    before ``start``.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        directory: Directory,
        leases: LeaseStore,
        clock: Callable[[], float],
        loaders: Callable[[], frozenset[str]] = frozenset,
        may_name: Callable[[], bool] = lambda: False,
        name: Callable[[Sequence[Machine]], None] = lambda seen: None,
        in_thread: InThread | None = None,
    ) -> None:
        self._settings = settings
        self._find_loaders = loaders
        self._loaders, self._loaders_until = frozenset[str](), 0.0
        self._reactor = reactor
        self._directory, self._looked = directory, False
        self._may_name, self._name = may_name, name
        self._leases = leases
        self._clock = clock
        self._book = LeaseBook(
            leases.load(), offer_hold=settings.dhcp.offer_hold, decline_hold=settings.dhcp.decline_hold
        )
        self._links: dict[str, InterfaceSockets] = {}
        self._failing: set[str] = set()
        self._backlog = Backlog[_Arrived](_WAITING, _PATIENCE)
        self._working: Any = None
        self._threads = ThreadPool(1, 1, "dhcp")
        self._commits = GroupCommit[_Kept](
            self._write, self._written, reactor,
            in_thread or (lambda *args: deferToThreadPool(reactor, self._threads, *args)),
        )  # fmt: skip
        self._rescanning: Any = None
        self._sightings: dict[Mac, Machine] = {}
        self._sighting_records = Throttle(rate=_SIGHTINGS, burst=_AT_ONCE)
        self._lines = Throttle(rate=_LINES, burst=_LINES_AT_ONCE)
        self._garbage_lines = Throttle(rate=1 / _GARBAGE, burst=1)
        self._fault_lines = Throttle(rate=1, burst=10)
        self.malformed = 0
        self.counts: Counter[tuple[str, str]] = Counter()  # packets by type and outcome

    def start(self) -> None:
        """Listen. Raises ImagedError when an interface that is there now cannot be served."""
        if self._settings.dhcp.mode is DhcpMode.OFF:
            return
        present = self._present()
        missing = set(self._settings.interfaces) - {interface.name for interface in present}
        if missing:
            self._log.warn(
                "DHCP: no such interface with an IPv4 address yet: {names}", names=", ".join(sorted(missing))
            )
        try:
            for interface in present:
                self._open(interface)
        except ImagedError:
            self._close()
            raise
        self._threads.start()
        self._rescanning = self._reactor.callLater(_RESCAN, self._rescan)

    def stop(self) -> "Deferred[None]":
        """Stop listening; fires when what was decided is stored and sent."""
        if self._rescanning is None:
            return succeed(None)
        self._rescanning.cancel()
        stopped = self._commits.stop()
        stopped.addCallback(lambda _: self._close())
        return stopped

    def _close(self) -> None:
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._threads.stop()
        self._leases.close()

    @property
    def served(self) -> tuple[str, ...]:
        """Names of the interfaces that are listened on."""
        return tuple(sorted(self._links))

    @property
    def given_up(self) -> int:
        """Packets that waited too long, or were too many."""
        return self._backlog.given_up

    def received(
        self, link: Link, arrived: Sequence[tuple[bytes, tuple[IPv4Address, int]]], on_proxy_port: bool
    ) -> None:
        """Take UDP payloads and their senders; never raises."""
        now = self._reactor.seconds()
        for payload, source in arrived:
            waiting = _Arrived(link, payload, source, on_proxy_port)
            self._backlog.add(waiting, now, begins=wire.begins_anew(payload))
        if self._working is None:
            self._work()

    def _work(self) -> None:
        """Serve some of those who wait, and the others in the next turn of the reactor."""
        self._working, self._looked = None, False
        now = self._reactor.seconds()
        for _ in range(_SLICE):
            arrived = self._backlog.take(now)
            if arrived is None:
                return
            self._take(arrived)
        self._working = self._reactor.callLater(0, self._work)

    def _take(self, arrived: _Arrived) -> None:
        name = arrived.link.interface.name
        try:
            self._serve(arrived)
        except MalformedPacket as fault:
            self.malformed += 1
            if self._garbage_lines.admits(self._clock()):
                self._log.info(
                    "DHCP on {name}: malformed packet from {source}: {fault} ({count} since start)",
                    name=name, source=arrived.source[0], fault=fault, count=self.malformed,
                )  # fmt: skip
        except ImagedError as error:
            if self._fault_lines.admits(self._clock()):
                self._log.error("DHCP on {name}: {error}", name=name, error=error)
        except Exception:
            if self._fault_lines.admits(self._clock()):
                self._log.failure("DHCP on {name}: a packet was not served", name=name)

    def _serve(self, arrived: _Arrived) -> None:
        link, packet = arrived.link, wire.decode(arrived.payload)
        mac = packet.mac
        if mac is None:
            return
        client, now = pxe.read(packet), self._clock()
        if not self._looked:  # those who are served in one turn of the reactor find the same
            self._directory.look()
            self._looked = True
        node = self._directory.find(mac, client.uuid if client else pxe.machine_uuid(packet))
        if node is not None and node.address is not None:
            self._make_room(node.address, node.macs, now)
        arrival = _arrival(link.interface, arrived.source, arrived.on_proxy_port)
        loaders = self._known_loaders(now) if client else frozenset[str]()
        request = Request(packet, client, node, arrival, now, self._directory.is_reserved, loaders)
        if client is not None and request.node is None:
            seen = self._see(client, request, None)
            if seen is not None and self._may_name():
                # A rule may have waited for it: then what it hears is a node's answer already.
                self._commits.put(_Stranger(seen, link, request))
                return
            if seen is not None:
                self._commits.put(seen, _RECORDED)
        self._decide(link, request)

    def _make_room(self, address: IPv4Address, macs: Collection[Mac], now: float) -> None:
        """A machine that was this node once may have its address: whoever replaced it has ended that lease."""
        held = self._book.held_by_another(address, macs, now)
        if held is not None and not self._leases.holds(held):
            self._book.forget(held, now)

    def _decide(self, link: Link, request: Request) -> None:
        outcome = _Outcome(link, request, planning.decide(request, self._book, self._settings))
        if outcome.decision.leases:
            self._commits.put(outcome)
        else:
            self._answer(outcome)

    def _write(self, kept: Sequence[_Kept]) -> None:
        """In a thread."""
        strangers = [each.machine for each in kept if isinstance(each, _Stranger)]
        seen = [*strangers, *(each for each in kept if isinstance(each, Machine))]
        self._leases.save(
            (lease for each in kept if isinstance(each, _Outcome) for lease in each.decision.leases), seen
        )
        if strangers:
            try:
                self._name(strangers)
            except Exception:
                self._log.failure("DHCP: machines got no names")

    def _written(self, kept: Sequence[_Kept], fault: Failure | None) -> None:
        """Without the commit a machine that was to get a lease hears nothing and asks again."""
        if fault is not None:
            self._log.failure("DHCP: of {count} machines nothing was stored", fault, count=len(kept))
        for each in kept:
            if isinstance(each, _Stranger):
                self._named(each)
            elif isinstance(each, _Outcome) and fault is None:
                self._answer(each)

    def _named(self, stranger: _Stranger) -> None:
        try:
            request = stranger.request
            self._directory.look()
            node = self._directory.find(stranger.machine.mac, stranger.machine.uuid)
            self._decide(stranger.link, request._replace(node=node))
        except Exception:
            self._log.failure("DHCP on {name}: a packet was not served", name=stranger.link.interface.name)

    def _answer(self, outcome: _Outcome) -> None:
        answer, request = outcome.decision.answer, outcome.request
        try:
            if answer is not None:
                payload = wire.encode(answer.reply, answer.limit)
                outcome.link.send(payload, answer.to, on_proxy_port=request.arrival.on_proxy_port)
            self._tell(outcome)
            seen = self._see(request.client, request, answer) if request.client else None
            if seen is not None:
                self._commits.put(seen, _RECORDED)
        except Exception:
            self._log.failure("DHCP on {name}: an answer was not sent", name=outcome.link.interface.name)

    def _known_loaders(self, now: float) -> frozenset[str]:
        """mkramdisk adds to them while the daemon runs."""
        if not 0 <= self._loaders_until - now <= _LOADERS:
            self._loaders, self._loaders_until = self._find_loaders(), now + _LOADERS
        return self._loaders

    def _see(self, client: BootClient, request: Request, answer: Answer | None) -> Machine | None:
        """A machine that network-boots and is to be recorded: unless that it is there as it is was recorded lately."""
        if client.mac.packed.startswith(PROBE_MACS):
            return None
        last = self._sightings.get(client.mac)
        machine = planning.sighting(client, request, answer)
        if last is not None:
            if answer is None:
                machine = evolve(machine, address=last.address)  # it has not been told another one yet
            if request.now - last.last_seen < _SIGHTING and machine == evolve(last, last_seen=machine.last_seen):
                return None
        if not self._sighting_records.admits(request.now):
            return None
        if last is None and len(self._sightings) >= _REMEMBERED:
            del self._sightings[next(iter(self._sightings))]
        self._sightings[client.mac] = machine
        return machine

    def _tell(self, outcome: _Outcome) -> None:
        """One line per decision: odd ones as warnings, silence for debugging only."""
        decision, packet = outcome.decision, outcome.request.packet
        kind = packet.get(opt.MESSAGE_TYPE)
        name = kind.name if kind else "BOOTP"
        self.counts[name, "answered" if decision.answer else "noted" if decision.leases else "silent"] += 1
        if not (decision.answer or decision.leases or decision.odd):
            say = self._log.debug
        elif not self._lines.admits(outcome.request.now):
            return
        else:
            say = self._log.warn if decision.odd else self._log.info
        hidden = self._lines.count_held_back() if say is not self._log.debug else 0
        say(
            "DHCP {kind} on {link} from {who}: {why}{hidden}",
            kind=name,
            link=outcome.link.interface.name,
            who=f"{outcome.request.node.name} ({packet.mac})" if outcome.request.node else packet.mac,
            why=decision.why,
            hidden=f" ({hidden} lines were left out before)" if hidden else "",
        )

    def _present(self) -> tuple[Interface, ...]:
        return interfaces.select(interfaces.find(), self._settings.interfaces)

    def _open(self, interface: Interface) -> None:
        dhcp = self._settings.dhcp
        ports = Ports(dhcp.port, dhcp.client_port, dhcp.proxy_port if dhcp.mode is DhcpMode.PROXY else None)
        ours = [address.ip for address in interface.addresses]
        source = self._settings.address if self._settings.address in ours else ours[0]
        self._links[interface.name] = InterfaceSockets(interface, ports, source, self.received, self._reactor)
        self._failing.discard(interface.name)
        self._log.info(
            "DHCP on {name} ({addresses}), {mode}",
            name=interface.name, addresses=", ".join(map(str, interface.addresses)), mode=dhcp.mode.value,
        )  # fmt: skip

    def _rescan(self) -> None:
        """Follow what the administrator does to the interfaces."""
        self._rescanning = self._reactor.callLater(_RESCAN, self._rescan)
        try:
            present = {interface.name: interface for interface in self._present()}
        except ImagedError as error:
            self._log.error("DHCP: {error}", error=error)
            return
        for name, link in tuple(self._links.items()):
            if not link.alive or link.interface != present.get(name):
                link.close()
                del self._links[name]
        for name, interface in present.items():
            if name in self._links:
                continue
            try:
                self._open(interface)
            except ImagedError as error:
                if name not in self._failing:  # once, not every few seconds
                    self._failing.add(name)
                    self._log.error("DHCP: {error}", error=error)


@lru_cache(maxsize=1024)  # machines without an address all come from 0.0.0.0, those behind a relay from that
def _arrival(interface: Interface, source: tuple[IPv4Address, int], on_proxy_port: bool) -> Arrival:
    return Arrival(interface.name, interface.addresses, source, on_proxy_port)
