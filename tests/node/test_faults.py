"""Updates that are killed, and disks that are full: files stay whole, a rerun ends as an undisturbed one."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imaged.store.manifest import format_manifest
from imaged.store.seal import read_tree

pytestmark = pytest.mark.processes
HERE = Path(__file__).parent
POINTS = 20


def run(base: Path, die_at: int = 0) -> "subprocess.CompletedProcess[str]":
    argv = (sys.executable, str(HERE / "run_update.py"), str(base), str(die_at))
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


def furnish(base: Path) -> None:
    """An image, and a node that is at an older one: files to add, change, delete, retype and link."""
    image, node = base / "image", base / "node"
    for tree in (image, node):
        for name in ("usr/bin", "usr/lib", "etc", "var/lib/imaged"):
            (tree / name).mkdir(parents=True)
        for number in range(8):
            (tree / f"usr/bin/{number}").write_text(f"{tree.name} {number}")
    for number in range(4):
        (image / f"usr/lib/new{number}").write_text("new")
        (node / f"usr/lib/old{number}").write_text("old")
    (image / "usr/bin/link").hardlink_to(image / "usr/bin/0")
    (image / "bin").symlink_to("usr/bin")
    (node / "bin").mkdir()
    (node / "bin/x").write_text("x")
    (image / "usr/lib/became").mkdir()
    (image / "usr/lib/became/dir").write_text("d")
    (node / "usr/lib/became").write_text("file")
    (image / "etc/passwd").write_text("root:x:0:0:::\nnew:x:5:5:::\n")
    (node / "etc/passwd").write_text("root:x:0:0:::\nmine:x:7:7:::\n")
    shutil.rmtree(image / "var/lib/imaged")
    (base / "manifest").write_text("".join(format_manifest(read_tree(image).entries)))


def contents(base: Path) -> dict[str, object]:
    """The node as the server's walk sees it, without times of what is the node's own."""
    loose = ("etc", "etc/passwd", "etc/seen")
    return {
        each.path: (each.kind, each.mode, each.uid, each.gid, each.sha256, each.target, each.group,
                    0 if each.path in loose or each.path.startswith("var") else each.time)
        for each in read_tree(base / "node").entries
        if not each.path.startswith("var/lib/imaged/base")
    }  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, object]]:
    """What the node begins with, how many changes an update makes, and how it ends."""
    base = tmp_path_factory.mktemp("undisturbed")
    furnish(base)
    kept = base.with_name("begin")
    subprocess.run(("cp", "-a", str(base), str(kept)), check=True)
    done = run(base)
    assert done.returncode == 0, done.stderr
    return kept, int(done.stdout), contents(base)


@pytest.mark.parametrize("number", range(POINTS))
def test_killed_anywhere_a_rerun_ends_the_same(
    number: int, undisturbed: tuple[Path, int, dict[str, object]], tmp_path: Path
) -> None:
    begin, changes, expected = undisturbed
    at = random.Random(number).randint(changes * number // POINTS + 1, changes * (number + 1) // POINTS)
    base = tmp_path / "node"
    subprocess.run(("cp", "-a", str(begin), str(base)), check=True)
    assert run(base, at).returncode == -signal.SIGKILL
    for path in (base / "node/usr/bin").iterdir():  # each is wholly old or wholly new
        name = "0" if path.name == "link" else path.name
        assert path.read_text() in (f"node {name}", f"image {name}")
    again = run(base)
    assert again.returncode == 0, again.stderr
    assert contents(base) == expected
    assert not (base / "node/.imaged").exists() and not (base / "node/var/lib/imaged/journal").exists()


@pytest.fixture
def small(tmp_path: Path):
    """A filesystem of 2 MiB, gone again however the test ends."""
    at = tmp_path / "small"
    at.mkdir()
    if (
        os.geteuid()
        or subprocess.run(("mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(at)), check=False).returncode
    ):
        pytest.skip("needs root to mount a small filesystem")
    yield at
    subprocess.run(("umount", "--lazy", str(at)), check=True)


def test_a_full_disk_is_said_and_leaves_the_node_as_it_was(small: Path, tmp_path: Path) -> None:
    furnish(tmp_path)
    (tmp_path / "image/usr/big").write_bytes(os.urandom(4 << 20))
    (tmp_path / "manifest").write_text("".join(format_manifest(read_tree(tmp_path / "image").entries)))
    shutil.move(str(tmp_path / "node"), str(small / "node"))
    (tmp_path / "node").symlink_to(small / "node")
    before = contents(tmp_path)
    done = run(tmp_path)
    assert done.returncode == 1 and "4 MiB are needed and" in done.stderr
    assert contents(tmp_path) == before and not (small / "node/.imaged").exists()
