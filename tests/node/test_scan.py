"""The scan of a node's tree against what the server's own walk of the same tree says."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from imaged.store.manifest import Entry, Kind, format_manifest
from imaged.store.seal import read_tree
from installer.node import scan as scanning
from installer.node.compare import Difference
from installer.node.mounts import Mounts
from installer.node.scan import Rules, scan
from installer.node.stamps import Stamps

LONG_AGO = 1_700_000_000
NOWHERE = Mounts({}, ())


class House:
    """A tree, the manifest of how it was, and its stamps."""

    def __init__(self, at: Path) -> None:
        self.tree, self.manifest = at / "tree", at / "manifest"
        make(self.tree)
        self.manifest.write_text("".join(format_manifest(read_tree(self.tree).entries)))
        self.stamps = Stamps.blank(len(self.manifest.read_bytes().splitlines()))

    def scan(
        self, *protected: bytes, checksum: bool = False, within: bytes = b"", mounts: Mounts = NOWHERE
    ) -> list[Difference]:
        def skip(path: bytes) -> bool:
            return any(path == each or path.startswith(each + b"/") for each in protected)

        rules = Rules(skip, mounts, checksum, within, lambda path: path == b"etc/way")
        return list(scan(os.fsencode(self.tree), str(self.manifest), self.stamps, rules))

    def drift(self, *protected: bytes, **options: object) -> dict[bytes, str]:
        return {each.path: ",".join(sorted(each.what)) for each in self.scan(*protected, **options)}  # type: ignore[arg-type]


def make(tree: Path) -> None:
    """A small system with one of each kind and odd names."""
    for name in ("etc/conf.d", "usr/bin", "usr/lib/empty", "var/log"):
        (tree / name).mkdir(parents=True)
    for name in ("etc/hosts", "etc/conf.d/a b", "etc/conf.d/\n", "usr/bin/tool", "usr/lib/lib.so", "etc.conf"):
        (tree / name).write_text(f"content of {name}")
    Path(os.fsdecode(os.fsencode(tree) + b"/etc/\xff\\x")).write_text("odd")
    (tree / "usr/bin/same").hardlink_to(tree / "usr/bin/tool")
    (tree / "bin").symlink_to("usr/bin")
    os.mkfifo(tree / "var/log/pipe")
    for path in sorted(tree.rglob("*"), reverse=True):
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Its stamps hold at once: the tests cannot wait until what they made is old enough."""
    monkeypatch.setattr("installer.node.stamps.RACY", -(10**12))
    return House(tmp_path)


def test_nothing_differs_and_all_of_it_is_proven(house: House) -> None:
    assert house.scan() == []
    lines = house.manifest.read_bytes().splitlines()
    assert [house.stamps.values[2 * at] > 0 for at in range(len(lines))] == [line[:1] == b"." for line in lines]
    fd = os.open(house.tree, os.O_RDONLY)
    assert scanning._suspects(fd, str(house.manifest), house.stamps) == []
    os.close(fd)


def test_what_was_made_a_moment_ago_is_not_proven(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer.node.stamps.RACY", 2 * 10**9)
    house.scan()
    assert not any(house.stamps.values)


CHANGES = {
    "content": ("printf x > etc/hosts", {b"etc/hosts": "mtime,size"}),
    "same size": ("printf 'CONTENT of etc/hosts' > etc/hosts", {b"etc/hosts": "mtime,sha256"}),
    "touched": ("touch etc/hosts", {b"etc/hosts": "mtime"}),
    "mode": ("chmod 700 usr/bin/tool", {b"usr/bin/tool": "mode", b"usr/bin/same": "mode"}),
    "gone": ("rm etc/hosts", {b"etc/hosts": "missing"}),
    "directory gone": ("rm -r etc/conf.d", {
        b"etc/conf.d": "missing", b"etc/conf.d/a b": "missing", b"etc/conf.d/\n": "missing"}),
    "new": ("touch etc/new; touch -d @1700000000 etc", {b"etc/new": "extra"}),
    "new below": ("mkdir -p etc/conf.d/n; touch etc/conf.d/n/m; touch -d @1700000000 etc/conf.d", {
        b"etc/conf.d/n": "extra", b"etc/conf.d/n/m": "extra"}),
    "kind": ("rm etc/hosts; mkdir etc/hosts; touch etc/hosts/in; touch -d @1700000000 etc", {b"etc/hosts": "type"}),
    "link": ("ln -sfn /bin bin; touch -hd @1700000000 bin; touch -d @1700000000 .", {b"bin": "link"}),
    "link cut": ("cp -p usr/bin/tool t; mv t usr/bin/same; touch -d @1700000000 usr/bin .", {
        b"usr/bin/tool": "links", b"usr/bin/same": "links"}),
    "a directory that moved behind a link": ("mv usr/lib lib2; ln -s ../lib2 usr/lib; touch -d @1700000000 usr .", {
        b"lib2": "extra", b"lib2/empty": "extra", b"lib2/lib.so": "extra", b"usr/lib": "type",
        b"usr/lib/empty": "missing", b"usr/lib/lib.so": "missing"}),
}  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("stamped", [False, True], ids=["first", "again"])
@pytest.mark.parametrize(("script", "expected"), CHANGES.values(), ids=list(CHANGES))
def test_drift(house: House, script: str, expected: dict[bytes, str], stamped: bool) -> None:
    """Whether or not everything had been proven before."""
    root = house.tree.stat()
    if stamped:
        house.scan()
    subprocess.run(("sh", "-ec", script), cwd=house.tree, check=True)
    os.utime(house.tree, ns=(root.st_atime_ns, root.st_mtime_ns))
    assert house.drift() == expected
    assert house.drift() == expected, "a difference is never taken for proven"


@pytest.mark.parametrize(
    ("stamped", "checksum", "expected"),
    [(False, False, {}), (True, False, {b"etc/hosts": "sha256"}), (False, True, {b"etc/hosts": "sha256"})],
)
def test_what_size_and_time_hide(house: House, stamped: bool, checksum: bool, expected: dict[bytes, str]) -> None:
    """Once a file has been proven its ctime gives it away; before that only --checksum would."""
    if stamped:
        house.scan()
    target = house.tree / "etc/hosts"
    target.write_text("CONTENT of etc/hosts")
    os.utime(target, (LONG_AGO, LONG_AGO))
    assert house.drift(checksum=checksum) == expected


def test_protected_paths_are_nobodys_business_and_do_not_slow_the_next_scan(house: House) -> None:
    (house.tree / "var/log/new").touch()
    (house.tree / "etc/hosts").unlink()
    os.utime(house.tree / "var/log", (LONG_AGO, LONG_AGO))
    os.utime(house.tree / "etc", (LONG_AGO, LONG_AGO))
    assert house.drift(b"var/log", b"etc/hosts") == {}
    fd = os.open(house.tree, os.O_RDONLY)
    suspects = scanning._suspects(fd, str(house.manifest), house.stamps)
    os.close(fd)
    lines = house.manifest.read_bytes().splitlines()
    assert b"./etc" not in {lines[at].split()[0] for at, _ in suspects}


def test_a_directory_that_leads_to_what_is_left_alone_is_no_news(house: House) -> None:
    (house.tree / "etc/way").mkdir()
    for name in ("fixed", "new"):
        (house.tree / "etc/way" / name).touch()
    assert house.drift(b"etc/way/fixed") == {b"etc/way/new": "extra"}


def test_only_below(house: House) -> None:
    (house.tree / "etc/hosts").unlink()
    (house.tree / "usr/bin/new").touch()
    os.utime(house.tree / "usr/bin", (LONG_AGO, LONG_AGO))
    assert house.drift(within=b"usr") == {b"usr/bin/new": "extra"}


def test_other_mounts(house: House) -> None:
    (house.tree / "var/log/more").touch()
    shutil.rmtree(house.tree / "etc")
    mounts = Mounts({b"var": "tmpfs is mounted at /var", b"etc": "nfs is mounted at /etc"}, ())
    assert set(house.drift(mounts=mounts)) <= {b"."}


@pytest.mark.parametrize("seed", range(8))
def test_against_the_servers_own_walk(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random damage: what the scan names is what two walks of the server differ in."""
    monkeypatch.setattr("installer.node.stamps.RACY", -(10**12))
    monkeypatch.setattr("installer.node.scan._FEW", 10)
    house = House(tmp_path)
    before = {entry.path: entry for entry in read_tree(house.tree).entries}
    if seed % 2:
        house.scan()
    rand = random.Random(seed)
    paths = sorted(house.tree.rglob("*"))
    for path in rand.sample(paths, 4):
        damage(rand, path)
    after = {entry.path: entry for entry in read_tree(house.tree).entries}
    expected = {os.fsencode(path) for path in before.keys() | after.keys() if unlike(before.get(path), after.get(path))}
    assert {each.path for each in house.scan()} == expected


def damage(rand: random.Random, path: Path) -> None:
    """One change to one path, if it is still there."""
    if not os.path.lexists(path):
        return
    choice = rand.randrange(4)
    if choice == 0 and path.is_dir() and not path.is_symlink():
        (path / f"new{rand.randrange(99)}").write_text("new")
    elif choice == 1 and path.is_file() and not path.is_symlink():
        path.write_text("other")
    elif choice == 2 and not path.is_symlink():
        path.chmod(rand.choice((0o700, 0o711)))
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def unlike(one: Entry | None, other: Entry | None) -> bool:
    """Group numbers count from 1 in each walk, and a directory's time moves with the names in it."""
    if one is None or other is None:
        return True
    return evolve(one, group=0, time=0) != evolve(other, group=0, time=0) or (
        one.kind is not Kind.DIRECTORY and one.time != other.time
    )
