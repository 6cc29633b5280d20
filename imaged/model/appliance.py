"""What the appliance that reads a stranger's disk sends to the host: frames on one port. PURE, shared with the ramdisk.

A frame is one byte for its kind, four bytes (big-endian) for the length of what follows, and that.
"""

import struct
from collections.abc import Callable, Iterator
from enum import Enum

from attrs import frozen

from imaged.model.errors import BadInput

PORT = "imaged.export"  # name of the virtio serial port
MODE = "export"  # value of MODE_WORD, which makes the ramdisk's init start the appliance instead of the installer
MODE_WORD, PARTITION_WORD = "imaged.appliance", "imaged.partition"  # on the kernel's command line
GREETING = "appliance"  # the first frame: it has started, and is no older one
SOURCE = "source"  # serial number of the disk to read
LARGEST = 1 << 20  # bytes in a frame: whoever reads it keeps it in memory
_HEAD = struct.Struct(">cI")


class Kind(Enum):
    """What a frame holds: a line for people, what will come, a piece of a tar archive, one of two ways to end."""

    SAID = b"S"
    BEGIN = b"B"
    DATA = b"D"
    END = b"E"
    FAILED = b"F"


@frozen
class Begin:
    """The archive follows: about ``bytes`` of files in ``mounts`` (paths of the machine, the root first)."""

    bytes: int
    mounts: tuple[str, ...]


@frozen
class End:
    """The archive is whole: so many bytes, with this hash."""

    bytes: int
    sha256: str


@frozen
class Failed:
    """Why there is no archive, or none that is whole; as ``ImagedError`` has it."""

    what: str
    where: str = ""
    hint: str = ""


def frame(kind: Kind, payload: bytes) -> bytes:
    """One frame. ``payload`` has at most LARGEST bytes."""
    if len(payload) > LARGEST:
        raise ValueError(f"a frame of {len(payload)} bytes")
    return _HEAD.pack(kind.value, len(payload)) + payload


def frames(read: Callable[[int], bytes]) -> Iterator[tuple[Kind, bytes]]:
    """Whole frames until the input ends, be it within one. ``read(n)`` gives ``n`` bytes, fewer only where it ends.

    Raises BadInput for bytes that are no frame.
    """
    while len(head := read(_HEAD.size)) == _HEAD.size:
        word, length = _HEAD.unpack(head)
        try:
            kind = Kind(word)
        except ValueError:
            raise BadInput(f"{word!r} is no kind of frame") from None
        if length > LARGEST:
            raise BadInput(f"a frame of {length} bytes")
        payload = read(length) if length else b""
        if len(payload) < length:
            return
        yield kind, payload
