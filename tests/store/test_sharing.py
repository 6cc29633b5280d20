"""Sharing of storage between versions: what becomes one, what must not, and that trees stay what they are."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaged.store.seal import read_tree
from imaged.store.sharing import share

WHEN = 1_700_000_000


def write(path: Path, content: bytes, when: int = WHEN) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (when, when))
    return path


def shared(old: Path, new: Path) -> int:
    before = read_tree(new)
    saved = share(new, before.entries, old, read_tree(old).entries)
    assert read_tree(new) == before, "the manifest would not be true any more"
    return saved


def test_equal_files_become_one_and_the_tree_stays_what_it_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write(old / "lib/a", b"x" * 5000)
    moved = write(new / "usr/lib/b", b"x" * 5000)
    os.utime(new / "usr/lib", (WHEN, WHEN))
    assert shared(old, new) == 5000
    assert moved.stat().st_ino == (old / "lib/a").stat().st_ino


@pytest.mark.parametrize("change", ["mode", "time", "xattr", "hard link", "empty"])
def test_what_differs_in_any_way_does_not(tmp_path: Path, change: str) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    content = b"" if change == "empty" else b"x" * 5000
    one, other = write(old / "a", content), write(new / "a", content)
    if change == "mode":
        other.chmod(0o700)
    elif change == "time":
        os.utime(other, (WHEN, WHEN + 1))
    elif change == "xattr":
        os.setxattr(other, "user.note", b"mine")
    elif change == "hard link":
        (new / "b").hardlink_to(other)
    shared(old, new)
    assert one.stat().st_ino != other.stat().st_ino


@pytest.mark.parametrize("tied", [[], ["a"], ["b"]])
def test_two_equal_files_of_a_tree_stay_two(tmp_path: Path, tied: list[str]) -> None:
    """As one, an edit of the first on a node, or in a copy, would change the second as well."""
    old, new = tmp_path / "old", tmp_path / "new"
    for name in ("a", "b"):
        write(old / name, b"x" * 5000)
    for name in ("a", "b", "c"):
        write(new / name, b"x" * 5000)
    for name in tied:  # as a capture has it
        (new / name).unlink()
        (new / name).hardlink_to(old / name)
    assert shared(old, new) == 10000
    assert len({path.stat().st_ino for path in new.iterdir()}) == 3
    assert {(old / name).stat().st_nlink for name in ("a", "b")} == {2}


def test_many_equal_files_are_shared_by_their_paths(tmp_path: Path) -> None:
    """So that a thousand equal files cost a thousand looks, not a million."""
    old, new = tmp_path / "old", tmp_path / "new"
    for tree in (old, new):
        for number in range(1000):
            write(tree / str(number), b"x" * 100)
    assert shared(old, new) == 100_000
    assert all((new / str(number)).samefile(old / str(number)) for number in range(1000))


@pytest.fixture(params=["btrfs", "xfs"])
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A filesystem that can share blocks, on a loop device."""
    if os.geteuid() != 0 or not shutil.which(f"mkfs.{request.param}"):
        pytest.skip(f"needs root and mkfs.{request.param}")
    image, at = tmp_path / "image", tmp_path / "volume"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run((f"mkfs.{request.param}", "-q", image), check=True)
    at.mkdir()
    if subprocess.run(("mount", "-o", "loop", image, at), check=False).returncode:
        pytest.skip(f"this kernel mounts no {request.param}")
    try:
        yield at
    finally:
        subprocess.run(("umount", "-l", at), check=True)


@pytest.mark.processes
def test_same_content_with_other_attributes_shares_its_blocks(volume: Path) -> None:
    old, new = volume / "old", volume / "new"
    one, other = write(old / "a", os.urandom(4 << 20)), new / "a"
    write(other, one.read_bytes(), WHEN + 5)
    other.chmod(0o600)
    os.sync()
    before = shutil.disk_usage(volume).used
    assert shared(old, new) == 4 << 20
    os.sync()
    subprocess.run(("sync", "-f", volume), check=True)
    assert one.stat().st_ino != other.stat().st_ino
    assert shutil.disk_usage(volume).used < before - (3 << 20)
