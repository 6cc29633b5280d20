"""Manifests as they travel: compressed, or as the difference to one that the node has. A cache that may be deleted."""

import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final, cast

from attrs import frozen

Merge = Callable[[Iterable[bytes], Iterable[bytes]], Iterator[bytes]]
_KEPT: Final = 64  # files; a site has few images, and nodes come from few versions
_LEVEL: Final = 5  # of gzip(1): hex digits of hashes make the size, more work does not


@frozen
class Manifest:
    """A version's manifest file and the sha256 of what is in it."""

    path: Path
    sha256: str


@frozen
class Served:
    """A file to send; one that ends with ``.gz`` is compressed."""

    path: Path
    delta: bool


class Deltas:
    """The cache below ``directory``. ``merge`` makes the lines of a difference from those of two manifests."""

    def __init__(self, directory: Path, merge: Merge) -> None:
        self._directory = directory
        self._merge = merge

    def find(self, wanted: Manifest, basis: Manifest | None, *, compressed: bool) -> Served:
        """``wanted`` as a difference to ``basis``, or whole without one. Made if it is not there, in flat memory."""
        if basis is None and not compressed:
            return Served(wanted.path, delta=False)
        name = f"{basis.sha256}-{wanted.sha256}.delta" if basis else f"{wanted.sha256}.mtree"
        path = self._directory / (f"{name}.gz" if compressed else name)
        try:
            os.utime(path)  # those used last are kept
        except FileNotFoundError:
            self._make(path, wanted, basis)
        return Served(path, delta=basis is not None)

    def _make(self, path: Path, wanted: Manifest, basis: Manifest | None) -> None:
        # A manifest names every file and its hash: nothing for other users of the server.
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            with beside.open("wb") as file:
                if path.suffix == ".gz":
                    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed:
                        self._write(cast(IO[bytes], packed), wanted, basis)
                else:
                    self._write(file, wanted, basis)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        self._prune()

    def _write(self, out: IO[bytes], wanted: Manifest, basis: Manifest | None) -> None:
        with wanted.path.open("rb") as new:
            if basis is None:
                while block := new.read(1 << 20):
                    out.write(block)
                return
            with basis.path.open("rb") as old:
                for lines in _batches(self._merge(old, new)):
                    out.write(lines)

    def _prune(self) -> None:
        found = sorted(self._directory.glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[_KEPT:]:
            path.unlink(missing_ok=True)


def _batches(lines: Iterator[bytes]) -> Iterator[bytes]:
    """gzip is called per block, not per line: a whole manifest may be new."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size > 1 << 16:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
