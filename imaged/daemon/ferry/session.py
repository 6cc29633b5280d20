"""One transfer: its sockets, its file, and the moves of ``planning.tftp.Transfer`` carried out."""

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from imaged.daemon.ferry.frames import HEAD, Frames
from imaged.daemon.ferry.messages import Order
from imaged.model.errors import MalformedPacket
from imaged.planning import tftp as decide
from imaged.wire import tftp as wire

_UDP_SEGMENT: Final = 103  # <linux/udp.h>; Python's socket module has no name for it
_BUFFER: Final = 1 << 20  # bytes asked of the kernel; it gives less where its limits say so
_BATCH: Final = 64  # packets of one client in a turn, so that none of them keeps the others waiting
# What the kernel says when a path or a device takes no packets that it cut itself.
_NOT_CUT: Final = frozenset({errno.EMSGSIZE, errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
_ACK: Final = struct.Struct("!HH")
_LONGEST: Final = 476  # bytes of a packet that are looked at: so much Python takes from its own small blocks


def connect(local: str, peer: tuple[str, int]) -> tuple[socket.socket, socket.socket]:
    """The socket of a transfer, and the one where strangers come who try its port. Raises OSError.

    A connected socket costs two thirds of one that names its peer with every packet, and hears nobody else; those who
    are not the peer must be told so (RFC 1350 section 4), so a second one has the same port.
    """
    strangers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        strangers.bind((local, 0))  # a free port; shared for a moment, and with nobody but the line
        for each in (strangers, line):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        line.bind(strangers.getsockname())
        line.connect(peer)
        for each in (strangers, line):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    except OSError:
        strangers.close()
        line.close()
        raise
    return line, strangers


class Session:
    """``news`` is called when the client has answered for the first time, and when it is over: ``ending`` says how.

    ``cut``: let the kernel cut a window into packets (UDP_SEGMENT, udp(7)), as long as the path takes them.
    """

    def __init__(
        self,
        order: Order,
        descriptor: int,
        line: Any,
        strangers: Any,
        news: Callable[["Session"], None],
        cut: bool = True,
    ) -> None:
        self.number = order.number
        self.line = line
        self.strangers = strangers
        self.wake = 0.0
        self.ending = ""
        self._news = news
        self._frames = Frames(descriptor, order.size, order.terms.block, order.terms.window)
        self._block = order.terms.block
        self._window = order.terms.window
        self._stride = self._frames.stride
        self._receive = line.recv
        self._put_all = line.send
        self._sent = 0
        self._expected = b""  # the ACK of all that was sent last
        self._stock: list[tuple[bytes, memoryview]] = []  # what follows it
        self._ran = 0  # windows that the transfer does not know of yet
        self._sent_at = 0.0  # when the last of them was
        self._transfer = decide.Transfer(order.terms, order.size, order.tries)
        self._offer = wire.encode(wire.OptionAck(order.terms.accepted))
        self._can_cut = cut
        self._cuts = False
        self.confirmed = False  # whether the client has answered

    @property
    def sent(self) -> int:
        """Bytes of the file, repeated ones too."""
        return self._sent + self._ran * self._window * self._block

    def begin(self, now: float) -> None:
        """Send the first packet."""
        self._follow(self._transfer.begin(now))

    def again(self, now: float) -> None:
        """The client repeated its request."""
        self._follow(self._transfer.requested_again(now))

    def tick(self, now: float) -> None:
        """``wake`` has come."""
        self.readable(now)
        self._catch_up()
        if not self.ending:
            self._follow(self._transfer.tick(now))

    def readable(self, now: float) -> None:
        """Nearly always there is one packet, the ACK of the whole window that was sent last.

        Then the next window is sent from the stock, and the transfer is told of it later. What may lie behind that ACK
        is a copy of it, or waits until more comes or ``wake`` does.
        """
        try:
            for _ in range(_BATCH):
                packet = self._receive(_LONGEST)
                if packet == self._expected and self._stock:
                    self._expected, packets = self._stock.pop()
                    self._ran += 1
                    self._sent_at = now
                    self._put_all(packets)
                    return
                self._take(packet, now)
                if self.ending:
                    return
        except OSError:  # nothing there, or the client's machine refused a packet: that is loss like any other
            return

    def _take(self, packet: bytes, now: float) -> None:
        self._catch_up()
        if packet[:2] == b"\0\4" and len(packet) >= 4:  # what `wire.decode` would say
            self._follow(self._transfer.acknowledged(packet[2] << 8 | packet[3], now))
            if not self.confirmed and self._transfer.confirmed and not self.ending:
                self.confirmed = True
                self._news(self)
            return
        try:
            said = wire.decode(packet)
        except MalformedPacket:
            return
        if isinstance(said, wire.Error):
            # UEFI firmware asks for tsize, leaves with an error and asks again: nothing is wrong.
            self.end(f"the client left with {said.text[:100]!r}")

    def _catch_up(self) -> None:
        """Tell the transfer how far it has come meanwhile."""
        if self._ran:
            self._transfer.went_on(self._ran, self._sent_at)
            self._sent += self._ran * self._window * self._block
            self._ran = 0

    def stranger(self, now: float) -> None:
        """A packet from elsewhere does not touch the transfer; whoever sent it is told, but errors are not answered."""
        try:
            payload, source = self.strangers.recvfrom(2048)
            if not isinstance(wire.decode(payload), wire.Error):
                self.strangers.sendto(wire.encode(decide.UNKNOWN_TRANSFER), source)
        except (OSError, MalformedPacket):
            return

    def close(self) -> None:
        """Give everything back."""
        self._frames.close()
        self.line.close()
        self.strangers.close()

    def end(self, why: str) -> None:
        """It is over."""
        self.confirmed = self._transfer.confirmed
        self.ending = why
        self._news(self)

    def _follow(self, move: decide.Move) -> None:
        offer, blocks, self.wake, ending = move
        if blocks:
            self._send(blocks.start, blocks.stop)
        elif ending:
            self.end(ending.value)
        elif offer:
            self._put_one(self._offer)

    def _send(self, first: int, until: int) -> None:
        self._expected, self._stock = b"", []
        while first < until:
            try:
                packets, reached = self._frames.fetch(first, until)
            except (OSError, EOFError):
                self._put_one(wire.encode(decide.BROKEN))
                self.end("the file shrank or cannot be read")
                return
            if not self._put(packets):
                return  # the rest of the window would meet the same; the timer repeats it
            self._sent += len(packets) - HEAD * (reached - first)
            first = reached
        self._expected = _ACK.pack(4, until - 1 & 0xFFFF)
        if self._transfer.confirmed and (self._window == 1 or self._cuts):
            self._stock = self._frames.windows(until, self._window)

    def _put_one(self, packet: bytes) -> None:
        """A packet that is no data: it goes whole, also where it is longer than a block."""
        try:
            if self._cuts:
                self._cuts = False
                self.line.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
            self.line.send(packet)
        except OSError:
            return

    def _put(self, packets: memoryview) -> bool:
        """Packets of one stride each but the last; False if the kernel did not take them all, which is loss."""
        stride = self._stride
        try:
            if len(packets) <= stride or self._cut(stride):
                self._put_all(packets)
            else:
                for at in range(0, len(packets), stride):
                    self.line.send(packets[at : at + stride])
        except OSError as error:
            if self._cuts and error.errno in _NOT_CUT:
                self._cuts = self._can_cut = False
                self.line.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
                return self._put(packets)
            return False
        return True

    def _cut(self, stride: int) -> bool:
        """Whether the kernel cuts what is sent next."""
        if self._can_cut and not self._cuts:
            try:
                self.line.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, stride)
                self._cuts = True
            except OSError:
                self._can_cut = False
        return self._cuts


Connect = Callable[[str, tuple[str, int]], tuple[Any, Any]]
