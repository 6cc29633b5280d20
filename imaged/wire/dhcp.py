"""DHCPv4 packets: bytes <-> ``Packet`` (RFC 2131; option overload, RFC 2132 section 9.3; long options, RFC 3396)."""

import struct
from collections.abc import Collection, Mapping
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from imaged.model.errors import MalformedPacket
from imaged.model.net import Mac
from imaged.wire import dhcp_options as opt

T = TypeVar("T")

NO_ADDRESS = IPv4Address(0)
BROADCAST_FLAG = 0x8000
ETHERNET = 1

_HEADER = struct.Struct("!BBBBIHHIIII16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
_OPTIONS = _HEADER.size + len(_COOKIE)  # where they begin
_NEW = bytes((opt.MESSAGE_TYPE.code, 1, opt.MessageType.DISCOVER))
_PAD, _END = 0, 255
_ENDS = bytes((_END,))
_SNAME_SIZE, _FILE_SIZE = 64, 128
_OVERLOADS_FILE, _OVERLOADS_SNAME = 1, 2
_UDP_OVERHEAD = 28  # IPv4 and UDP headers
_SMALLEST_LIMIT = 576 - _UDP_OVERHEAD  # every host takes a datagram of 576 bytes (RFC 2131, section 2)
_LARGEST_LIMIT = 1500 - _UDP_OVERHEAD  # firmware asks for 65280 and cannot reassemble fragments
_SMALLEST_REPLY = 300  # BOOTP's size: old relays and ROMs drop what is shorter (RFC 1542, section 2.1)

# A request that has one of these wrong means something that we cannot know; other options just do not count.
_MUST_BE_RIGHT: tuple[opt.Option[object], ...] = (
    opt.MESSAGE_TYPE, opt.REQUESTED_ADDRESS, opt.SERVER_ID, opt.MAX_SIZE,
)  # type: ignore[assignment]  # fmt: skip


class Op(IntEnum):
    """Direction of a packet."""

    REQUEST = 1
    REPLY = 2


_OPS = {int(op): op for op in Op}
_NO_OPTIONS: Final[Mapping[int, bytes]] = MappingProxyType({})


class Packet(NamedTuple):
    """One DHCP packet. ``options`` are values by number, the most important first.

    Numbers and codecs are in ``dhcp_options``. Pad, end and overload (52) never appear here: how options are spread
    over the packet is the codec's business. What is made anew for each packet, here and in ``planning``, is a
    NamedTuple: a frozen class of attrs takes three times as long.
    """

    op: Op
    xid: int
    chaddr: bytes
    options: Mapping[int, bytes] = _NO_OPTIONS
    htype: int = ETHERNET
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = NO_ADDRESS
    yiaddr: IPv4Address = NO_ADDRESS
    siaddr: IPv4Address = NO_ADDRESS
    giaddr: IPv4Address = NO_ADDRESS
    sname: bytes = b""
    file: bytes = b""

    def raw(self, code: int) -> bytes | None:
        """The value of option ``code`` as it is on the wire, or None."""
        return self.options.get(code)

    def get(self, option: opt.Option[T]) -> T | None:
        """The value of ``option``; None when it is absent or is not what such an option must be."""
        value = self.options.get(option.code)
        if value is None:
            return None
        try:
            return option.read(value)
        except ValueError:
            return None

    @property
    def mac(self) -> Mac | None:
        """The client's Ethernet address; None for other hardware and for what no single machine can have."""
        if self.htype != ETHERNET or len(self.chaddr) != 6 or self.chaddr[0] & 1 or not any(self.chaddr):
            return None
        return _mac(self.chaddr)

    @property
    def wants_broadcast(self) -> bool:
        """The client cannot receive unicast before it has an address (RFC 2131, section 4.1)."""
        return bool(self.flags & BROADCAST_FLAG)


_address = lru_cache(maxsize=4096)(IPv4Address)  # of a number; making one takes longer than all else of a field
_mac = lru_cache(maxsize=4096)(Mac.from_bytes)


def begins_anew(data: bytes) -> bool:
    """Whether these bytes look like a DISCOVER, without decoding them: all clients put option 53 first."""
    return data[_OPTIONS : _OPTIONS + len(_NEW)] == _NEW


def decode(data: bytes) -> Packet:
    """The packet in a UDP payload. Raises MalformedPacket, and nothing else, whatever the bytes are."""
    if len(data) < _OPTIONS:
        raise MalformedPacket("shorter than a DHCP header")
    (op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file) = (
        _HEADER.unpack_from(data)
    )
    if op not in _OPS:
        raise MalformedPacket("neither request nor reply")
    if hlen > len(chaddr):
        raise MalformedPacket("hardware address longer than its field")
    if data[_HEADER.size : _OPTIONS] != _COOKIE:
        raise MalformedPacket("no DHCP magic cookie")

    values: dict[int, bytes | bytearray] = {}
    _scan(data, _OPTIONS, values, must_end=True)
    overload = values.pop(opt.OVERLOAD, None)
    if overload is not None:
        if len(overload) != 1 or not 1 <= overload[0] <= 3:
            raise MalformedPacket("bad option overload")
        # RFC 3396, section 5: the parts of an option are joined in the order options, file, sname.
        if overload[0] & _OVERLOADS_FILE:
            _scan(file, 0, values, must_end=False)
            file = b""
        if overload[0] & _OVERLOADS_SNAME:
            _scan(sname, 0, values, must_end=False)
            sname = b""
        values.pop(opt.OVERLOAD, None)  # within file or sname it has no meaning, and must not loop
    options = {code: bytes(value) for code, value in values.items()}
    packet = Packet(
        _OPS[op], xid, chaddr[:hlen], options, htype, hops, secs, flags,
        _address(ciaddr), _address(yiaddr), _address(siaddr), _address(giaddr),
        sname.split(b"\0", 1)[0], file.split(b"\0", 1)[0],
    )  # fmt: skip
    for option in _MUST_BE_RIGHT:
        if option.code in options and packet.get(option) is None:
            raise MalformedPacket(f"bad {option.name}")
    return packet


def _scan(field: bytes, at: int, values: dict[int, bytes | bytearray], *, must_end: bool) -> None:
    """Add the options of ``field`` from ``at`` on; the parts of one that comes in several are joined (RFC 3396)."""
    size = len(field)
    while at < size:
        code = field[at]
        if code == _END:
            return
        if code == _PAD:
            at += 1
            continue
        if at + 1 >= size or at + 2 + field[at + 1] > size:
            raise MalformedPacket(f"option {code} is cut short")
        end = at + 2 + field[at + 1]
        part = field[at + 2 : end]
        known = values.get(code)
        if known is None:
            values[code] = part
        elif isinstance(known, bytearray):  # bytes would be copied for each of the thousands that a packet may have
            known += part
        else:
            values[code] = bytearray(known + part)
        at = end
    if must_end:
        raise MalformedPacket("no end option")


def reply_limit(request: Packet) -> int:
    """How many bytes of UDP payload the sender of ``request`` takes (option 57), within reason."""
    asked = request.get(opt.MAX_SIZE) or 0
    return max(_SMALLEST_LIMIT, min(asked - _UDP_OVERHEAD, _LARGEST_LIMIT))


def encode(packet: Packet, limit: int = _SMALLEST_LIMIT) -> bytes:
    """The UDP payload, at least 300 bytes and at most ``limit`` (548 or more).

    When the options do not fit they flow over into unused ``file`` and ``sname``; what still does not fit is left
    out, so the caller puts what matters first. Option 82 is always last and always there (RFC 3046, section 2.2).
    """
    parts = {code: _parts(code, value) for code, value in packet.options.items()}
    relay = parts.pop(opt.RELAY_INFORMATION.code, b"")
    parts.pop(opt.OVERLOAD, None)
    room = limit - _OPTIONS - len(relay) - 1
    options, file, sname, overload = b"".join(parts.values()), packet.file, packet.sname, 0
    if len(options) > room:
        options, file, sname, overload = _spread(packet, parts.values(), room - 3)
    header = _HEADER.pack(
        packet.op, packet.htype, len(packet.chaddr), packet.hops, packet.xid, packet.secs, packet.flags,
        int(packet.ciaddr), int(packet.yiaddr), int(packet.siaddr), int(packet.giaddr),
        packet.chaddr, sname, file,
    )  # fmt: skip
    overloading = bytes((opt.OVERLOAD, 1, overload)) if overload else b""
    encoded = b"".join((header, _COOKIE, options, overloading, relay, _ENDS))
    return encoded.ljust(_SMALLEST_REPLY, b"\0")


@lru_cache(maxsize=4096)  # most are the same for all machines of a subnet
def _parts(code: int, value: bytes) -> bytes:
    """The option on the wire; a value of more than 255 bytes in several parts (RFC 3396, section 6)."""
    size = len(value)
    if size <= 255:
        return bytes((code, size)) + value
    return b"".join(bytes((code, min(255, size - at))) + value[at : at + 255] for at in range(0, size, 255))


def _spread(packet: Packet, options: Collection[bytes], room: int) -> tuple[bytes, bytes, bytes, int]:
    """Contents of the fields options, file and sname, and the value of option 52. An option is never torn apart."""
    fields = [(bytearray(), room)]
    fields += [] if packet.file else [(bytearray(), _FILE_SIZE - 1)]
    fields += [] if packet.sname else [(bytearray(), _SNAME_SIZE - 1)]
    for option in options:
        for content, size in fields:
            if len(content) + len(option) <= size:
                content += option
                break
    used = [bytes(content) for content, _ in fields]
    file_options = used[1] if not packet.file else b""
    sname_options = used[-1] if not packet.sname else b""
    overload = (_OVERLOADS_FILE if file_options else 0) | (_OVERLOADS_SNAME if sname_options else 0)
    return (
        used[0],
        file_options + _ENDS if file_options else packet.file,
        sname_options + _ENDS if sname_options else packet.sname,
        overload,
    )
