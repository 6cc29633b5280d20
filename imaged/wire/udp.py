"""UDP datagrams with their IPv4 header, as bytes (RFC 791, RFC 768): for clients that cannot answer ARP yet."""

import struct
from ipaddress import IPv4Address

from imaged.model.errors import MalformedPacket

_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_VERSION_AND_SIZE = 0x45  # IPv4, five words of header
_DONT_FRAGMENT = 0x4000
_FRAGMENT = 0x3FFF  # more fragments, and the offset
_TTL = 64
_UDP_PROTOCOL = 17


def datagram(source: tuple[IPv4Address, int], destination: tuple[IPv4Address, int], payload: bytes) -> bytes:
    """One whole datagram, checksums included. ``source`` and ``destination`` are (address, port)."""
    size = _UDP.size + len(payload)
    pseudo = struct.pack("!4s4sBBH", source[0].packed, destination[0].packed, 0, _UDP_PROTOCOL, size)
    udp = _UDP.pack(source[1], destination[1], size, 0)
    check = checksum(pseudo + udp + payload) or 0xFFFF  # zero would say "no checksum"
    udp = _UDP.pack(source[1], destination[1], size, check)
    fields = (
        _VERSION_AND_SIZE, 0, _IP.size + size, 0, _DONT_FRAGMENT, _TTL, _UDP_PROTOCOL,
    )  # fmt: skip
    addresses = (source[0].packed, destination[0].packed)
    header = _IP.pack(*fields, checksum(_IP.pack(*fields, 0, *addresses)), *addresses)
    return header + udp + payload


def undo(packet: bytes) -> tuple[tuple[IPv4Address, int], tuple[IPv4Address, int], bytes]:
    """Source, destination and payload of a whole, unfragmented datagram. Raises MalformedPacket for anything else.

    Checksums are not looked at: what a virtual card hands on may not have any yet.
    """
    if len(packet) < _IP.size or packet[0] >> 4 != 4:
        raise MalformedPacket("no IPv4 packet")
    header = (packet[0] & 0x0F) * 4
    _, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(packet)
    if header < _IP.size or not header + _UDP.size <= total <= len(packet):
        raise MalformedPacket("cut short")
    if protocol != _UDP_PROTOCOL or fragment & _FRAGMENT:
        raise MalformedPacket("no whole UDP datagram")
    source_port, destination_port, size, _ = _UDP.unpack_from(packet, header)
    if not _UDP.size <= size <= total - header:
        raise MalformedPacket("cut short")
    payload = packet[header + _UDP.size : header + size]
    return (IPv4Address(source), source_port), (IPv4Address(destination), destination_port), payload


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071). Zero over data that carries its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total
