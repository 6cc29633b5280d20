"""Kernels are heard by the address that their node has, strangers are not, and nobody can fill the disk."""

import socket
from ipaddress import IPv4Address

import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imaged.daemon.netconsole import Netconsole
from imaged.daemon.udp import Datagram
from imaged.model.lease import Lease, LeaseState
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes

MAC, OTHER = Mac.parse("52:54:00:00:00:01"), Mac.parse("52:54:00:00:00:02")


class Hall:
    """A service without a socket."""

    def __init__(self):
        self.clock, self.asked, self.written = Clock(), [], []
        self.service = Netconsole(0, self.find, lambda *line: self.written.append(line), self.clock)

    def find(self, address):
        self.asked.append(str(address))
        return {"10.0.0.1": "n1"}.get(str(address))

    def say(self, payload, address="10.0.0.1"):
        self.service.received(Datagram(payload, (address, 6665), "10.0.0.254"))


def test_lines_are_kept_by_node():
    hall = Hall()
    hall.say(b"4,12,1500000,-;Kernel panic - not syncing\n DEVICE=x\n")
    hall.say(b"plain \xff\n\n")
    hall.say(b"7,1,1,-;debug")
    hall.say(b"a stranger", "10.0.0.9")
    assert hall.written == [
        ("n1", "[    1.500000] Kernel panic - not syncing"),
        ("n1", "plain \N{REPLACEMENT CHARACTER}"),
    ]
    assert hall.asked == ["10.0.0.1", "10.0.0.9"]
    hall.clock.advance(61)
    hall.say(b"again")
    assert hall.asked == ["10.0.0.1", "10.0.0.9", "10.0.0.1"]


def test_a_flood_is_cut_and_said():
    hall = Hall()
    for number in range(5000):
        hall.say(b"line %d" % number)
    assert len(hall.written) == 2000
    hall.clock.advance(1)
    hall.say(b"later")
    assert hall.written[-1] == ("n1", "(3000 datagrams were left out before)\nlater")


def test_made_up_addresses_do_not_fill_the_memory():
    hall = Hall()
    for number in range(10_000):
        hall.say(b"x", str(IPv4Address(number)))
    assert len(hall.service._speakers) <= 4096


def test_whose_an_address_is(tmp_path):
    engine = open_database(tmp_path / "db.sqlite")
    Nodes(engine).add(Node("n1", (MAC,), ImageRef("tiny"), address=IPv4Address("10.0.0.1")))
    Nodes(engine).add(Node("n2", (OTHER,), ImageRef("tiny")))
    leases = LeaseStore(engine)
    leases.save(
        [
            Lease(IPv4Address("10.0.0.100"), OTHER, LeaseState.BOUND, 5.0),
            Lease(IPv4Address("10.0.0.101"), OTHER, LeaseState.RELEASED, 5.0),
        ]
    )
    assert [leases.holder(IPv4Address(f"10.0.0.{n}")) for n in (1, 100, 101, 9)] == ["n1", "n2", None, None]


@pytest_twisted.ensureDeferred
async def test_a_real_datagram():
    from twisted.internet import reactor

    heard = Deferred()
    service = Netconsole(0, lambda address: f"node-of-{address}", lambda *line: heard.callback(line), reactor)
    service.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
            kernel.sendto(b"6,1,2000000,-;eth0: up\n", ("127.0.0.1", service.port))
        line = await heard.addTimeout(60, reactor)
    finally:
        service.stop()
    assert line == ("node-of-127.0.0.1", "[    2.000000] eth0: up")
    assert service.port == 0
