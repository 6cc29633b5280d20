"""The cache of manifests as they travel: made once, whole or not there at all, bounded."""

import gzip
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from imaged.store.deltas import Deltas, Manifest


class Merge:
    """Stands for planning's: the lines of the new manifest, counted."""

    def __init__(self) -> None:
        self.made = 0
        self.fault: Exception | None = None

    def __call__(self, old: Iterable[bytes], new: Iterable[bytes]) -> Iterator[bytes]:
        self.made += 1
        yield b"-%d\n" % len(list(old))
        for line in new:
            yield b"+" + line
        if self.fault:
            raise self.fault


@pytest.fixture
def merge() -> Merge:
    return Merge()


@pytest.fixture
def cache(tmp_path: Path, merge: Merge) -> Deltas:
    return Deltas(tmp_path / "run/deltas", merge)


def manifest(directory: Path, letter: str) -> Manifest:
    path = directory / letter
    path.write_bytes(f"./{letter} mode=0644\n".encode() * 3)
    return Manifest(path, letter * 64)


@pytest.mark.parametrize("compressed", [False, True])
def test_made_once_and_found_again(cache: Deltas, merge: Merge, tmp_path: Path, compressed: bool) -> None:
    old, new = manifest(tmp_path, "a"), manifest(tmp_path, "b")
    first, second = (cache.find(new, old, compressed=compressed) for _ in range(2))
    assert first == second
    assert (first.delta, merge.made) == (True, 1)
    content = first.path.read_bytes()
    assert (gzip.decompress(content) if compressed else content) == b"-3\n" + b"+./b mode=0644\n" * 3


def test_whole(cache: Deltas, merge: Merge, tmp_path: Path) -> None:
    new = manifest(tmp_path, "b")
    assert cache.find(new, None, compressed=False).path == new.path, "no copy of what is there already"
    packed = cache.find(new, None, compressed=True)
    assert (gzip.decompress(packed.path.read_bytes()), packed.delta, merge.made) == (new.path.read_bytes(), False, 0)


def test_nobody_else_may_read_it(cache: Deltas, tmp_path: Path) -> None:
    directory = cache.find(manifest(tmp_path, "b"), None, compressed=True).path.parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_what_could_not_be_made_is_not_there(cache: Deltas, merge: Merge, tmp_path: Path) -> None:
    old, new = manifest(tmp_path, "a"), manifest(tmp_path, "b")
    merge.fault = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        cache.find(new, old, compressed=True)
    assert list((tmp_path / "run/deltas").iterdir()) == []
    merge.fault = None
    assert gzip.decompress(cache.find(new, old, compressed=True).path.read_bytes()).startswith(b"-3\n")


def test_the_cache_is_bounded_and_keeps_what_is_used(cache: Deltas, tmp_path: Path) -> None:
    new = manifest(tmp_path, "b")
    used = cache.find(new, None, compressed=True).path
    for number in range(80):
        made = cache.find(new, Manifest(new.path, f"{number:064}"), compressed=False).path
        os.utime(made, (1000 + number, 1000 + number))
    left = list(used.parent.iterdir())
    assert len(left) == 64
    assert used in left
    assert made in left
