"""DHCP options by name: number and codec of each one we read or send (RFC 2132 unless said)."""

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Generic, TypeVar

from attrs import frozen

T = TypeVar("T")


class MessageType(IntEnum):
    """Option 53 (RFC 2132, section 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


_TYPES = {bytes((kind,)): kind for kind in MessageType}


@frozen
class Option(Generic[T]):
    """One option. ``read`` turns the value's bytes into a ``T`` or raises ValueError; ``write`` is its inverse."""

    code: int
    name: str
    read: Callable[[bytes], T]
    write: Callable[[T], bytes]

    def of(self, value: T) -> tuple[int, bytes]:
        """``value`` as it stands in ``Packet.options``."""
        return self.code, self.write(value)


def read_suboptions(raw: bytes) -> dict[int, bytes]:
    """Sub-options by number (options 43, 82, 175). The first of a number counts. Raises ValueError when cut short."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw):
        if at + 2 > len(raw) or at + 2 + raw[at + 1] > len(raw):
            raise ValueError("sub-option is cut short")
        end = at + 2 + raw[at + 1]
        found.setdefault(raw[at], raw[at + 2 : end])
        at = end
    return found


def write_suboptions(values: dict[int, bytes]) -> bytes:
    """The inverse of ``read_suboptions``; no value is longer than 255 bytes."""
    return b"".join(bytes((code, len(value))) + value for code, value in values.items())


_END = b"\xff"


def _read_ended(raw: bytes) -> dict[int, bytes]:
    """Sub-options that an end byte may close (RFC 2132, section 8.4)."""
    return read_suboptions(raw.rstrip(b"\0").removesuffix(_END))


def _number(size: int) -> tuple[Callable[[bytes], int], Callable[[int], bytes]]:
    def read(raw: bytes) -> int:
        if len(raw) != size:
            raise ValueError(f"{len(raw)} bytes, not {size}")
        return int.from_bytes(raw, "big")

    return read, lambda value: value.to_bytes(size, "big")


@lru_cache(maxsize=4096)
def _read_address(raw: bytes) -> IPv4Address:
    return IPv4Address(raw)  # AddressValueError, a ValueError, when there are not four bytes


def _read_addresses(raw: bytes) -> tuple[IPv4Address, ...]:
    if not raw or len(raw) % 4:
        raise ValueError("not a list of addresses")
    return tuple(IPv4Address(raw[at : at + 4]) for at in range(0, len(raw), 4))


def _read_u16s(raw: bytes) -> tuple[int, ...]:
    if not raw or len(raw) % 2:
        raise ValueError("not a list of 16-bit numbers")
    return tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))


def _read_text(raw: bytes) -> str:
    """Printable ASCII only: what comes from outside ends up in logs, in scripts and on screens."""
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in raw.rstrip(b"\0"))


def _read_message_type(raw: bytes) -> MessageType:
    if raw not in _TYPES:
        raise ValueError("not one byte, or of no meaning")
    return _TYPES[raw]


def _bytes(code: int, name: str) -> Option[bytes]:
    return Option(code, name, bytes, bytes)


def _u16(code: int, name: str) -> Option[int]:
    return Option(code, name, *_number(2))


def _u32(code: int, name: str) -> Option[int]:
    return Option(code, name, *_number(4))


def _address(code: int, name: str) -> Option[IPv4Address]:
    return Option(code, name, _read_address, lambda value: value.packed)


def _addresses(code: int, name: str) -> Option[tuple[IPv4Address, ...]]:
    return Option(code, name, _read_addresses, lambda values: b"".join(value.packed for value in values))


def _text(code: int, name: str) -> Option[str]:
    return Option(code, name, _read_text, lambda value: value.encode("ascii"))


def _suboptions(code: int, name: str) -> Option[dict[int, bytes]]:
    return Option(code, name, read_suboptions, write_suboptions)


SUBNET_MASK = _address(1, "subnet-mask")
ROUTERS = _addresses(3, "routers")
DNS_SERVERS = _addresses(6, "domain-name-servers")
HOST_NAME = _text(12, "host-name")
DOMAIN_NAME = _text(15, "domain-name")
BROADCAST_ADDRESS = _address(28, "broadcast-address")
NTP_SERVERS = _addresses(42, "ntp-servers")
PXE_OPTIONS = Option(43, "vendor-specific", _read_ended, lambda values: write_suboptions(values) + _END)  # PXE 2.1
REQUESTED_ADDRESS = _address(50, "requested-address")
LEASE_TIME = _u32(51, "lease-time")
OVERLOAD = 52  # never in ``Packet.options``: a matter of how a packet is packed
MESSAGE_TYPE = Option(53, "message-type", _read_message_type, lambda value: bytes((value,)))
SERVER_ID = _address(54, "server-identifier")
PARAMETERS = _bytes(55, "parameter-request-list")
MESSAGE = _text(56, "message")
MAX_SIZE = _u16(57, "maximum-message-size")
RENEWAL_TIME = _u32(58, "renewal-time")
REBINDING_TIME = _u32(59, "rebinding-time")
VENDOR_CLASS = _text(60, "vendor-class")
CLIENT_ID = _bytes(61, "client-identifier")
TFTP_SERVER_NAME = _text(66, "tftp-server-name")
BOOT_FILE = _text(67, "boot-file")
USER_CLASS = _bytes(77, "user-class")  # RFC 3004, and raw
RELAY_INFORMATION = _suboptions(82, "relay-agent-information")  # RFC 3046
CLIENT_ARCH = Option(  # RFC 4578, section 2.1
    93, "client-architecture", _read_u16s, lambda values: b"".join(value.to_bytes(2, "big") for value in values)
)
CLIENT_UUID = _bytes(97, "client-uuid")  # RFC 4578, section 2.3
ETHERBOOT = _suboptions(175, "etherboot")  # iPXE's own, https://ipxe.org/howto/dhcpd

RELAY_LINK_SELECTION = 5  # sub-options of 82: RFC 3527
RELAY_SERVER_ID_OVERRIDE = 11  # RFC 5107
PXE_DISCOVERY_CONTROL = 6  # sub-options of 43: PXE 2.1, table 2-1
PXE_BOOT_ITEM = 71  # what the client picked; the boot server repeats it
IPXE_NO_PXEDHCP = 176  # sub-option of 175
