"""UDP datagrams with their IPv4 header, as bytes (RFC 791, RFC 768): for clients that cannot answer ARP yet."""

import struct
from ipaddress import IPv4Address

_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_VERSION_AND_SIZE = 0x45  # IPv4, five words of header
_DONT_FRAGMENT = 0x4000
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


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071). Zero over data that carries its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total
