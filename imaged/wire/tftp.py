"""TFTP packets, bytes <-> frozen values (RFC 1350 section 5, options as RFC 2347 has them). No policy.

Read and write requests carry their strings as they came: what they mean is decided in ``planning.tftp``.
"""

import struct
from enum import IntEnum
from typing import Final

from attrs import frozen

from imaged.model.errors import MalformedPacket

Options = tuple[tuple[str, str], ...]

_HEAD: Final = struct.Struct("!HH")
_RRQ, _WRQ, _DATA, _ACK, _ERROR, _OACK = range(1, 7)


class ErrorCode(IntEnum):
    """RFC 1350 appendix, and 8 of RFC 2347 section 3."""

    UNDEFINED = 0
    FILE_NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_TRANSFER = 5
    FILE_EXISTS = 6
    NO_SUCH_USER = 7
    OPTIONS_REFUSED = 8


@frozen
class ReadRequest:
    """RRQ. A name that is not UTF-8 keeps its bytes as surrogate escapes, which is how the file system spells it."""

    name: str
    mode: str
    options: Options = ()


@frozen
class WriteRequest:
    """WRQ."""

    name: str
    mode: str
    options: Options = ()


@frozen
class Data:
    """DATA. ``block`` is the 16-bit number of the wire, which rolls over to 0 in long transfers."""

    block: int
    payload: bytes


@frozen
class Ack:
    """ACK of a 16-bit block number."""

    block: int


@frozen
class Error:
    """ERROR. ``code`` may be one that we do not know."""

    code: int
    text: str


@frozen
class OptionAck:
    """OACK: the options that the server took, with its values."""

    options: Options


Packet = ReadRequest | WriteRequest | Data | Ack | Error | OptionAck


def decode(datagram: bytes) -> Packet:
    """The packet in a UDP payload. Raises MalformedPacket, and nothing else, for whatever is none."""
    if len(datagram) < 4:
        raise MalformedPacket("shorter than any TFTP packet")
    opcode, number = _HEAD.unpack_from(datagram)
    match opcode:
        case 1 | 2:
            name, mode, *rest = _strings(datagram, at_least=2)
            kind = ReadRequest if opcode == _RRQ else WriteRequest
            return kind(name.decode("utf-8", "surrogateescape"), mode.decode("latin-1"), _pairs(rest))
        case 3:
            return Data(number, datagram[4:])
        case 4:
            return Ack(number)
        case 5:
            # U-Boot and some ROMs leave out the NUL that ends the text.
            return Error(number, datagram[4:].partition(b"\0")[0].decode("utf-8", "replace"))
        case 6:
            return OptionAck(_pairs(_strings(datagram, at_least=0)))
    raise MalformedPacket(f"opcode {opcode}")


def _strings(datagram: bytes, at_least: int) -> list[bytes]:
    """The NUL-terminated strings after the opcode; what follows the last NUL is no string and is left out."""
    strings = datagram[2:].split(b"\0")[:-1]
    if len(strings) < at_least:
        raise MalformedPacket("a string does not end")
    return strings


def _pairs(strings: list[bytes]) -> Options:
    """Names with their values. An empty name is the padding that some ROMs add: nothing after it counts."""
    names, values = strings[::2], strings[1::2]
    end = names.index(b"") if b"" in names else len(names)
    return tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in zip(names[:end], values, strict=False))


def encode(packet: Packet) -> bytes:
    """The UDP payload that says ``packet``."""
    match packet:
        case Data():
            return _HEAD.pack(_DATA, packet.block) + packet.payload
        case Ack():
            return _HEAD.pack(_ACK, packet.block)
        case Error():
            return _HEAD.pack(_ERROR, packet.code) + packet.text.encode() + b"\0"
        case OptionAck():
            return struct.pack("!H", _OACK) + _joined(packet.options)
        case ReadRequest() | WriteRequest():
            opcode = _RRQ if isinstance(packet, ReadRequest) else _WRQ
            name = packet.name.encode("utf-8", "surrogateescape")
            return (
                struct.pack("!H", opcode)
                + name
                + b"\0"
                + packet.mode.encode("latin-1")
                + b"\0"
                + _joined(packet.options)
            )


def _joined(options: Options) -> bytes:
    return b"".join(text.encode("latin-1") + b"\0" for option in options for text in option)
