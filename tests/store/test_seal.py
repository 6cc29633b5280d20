"""A tree becomes entries: every kind of path, hashed right, on as many threads as we like."""

import hashlib
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import Conflict
from imaged.store.manifest import Entry, Kind, format_manifest, parse_manifest
from imaged.store.seal import digest, read_tree
from installer.node.hashed import sha256 as node_sha256

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="makes devices and owners: needs root")


def entries_of(root: Path, workers: int = 2) -> dict[str, Entry]:
    return {entry.path: entry for entry in read_tree(root, workers=workers).entries}


def test_every_kind_of_path(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir(mode=0o750)
    (tmp_path / "dir/file").write_bytes(b"hello")
    (tmp_path / "link").symlink_to("dir/file")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "door"))
    os.utime(tmp_path / "dir/file", ns=(0, 1_234_567_890_123_456_789))
    (tmp_path / "dir/file").chmod(0o4711)
    found = entries_of(tmp_path)
    assert {path: entry.kind for path, entry in found.items()} == {
        ".": Kind.DIRECTORY, "dir": Kind.DIRECTORY, "dir/file": Kind.FILE, "door": Kind.SOCKET, "fifo": Kind.FIFO,
        "link": Kind.LINK,
    }  # fmt: skip
    file = found["dir/file"]
    assert (file.mode, file.size, file.time) == (0o4711, 5, 1_234_567_890_123_456_789)
    assert file.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert found["link"].target == "dir/file"
    assert found["dir"].mode == 0o750


@root_only
def test_devices_owners_and_attributes(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o020666, os.makedev(1, 3))
    file = tmp_path / "ping"
    file.write_bytes(b"x")
    os.chown(file, 12, 34)
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(file, "security.capability", capability)
    os.setxattr(file, "user.b", b"")
    found = entries_of(tmp_path)
    assert (found["null"].kind, found["null"].device) == (Kind.CHARACTER, (1, 3))
    assert (found["ping"].uid, found["ping"].gid) == (12, 34)
    assert found["ping"].xattrs == (("security.capability", capability), ("user.b", b""))


def test_hard_links_share_a_number_and_count_once(tmp_path: Path) -> None:
    for name in ("a", "x"):
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "y").hardlink_to(tmp_path / "x")
    (tmp_path / "alone").write_bytes(b"1")
    sealed = read_tree(tmp_path)
    found = {entry.path: entry for entry in sealed.entries}
    assert [(found[name].links, found[name].group) for name in ("a", "b", "x", "y", "alone")] == [
        (2, 1), (2, 1), (2, 2), (2, 2), (1, 0),
    ]  # fmt: skip
    assert found["a"].sha256 == found["b"].sha256 == hashlib.sha256(b"12345").hexdigest()
    assert sealed.bytes == 11


def test_order_is_depth_first_by_bytes(tmp_path: Path) -> None:
    for name in ("b", "a.d", "a/z", "a/b/c", "Z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [entry.path for entry in read_tree(tmp_path).entries] == [".", "Z", "a", "a/b", "a/b/c", "a/z", "a.d", "b"]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 900), max_size=30), st.integers(1, 4))
def test_threads_change_nothing(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], workers: int) -> None:
    root = tmp_path_factory.mktemp("tree")
    wanted = {}
    for number, size in enumerate(sizes):
        content = bytes([number]) * size * 1000
        (root / str(number)).write_bytes(content)
        wanted[str(number)] = hashlib.sha256(content).hexdigest()
    counted: list[int] = []
    sealed = read_tree(root, workers=workers, on_hashed=counted.append)
    assert {entry.path: entry.sha256 for entry in sealed.entries if entry.kind is Kind.FILE} == wanted
    assert (sum(counted), sealed.bytes) == (len(sizes), sum(sizes) * 1000)


def test_names_that_are_not_utf8_come_through_the_manifest(tmp_path: Path) -> None:
    for name in (b"\xff\xfe", b"line\nbreak", b"a b=c#d\\"):
        (tmp_path / os.fsdecode(name)).touch()
    sealed = read_tree(tmp_path)
    assert tuple(parse_manifest("".join(format_manifest(sealed.entries)))) == sealed.entries


@pytest.mark.parametrize("directory", ["/proc/sys/kernel/random", "/sys/devices/system/cpu/vulnerabilities"])
def test_a_file_that_is_not_as_the_walk_saw_it_is_refused(directory: str) -> None:
    """The kernel's own files hold more (proc: size 0) or less (sysfs: size 4096) than their size says."""
    if not Path(directory).is_dir():
        pytest.skip(f"this kernel has no {directory}")
    with pytest.raises(Conflict, match="changed while it was sealed"):
        read_tree(Path(directory))


@pytest.mark.skipif(not os.path.ismount("/dev/pts"), reason="needs a directory with a mount in it")
def test_a_mount_inside_is_refused() -> None:
    with pytest.raises(Conflict, match="a filesystem is mounted inside the tree"):
        read_tree(Path("/dev"))


MIB = 1 << 20


def sparse(path: Path, islands: list[tuple[int, int]], size: int) -> None:
    """Islands of other bytes than zeros, (where, how many), in a hole of ``size`` bytes."""
    with path.open("wb") as file:
        for at, count in islands:
            file.seek(at)
            file.write(b"x" * count)
        file.truncate(size)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3 * MIB)), max_size=4), st.integers(1, 12 * MIB))
def test_holes_are_hashed_as_the_zeros_that_they_are(
    tmp_path_factory: pytest.TempPathFactory, islands: list[tuple[int, int]], size: int
) -> None:
    """By the server when it seals and by a node when it compares; what takes room is counted without them."""
    root = tmp_path_factory.mktemp("tree")
    sparse(root / "file", [(at * MIB // 4, count) for at, count in islands], size)
    wanted = hashlib.sha256((root / "file").read_bytes()).hexdigest()
    sealed = read_tree(root)
    assert {entry.path: entry.sha256 for entry in sealed.entries}["file"] == wanted
    with (root / "file").open("rb") as file:
        assert node_sha256(file.fileno()) == wanted
    assert sealed.bytes == sealed.sparse.get("/file", size) <= size


def test_a_file_of_holes_that_changes_under_our_hands_is_refused(tmp_path: Path) -> None:
    sparse(tmp_path / "file", [(2 * MIB, 10)], 8 * MIB)
    entry = entries_of(tmp_path)["file"]
    for change in (lambda file: file.truncate(4 * MIB), lambda file: file.truncate(9 * MIB)):
        with (tmp_path / "file").open("r+b") as file:
            change(file)
        os.utime(tmp_path / "file", ns=(entry.time, entry.time))
        with pytest.raises(Conflict, match="changed while it was sealed"):
            digest(os.fsencode(tmp_path), entry)
