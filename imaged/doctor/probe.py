"""Looks for other DHCP servers: one question on each interface, and what comes back. No lease is asked for.

By packet sockets (packet(7)): port 68 belongs to the machine's own DHCP client, a packet filter hides nothing from
them, and our own daemon does not hear the question.
"""

import secrets
import select
import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Address

from imaged.model.errors import MalformedPacket
from imaged.planning.doctor.dhcp import Offer, offer, probe
from imaged.wire import dhcp, udp
from imaged.wire.dhcp import Packet

_ETH_P_IP = 0x0800
_EVERYBODY = b"\xff" * 6
_LARGEST = 1 << 16
_QUESTIONS = 2  # a packet may be lost; and some servers look first whether the address is free


def look(names: Sequence[str], server_port: int, client_port: int, wait: float) -> tuple[list[Offer], dict[str, str]]:
    """What servers offer on these interfaces within ``wait`` seconds, and where none could be asked, and why."""
    offers: list[Offer] = []
    unasked: dict[str, str] = {}
    asked = probe(secrets.randbits(32))
    sockets: dict[socket.socket, str] = {}
    try:
        for name in names:
            try:
                sockets[_opened(name)] = name
            except OSError as error:
                unasked[name] = error.strerror or str(error)
        payload = dhcp.encode(asked)
        question = udp.datagram((IPv4Address(0), client_port), (IPv4Address("255.255.255.255"), server_port), payload)
        begun = time.monotonic()
        for number in range(_QUESTIONS):
            for each, name in sockets.items():
                try:
                    each.sendto(question, (name, _ETH_P_IP, 0, 0, _EVERYBODY))
                except OSError as error:
                    unasked[name] = error.strerror or str(error)
            _listen(sockets, begun + wait * (number + 1) / _QUESTIONS, asked, client_port, offers)
    finally:
        for each in sockets:
            each.close()
    return offers, unasked


def _opened(name: str) -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        found.bind((name, _ETH_P_IP))
    except OSError:
        found.close()
        raise
    return found


def _listen(
    sockets: dict[socket.socket, str], until: float, asked: Packet, client_port: int, offers: list[Offer]
) -> None:
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select(list(sockets), (), (), left)
        for each in ready:
            try:
                source, destination, payload = udp.undo(each.recv(_LARGEST))
                if destination[1] != client_port:
                    continue
                found = offer(dhcp.decode(payload), asked, sockets[each], source[0])
            except (MalformedPacket, OSError):  # somebody else's traffic, or the interface went down
                continue
            if found and found not in offers:
                offers.append(found)
