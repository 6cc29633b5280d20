"""The bytes of one file that is being served: from disk, or generated. Read piece by piece, never whole."""

import os
from typing import Protocol


class Content(Protocol):
    """What a transfer reads from."""

    @property
    def size(self) -> int:
        """Length in bytes, as announced to the client."""

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes at ``offset``; fewer if the file has shrunk. Raises OSError."""

    def close(self) -> None:
        """Let go of it."""


class FileContent:
    """A file on disk, pinned by its descriptor: what is renamed over it meanwhile does not matter."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """From the page cache mostly: the kernel reads ahead."""
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


class BytesContent:
    """A generated file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read(self, offset: int, length: int) -> bytes:
        """A slice."""
        return self._content[offset : offset + length]

    def close(self) -> None:
        """Nothing to close."""
