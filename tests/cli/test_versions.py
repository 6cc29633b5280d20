"""The verbs for versions as people meet them: what they do, what they refuse, that a refusal changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli import lsimage
from imaged.cli.main import imaged
from imaged.model.errors import BadInput, Conflict, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.edits import mark, working_copy
from imaged.store.images import Images
from imaged.store.nodes import Nodes

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="images are root's")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Settings, and an image with three versions of which stable means the third."""
    (tmp_path / "imaged.yaml").write_text(f"address: 127.0.0.1\nstate: {tmp_path}/state\n")
    for content in ("one", "two", "three"):
        seal(tmp_path, content)
    return tmp_path


def seal(home: Path, content: str, name: str = "compute") -> Version:
    images = store(home)
    with images.working(name) as working:
        (working.tree / "etc").mkdir()
        (working.tree / "etc/motd").write_text(content)
        (working.tree / f"only-{content}").touch()
        (working.tree / "same").write_text("the same in all")
        os.utime(working.tree / "same", (1_700_000_000, 1_700_000_000))
        version = images.seal(working, origin=content)
    images.publish(version, "stable")
    return version


def store(home: Path) -> Images:
    return Images(home / "state/images", now=lambda: "2026-11-21T03:11:00Z")


def call(home: Path, *argv: str) -> Result:
    return CliRunner().invoke(imaged, ["--settings", str(home / "imaged.yaml"), *argv], standalone_mode=False)


def define(home: Path, image: str, **facts: str) -> None:
    nodes = Nodes(open_database(home / "state/imaged.sqlite"))
    nodes.add(Node("node01", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse(image)))
    if facts:
        state = {"state": "installing"} if "installing" in facts else {}
        nodes.keep("node01", **facts, **state)


def stable(home: Path) -> int:
    return store(home).channels("compute")["stable"]


def test_publish_and_rollback(home: Path) -> None:
    assert call(home, "publish", "compute@1").output == "compute@1 is stable now\n"
    assert "from version 1 back to 3 (three)" in call(home, "rollback", "compute").output
    assert "from version 3 back to 2" in call(home, "rollback", "compute@stable").output
    call(home, "publish", "compute@2", "canary")
    assert store(home).channels("compute") == {"canary": 2, "stable": 2}


@pytest.mark.parametrize(
    ("argv", "kind", "said"),
    [
        (("publish", "compute@9"), NotFound, "no version 9"),
        (("publish", "compute@1", "7"), BadInput, "not a channel name"),
        (("rollback", "compute@canary"), NotFound, "no channel 'canary'"),
        (("rollback", "compute@2"), BadInput, "only channels move"),
        (("rollback", "nothing"), NotFound, "no image"),
        (("diffimage", "compute@1", "compute@9"), NotFound, "no version 9"),
        (("cpimage", "compute@9", "new"), NotFound, "no version 9"),
        (("cpimage", "compute", "compute"), Conflict, "already"),
        (("cpimage", "compute", "../x"), BadInput, "not an image name"),
        (("mvimage", "nothing", "new"), NotFound, "no image"),
        (("mvimage", "compute", "../x"), BadInput, "not an image name"),
        (("rmimage", "compute@1", "compute@9"), NotFound, "no version 9"),
        (("rmimage", "compute@3"), Conflict, "channel stable means"),
        (("rmimage", "nothing"), NotFound, "no image"),
        (("pruneimage", "nothing"), NotFound, "no image"),
        (("verifyimage", "nothing"), NotFound, "no image"),
    ],
)
@ROOT
def test_refusals_change_nothing(home: Path, argv: tuple[str, ...], kind: type[ImagedError], said: str) -> None:
    result = call(home, *argv)
    assert isinstance(result.exception, kind)
    assert said in str(result.exception)
    assert [version.number for version in store(home).versions("compute")] == [1, 2, 3]
    assert stable(home) == 3


def test_rollback_passes_over_what_is_gone(home: Path) -> None:
    call(home, "rmimage", "compute@2")
    assert "back to 1" in call(home, "rollback", "compute").output
    assert isinstance(call(home, "rollback", "compute").exception, NotFound)


def test_diffimage(home: Path) -> None:
    result = call(home, "diffimage", "compute@1", "compute@2")
    assert result.return_value == 1
    assert result.output.splitlines() == [
        "add (1)", "  /only-two  (file)", "change (1)", "  /etc/motd  (content, time)", "delete (1)",
        "  /only-one  (file)",
    ]  # fmt: skip
    plain = json.loads(call(home, "diffimage", "compute@1", "compute@2", "--json").output)
    assert plain["changes"][0] == {"path": "/etc/motd", "change": "change", "what": ["content", "time"]}
    same = call(home, "diffimage", "compute@1", "compute@1")
    assert (same.return_value, same.output) == (0, "compute@1 and compute@1 are the same\n")


@ROOT
def test_cpimage_and_mvimage(home: Path) -> None:
    assert "new@1 is stable now, a copy of compute@2" in call(home, "cpimage", "compute@2", "new").output
    assert call(home, "diffimage", "compute@2", "new").return_value == 0
    call(home, "mvimage", "new", "newer")
    assert store(home).names() == ("compute", "newer")
    assert store(home).resolve(ImageRef("newer")).ref == "newer@1"


def test_rmimage_never_gives_a_number_twice(home: Path) -> None:
    call(home, "publish", "compute@1")
    call(home, "rmimage", "compute@3", "compute@2")
    assert [version.number for version in store(home).versions("compute")] == [1]
    assert seal(home, "four").number == 4
    assert not [path.name for path in (home / "state/images/compute").iterdir() if path.name.startswith(".gone")]
    assert call(home, "rmimage", "compute").output == "compute: removed\n"
    assert store(home).names() == ()


@pytest.mark.parametrize(
    "facts", [{}, {"installed": "compute@1"}, {"installing": "compute@1"}, {"updating": "compute@1"}]
)
def test_what_a_node_uses_stays(home: Path, facts: dict[str, str]) -> None:
    define(home, "compute@1" if not facts else "compute", **facts)
    result = call(home, "rmimage", "compute@1")
    assert isinstance(result.exception, Conflict)
    assert "node01" in str(result.exception)
    assert "node01" in str(call(home, "mvimage", "compute", "other").exception)
    call(home, "pruneimage", "--keep", "0")
    assert 1 in [version.number for version in store(home).versions("compute")]
    forced = call(home, "rmimage", "--force", "compute@1")
    assert (forced.exception is None) == (not {"updating", "installing"} & set(facts))


def test_what_was_installed_once_and_is_not_any_more_may_go(home: Path) -> None:
    """The database keeps what was being installed after that has ended."""
    define(home, "compute", installed="compute@3")
    Nodes(open_database(home / "state/imaged.sqlite")).keep("node01", installing="compute@1", state="ready")
    call(home, "pruneimage", "--keep", "1")
    assert [version.number for version in store(home).versions("compute")] == [2, 3]  # 2 is the way back


def test_pruneimage_says_first_what_it_would_do(home: Path) -> None:
    seal(home, "four")
    assert call(home, "pruneimage", "--keep", "1", "-n").output.splitlines() == [
        "compute@1: would be removed",
        "compute@2: would be removed",
        "compute@3: stays: was stable before",
        "compute@4: stays: is stable",
    ]
    call(home, "pruneimage", "compute", "--keep", "1")
    assert [version.number for version in store(home).versions("compute")] == [3, 4]  # 3 is what a rollback goes to
    assert call(home, "pruneimage").output == "Nothing to remove.\n"


def test_what_a_rollback_goes_to_stays_when_what_lies_between_is_gone(home: Path) -> None:
    seal(home, "four")
    call(home, "rmimage", "compute@3")
    call(home, "pruneimage", "--keep", "0")
    assert "back to 2" in call(home, "rollback", "compute").output


def test_no_image_is_pruned_away(home: Path) -> None:
    (home / "state/images/compute/channels/stable").unlink()
    call(home, "pruneimage", "--keep", "0")
    assert [version.number for version in store(home).versions("compute")] == [3]


def test_pruneimage_passes_over_an_image_that_is_worked_on(home: Path) -> None:
    for content in ("one", "two", "three"):
        seal(home, content, "login")
    with store(home).working("compute"):
        result = call(home, "pruneimage", "--keep", "1")
    assert "being made" in str(result.exception)
    assert [version.ref for version in store(home).versions("login")] == ["login@2", "login@3"]


@ROOT
def test_verifyimage_names_what_is_damaged(home: Path) -> None:
    assert call(home, "verifyimage").output.count("as sealed") == 3
    tree = store(home).tree(store(home).resolve(ImageRef("compute")))
    status = (tree / "etc/motd").stat()
    (tree / "etc/motd").write_text("THREE")
    os.utime(tree / "etc/motd", ns=(status.st_atime_ns, status.st_mtime_ns))
    result = call(home, "verifyimage", "compute@3")
    assert "/etc/motd  (content)" in result.output
    assert isinstance(result.exception, ImagedError)


@ROOT
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda tree: (tree / "etc/motd").chmod(0o600), "/etc/motd  (mode)"),
        (lambda tree: os.chown(tree / "etc/motd", 7, 7), "/etc/motd  (owner)"),
        (lambda tree: os.setxattr(tree / "etc/motd", "user.x", b"y"), "/etc/motd  (attributes)"),
        (lambda tree: os.utime(tree / "etc", (1, 1)), "/etc  (time)"),
        (lambda tree: (tree / "etc/motd").unlink(), "/etc/motd  (is gone)"),
        (lambda tree: (tree / "etc/new\x1b[2J\n").touch(), "/etc/new\\033[2J\\012  (is new)"),
        (lambda tree: (tree / "dangling").unlink() or (tree / "dangling").symlink_to("/b"), "/dangling  (time, link)"),
        (
            lambda tree: (tree / "null").unlink() or os.mknod(tree / "null", 0o020666, os.makedev(1, 5)),
            "/null  (time, device)",
        ),
        (lambda tree: tree.rename(tree.parent / "elsewhere"), "No such file"),
        (lambda tree: (tree.parent / "manifest.mtree").write_text("#mtree\n"), "is not the manifest that was sealed"),
        (lambda tree: (tree.parent / "manifest.mtree").unlink(), "No such file"),
        (lambda tree: (tree.parent / "version.json").write_text("{"), "not JSON"),
    ],
)
def test_verifyimage_sees_everything_and_goes_on(home: Path, damage: Callable[[Path], object], said: str) -> None:
    images = store(home)
    for name in ("other", "whole"):
        with images.working(name) as working:
            (working.tree / "etc").mkdir()
            (working.tree / "etc/motd").write_text("hello")
            (working.tree / "dangling").symlink_to("/a")
            os.mknod(working.tree / "null", 0o020666, os.makedev(1, 3))
            images.seal(working, origin="a test")
    assert call(home, "verifyimage", "other", "whole").exception is None
    tree = home / "state/images/other/1/tree"
    damage(tree)
    result = call(home, "verifyimage", "other", "whole")
    assert said in result.output
    assert "whole@1: 5 paths are as sealed" in result.output
    assert (type(result.exception), str(result.exception).partition(":")[0]) == (ImagedError, "other@1")


@ROOT
def test_a_damaged_version_is_not_copied_and_can_be_removed(home: Path) -> None:
    (home / "state/images/compute/1/tree/etc/motd").chmod(0o600)
    result = call(home, "cpimage", "compute@1", "new")
    assert "verifyimage compute@1" in str(result.exception)
    assert store(home).names() == ("compute",)
    (home / "state/images/compute/1/version.json").write_text("{")
    listed = call(home, "lsimage")
    assert "rmimage compute@1" in str(listed.exception)
    assert len(listed.output.splitlines()) == 3
    assert call(home, "rmimage", "compute@1", "compute@1").exception is None
    assert store(home).numbers("compute") == (2, 3)


def test_what_somebody_edits_stays(home: Path) -> None:
    images = store(home)
    with working_copy(images, images.version("compute", 1), "alice", exactly=False, fresh=False):
        pass
    assert "alice keeps an edited copy" in call(home, "lsimage").output
    assert "alice" in str(call(home, "rmimage", "compute@1").exception)
    assert "alice" in str(call(home, "rmimage", "compute").exception)
    call(home, "pruneimage", "--keep", "1")
    assert images.numbers("compute") == (1, 2, 3)
    assert call(home, "mvimage", "compute", "login").exception is None
    assert mark(images, "login") is not None
    assert call(home, "rmimage", "login", "--force").exception is None
    assert not (home / "state/images/login").exists()


def test_a_name_that_nodes_wait_for_is_not_given_to_another_image(home: Path) -> None:
    define(home, "login@canary")
    assert "node01" in str(call(home, "mvimage", "compute", "login").exception)
    assert "node01" in str(call(home, "mvimage", "compute", "login").exception)


def test_what_was_begun_and_not_finished_is_seen_and_removed(home: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store(home).working("gold", resume=True):
        raise KeyboardInterrupt
    assert "gold: begun and not finished" in call(home, "lsimage").output
    assert call(home, "rmimage", "gold").output == "gold: removed\n"
    assert "gold" not in call(home, "lsimage").output


def test_lsimage_shows_who_uses_a_version_and_what_it_costs(home: Path) -> None:
    define(home, "compute", installed="compute@2")
    rows = call(home, "lsimage", "--storage").output.splitlines()
    assert rows[0].split()[:8] == ["image", "version", "channels", "created", "size", "own", "shared", "used"]
    assert [("node01" in row) for row in rows[1:]] == [False, True, True]
    plain = json.loads(call(home, "lsimage", "--storage", "--json").output)
    assert [version["users"] for version in plain] == [[], ["node01 (installed)"], ["node01 (assigned)"]]
    assert all(version["shared_bytes"] == 4096 for version in plain)
    tree = home / "state/images/compute/1/tree"
    alone = sum(path.lstat().st_blocks * 512 for path in tree.rglob("*") if path.name != "same")
    assert plain[0]["own_bytes"] == alone


def test_lsimage_fits_a_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal(home, "x" * 120, "a-rather-long-name")
    monkeypatch.setattr(lsimage, "_PIPED", 100)
    lines = call(home, "lsimage", "--storage").output.splitlines()
    assert max(map(len, lines)) <= 100
    assert any("a-rather-long-name" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@ROOT
def test_a_copy_that_is_told_to_end_leaves_nothing(home: Path, number: signal.Signals) -> None:
    with (home / "state/images/compute/3/tree/large").open("wb") as file:
        file.truncate(64 << 30)  # sparse: takes no room, and long to read
    argv = [sys.executable, "-m", "imaged", "--settings", str(home / "imaged.yaml"), "cpimage", "compute", "new"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "Copying ...\n"
        place = home / "state/images/new/.working/tree/large"
        while child.poll() is None and not place.exists():
            time.sleep(0.001)
        child.send_signal(number)
        said = child.stderr.read()
    assert child.returncode == {"SIGINT": 130}.get(number.name, 128 + number)
    assert "Traceback" not in said
    assert said.strip().startswith("imaged: ")
    assert store(home).names() == ("compute",)
    assert [path.name for path in (home / "state/images/new").glob(".working*")] == []


def test_versions_share_what_is_the_same_and_manifests_do_not_show_it(home: Path) -> None:
    images = store(home)
    one, other = (images.tree(version) / "same" for version in images.versions("compute")[:2])
    assert one.stat().st_ino == other.stat().st_ino
    for version in images.versions("compute"):
        assert {entry.links for entry in images.entries(version)} == {1}


def test_a_version_that_was_chosen_stays_whole_while_another_is_published(home: Path) -> None:
    images = store(home)
    chosen = images.resolve(ImageRef("compute"))
    seal(home, "four")
    assert (images.tree(chosen) / "etc/motd").read_text() == "three"
    assert {entry.path for entry in images.entries(chosen)} >= {"only-three"}
