"""The TFTP service with a virtual clock and sockets that are lists."""

import errno
import functools
import gc
import itertools
import os
import random
import tracemalloc
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock

from imaged.daemon.ferry.carrier import Carrier
from imaged.daemon.ferry.fleet import Ferry, Fleet
from imaged.daemon.tftp import TftpService
from imaged.daemon.udp import Datagram
from imaged.model.settings import Settings, TftpSettings
from imaged.wire.tftp import Ack, Data, Error, ErrorCode, OptionAck, ReadRequest, WriteRequest, decode, encode

CLIENT = ("10.0.0.7", 2070)
SERVER = "10.0.0.1"
CONTENT = bytes(i * 31 % 256 for i in range(3000))


class FakeSocket:
    """The port's: keeps what is sent as (packet, to, from)."""

    def __init__(self, address, port, received, sent):
        self.port = port or 6969
        self.open = True
        self._sent = sent

    def send(self, payload, to, local):
        assert self.open
        self._sent.append((decode(payload), to, local))
        return True

    def close(self):
        self.open = False


class FakeLine:
    """A transfer's socket, or the one for strangers to it. Does the kernel's cutting; keeps what is sent likewise."""

    numbers = itertools.count(1000)

    def __init__(self, local, peer, sent):
        self.address, self.peer = local, peer
        self.open = True
        self.takes = 10**9  # datagrams until its buffer is full
        self.longest = 65507  # bytes of a packet that may be cut: the path's MTU
        self.cuts = []
        self.inbox = []
        self.strangers = None
        self._cut = 0
        self._sent = sent
        self._number = next(self.numbers)

    def fileno(self):
        return self._number

    def setsockopt(self, level, option, value):
        self._cut = value
        self.cuts.append(value)

    def recv(self, longest):
        if not self.inbox:
            raise BlockingIOError
        return self.inbox.pop(0)[0][:longest]

    def recvfrom(self, longest):
        return self.inbox.pop(0)

    def sendto(self, payload, to):
        self._sent.append((decode(payload), to, self.address))

    def send(self, payload):
        assert self.open
        if self._cut > self.longest:
            raise OSError(errno.EMSGSIZE, "Message too long")
        step = self._cut or len(payload)
        assert len(payload) <= 65507
        assert len(payload) <= 64 * step
        for at in range(0, len(payload), step):
            if self.takes <= 0:
                raise BlockingIOError
            self.takes -= 1
            self._sent.append((decode(bytes(payload[at : at + step])), self.peer, self.address))

    def close(self):
        self.open = False


class HereAndNow(Fleet):
    """A fleet whose only ferry is this process."""

    def __init__(self, carrier, *args):
        self.carrier = carrier(lambda message: self._heard(*self._ferries, message))
        super().__init__(*args)

    def _launch(self):
        self._ferries.append(Aboard(SimpleNamespace(close=bool), self._heard, self._died))
        self._ferries[0].obey = lambda message, descriptors: self.carrier.obey(
            message, descriptors, self._reactor.seconds()
        )


class Aboard(Ferry):
    def tell(self, message, descriptor=None):
        if self.busy:
            return False
        self.obey(message, [] if descriptor is None else [os.dup(descriptor)])
        return True

    busy = False


class ClockWithReaders(Clock):
    def removeReader(self, reader):
        pass


class Server:
    """A service on a virtual clock, with its transfers."""

    def __init__(self, root, generated=None, cut=True, **tftp):
        self.clock = ClockWithReaders()
        self.sockets = []
        self.sent = []
        self.full = False
        settings = Settings(address=IPv4Address(SERVER), tftp=TftpSettings(processes=1, **tftp))
        carrier = functools.partial(Carrier, watch=lambda line: None, connect=self._connect, cut=cut)
        fleet = functools.partial(HereAndNow, carrier)
        self.service = TftpService(settings, root, self.clock, generated, self._listen, fleet)
        self.service.start()
        self.fleet = self.service._fleet
        self.carrier = self.fleet.carrier

    def _listen(self, address, port, received, reactor):
        self.sockets.append(FakeSocket(address, port, received, self.sent))
        return self.sockets[-1]

    def _connect(self, local, peer):
        if self.full:
            raise OSError(errno.EMFILE, "Too many open files")
        line = FakeLine(local, peer, self.sent)
        line.strangers = FakeLine(local, None, self.sent)
        self.sockets.append(line)
        return line, line.strangers

    def ask(self, packet, client=CLIENT):
        """Send to the well-known port; what has been said since."""
        payload = packet if isinstance(packet, bytes) else encode(packet)
        self.service.received(Datagram(payload, client, SERVER))
        return self.said()

    def tell(self, packet, client=CLIENT, session=-1):
        """Send to the newest (or another) session's port."""
        payload = packet if isinstance(packet, bytes) else encode(packet)
        line = self.sockets[session]
        line = line if client == line.peer else line.strangers
        line.inbox.append((payload, client))
        if read := self.carrier.readers.get(line.fileno()):
            read(self.clock.seconds())
        return self.said()

    def later(self, seconds):
        self.clock.advance(seconds)
        self.carrier.tick(self.clock.seconds())
        return self.said()

    def said(self):
        said, self.sent[:] = [packet for packet, _, _ in self.sent], []
        return said

    def fetch(self, name, client=CLIENT, options=()):
        """A whole transfer in lock-step."""
        content, said = b"", self.ask(ReadRequest(name, "octet", options), client)
        if isinstance(said[0], OptionAck):
            said = self.tell(Ack(0), client)
        while True:
            for data in said:
                content += data.payload
            last = said[-1].block
            said = self.tell(Ack(last), client)
            if not said:
                return content


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/f").write_bytes(CONTENT)
    (tmp_path / "root/empty").touch()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root/out").symlink_to("../secret")
    return tmp_path / "root"


def error(code):
    return lambda said: [type(packet) for packet in said] == [Error] and said[0].code == code


ILLEGAL, MISSING, OPTIONS = ErrorCode.ILLEGAL_OPERATION, ErrorCode.FILE_NOT_FOUND, ErrorCode.OPTIONS_REFUSED


@pytest.mark.parametrize("name", ["f", "/f", "//f", "\\f", "./f"])
def test_a_file(root, name):
    server = Server(root)
    assert server.fetch(name) == CONTENT
    assert server.service.sessions == 0
    assert [socket.open for socket in server.sockets] == [True, False]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024])
def test_sizes(root, size):
    (root / "g").write_bytes(bytes(size))
    assert Server(root).fetch("g") == bytes(size)


def test_windows(root):
    server = Server(root)
    options = (("tsize", "0"), ("blksize", "500"), ("windowsize", "4"))
    assert server.ask(ReadRequest("f", "octet", options)) == [
        OptionAck((("tsize", "3000"), ("blksize", "500"), ("windowsize", "4")))
    ]
    assert [data.block for data in server.tell(Ack(0))] == [1, 2, 3, 4]
    assert [data.block for data in server.tell(Ack(2))] == [3, 4, 5, 6]
    assert server.tell(Ack(6)) == [Data(7, b"")]
    assert server.tell(Ack(7)) == []
    assert server.service.sessions == 0


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ReadRequest("missing", "octet"), MISSING),
        (ReadRequest("../secret", "octet"), MISSING),
        (ReadRequest("/etc/passwd", "octet"), MISSING),
        (ReadRequest("..\\secret", "octet"), MISSING),
        (ReadRequest("out", "octet"), MISSING),
        (ReadRequest(".", "octet"), MISSING),
        (ReadRequest("", "octet"), MISSING),
        (ReadRequest("/", "octet"), MISSING),
        (ReadRequest("x" * 10_240, "octet"), MISSING),
        (ReadRequest("f", "mail"), ILLEGAL),
        (ReadRequest("f", "netascii"), ILLEGAL),
        (b"\0\1f\0.txt\0octet\0", ILLEGAL),
        (ReadRequest("f", "octet", (("blksize", "7"),)), OPTIONS),
        (ReadRequest("f", "octet", (("timeout", "0"),)), OPTIONS),
        (WriteRequest("f", "octet"), ErrorCode.ACCESS_VIOLATION),
    ],
)
def test_refused_at_once_and_from_the_address_asked(root, packet, expected):
    server = Server(root)
    server.service.received(Datagram(packet if isinstance(packet, bytes) else encode(packet), CLIENT, "10.9.9.9"))
    assert [(said.code, to, local) for said, to, local in server.sent] == [(expected, CLIENT, "10.9.9.9")]
    assert server.service.sessions == 0
    assert str(root) not in server.sent[0][0].text


@pytest.mark.parametrize(
    "packet",
    [
        b"", b"\0", b"\0\1", b"\0\1f", b"\0\1f\0octet", b"\0\7ab", Data(1, b"x"), Ack(0), Error(0, "x"), OptionAck(()),
    ],
)  # fmt: skip
def test_not_answered(root, packet):
    server = Server(root)
    assert server.ask(packet) == []
    assert server.later(60) == []


def test_a_session_answers_from_the_address_asked(root):
    server = Server(root)
    server.service.received(Datagram(encode(ReadRequest("f", "octet")), CLIENT, "10.9.9.9"))
    assert server.sockets[-1].address == "10.9.9.9"
    assert [(to, local) for _, to, local in server.sent] == [(CLIENT, "10.9.9.9")]


def test_generated_files_come_first_and_are_asked_with_a_plain_name(root):
    asked = []

    def generated(name, client):
        asked.append((name, client))
        return b"made" if name == "boot/f" else None

    server = Server(root, generated)
    assert server.fetch("\\boot\\f") == b"made"
    assert server.fetch("/f") == CONTENT
    assert asked == [("boot/f", IPv4Address("10.0.0.7")), ("f", IPv4Address("10.0.0.7"))]


def test_lost_packets_are_sent_again(root):
    server = Server(root)
    first = server.ask(ReadRequest("f", "octet"))
    assert first == server.later(0.5) == server.later(1.0) == [Data(1, CONTENT[:512])]
    assert server.tell(Ack(1)) == [Data(2, CONTENT[512:1024])]
    assert server.tell(Ack(1)) == []


def test_a_spoofed_request_costs_three_packets(root):
    server = Server(root)
    said = server.ask(ReadRequest("f", "octet"))
    for _ in range(600):
        said += server.later(0.1)
    assert len(said) == 3
    assert server.service.sessions == 0
    assert server.clock.getDelayedCalls() == []


def test_a_repeated_request_does_not_open_a_second_session(root):
    server = Server(root)
    server.ask(ReadRequest("f", "octet"))
    assert server.ask(ReadRequest("f", "octet")) == [Data(1, CONTENT[:512])]
    assert server.service.sessions == 1


def test_a_client_that_starts_over_gets_a_new_session(root):
    server = Server(root)
    server.ask(ReadRequest("f", "octet"))
    server.tell(Ack(1))
    assert server.ask(ReadRequest("f", "octet")) == [Data(1, CONTENT[:512])]
    assert server.ask(ReadRequest("empty", "octet")) == [Data(1, b"")]
    assert server.service.sessions == 3
    for _ in range(100):
        server.later(1)
    assert server.service.sessions == 0


def test_a_stranger_at_the_session_port_does_not_disturb_it(root):
    server, stranger = Server(root), ("10.0.0.66", 2070)
    server.ask(ReadRequest("f", "octet"))
    for packet in (Ack(1), Data(1, b"x"), ReadRequest("f", "octet")):
        server.tell(packet, stranger)
    server.tell(Ack(1), ("10.0.0.7", 2071))
    assert server.tell(Error(0, "stop"), stranger) == []  # an error is not answered with an error
    assert server.tell(b"\0\4", stranger) == []
    assert server.tell(Ack(1)) == [Data(2, CONTENT[512:1024])]


def test_who_answers_a_stranger(root):
    server = Server(root)
    server.ask(ReadRequest("f", "octet"))
    line = server.sockets[-1].strangers
    line.inbox.append((encode(Ack(1)), ("10.0.0.66", 9)))
    server.carrier.readers[line.fileno()](0.0)
    assert [(said.code, to) for said, to, _ in server.sent] == [(ErrorCode.UNKNOWN_TRANSFER, ("10.0.0.66", 9))]


def test_an_error_of_the_client_ends_the_session(root):
    server = Server(root)
    server.ask(ReadRequest("f", "octet", (("tsize", "0"),)))
    assert server.tell(Error(8, "User aborted the transfer")) == []
    assert server.service.sessions == 0
    assert server.clock.getDelayedCalls() == []
    assert server.later(100) == []


def test_limit_of_sessions(root):
    server = Server(root, sessions=3)
    for number in range(5):
        server.ask(ReadRequest("f", "octet"), (f"10.0.0.{number}", 99))
    assert server.service.sessions == 3
    server.tell(Error(0, ""), ("10.0.0.2", 99))
    assert server.ask(ReadRequest("f", "octet"), ("10.0.0.4", 99)) == [Data(1, CONTENT[:512])]


def test_a_full_house_gives_the_place_of_whoever_never_answered(root):
    server = Server(root, sessions=3)
    for number in range(3):
        server.ask(ReadRequest("f", "octet"), (f"10.0.0.{number}", 99))
    server.tell(Ack(1), ("10.0.0.0", 99), session=1)
    assert server.ask(ReadRequest("f", "octet"), ("10.0.0.4", 99)) == []  # they may still answer
    assert server.service.turned_away == 1
    server.clock.advance(1.5)
    assert server.ask(ReadRequest("f", "octet"), ("10.0.0.4", 99)) == [Data(1, CONTENT[:512])]
    assert [socket.open for socket in server.sockets] == [True, True, False, True, True]  # the oldest of them
    assert server.service.sessions == 3
    assert server.tell(Ack(2), ("10.0.0.0", 99), session=1) == [Data(3, CONTENT[1024:1536])]


def test_at_twice_the_load_the_places_are_kept_busy(root):
    """Twice as many clients as places, who ask again until they have it: as many at once as may be, in the end all."""
    server = Server(root, sessions=10)
    waiting = [(f"10.0.1.{number}", 99) for number in range(20)]
    under_way = {}
    while waiting or under_way:
        for client in tuple(waiting):
            if said := server.ask(ReadRequest("f", "octet"), client):
                waiting.remove(client)
                under_way[client] = (len(server.sockets) - 1, said)
        assert len(under_way) == min(10, len(under_way) + len(waiting))
        for client, (session, said) in tuple(under_way.items()):
            if said := server.tell(Ack(said[-1].block), client, session):
                under_way[client] = (session, said)
            else:
                del under_way[client]
    assert server.service.turned_away >= 10


def test_a_ferry_that_is_too_busy_is_silence(root):
    server = Server(root)
    (ferry,) = server.fleet._ferries
    ferry.busy = True
    assert server.ask(ReadRequest("f", "octet")) == []
    assert (server.service.sessions, server.service.turned_away) == (0, 1)
    ferry.busy = False
    assert server.fetch("f") == CONTENT


def test_limit_of_one_source(root):
    server = Server(root)
    for port in range(1000, 1100):
        server.ask(ReadRequest("f", "octet"), ("10.0.0.7", port))
    assert server.service.sessions == 64
    assert server.ask(ReadRequest("f", "octet"), ("10.0.0.8", 1000)) != []


def test_a_full_send_buffer_is_loss(root):
    server = Server(root)
    server.ask(ReadRequest("f", "octet", (("blksize", "100"), ("windowsize", "8"))))
    server.sockets[-1].takes = 3
    assert [data.block for data in server.tell(Ack(0))] == [1, 2, 3]
    server.sockets[-1].takes = 100
    assert [data.block for data in server.later(1)] == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("window", [1, 3, 16, 64])
@pytest.mark.parametrize("size", [0, 1, 1467, 1468, 1468 * 16, 1468 * 64, 1468 * 64 + 1, 300_000])
@pytest.mark.parametrize("kind", ["cut by the kernel", "too long for the path", "whole"])
def test_packets_are_the_same_however_they_are_sent(kind, size, window, root):
    content = random.Random(size).randbytes(size)
    (root / "g").write_bytes(content)
    server = Server(root, cut=kind != "whole")
    options = (("blksize", "1468"), ("windowsize", str(window)))
    server.ask(ReadRequest("g", "octet", options))
    line = server.sockets[-1]
    line.longest = 1400 if kind == "too long for the path" else 1472
    got, acknowledged, said = b"", 0, server.tell(Ack(0))
    while said:
        assert [data.block for data in said] == list(range(acknowledged + 1, acknowledged + len(said) + 1))
        got += b"".join(data.payload for data in said)
        acknowledged += len(said)
        said = server.tell(Ack(acknowledged))
    assert got == content
    assert server.service.sessions == 0
    assert server.service.sent == size
    if window > 1 and size > 1468:
        assert line.cuts == {"cut by the kernel": [1472], "too long for the path": [1472, 0], "whole": []}[kind]


def test_a_long_run_loses_and_repeats_like_a_short_one(root):
    """Windows that were sent from the stock are known to the transfer by the time that it has to decide."""
    (root / "g").write_bytes(bytes(512 * 100))
    server = Server(root)
    server.ask(ReadRequest("g", "octet", (("windowsize", "2"),)))
    for number in range(0, 20, 2):
        assert [data.block for data in server.tell(Ack(number))] == [number + 1, number + 2]
    assert server.tell(Ack(18)) == []  # a doubled one
    assert [data.block for data in server.later(0.3)] == [19, 20]
    assert [data.block for data in server.tell(Ack(19))] == [20, 21]
    assert [data.block for data in server.tell(Ack(21))] == [22, 23]
    assert server.service.sessions == 1


def test_what_is_no_data_goes_whole_though_longer_than_a_block(root):
    (root / "g").write_bytes(bytes(8 * 1000))
    server = Server(root)
    options = (("blksize", "8"), ("windowsize", "8"), ("tsize", "0"))
    offer = OptionAck((("blksize", "8"), ("windowsize", "8"), ("tsize", "8000")))
    assert server.ask(ReadRequest("g", "octet", options)) == [offer]
    assert len(server.tell(Ack(0))) == 8
    (root / "g").write_bytes(b"")
    said, number = [Data(8, b"")], 0
    while isinstance(said[0], Data):
        number += 8
        said = server.tell(Ack(number))
    assert error(ErrorCode.UNDEFINED)(said)


def test_two_packets_that_lie_there_are_both_read(root):
    server = Server(root)
    server.ask(ReadRequest("f", "octet"))
    server.sockets[-1].inbox.append((encode(Ack(0)), CLIENT))
    assert server.tell(Ack(1)) == [Data(2, CONTENT[512:1024])]


def test_a_file_that_is_replaced_is_sent_as_it_was(root):
    server = Server(root)
    said = server.ask(ReadRequest("f", "octet"))
    (root / "new").write_bytes(b"n" * 3000)
    (root / "new").rename(root / "f")
    assert said + server.tell(Ack(1)) == [Data(1, CONTENT[:512]), Data(2, CONTENT[512:1024])]


def test_a_file_that_shrinks_is_not_passed_off_as_whole(root):
    (root / "f").write_bytes(CONTENT * 20)
    server = Server(root)
    said = server.ask(ReadRequest("f", "octet"))
    (root / "f").write_bytes(b"short")
    while isinstance(said[0], Data):  # some of it was read ahead
        assert said[0].block * 512 < 60_000
        said = server.tell(Ack(said[0].block))
    assert error(ErrorCode.UNDEFINED)(said)
    assert server.service.sessions == 0


def test_no_socket_left(root):
    server = Server(root)
    server.full = True
    assert server.ask(ReadRequest("f", "octet")) == []
    assert server.service.sessions == 0
    server.full = False
    assert server.fetch("f") == CONTENT


def test_stop_ends_everything(root):
    server = Server(root)
    server.ask(ReadRequest("f", "octet"))
    server.service.stop()
    assert not server.sockets[0].open
    assert server.clock.getDelayedCalls() == []
    assert server.service.sessions == 0


def descriptors(root):
    """Of this process, below ``root``: what others have open comes and goes by itself."""
    names = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    return sum(name.is_relative_to(root) for name in names)


def garbage(random_, name=b"f"):
    """Packets from noise to nearly right."""
    kind = random_.randrange(6)
    if kind == 0:
        return random_.randbytes(random_.randrange(64))
    if kind == 1:
        return b"\0" + bytes([random_.randrange(8)]) + random_.randbytes(random_.randrange(32))
    if kind == 2:
        return encode(Ack(random_.randrange(65536)))
    options = b"".join(
        random_.choice([b"blksize", b"tsize", b"TIMEOUT", b"windowsize", random_.randbytes(4)]) + b"\0"
        + random_.choice([b"0", b"1", b"8", b"512", b"99999", random_.randbytes(3)]) + b"\0"
        for _ in range(random_.randrange(4))
    )  # fmt: skip
    whole = b"\0\1" + random_.choice([name, b"../secret", b"x" * 99, b""]) + b"\0octet\0" + options
    if kind == 3:
        return whole[: random_.randrange(len(whole))]
    if kind == 4:
        place = random_.randrange(len(whole))
        return whole[:place] + random_.randbytes(1) + whole[place + 1 :]
    return whole


def flood(server, random_, packets):
    """Packets to the port and to the sessions; every answer must be one that the RFCs allow. Returns the answers."""
    answers = 0
    for number in range(packets):
        client = (f"10.0.{random_.randrange(4)}.{random_.randrange(250)}", random_.randrange(1, 65536))
        packet = garbage(random_)
        if number % 2 and len(server.sockets) > 1:
            session = random_.randrange(1, len(server.sockets))
            if server.sockets[session].open:
                server.tell(packet, random_.choice([client, CLIENT]), session)
        else:
            asked = packet[:2] in (b"\0\1", b"\0\2") and packet[2:].count(0) >= 2
            said = server.ask(packet, client)
            assert bool(said) <= asked, packet
            # One packet for one packet: an OACK, an error or one block.
            assert len(said) <= 1
            answers += len(said)
        if number % 100 == 99:
            server.later(5)
            server.sockets[1:] = [socket for socket in server.sockets[1:] if socket.open]
    for _ in range(100):
        server.later(5)
    server.sockets[1:] = []
    return answers


def test_100_000_random_packets(root):
    random_ = random.Random(20261121)
    server = Server(root, sessions=100)
    assert flood(server, random_, 5_000) > 100  # warms up caches
    gc.collect()
    open_before = descriptors(root)
    tracemalloc.start()
    try:
        flood(server, random_, 5_000)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        flood(server, random_, 10_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000  # bytes; 5 for each packet would be a leak
    flood(server, random_, 80_000)
    assert descriptors(root) == open_before
    assert server.service.sessions == 0
    assert server.clock.getDelayedCalls() == []
    assert server.fetch("f") == CONTENT
