"""Which network interfaces there are and their IPv4 addresses, asked of the kernel (rtnetlink(7), RTM_GETADDR)."""

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Interface

from attrs import frozen

from imaged.model.errors import ImagedError

_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type


@frozen(cache_hash=True)
class Interface:
    """One interface with its IPv4 addresses, the primary one first."""

    name: str
    index: int
    addresses: tuple[IPv4Interface, ...]

    @property
    def loopback(self) -> bool:
        """Nobody else is on it."""
        return all(address.is_loopback for address in self.addresses)


def find() -> tuple[Interface, ...]:
    """Every interface that has an IPv4 address, by index. Raises ImagedError when the kernel does not tell."""
    found: dict[int, list[IPv4Interface]] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.send(
                _HEADER.pack(_HEADER.size + _ADDRESS.size, _RTM_GETADDR, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
                + _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
            )
            for index, address in _addresses(kernel):
                found.setdefault(index, []).append(address)
    except OSError as error:
        raise ImagedError(f"cannot list the network interfaces: {error.strerror}") from None
    return tuple(
        Interface(name, index, tuple(found[index])) for index, name in sorted(socket.if_nameindex()) if index in found
    )


def select(found: tuple[Interface, ...], wanted: tuple[str, ...]) -> tuple[Interface, ...]:
    """Those that we serve: the ones named, or all but the loopback when none is named."""
    if wanted:
        return tuple(interface for interface in found if interface.name in wanted)
    return tuple(interface for interface in found if not interface.loopback)


def _addresses(kernel: socket.socket) -> Iterator[tuple[int, IPv4Interface]]:
    while True:
        data = kernel.recv(1 << 16)
        at = 0
        while at + _HEADER.size <= len(data):
            size, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR or size < _HEADER.size:
                raise OSError(errno.EIO, "netlink refused the question")
            if kind == _RTM_NEWADDR:
                yield from _address(data[at + _HEADER.size : at + size])
            at += _aligned(size)


def _address(message: bytes) -> Iterator[tuple[int, IPv4Interface]]:
    _, prefix, _, _, index = _ADDRESS.unpack_from(message)
    values: dict[int, bytes] = {}
    at = _ADDRESS.size
    while at + _ATTRIBUTE.size <= len(message):
        size, kind = _ATTRIBUTE.unpack_from(message, at)
        values[kind] = message[at + _ATTRIBUTE.size : at + size]
        at += _aligned(max(size, _ATTRIBUTE.size))
    packed = values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS))  # on a point-to-point link ADDRESS is the peer's
    if packed is not None and len(packed) == 4:
        yield index, IPv4Interface((packed, prefix))


def _aligned(size: int) -> int:
    return (size + 3) & ~3
