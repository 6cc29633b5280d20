"""The DHCP service without a network: what leaves, when, and what no packet can do to it."""

import random
import tracemalloc
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from imaged.daemon.dhcp import DhcpService
from imaged.daemon.interfaces import Interface, select
from imaged.model.lease import Lease, LeaseState
from imaged.model.names import ImageRef
from imaged.model.net import AddressRange, Mac
from imaged.model.node import Node
from imaged.model.settings import DhcpMode, DhcpSettings, Settings, Subnet
from imaged.planning.dhcp_reply import Broadcast, ToHardware
from imaged.store.database import open_database
from imaged.store.leases import LeaseStore
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

    def save(self, changed):
        changed = tuple(changed)
        super().save(changed)
        if changed:
            self._events.append(("committed", len(changed)))


class Bench:
    """A service with a real database, a fake link and a clock of its own."""

    def __init__(self, tmp_path, settings=SETTINGS):
        self.engine = open_database(tmp_path / "imaged.sqlite")
        self.nodes, self.events, self.clock = Nodes(self.engine), [], Clock()
        self.link = FakeLink(self.events)
        self.seen = []
        self.service = self.started(settings)

    def started(self, settings=SETTINGS):
        store = RecordedStore(self.engine, self.events)
        return DhcpService(settings, self.clock, self.nodes.find, self.seen.append, store, self.clock.seconds)

    def receive(self, *packets, source=(NOWHERE, 68)):
        for packet in packets:
            payload = packet if isinstance(packet, bytes) else encode(packet)
            self.service.received(self.link, payload, source, False)
        self.clock.advance(0)
        happened, self.events[:] = self.events[:], []
        return happened


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def log():
    lines = []
    globalLogPublisher.addObserver(lines.append)
    yield lines
    globalLogPublisher.removeObserver(lines.append)


def packet(kind, *options, mac=MAC, **fields):
    return Packet(Op.REQUEST, 1, mac.packed, (opt.MESSAGE_TYPE.of(kind), *options), **fields)


def request(address=OWN, **others):
    return packet(T.REQUEST, opt.SERVER_ID.of(SERVER), opt.REQUESTED_ADDRESS.of(address), **others)


def number(index):
    return Mac.from_bytes(b"\x52\x54\0" + index.to_bytes(3, "big"))


def test_the_lease_is_on_disk_before_the_machine_hears_of_it(bench):
    bench.nodes.add(NODE)
    to = ToHardware(OWN, MAC.packed)
    assert bench.receive(packet(T.DISCOVER)) == [(T.OFFER, to)]
    assert bench.receive(request()) == [("committed", 1), (T.ACK, to)]


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
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON leases BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert bench.receive(packet(T.DISCOVER), request()) == [(T.OFFER, ToHardware(OWN, MAC.packed))]
    assert [event["log_level"] for event in log].count(LogLevel.critical) == 1
    with bench.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
    assert bench.receive(request()) == [("committed", 1), (T.ACK, ToHardware(OWN, MAC.packed))]


def test_a_broken_node_database_costs_one_packet_and_keeps_its_traceback(bench, log):
    def broken(mac, uuid):
        raise RuntimeError("our bug")

    working, bench.service._find_node = bench.service._find_node, broken
    assert bench.receive(packet(T.DISCOVER)) == []
    assert [event["log_failure"].type for event in log if event.get("log_failure")] == [RuntimeError]
    bench.service._find_node = working
    assert len(bench.receive(packet(T.DISCOVER))) == 1


def test_machines_that_network_boot_are_recorded_once_until_something_changes(bench):
    boot = (opt.VENDOR_CLASS.of("PXEClient:Arch:00007:UNDI:003016"), opt.CLIENT_ARCH.of((7,)))
    address = IPv4Address("10.0.0.150")
    for _ in range(5):
        bench.receive(packet(T.DISCOVER, *boot, opt.REQUESTED_ADDRESS.of(address)))
    bench.receive(packet(T.DISCOVER, mac=number(1)))  # no network boot
    assert [(str(seen.mac), seen.arch, seen.address) for seen in bench.seen] == [(str(MAC), "x86_64-efi", str(address))]
    bench.clock.advance(31)
    bench.receive(packet(T.DISCOVER, *boot, opt.REQUESTED_ADDRESS.of(address)))
    assert len(bench.seen) == 2


def test_made_up_machines_do_not_flood_the_database(bench):
    boot = (opt.VENDOR_CLASS.of("PXEClient"),)
    bench.receive(*(packet(T.DISCOVER, *boot, mac=number(index)) for index in range(500)))
    assert len(bench.seen) == 50


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
    bench = Bench(tmp_path, Settings(SERVER))
    bench.service.start()
    assert bench.service.served == () and bench.clock.getDelayedCalls() == []


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
    happened = bench.receive(evolve(sent, options=sent.options))
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
        bench.service.received(bench.link, mutated(chance, seeds), (NOWHERE, 68), False)
        if turn % 50 == 49:
            bench.clock.advance(1)
            for kind, to in (event for event in bench.events if event[0] != "committed"):
                assert kind in (T.OFFER, T.ACK, T.NAK) and to is not None
            bench.events.clear()
    return bench.service.malformed - before


def test_a_hundred_thousand_broken_packets(tmp_path, log):
    """No exception, no answer to what is malformed, no memory that grows (in the same process, whole service)."""
    bench, chance = Bench(tmp_path), random.Random(20261121)
    # Not the disk: 100,000 questions to a database and as many commits would only make this slow.
    store = RecordedStore(bench.engine, bench.events)
    store.save, store.is_reserved = tuple, OWN.__eq__

    def find(mac, uuid):
        return NODE if mac == MAC else None

    bench.service = DhcpService(SETTINGS, bench.clock, find, lambda seen: None, store, bench.clock.seconds)
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
    assert len(list(bench.service._book)) <= 101 and len(bench.service._sightings) <= 4096
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
