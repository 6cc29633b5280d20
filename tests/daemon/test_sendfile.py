"""Files by HTTP: real clients on loopback, patient ones, greedy ones, and those that go away."""

import hashlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource

from imaged.daemon import sendfile
from imaged.daemon.sendfile import FileBody
from imaged.daemon.site import QuietSite

reactor: Any = installed
SIZE = 4 * 2**20


class Files(Resource):
    """Serves one file. ``ended`` are the bytes that went out, by request."""

    isLeaf = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ended: list[int] = []
        self.waiting: list[Deferred[None]] = []

    def render(self, request: Any) -> Any:
        def end(_: object) -> None:
            self.ended.append(request.sentLength)
            for deferred in self.waiting:
                deferred.callback(None)
            self.waiting.clear()

        request.notifyFinish().addBoth(end)
        return FileBody(os.open(self.path, os.O_RDONLY), "application/octet-stream").render(request)

    def next_end(self) -> "Deferred[None]":
        self.waiting.append(Deferred())
        return self.waiting[-1]

    @property
    def held(self) -> int:
        """Descriptors of the file that are open."""
        links = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
        return sum(os.path.realpath(each) == str(self.path) for each in links)


class House:
    def __init__(self, files: Files, port: int) -> None:
        self.files, self.port = files, port
        self.content = files.path.read_bytes()

    async def curl(self, *words: str) -> bytes:
        argv = ("curl", "-sS", *words, f"http://127.0.0.1:{self.port}/")
        done: Any = await deferToThread(subprocess.run, argv, capture_output=True, timeout=60, check=True)
        return bytes(done.stdout)

    def connect(self, room: int = 0) -> socket.socket:
        """``room``: of the receive buffer."""
        client = socket.socket()
        client.settimeout(60)
        if room:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        client.connect(("127.0.0.1", self.port))
        return client


def listen_plainly(reactor: Any, port: int, site: Any, interface: str) -> Any:
    return reactor.listenTCP(port, site, interface=interface)


@pytest.fixture(params=["sendfile", "read"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """Once with our connections, once with others, where the file has to be read."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(SIZE))
    files = Files(path)
    listen: Callable[..., Any] = sendfile.listen if request.param == "sendfile" else listen_plainly
    port = listen(reactor, 0, QuietSite(files, reactor), interface="127.0.0.1")
    house = House(files, port.getHost().port)
    yield house
    pytest_twisted.blockon(port.stopListening())
    assert files.held == 0


@pytest_twisted.ensureDeferred
async def test_all_of_it_and_parts(house: House) -> None:
    assert await house.curl() == house.content
    for asked, start, end in (("0-0", 0, 1), ("1000000-3000000", 1000000, 3000001), ("-7", SIZE - 7, SIZE)):
        assert await house.curl("-r", asked) == house.content[start:end]
    assert house.files.ended == [SIZE, 1, 2000001, 7]


@pytest_twisted.ensureDeferred
async def test_headers(house: House) -> None:
    head = (await house.curl("-I")).decode()
    assert head.startswith("HTTP/1.1 200 OK")
    assert f"Content-Length: {SIZE}\r\n" in head and "Accept-Ranges: bytes" in head
    tag = next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("etag"))
    part = (await house.curl("-i", "-r", "2-4")).partition(b"\r\n\r\n")
    assert part[0].startswith(b"HTTP/1.1 206 ") and part[2] == house.content[2:5]
    assert f"content-range: bytes 2-4/{SIZE}".encode() in part[0].lower()
    same = (await house.curl("-i", "-H", f"If-None-Match: {tag}")).partition(b"\r\n\r\n")
    assert same[0].startswith(b"HTTP/1.1 304 ") and same[2] == b""
    none = await house.curl("-i", "-r", f"{SIZE}-")
    assert none.startswith(b"HTTP/1.1 416 ") and f"bytes */{SIZE}".encode() in none
    assert (await house.curl("-i", "-H", 'If-Match: "x"')).startswith(b"HTTP/1.1 412 ")


@pytest_twisted.ensureDeferred
async def test_thirty_two_at_once(house: House, tmp_path: Path) -> None:
    words = ("--parallel", "--parallel-immediate", "--parallel-max", "32", "-o", f"{tmp_path}/got-#1")
    argv = ("curl", "-sSf", *words, f"http://127.0.0.1:{house.port}/?[1-32]")
    await deferToThread(subprocess.run, argv, timeout=60, check=True)
    wanted = hashlib.sha256(house.content).digest()
    got = list(tmp_path.glob("got-*"))
    assert len(got) == 32
    assert all(hashlib.sha256(each.read_bytes()).digest() == wanted for each in got)


@pytest_twisted.ensureDeferred
async def test_several_over_one_connection(house: House) -> None:
    """Also when the client did not wait for the answers."""

    def ask() -> bytes:
        with house.connect() as client:
            asked = (b"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n" % (n, n + 1_000_000) for n in (0, 5))
            client.sendall(b"".join(asked) + b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with client.makefile("rb") as answer:
                return answer.read()

    said = await deferToThread(ask)
    parts = said.split(b"HTTP/1.1 ")
    assert [part[:3] for part in parts[1:]] == [b"206", b"206", b"200"]
    assert parts[2].partition(b"\r\n\r\n")[2] == house.content[5:1_000_006]


@pytest_twisted.ensureDeferred
async def test_a_slow_client_keeps_nobody_waiting(house: House) -> None:
    slow = house.connect(room=4096)
    slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    try:
        for _ in range(3):
            assert await house.curl() == house.content
        assert house.files.held == 1

        def rest() -> bytes:
            with slow.makefile("rb") as answer:
                return answer.read()

        assert (await deferToThread(rest)).partition(b"\r\n\r\n")[2] == house.content
    finally:
        slow.close()


@pytest_twisted.ensureDeferred
async def test_a_client_that_goes_away(house: House) -> None:
    ended = house.files.next_end()
    client = house.connect(room=4096)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await deferToThread(client.recv, 1000)
    client.close()
    await ended
    assert house.files.held == 0
    assert 0 < house.files.ended[0] < SIZE, "what had gone out by then"
    assert await house.curl() == house.content


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_replaced_meanwhile(house: House) -> None:
    client = house.connect(room=4096)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    first = await deferToThread(client.recv, 1000)
    other = house.files.path.with_name("other")
    other.write_bytes(b"new")
    other.replace(house.files.path)

    def rest() -> bytes:
        with client, client.makefile("rb") as answer:
            return first + answer.read()

    assert (await deferToThread(rest)).partition(b"\r\n\r\n")[2] == house.content
    assert await house.curl() == b"new"


@pytest_twisted.ensureDeferred
async def test_a_file_that_shrinks_ends_the_connection(house: House) -> None:
    """Its length was promised: the client must not take what came for all."""

    def fetch() -> int:
        connection = HTTPConnection("127.0.0.1", house.port, timeout=60)
        connection.sock = house.connect(room=4096)
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read(10)
        os.truncate(house.files.path, 100)
        try:
            answer.read()
        except (IncompleteRead, ConnectionError) as error:
            return len(getattr(error, "partial", b""))
        finally:
            connection.close()
        return SIZE

    assert await deferToThread(fetch) < SIZE


class Teller(Protocol):
    """Says all of it as soon as somebody connects, in pieces that a socket takes whole, in part, and not at all."""

    pieces = tuple(bytes([number]) * (1 << 10 * (number % 3)) * 7 for number in range(12))

    def connectionMade(self) -> None:
        transport: Any = self.transport
        for piece in self.pieces:
            transport.write_at_once(piece)
        transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_what_is_written_at_once_comes_whole_and_in_order() -> None:
    port = sendfile.listen(reactor, 0, Factory.forProtocol(Teller), interface="127.0.0.1")

    def fetch() -> bytes:
        with socket.create_connection(("127.0.0.1", port.getHost().port), timeout=60) as client:
            return b"".join(iter(lambda: client.recv(1 << 16), b""))

    try:
        assert await deferToThread(fetch) == b"".join(Teller.pieces)
    finally:
        await port.stopListening()
