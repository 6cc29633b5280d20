"""Magic packets: broadcasts on our own interfaces, and to subnets behind routers that let them pass."""

import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Final

from imaged.model.errors import ImagedError
from imaged.model.net import Mac
from imaged.planning.power import magic_packet

_DISCARD: Final = 9  # the port is nobody's: cards look for the pattern in any frame
_EVERYBODY: Final = "255.255.255.255"


def wake(macs: Iterable[Mac], interfaces: Sequence[str], broadcasts: Iterable[IPv4Address]) -> int:
    """Send a packet for each MAC on ``interfaces`` (empty: all but the loopback) and to ``broadcasts``.

    How many were sent. Raises ImagedError when none could be.
    """
    packets = [magic_packet(mac) for mac in macs]
    sent, fault = 0, "there is no interface"
    for name in interfaces or [name for _, name in socket.if_nameindex() if name != "lo"]:
        with _broadcaster() as out:
            try:
                out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")
                sent += sum(out.sendto(packet, (_EVERYBODY, _DISCARD)) > 0 for packet in packets)
            except OSError as error:  # it is down, or has no address
                fault = f"{name}: {error.strerror}"
    for address in broadcasts:
        with _broadcaster() as out, suppress(OSError):
            sent += sum(out.sendto(packet, (str(address), _DISCARD)) > 0 for packet in packets)
    if not sent:
        raise ImagedError(f"no magic packet could be sent: {fault}")
    return sent


def _broadcaster() -> socket.socket:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return out
