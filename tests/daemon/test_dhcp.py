"""The DHCP service without a network: what leaves, when, and what no packet can do to it."""

import random
import tracemalloc
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from imaged.daemon.dhcp import DhcpService, _Arrived
from imaged.daemon.interfaces import Interface, select
from imaged.model.boot import LOADERS, Arch
from imaged.model.lease import Lease, LeaseState
from imaged.model.machine import PROBE_MACS
from imaged.model.names import ImageRef
from imaged.model.net import AddressRange, Mac
from imaged.model.node import Node
from imaged.model.settings import DhcpMode, DhcpSettings, Settings, Subnet
from imaged.planning.dhcp_reply import Broadcast, ToHardware
from imaged.planning.throttle import Throttle
from imaged.store.database import open_database
from imaged.store.directory import Directory
from imaged.store.leases import LeaseStore, end_leases
from imaged.store.nodes import Nodes
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp import Op, Packet, decode, encode
from imaged.wire.dhcp_options import MessageType as T

DATA = Path(__file__).parents[1] / "data/dhcp"
MAC = Mac.parse("52:54:00:12:34:56")
SERVER, NOWHERE = IPv4Address("10.0.0.1"), IPv4Address(0)
OWN = IPv4Address("10.0.0.7")
SUBNET = Subnet(IPv4Network("10.0.0.0/24"), AddressRange.parse("10.0.0.100-10.0.0.199"))
SETTINGS = Settings(SERVER, dhcp=DhcpSettings(mode=DhcpMode.AUTHORITATIVE, subnets=(SUBNET,)))
NODE = Node("node07", (MAC,), ImageRef("compute"), address=OWN)


class FakeLink:
    """Keeps what is sent, in order with other events."""

    def __init__(self, events):
        self.interface = Interface("br0", 2, (IPv4Interface("10.0.0.1/24"),))
        self._events = events

    def send(self, payload, to, *, on_proxy_port=False):
        self._events.append((decode(payload).get(opt.MESSAGE_TYPE), to))


class RecordedStore(LeaseStore):
    """The real store, which notes when it has committed."""

    def __init__(self, engine, events):
        super().__init__(engine)
        self._events = events
        self.seen = []

    def save(self, changed, seen=()):
        changed, seen = tuple(changed), tuple(seen)
        super().save(changed, seen)
        self.seen += seen
        if changed:
            self._events.append(("committed", len(changed)))


class Bench:
    """A service with a real database, a fake link and a clock of its own."""

    def __init__(self, database, settings=SETTINGS):
        self.engine = open_database(database)
        self.nodes, self.events, self.clock = Nodes(self.engine), [], Clock()
        self.link = FakeLink(self.events)
        self.service = self.started(settings)

    def started(self, settings=SETTINGS, **others):
        self.store, self.directory = RecordedStore(self.engine, self.events), Directory(self.engine)
        return DhcpService(
            settings, self.clock, self.directory, self.store, self.clock.seconds, in_thread=maybeDeferred, **others,
        )  # fmt: skip

    @property
    def seen(self):
        """Machines that were recorded."""
        self.clock.advance(0.5)
        return self.store.seen

    def receive(self, *packets, source=(NOWHERE, 68)):
        payloads = [packet if isinstance(packet, bytes) else encode(packet) for packet in packets]
        self.service.received(self.link, [(payload, source) for payload in payloads], False)
        self.clock.advance(0.005)  # as long as a group gathers
        happened, self.events[:] = self.events[:], []
        return happened


@pytest.fixture
def bench(database):
    made = Bench(database)
    yield made
    made.engine.dispose()


@pytest.fixture
def log():
    lines = []
    globalLogPublisher.addObserver(lines.append)
    yield lines
    globalLogPublisher.removeObserver(lines.append)


def packet(kind, *options, mac=MAC, **fields):
    return Packet(Op.REQUEST, 1, mac.packed, dict((opt.MESSAGE_TYPE.of(kind), *options)), **fields)


def request(address=OWN, **others):
    return packet(T.REQUEST, opt.SERVER_ID.of(SERVER), opt.REQUESTED_ADDRESS.of(address), **others)


def number(index):
    return Mac.from_bytes(b"\x52\x54\0" + index.to_bytes(3, "big"))


def test_the_lease_is_on_disk_before_the_machine_hears_of_it(bench):
    bench.nodes.add(NODE)
    to = ToHardware(OWN, MAC.packed)
    assert bench.receive(packet(T.DISCOVER)) == [(T.OFFER, to)]
    assert bench.receive(request()) == [("committed", 1), (T.ACK, to)]


def test_a_machine_in_the_place_of_another_has_its_address(bench):
    bench.nodes.add(NODE)
    assert bench.receive(request())[1][0] is T.ACK
    other = packet(T.DISCOVER, mac=number(1))
    bench.nodes.change([evolve(bench.nodes.definition(NODE.name), macs=(number(1),))])
    assert bench.receive(other)[0][1].address != OWN  # the old one may run: nobody has said that it is gone
    with bench.engine.begin() as connection:
        end_leases(connection, [MAC])
    assert bench.receive(other) == [(T.OFFER, ToHardware(OWN, number(1).packed))]
    assert bench.receive(request(mac=number(1))) == [("committed", 1), (T.ACK, ToHardware(OWN, number(1).packed))]


def test_a_rack_at_once_costs_one_commit(bench):
    requests = [request(IPv4Address(int(SUBNET.pool.first) + index), mac=number(index)) for index in range(50)]
    happened = bench.receive(*requests)
    assert happened[0] == ("committed", 50)
    assert [event[0] for event in happened[1:]] == [T.ACK] * 50


def test_a_lease_outlives_the_daemon(bench):
    bench.receive(request(IPv4Address("10.0.0.150")))
    bench.service = bench.started()  # nothing was shut down: as after kill -9
    other = packet(T.DISCOVER, opt.REQUESTED_ADDRESS.of(IPv4Address("10.0.0.150")), mac=number(1))
    ((kind, to),) = bench.receive(other)
    assert kind is T.OFFER and to.address != IPv4Address("10.0.0.150")
    assert bench.receive(request(IPv4Address("10.0.0.150")))[1][0] is T.ACK


def test_without_a_commit_there_is_no_ack_and_the_next_one_is_as_if_nothing_was(bench, log):
    bench.nodes.add(NODE)
    with bench.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE leases RENAME TO elsewhere")
    assert bench.receive(packet(T.DISCOVER), request()) == [(T.OFFER, ToHardware(OWN, MAC.packed))]
    assert [event["log_level"] for event in log].count(LogLevel.critical) == 1
    with bench.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO leases")
    assert bench.receive(request()) == [("committed", 1), (T.ACK, ToHardware(OWN, MAC.packed))]


def test_a_broken_node_database_costs_one_packet_and_keeps_its_traceback(bench, log):
    def broken():
        raise RuntimeError("our bug")

    bench.directory.look = broken
    assert bench.receive(packet(T.DISCOVER)) == []
    assert [event["log_failure"].type for event in log if event.get("log_failure")] == [RuntimeError]
    del bench.directory.look
    assert len(bench.receive(packet(T.DISCOVER))) == 1


def test_machines_that_network_boot_are_recorded_once_until_something_changes(bench):
    boot = (opt.VENDOR_CLASS.of("PXEClient:Arch:00007:UNDI:003016"), opt.CLIENT_ARCH.of((7,)))
    address = IPv4Address("10.0.0.150")
    for _ in range(5):
        bench.receive(packet(T.DISCOVER, *boot, opt.REQUESTED_ADDRESS.of(address)))
    bench.receive(packet(T.DISCOVER, mac=number(1)))  # no network boot
    told = [(str(seen.mac), seen.arch, seen.address) for seen in bench.seen]
    assert told == [(str(MAC), "x86_64-efi", ""), (str(MAC), "x86_64-efi", str(address))]
    bench.clock.advance(31)
    bench.receive(packet(T.DISCOVER, *boot, opt.REQUESTED_ADDRESS.of(address)))
    assert len(bench.seen) == 3


def test_who_is_named_when_seen_is_answered_as_a_node_at_once(bench):
    boot = (opt.VENDOR_CLASS.of("PXEClient:Arch:00000:UNDI:002001"), opt.CLIENT_ARCH.of((0,)))
    sent = []
    bench.link.send = lambda payload, to, **_: sent.append(decode(payload))
    bench.receive(packet(T.DISCOVER, *boot, mac=number(1)))

    def name(seen):
        for machine in seen:
            bench.nodes.add(Node("node01", (machine.mac,), ImageRef("debian")))

    bench.service = bench.started(may_name=lambda: True, name=name)
    bench.receive(packet(T.DISCOVER, *boot))
    assert [answer.file for answer in sent] == [b"", LOADERS[Arch.BIOS].encode()]


def test_a_look_for_other_servers_is_no_machine(bench):
    boot = (opt.VENDOR_CLASS.of("PXEClient:Arch:00007:UNDI:003016"), opt.CLIENT_ARCH.of((7,)))
    made_up = Mac.from_bytes(PROBE_MACS + b"\x12\x34")
    assert [kind for kind, _ in bench.receive(packet(T.DISCOVER, *boot, mac=made_up))] == [T.OFFER]
    assert bench.seen == []


def test_made_up_machines_do_not_flood_the_database(bench):
    boot = (opt.VENDOR_CLASS.of("PXEClient"),)
    bench.service._sighting_records = Throttle(rate=50, burst=300)
    bench.receive(*(packet(T.DISCOVER, *boot, mac=number(index)) for index in range(500)))
    assert len(bench.seen) == 300


@pytest.mark.parametrize("garbage", [b"", b"\0" * 300, encode(packet(T.DISCOVER))[:243], b"\xff" * 1000])
def test_garbage_is_counted_and_said_once(bench, log, garbage):
    assert bench.receive(*[garbage] * 1000) == []
    assert bench.service.malformed == 1000
    assert sum("malformed" in event["log_format"] for event in log) == 1


def test_a_flood_does_not_fill_the_log(bench, log):
    bench.receive(*[packet(T.DISCOVER)] * 1000)
    assert sum(event["log_level"] >= LogLevel.info for event in log) == 100
    bench.clock.advance(1)
    bench.receive(packet(T.DISCOVER))
    assert log[-1]["hidden"] == " (900 lines were left out before)"


def test_off_listens_to_nothing(tmp_path):
    bench = Bench(tmp_path / "imaged.sqlite", Settings(SERVER))
    bench.service.start()
    assert bench.service.served == () and bench.clock.getDelayedCalls() == []


def test_an_offer_waits_for_no_disk_and_an_ack_does(bench):
    written = Deferred()
    bench.service = bench.started()
    bench.service._commits._in_thread = lambda write, items: (write(items), written)[1]
    mine, hers = IPv4Address("10.0.0.150"), number(1)
    assert bench.receive(request(mine)) == [("committed", 1)]
    assert [kind for kind, _ in bench.receive(packet(T.DISCOVER, mac=hers))] == [T.OFFER]
    assert bench.receive(request(IPv4Address("10.0.0.151"), mac=hers)) == []  # goes with the next commit
    written.callback(None)
    bench.clock.advance(0.005)
    assert [event[0] for event in bench.events] == [T.ACK, "committed", T.ACK]


def test_who_goes_on_is_served_before_those_who_begin(bench):
    """An offer that nobody has time to confirm was for nothing; of those who begin, the latest have waited least."""
    begins = [packet(T.DISCOVER, mac=number(index % 40)) for index in range(5000)]
    happened = bench.receive(*begins, request(OWN))
    assert happened[0] == (T.NAK, Broadcast())
    assert bench.service.given_up == 5000 - 4096
    assert len([event for event in happened if event[0] is T.OFFER]) == 4096


def test_what_waited_longer_than_its_sender_is_not_answered(bench):
    for _ in range(2):
        bench.service._backlog.add(
            _Arrived(bench.link, encode(packet(T.DISCOVER)), (NOWHERE, 68), False), bench.clock.seconds(), begins=True
        )
        bench.clock.advance(3)
    assert len(bench.receive(packet(T.DISCOVER))) == 1
    assert bench.service.given_up == 2


LO = Interface("lo", 1, (IPv4Interface("127.0.0.1/8"),))
ETH = Interface("eth0", 2, (IPv4Interface("10.0.0.1/24"),))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [((), (ETH,)), (("eth0",), (ETH,)), (("lo",), (LO,)), (("eth9",), ()), (("eth0", "lo"), (LO, ETH))],
)
def test_which_interfaces_are_served(wanted, expected):
    assert select((LO, ETH), wanted) == expected


CAPTURES = sorted(DATA.glob("*.hex"))


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_captured_clients_are_answered(bench, capture):
    """Whatever the network, a DISCOVER is offered and a REQUEST is told ACK, NAK, or nothing (another server's)."""
    sent = decode(bytes.fromhex(capture.read_text()))
    bench.nodes.add(evolve(NODE, macs=(sent.mac,)))
    happened = bench.receive(sent)
    if sent.get(opt.MESSAGE_TYPE) is T.DISCOVER:
        to = Broadcast() if sent.wants_broadcast else ToHardware(OWN, sent.chaddr)
        assert happened == [(T.OFFER, to)]
    else:
        assert [event[0] for event in happened] in ([], [T.NAK])


def mutated(chance, seeds):
    """A packet that a broken or hostile sender could make of a real one."""
    data = bytearray(chance.choice(seeds))
    match chance.randrange(6):
        case 0:
            return chance.randbytes(chance.randrange(700))
        case 1:
            del data[chance.randrange(len(data)) :]
        case 2:  # inside the options, where the structure is
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(236, len(data))] = chance.randrange(256)
        case 3:
            for _ in range(chance.randrange(1, 30)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        case 4:
            at = chance.randrange(240, len(data))
            data[at:at] = chance.randbytes(chance.randrange(300))
        case _:
            data[28:34] = b"\x52\x54\0" + chance.randbytes(3)  # another machine
    return bytes(data)


def serve_mutants(bench, count, chance):
    """Serve ``count`` packets; returns how many the codec refused."""
    seeds = [bytes.fromhex(path.read_text()) for path in CAPTURES]
    seeds += [encode(packet(kind, opt.REQUESTED_ADDRESS.of(OWN))) for kind in T]
    before = bench.service.malformed
    for turn in range(count):
        bench.service.received(bench.link, [(mutated(chance, seeds), (NOWHERE, 68))], False)
        if turn % 50 == 49:
            bench.clock.advance(1)
            for kind, to in (event for event in bench.events if event[0] != "committed"):
                assert kind in (T.OFFER, T.ACK, T.NAK) and to is not None
            bench.events.clear()
    return bench.service.malformed - before


def test_a_hundred_thousand_broken_packets(tmp_path, log):
    """No exception, no answer to what is malformed, no memory that grows (in the same process, whole service)."""
    bench, chance = Bench(tmp_path / "imaged.sqlite"), random.Random(20261121)
    # Not the disk: 100,000 questions to a database and as many commits would only make this slow.
    store = RecordedStore(bench.engine, bench.events)
    store.save = lambda changed, seen=(): tuple(changed)

    directory = SimpleNamespace(
        look=lambda: None, find=lambda mac, uuid: NODE if mac == MAC else None, is_reserved=OWN.__eq__
    )
    bench.service = DhcpService(SETTINGS, bench.clock, directory, store, bench.clock.seconds, in_thread=maybeDeferred)
    refused = serve_mutants(bench, 20_000, chance)  # the pool fills, the caches reach their size
    failures = [event for event in log if event.get("log_failure") or event["log_level"] >= LogLevel.error]
    log.clear()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        refused += serve_mutants(bench, 5_000, chance)
        log.clear()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    refused += serve_mutants(bench, 75_000, chance)
    failures += [event for event in log if event.get("log_failure") or event["log_level"] >= LogLevel.error]
    assert failures == []
    assert grown < 2_000_000, f"{grown} bytes more"
    assert 10_000 < refused < 90_000
    assert len(list(bench.service._book)) <= 101 and len(bench.service._sightings) <= 16384
    bench.engine.dispose()


def test_a_malformed_packet_is_never_answered(bench):
    bench.nodes.add(NODE)
    good = encode(packet(T.DISCOVER)).rstrip(b"\0")
    assert bench.receive(good) != []
    for end in range(len(good)):
        assert bench.receive(good[:end]) == []


def test_an_expired_lease_in_the_database_is_free(bench):
    address = IPv4Address("10.0.0.150")
    bench.clock.advance(1000)
    LeaseStore(bench.engine).save([Lease(address, number(9), LeaseState.BOUND, 999.0)])
    bench.service = bench.started()
    ((kind, to),) = bench.receive(packet(T.DISCOVER, opt.REQUESTED_ADDRESS.of(address)))
    assert (kind, to) == (T.OFFER, ToHardware(address, MAC.packed))
