"""The rsync service with a virtual clock, connections that are socket pairs, and children that never start."""

import base64
import os
import signal
import socket
import struct
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionDone, ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from imaged.daemon.rsync import RsyncService, Visitor
from imaged.model.settings import RsyncSettings, Settings
from imaged.model.transfer import Grant, Module


class Connection(StringTransport):
    """A Twisted connection with a real descriptor, whose far end is ``client``."""

    def __init__(self):
        super().__init__()
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.client = socket.create_connection(server.getsockname())
            self.handle, _ = server.accept()
        self.client.settimeout(60)
        self.watched = True
        self.aborted = False

    def getHandle(self):
        class Tcp:
            """What Twisted's connection has of its socket."""

            fileno, detach, setsockopt = self.handle.fileno, self.handle.detach, self.handle.setsockopt

        return Tcp

    def stopReading(self):
        self.watched = False

    def stopWriting(self):
        pass

    def loseWriteConnection(self):
        self.disconnecting = True

    def abortConnection(self):
        self.aborted = True


class Process:
    """What spawnProcess returns."""

    def __init__(self, pid):
        self.pid = pid
        self.signals = []
        self.exited = False

    def signalProcess(self, number):
        if self.exited:
            raise ProcessExitedAlready
        self.signals.append(number)


class Reactor(Clock):
    """A clock that remembers what it was asked to spawn."""

    def __init__(self):
        super().__init__()
        self.spawned = []
        self.fork_fails = False

    def spawnProcess(self, protocol, executable, args, env, childFDs):
        if self.fork_fails:
            raise OSError(11, "Resource temporarily unavailable")
        config = Path(args[-1].removeprefix("--config="))
        self.spawned.append((protocol, args, config.read_text(), config, env, os.get_blocking(childFDs[0])))
        protocol.transport = Process(4000 + len(self.spawned))
        return protocol.transport


class House:
    """A service with ``slots``; nodes whose secret is in ``secrets`` are granted the tree."""

    def __init__(self, directory, slots=2, on_end=None):
        self.reactor = Reactor()
        self.events = []
        self.secrets = {f"n{number}": "s" for number in range(100)}
        self.run_dir, self.logs = directory / "run", directory / "logs"
        self.run_dir.mkdir()
        self.logs.mkdir()
        settings = Settings(address=IPv4Address("127.0.0.1"), rsync=RsyncSettings(transfers=slots))
        self.service = RsyncService(
            settings, self.run_dir, self.logs, self.reactor, self.grant,
            on_queue=lambda *event: self.events.append(("queue", *event)),
            on_end=on_end or (lambda *event: self.events.append(("end", *event))),
        )  # fmt: skip

    def grant(self, node, secret):
        if self.secrets.get(node) == "raise":
            raise RuntimeError("the database is gone")
        return Grant(node, (Module("image", Path("/tree")),)) if self.secrets.get(node) == secret else None

    def visit(self, node="", received=None):
        visitor, connection = Visitor(self.service, self.reactor), Connection()
        visitor.makeConnection(connection)
        if node or received:
            visitor.dataReceived(received or connect(f"{node}:s"))
        return visitor, connection

    def end(self, index, code=0, number=None):
        child = self.reactor.spawned[index][0]
        child.transport.exited = True
        ended = ProcessTerminated(code, number) if code or number else ProcessDone(0)
        child.processEnded(Failure(ended))

    def configs(self):
        return sorted(path.name for path in self.run_dir.iterdir())


def connect(credentials):
    return b"CONNECT imaged:873 HTTP/1.0\r\nProxy-Authorization: Basic %s\r\n\r\n" % base64.b64encode(
        credentials.encode()
    )


def gone(visitor):
    visitor.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_node_is_handed_over(house):
    _, connection = house.visit("n7")
    child, args, config, path, env, blocking = house.reactor.spawned[0]
    assert connection.client.recv(100) == b"HTTP/1.0 200 go on\r\n\r\n"
    assert connection.value() == b""  # nothing through the reactor
    assert not connection.watched
    assert args[:2] == ("rsync", "--daemon")
    assert blocking
    assert set(env) == {"PATH", "LC_ALL"}
    assert "[image]\npath = /tree\n" in config
    assert path.parent == house.run_dir
    assert path.stat().st_mode & 0o777 == 0o600
    assert house.service.transferring == ("n7",)
    house.end(0)
    assert connection.client.recv(100) == b""  # our copy is closed; no child has another here
    assert (house.service.sent, dict(house.service.ended)) == (
        len(b"HTTP/1.0 200 go on\r\n\r\n"),
        {"done": 1, "failed": 0},
    )
    assert house.configs() == []
    assert house.service.transferring == ()
    assert house.events == [("queue", "n7", 0), ("end", "n7", 0)]
    assert house.reactor.getDelayedCalls() == []
    assert child.gone.called


@pytest.mark.parametrize(
    ("received", "said"),
    [
        (connect("n7:wrong"), b"HTTP/1.0 403 "),
        (connect("stranger:s"), b"HTTP/1.0 403 "),
        (connect("n\x00:s"), b"HTTP/1.0 403 "),
        (b"CONNECT imaged:873 HTTP/1.0\r\n\r\n", b"HTTP/1.0 407 "),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.0 400 "),
        (connect("n7:s") + b"early", b"HTTP/1.0 400 "),
        (b"@RSYNCD: 32.0 sha512 md5\nimage\n", b"@RSYNCD: 32.0 "),
    ],
)
def test_refused(house, received, said):
    visitor, connection = house.visit(received=received)
    assert connection.value().startswith(said)
    assert connection.disconnecting  # half closed: the client reads our words before it hangs up
    assert not connection.aborted
    visitor.dataReceived(b"more" * 1000)
    assert connection.value().count(said) == 1
    house.reactor.advance(10)
    assert connection.aborted
    assert house.reactor.spawned == []
    gone(visitor)
    assert house.reactor.getDelayedCalls() == []


def test_the_request_may_come_byte_by_byte(house):
    visitor, _ = house.visit()
    for octet in connect("n7:s"):
        visitor.dataReceived(bytes([octet]))
    assert len(house.reactor.spawned) == 1


@pytest.mark.parametrize("received", [b"", b"CONNECT", connect("n7:s")[:-1]])
def test_who_says_nothing_is_cut_off(house, received):
    visitor, connection = house.visit()
    visitor.dataReceived(received)
    house.reactor.advance(9)
    assert not connection.aborted
    house.reactor.advance(1)
    assert connection.aborted


def test_the_third_waits_as_long_as_it_takes(house):
    house.visit("n1"), house.visit("n2")
    _, third = house.visit("n3")
    house.visit("n4")
    house.reactor.advance(36_000)
    assert not third.aborted
    assert len(house.reactor.spawned) == 2
    assert house.service.waiting == ("n3", "n4")
    house.end(1, code=12)
    assert [line for line in house.events if line[1] in ("n2", "n3", "n4")] == [
        ("queue", "n2", 0), ("queue", "n3", 1), ("queue", "n4", 2), ("queue", "n3", 0), ("end", "n2", 12),
    ]  # fmt: skip
    assert third.client.recv(100).startswith(b"HTTP/1.0 200 ")


def test_who_hangs_up_leaves_the_queue(house):
    house.visit("n1"), house.visit("n2")
    third, _ = house.visit("n3")
    house.visit("n4")
    gone(third)
    assert house.service.waiting == ("n4",)
    house.end(0)
    assert len(house.reactor.spawned) == 3
    assert sorted(house.service.transferring) == ["n2", "n4"]


def test_who_talks_while_waiting_is_refused(house):
    house.visit("n1"), house.visit("n2")
    third, connection = house.visit("n3")
    third.dataReceived(b"impatient")
    assert connection.value().startswith(b"HTTP/1.0 400 ")
    assert house.service.waiting == ()


def test_a_grant_that_was_lost_while_waiting(house):
    house.visit("n1"), house.visit("n2")
    _, third = house.visit("n3")
    _, fourth = house.visit("n4")
    del house.secrets["n3"]
    house.end(0)
    assert third.value().startswith(b"HTTP/1.0 403 ")
    assert fourth.client.recv(100).startswith(b"HTTP/1.0 200 ")  # the slot went on to the next
    assert sorted(house.service.transferring) == ["n2", "n4"]


def test_a_grant_that_breaks_costs_one_connection(house):
    house.secrets["n1"] = "raise"
    _, connection = house.visit("n1")
    assert connection.value().startswith(b"HTTP/1.0 503 ")
    assert b"database" not in connection.value()
    house.visit("n2")
    assert len(house.reactor.spawned) == 1


def test_a_client_that_died_just_before_its_turn(house):
    house.visit("n1"), house.visit("n2")
    _, third = house.visit("n3")
    third.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its power failed: a reset
    third.client.close()
    house.end(0)
    assert house.service.transferring == ("n2",)
    assert len(house.configs()) == 1


def test_a_fork_that_fails_frees_the_slot(house):
    house.reactor.fork_fails = True
    _, connection = house.visit("n1")
    assert house.service.transferring == ()
    assert house.configs() == []
    assert connection.client.recv(100).startswith(b"HTTP/1.0 200 ")
    assert connection.client.recv(100) == b""


def test_a_configuration_that_cannot_be_written(house):
    house.run_dir.rmdir()
    _, connection = house.visit("n1")
    assert connection.value().startswith(b"HTTP/1.0 503 ")
    assert house.service.transferring == ()


def test_a_killed_child_is_reported_with_its_signal(house):
    house.visit("n1")
    house.end(0, code=None, number=9)
    assert house.events[-1] == ("end", "n1", -9)


def test_stop_turns_away_who_waits_and_ends_who_transfers(house):
    house.visit("n1"), house.visit("n2")
    _, third = house.visit("n3")
    silent, mute = house.visit()
    stopped = house.service.stop()
    assert third.value().startswith(b"HTTP/1.0 503 ")
    assert mute.value().startswith(b"HTTP/1.0 503 ")
    processes = [spawned[0].transport for spawned in house.reactor.spawned]
    assert [process.signals for process in processes] == [[signal.SIGTERM]] * 2
    house.end(0, code=20)
    assert not stopped.called
    house.reactor.advance(5)
    assert processes[1].signals == [signal.SIGTERM, signal.SIGKILL]
    house.end(1, code=None, number=9)
    assert stopped.called
    assert len(house.reactor.spawned) == 2
    assert house.configs() == []
    gone(silent)


def test_who_listens_and_breaks_keeps_nobody_from_stopping(tmp_path):
    def broken(*_):
        raise BrokenPipeError

    house = House(tmp_path, on_end=broken)
    house.visit("n1")
    stopped = house.service.stop()
    with pytest.raises(BrokenPipeError):
        house.end(0)
    assert stopped.called and house.service.transferring == ()


def test_drop_ends_what_one_node_does(house):
    house.visit("n1"), house.visit("n2")
    _, waits = house.visit("n1")
    house.visit("n3")
    house.service.drop("n1")
    assert waits.value().startswith(b"HTTP/1.0 403 ")
    assert [spawned[0].transport.signals for spawned in house.reactor.spawned] == [[signal.SIGTERM], []]
    house.end(0, code=20)
    assert sorted(house.service.transferring) == ["n2", "n3"]


def test_two_hundred_nodes_all_get_their_turn(tmp_path):
    house = House(tmp_path, slots=32)
    house.secrets.update({f"m{number}": "s" for number in range(200)})
    for number in range(200):
        house.visit(f"m{number}")
    most = 0
    for index in range(200):
        most = max(most, len(house.service.transferring))
        house.end(index)
    assert most == 32
    assert [line[1] for line in house.events if line[0] == "end"] == [f"m{number}" for number in range(200)]
    assert house.service.transferring == house.service.waiting == ()


class Idle(StringTransport):
    """A connection that says nothing."""

    def getHandle(self):
        return self

    def setsockopt(self, *_):
        pass

    def loseWriteConnection(self):
        pass


def test_a_flood_of_connections_is_bounded(house, monkeypatch):
    monkeypatch.setattr("imaged.daemon.rsync._MOST_VISITORS", 40)
    connections = [Idle() for _ in range(41)]
    for connection in connections:
        Visitor(house.service, house.reactor).makeConnection(connection)
    assert [connection.value()[:13] for connection in connections[-2:]] == [b"", b"HTTP/1.0 503 "]
