"""DATA packets of one file, ready for the wire and one after the other: read, numbered and kept some blocks ahead."""

import os
import struct
from typing import Final

HEAD: Final = 4  # bytes before a block's payload
MOST: Final = 65000  # bytes of one send(2) that the kernel cuts into packets: an IPv4 packet has no more before the cut
SEGMENTS: Final = 64  # packets that it cuts; newer kernels take 128
_AHEAD: Final = 32  # blocks: one read(2) for so many packets
_DATA: Final = struct.Struct("!HH")


class Frames:
    """Of the file open at ``descriptor``, which it closes: ``size`` bytes in blocks of ``block``, counted from 1."""

    def __init__(self, descriptor: int, size: int, block: int, window: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._block = block
        self.stride = block + HEAD
        most = max(1, min(MOST // self.stride, SEGMENTS, max(window, _AHEAD), size // block + 1))
        self._packets = memoryview(bytearray(most * self.stride))
        self._payloads = [
            self._packets[at + HEAD : at + self.stride] for at in range(0, len(self._packets), self.stride)
        ]
        self._last = size // block + 1
        self._short = self._last * block - size  # bytes that it has less than others
        self._first = 1
        self._until = 1  # the packets in hand are those from _first to before this

    def fetch(self, first: int, until: int) -> tuple[memoryview, int]:
        """Packets of the blocks from ``first`` to before ``until``, or less; and before which block that ended.

        Raises OSError, and EOFError where the file has shrunk: it must not be passed off as whole.
        """
        if not self._first <= first < self._until:
            self._read(first)
        held, stride = self._first, self.stride
        if until > self._until:
            until = self._until
        end = (until - held) * stride
        if until > self._last:  # the last block is a short one, or an empty one
            end -= self._short
        return self._packets[(first - held) * stride : end], until

    def windows(self, first: int, window: int) -> list[tuple[bytes, memoryview]]:
        """The whole windows in hand from ``first`` on, but for the last of all: the ACK each gets, and its packets.

        To be taken from the end: the first is the last of the list.
        """
        held, stride = self._first, self.stride
        until = min(self._until, self._last) - window + 1
        return [
            (
                _DATA.pack(4, at + window - 1 & 0xFFFF),
                self._packets[(at - held) * stride : (at - held + window) * stride],
            )
            for at in range(first, until, window)
        ][::-1]

    def _read(self, first: int) -> None:
        offset = (first - 1) * self._block
        self._first = self._until = first  # nothing, should the read fail
        count = min(len(self._payloads), self._last + 1 - first)
        got = os.preadv(self._descriptor, self._payloads[:count], offset)
        if got < min(count * self._block, self._size - offset):
            raise EOFError("the file has shrunk")
        for number in range(count):
            _DATA.pack_into(self._packets, number * self.stride, 3, (first + number) & 0xFFFF)
        self._until = first + count

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
