"""How packets of DHCP are taken from the kernel: a lone one at once, those of a crowd together."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from imaged.daemon.packet_socket import Reader


class Reactor(Clock):
    """A clock that knows whom it would wake."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.addReader, self.removeReader = self.readers.add, self.readers.discard


class Wire:
    """A reader, what it was given, and the other end."""

    def __init__(self, server: socket.socket, client: socket.socket) -> None:
        self.reactor, self.groups, self.lost = Reactor(), list[list[bytes]](), 0
        self._client, self._to = client, server.getsockname()
        self.reader = Reader(server, self._received, self._lose, self.reactor)

    def send(self, *payloads: bytes) -> None:
        """They arrive; the reactor wakes the reader if it is asked to."""
        for payload in payloads:
            self._client.sendto(payload, self._to)
        if self.reader in self.reactor.readers:
            self.reader.doRead()

    def _received(self, arrived: Any) -> None:
        self.groups.append([payload for payload, _source in arrived])

    def _lose(self) -> None:
        self.lost += 1


@pytest.fixture
def wire() -> Iterator[Wire]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.bind(("127.0.0.1", 0))
        yield Wire(server, client)


def test_a_lone_packet_waits_for_nothing(wire: Wire) -> None:
    for second in range(3):
        wire.send(b"%d" % second)
        wire.reactor.advance(1)
    assert wire.groups == [[b"0"], [b"1"], [b"2"]]
    assert wire.reader in wire.reactor.readers


def test_a_crowd_is_taken_together(wire: Wire) -> None:
    wire.send(b"first")
    wire.reactor.advance(0.001)
    wire.send(b"second")
    wire.send(b"third")
    wire.send(b"fourth")
    assert wire.groups == [[b"first"], [b"second"]]
    wire.reactor.advance(0.012)
    assert wire.groups[2:] == [[b"third", b"fourth"]]


def test_more_than_a_turn_takes_is_not_left_to_the_kernel(wire: Wire) -> None:
    wire.send(b"first")
    wire.send(b"second")
    wire.send(*(b"%d" % number for number in range(300)))
    wire.reactor.advance(0.012)  # and not once more
    assert [len(group) for group in wire.groups] == [1, 1, 256, 44]


def test_nor_where_a_crowd_begins(wire: Wire) -> None:
    wire.send(b"first")
    wire.send(*(b"%d" % number for number in range(300)))
    assert [len(group) for group in wire.groups] == [1, 256]
    wire.reactor.advance(0)
    assert [len(group) for group in wire.groups] == [1, 256, 44]


def test_who_comes_after_a_crowd_waits_for_nothing_again(wire: Wire) -> None:
    wire.send(b"first")
    wire.send(b"second")
    assert wire.reader not in wire.reactor.readers
    wire.reactor.advance(0.012)
    assert wire.reader in wire.reactor.readers
    wire.reactor.advance(1)
    wire.send(b"later")
    assert wire.groups[-1] == [b"later"]
    assert wire.reader in wire.reactor.readers


def test_nothing_is_read_after_the_end(wire: Wire) -> None:
    wire.send(b"first")
    wire.send(b"second")
    wire.reader.close()
    wire.send(b"third")
    wire.reactor.advance(1)
    assert wire.groups == [[b"first"], [b"second"]]
    assert not wire.reactor.readers
    assert not wire.reactor.getDelayedCalls()
