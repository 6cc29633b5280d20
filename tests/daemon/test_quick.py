"""The shortest way through HTTP: what it answers, and what it leaves to Twisted."""

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from imaged.daemon.site import QuietSite

PLAIN = b"GET /ipxe/a?uuid=1 HTTP/1.1\r\nHost: imaged\r\nUser-Agent: iPXE/1.21.1\r\n\r\n"


class Twisteds(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        return b"Twisted's"


class House:
    """One connection. ``targets`` is what was asked of the shortest way."""

    def __init__(self) -> None:
        self.targets: list[bytes] = []
        self.clock = Clock()
        site = QuietSite(Twisteds(), self.clock, self.quick, "/ipxe/")
        self.wire = StringTransport()
        channel: Any = site.buildProtocol(IPv4Address("TCP", "10.0.0.9", 5))
        channel.makeConnection(self.wire)
        self.receive = channel.dataReceived

    def quick(self, target: bytes) -> bytes | None:
        self.targets.append(target)
        return None if b"nobody" in target else b"quick"

    def ask(self, *pieces: bytes) -> list[bytes]:
        """The bodies that come."""
        for piece in pieces:
            self.receive(piece)
        said = self.wire.value()
        self.wire.clear()
        return [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK\r\n")[1:]]


def test_a_plain_request() -> None:
    house = House()
    house.receive(PLAIN)
    said = house.wire.value().decode()
    assert said.startswith("HTTP/1.1 200 OK\r\nDate: ")
    assert said.endswith("\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nquick")
    assert house.targets == [b"/ipxe/a?uuid=1"]
    house.wire.clear()
    assert house.ask(PLAIN, PLAIN) == [b"quick"] * 2


@pytest.mark.parametrize(
    "pieces",
    [
        (PLAIN[:20], PLAIN[20:]),
        tuple(PLAIN[n : n + 1] for n in range(len(PLAIN))),
        (PLAIN.replace(b"GET", b"HEAD"),),
        (PLAIN.replace(b"1.1\r\n", b"1.0\r\n", 1),),
        (PLAIN.replace(b"/ipxe/a", b"/ipxe/nobody"),),
        (PLAIN.replace(b"/ipxe/a", b"/other"),),
        (PLAIN.replace(b"Host", b"Range: bytes=1-2\r\nHost"),),
        (PLAIN.replace(b"Host", b"CONTENT-LENGTH: 0\r\nHost"),),
        (PLAIN.replace(b"Host", b"Accept: a\r\n  b\r\nHost"),),
        (PLAIN.replace(b"Host: imaged\r\n", b""),),
        (PLAIN.replace(b"iPXE/1", b"iPXE\xe9"),),
    ],
)
def test_what_twisted_answers(pieces: tuple[bytes, ...]) -> None:
    house = House()
    assert house.ask(*pieces) == [b"" if b"HEAD" in pieces[0] else b"Twisted's"] or b"1.0" in pieces[0]
    assert house.targets in ([], [b"/ipxe/nobody?uuid=1"])
    assert house.ask(PLAIN) in ([b"Twisted's"], []), "and all that comes after it"


def test_several_that_come_at_once() -> None:
    assert House().ask(PLAIN * 3) == [b"Twisted's"] * 3


@pytest.mark.parametrize("header", [b"Connection: close", b"connection: Keep-Alive, close"])
def test_a_connection_for_one_request(header: bytes) -> None:
    house = House()
    assert house.ask(PLAIN.replace(b"Host", header + b"\r\nHost"), PLAIN) == [b"quick"]
    assert house.wire.disconnecting


def test_who_says_nothing_more_is_cut_off() -> None:
    house = House()
    house.ask(PLAIN)
    house.clock.advance(59)
    house.ask(PLAIN)
    house.clock.advance(59)
    assert not house.wire.disconnecting
    house.clock.advance(2)
    assert house.wire.disconnecting
