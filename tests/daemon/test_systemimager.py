"""SystemImager's monitor port: both of its protocols, by real connections, and what the port does not take."""

import socket

import pytest
import pytest_twisted
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport

from imaged.daemon import systemimager
from imaged.daemon.systemimager import Client, MonitorService
from imaged.store.database import open_database
from imaged.store.foreign import Foreigners
from tests.wire.test_systemimager import MAC, V4, V5


class Port:
    """A service without a socket; ``now`` is the time."""

    def __init__(self, path):
        self.store = Foreigners(open_database(path))
        self.clock = Clock()
        self.service = MonitorService(0, self.store, lambda: 1000.0 + self.clock.seconds(), self.clock)

    def connect(self, host="10.0.0.7"):
        client, transport = Client(self.service), Transport(host)
        client.makeConnection(transport)
        return client

    def kept(self):
        self.service.flush()
        return {str(each.mac): each for each in self.store.all()}


class Transport(StringTransport):
    """As TCP is: with keepalives."""

    def __init__(self, host):
        super().__init__()
        self.host = host

    def getPeer(self):
        return self

    def setTcpKeepAlive(self, _):
        pass


@pytest.fixture
def port(tmp_path):
    return Port(tmp_path / "db.sqlite")


def test_a_line_of_version_4(port):
    client = port.connect()
    client.dataReceived(V4.encode() + b"status=37.12:speed=11264.50\n")
    kept = port.kept()[str(MAC)]
    assert (kept.host, kept.image, kept.status, kept.first_seen) == ("node7", "compute", 37.12, 1000.0)


def test_a_stream_of_version_5_in_pieces(port):
    client = port.connect()
    lines = ["MAC:52:54:00:AA:BB:CC;42", "UPD:" + V5 % ("0", "0"), 'LOG:{"PRIORITY":"local0.err","MESSAGE":"no disk"}']
    for byte in ("\r\n".join([*lines, "UPD:" + V5 % ("0", "-1")]) + "\r\n").encode():
        client.dataReceived(bytes((byte,)))
    kept = port.kept()[str(MAC)]
    assert (kept.status, kept.trouble) == (-1.0, "no disk")


def test_after_the_reboot_and_after_ours(port, tmp_path):
    port.connect().dataReceived(V4.encode() + b"status=104:speed=0\n")
    port.kept()
    again = Port(tmp_path / "db.sqlite")
    again.clock.advance(60)
    again.connect().dataReceived(b"UPD:" + (V5 % ("0", "102")).encode() + b"\n")
    kept = again.kept()[str(MAC)]
    assert (kept.status, kept.first_seen, kept.last_seen) == (102.0, 1000.0, 1060.0)


def test_a_log_before_it_is_known_whose_and_garbage(port):
    client = port.connect()
    client.dataReceived(b'LOG:{"MESSAGE":"x"}\nGET / HTTP/1.1\n\n\xff\xfe\nUPD:{"status":"5"}\n')
    assert port.kept() == {}
    assert not client.transport.disconnecting


def test_a_line_without_end_ends_the_connection(port):
    client = port.connect()
    client.dataReceived(b"x" * 20_000)
    assert client.transport.disconnecting


def test_a_flood_is_not_heard(port):
    client = port.connect()
    for status in range(1, 8000):
        client.dataReceived(V4.encode() + b"status=%d:speed=0\n" % status)
    assert port.kept()[str(MAC)].status == 5000


def test_too_many_machines_and_too_many_connections(port, monkeypatch):
    monkeypatch.setattr(systemimager, "_MOST_MACHINES", 10)
    client = port.connect()
    for number in range(100):
        client.dataReceived(b"mac=52.54.00.00.00.%02x:status=1\n" % number)
    assert len(port.kept()) == 10
    more = [port.connect() for _ in range(70)]
    assert [each.transport.disconnecting for each in more] == [False] * 63 + [True] * 7
    assert not port.connect("10.0.0.8").transport.disconnecting
    for each in more:
        each.connectionLost()
    assert not port.connect().transport.disconnecting


def test_who_is_silent_for_a_day_is_forgotten(port):
    port.connect().dataReceived(V4.encode() + b"status=-1:speed=0\n")
    port.kept()
    port.clock.advance(86_401)
    port.connect().dataReceived(b"mac=52.54.00.00.00.01:status=1\n")
    assert list(port.kept()) == ["52:54:00:00:00:01"]


@pytest_twisted.ensureDeferred
async def test_a_real_connection(tmp_path):
    from twisted.internet import reactor

    store = Foreigners(open_database(tmp_path / "db.sqlite"))
    service = MonitorService(0, store, lambda: 5.0, reactor)
    service.start()
    try:
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(V4.encode() + b"status=50:speed=1\n")
            while not service._changed:
                await deferLater(reactor, 0.01)
        service.flush()
        while service._sources:
            await deferLater(reactor, 0.01)
    finally:
        await service.stop()
    assert [(each.host, each.status) for each in store.all()] == [("node7", 50.0)]
