"""The DHCP service: packets in, decisions of ``planning.dhcp``, leases to disk, answers out. It judges no packet.

Answers leave once a turn of the reactor, after one commit for all leases of that turn: a lease that a machine was told
of survives kill -9, and a rack that is switched on at once costs a few disk flushes instead of one per machine.
"""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, Final

from attrs import evolve, frozen
from twisted.logger import Logger

from imaged.daemon import interfaces
from imaged.daemon.interfaces import Interface
from imaged.daemon.packet_socket import InterfaceSockets, Link, Ports
from imaged.model.boot import BootClient
from imaged.model.errors import ImagedError, MalformedPacket
from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.settings import DhcpMode, Settings
from imaged.planning import dhcp as planning
from imaged.planning.dhcp import Decision
from imaged.planning.dhcp_reply import Arrival, Request
from imaged.planning.leases import LeaseBook
from imaged.planning.throttle import Throttle
from imaged.store.leases import LeaseStore
from imaged.wire import dhcp as wire
from imaged.wire import dhcp_options as opt
from imaged.wire import pxe

FindNode = Callable[[Mac, str], Node | None]
SawMachine = Callable[[Machine], None]

_RESCAN: Final = 5.0  # seconds between looks at the interfaces: bridges and addresses come and go
_SIGHTING: Final = 30.0  # seconds until the same machine, unchanged, is recorded again
_SIGHTINGS: Final = 50  # records per second at most: each is a commit, and anybody can make up MACs
_REMEMBERED: Final = 4096  # machines whose last sighting is kept in mind
_LINES: Final = 100  # log lines per second at most
_GARBAGE: Final = 10.0  # seconds between lines about malformed packets


@frozen
class _Outcome:
    """A decision that waits for its commit."""

    link: Link
    request: Request
    decision: Decision


class DhcpService:
    """DHCP on every interface that we serve.

    ``find_node(mac, uuid)`` knows the nodes (``uuid`` may be empty), ``saw_machine`` is told of machines that
    network-boot, ``clock`` gives seconds since the epoch. Nothing listens before ``start``.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        find_node: FindNode,
        saw_machine: SawMachine,
        leases: LeaseStore,
        clock: Callable[[], float],
        loaders: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._settings = settings
        self._loaders = loaders
        self._reactor = reactor
        self._find_node = find_node
        self._saw_machine = saw_machine
        self._leases = leases
        self._clock = clock
        self._book = LeaseBook(
            leases.load(), offer_hold=settings.dhcp.offer_hold, decline_hold=settings.dhcp.decline_hold
        )
        self._links: dict[str, InterfaceSockets] = {}
        self._failing: set[str] = set()
        self._waiting: list[_Outcome] = []
        self._rescanning: Any = None
        self._sightings: dict[Mac, Machine] = {}
        self._sighting_records = Throttle(rate=_SIGHTINGS, burst=_SIGHTINGS)
        self._lines = Throttle(rate=_LINES, burst=_LINES)
        self._garbage_lines = Throttle(rate=1 / _GARBAGE, burst=1)
        self.malformed = 0

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
            self.stop()
            raise
        self._rescanning = self._reactor.callLater(_RESCAN, self._rescan)

    def stop(self) -> None:
        """Send what is decided, then stop listening."""
        self._flush()
        if self._rescanning is not None and self._rescanning.active():
            self._rescanning.cancel()
        for link in self._links.values():
            link.close()
        self._links.clear()

    @property
    def served(self) -> tuple[str, ...]:
        """Names of the interfaces that are listened on."""
        return tuple(sorted(self._links))

    def received(self, link: Link, payload: bytes, source: tuple[IPv4Address, int], on_proxy_port: bool) -> None:
        """Take one UDP payload; never raises."""
        try:
            self._serve(link, wire.decode(payload), source, on_proxy_port)
        except MalformedPacket as fault:
            self.malformed += 1
            if self._garbage_lines.admits(self._clock()):
                self._log.info(
                    "DHCP on {name}: malformed packet from {source}: {fault} ({count} since start)",
                    name=link.interface.name, source=source[0], fault=fault, count=self.malformed,
                )  # fmt: skip
        except ImagedError as error:
            self._log.error("DHCP on {name}: {error}", name=link.interface.name, error=error)
        except Exception:
            self._log.failure("DHCP on {name}: a packet was not served", name=link.interface.name)

    def _serve(self, link: Link, packet: wire.Packet, source: tuple[IPv4Address, int], on_proxy_port: bool) -> None:
        mac = packet.mac
        if mac is None:
            return
        request = Request(
            packet=packet,
            client=pxe.read(packet),
            node=self._find_node(mac, pxe.machine_uuid(packet)),
            arrival=Arrival(link.interface.name, link.interface.addresses, source, on_proxy_port),
            now=self._clock(),
            is_reserved=self._leases.is_reserved,
            loaders=self._loaders(),
        )
        decision = planning.decide(request, self._book, self._settings)
        if not self._waiting:
            self._reactor.callLater(0, self._flush)
        self._waiting.append(_Outcome(link, request, decision))

    def _flush(self) -> None:
        """Commit, then answer. Without the commit a machine that was to get a lease hears nothing and asks again."""
        waiting, self._waiting = self._waiting, []
        try:
            self._leases.save(lease for outcome in waiting for lease in outcome.decision.leases)
        except Exception:
            self._log.failure("DHCP: leases were not stored, so {count} answers wait", count=len(waiting))
            waiting = [outcome for outcome in waiting if not outcome.decision.leases]
        for outcome in waiting:
            answer = outcome.decision.answer
            try:
                if answer is not None:
                    payload = wire.encode(answer.reply, answer.limit)
                    outcome.link.send(payload, answer.to, on_proxy_port=outcome.request.arrival.on_proxy_port)
                self._tell(outcome)
                self._record(outcome)
            except Exception:
                self._log.failure("DHCP on {name}: an answer was not sent", name=outcome.link.interface.name)

    def _record(self, outcome: _Outcome) -> None:
        client, request = outcome.request.client, outcome.request
        if client is None:
            return
        machine = _machine(client, outcome)
        last = self._sightings.get(client.mac)
        if (
            last is not None
            and request.now - last.last_seen < _SIGHTING
            and machine == evolve(last, last_seen=machine.last_seen)
        ):
            return
        if not self._sighting_records.admits(request.now):
            return
        if len(self._sightings) >= _REMEMBERED:
            self._sightings.clear()
        self._sightings[client.mac] = machine
        self._saw_machine(machine)

    def _tell(self, outcome: _Outcome) -> None:
        """One line per decision: odd ones as warnings, silence for debugging only."""
        decision, packet = outcome.decision, outcome.request.packet
        if not (decision.answer or decision.leases or decision.odd):
            say = self._log.debug
        elif not self._lines.admits(outcome.request.now):
            return
        else:
            say = self._log.warn if decision.odd else self._log.info
        hidden = self._lines.count_held_back() if say is not self._log.debug else 0
        kind = packet.get(opt.MESSAGE_TYPE)
        say(
            "DHCP {kind} on {link} from {who}: {why}{hidden}",
            kind=kind.name if kind else "BOOTP",
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


def _machine(client: BootClient, outcome: _Outcome) -> Machine:
    packet, answer = outcome.request.packet, outcome.decision.answer
    address = answer.reply.yiaddr if answer and answer.reply.yiaddr != wire.NO_ADDRESS else packet.ciaddr
    return Machine(
        mac=client.mac,
        uuid=client.uuid,
        arch=client.arch.value,
        vendor_class=(packet.get(opt.VENDOR_CLASS) or "")[:255],
        relay=str(packet.giaddr) if outcome.request.relayed else "",
        address=str(address) if address != wire.NO_ADDRESS else "",
        last_seen=outcome.request.now,
    )
