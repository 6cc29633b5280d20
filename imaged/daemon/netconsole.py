"""What the kernels of nodes say by netconsole, which still speaks when nothing else does: UDP in, the node's log out.

Nodes are known by address alone here, so what is written is a hint for people and decides nothing.
"""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, Final

from attrs import define, field
from twisted.logger import Logger

from imaged.daemon.udp import Datagram, UdpSocket
from imaged.model.kmsg import lines
from imaged.planning.throttle import Throttle

_REMEMBERED: Final = 4096  # addresses
_AGAIN: Final = 60.0  # seconds until an address is looked up again
_RATE, _BURST = 100, 2000  # datagrams of one address: a second, and at once
_LONGEST: Final = 2000  # signs of a line

FindNode = Callable[[IPv4Address], str | None]
Write = Callable[[str, str], None]


@define
class _Speaker:
    node: str | None
    until: float
    throttle: Throttle = field(factory=lambda: Throttle(_RATE, _BURST))


class Netconsole:
    """``find(address)`` names the node that has an address, ``write(node, text)`` keeps its lines."""

    _log = Logger()

    def __init__(self, port: int, find: FindNode, write: Write, reactor: Any) -> None:
        self._port = port
        self._find = find
        self._write = write
        self._reactor = reactor
        self._speakers: dict[str, _Speaker] = {}
        self._socket: UdpSocket | None = None

    @property
    def port(self) -> int:
        """The port that is bound; 0 before the start."""
        return self._socket.port if self._socket else 0

    def start(self) -> None:
        """Listen. Raises ImagedError when the port cannot be had."""
        self._socket = UdpSocket("", self._port, self.received, self._reactor)

    def stop(self) -> None:
        """Stop listening."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def received(self, datagram: Datagram) -> None:
        """One datagram: a record, or part of one. Strangers are not heard."""
        now = self._reactor.seconds()
        speaker = self._speaker(datagram.source[0], now)
        if speaker.node is None or not speaker.throttle.admits(now):
            return
        hidden = speaker.throttle.count_held_back()
        text = [f"({hidden} datagrams were left out before)"] if hidden else []
        text += [line[:_LONGEST] for line in lines(datagram.payload.decode("utf-8", "replace"))]
        if text:
            self._write(speaker.node, "\n".join(text))

    def _speaker(self, address: str, now: float) -> _Speaker:
        known = self._speakers.get(address)
        if known is None or known.until <= now:
            if len(self._speakers) >= _REMEMBERED:
                self._speakers.clear()
            known = self._speakers[address] = _Speaker(self._find(IPv4Address(address)), now + _AGAIN)
        return known
