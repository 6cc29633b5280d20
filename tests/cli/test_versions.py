"""The verbs for versions as people meet them: what they do, what they refuse, that a refusal changes nothing."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.errors import BadInput, Conflict, ImagedError, NotFound
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
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
        nodes.keep("node01", **facts)


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
    assert (forced.exception is None) == (set(facts) != {"updating"})


def test_pruneimage_says_first_what_it_would_do(home: Path) -> None:
    seal(home, "four")
    assert call(home, "pruneimage", "--keep", "1", "-n").output.splitlines() == [
        "compute@1: would be removed (one)", "compute@2: would be removed (two)"
    ]  # fmt: skip
    call(home, "pruneimage", "compute", "--keep", "1")
    assert [version.number for version in store(home).versions("compute")] == [3, 4]  # 3 is what a rollback goes to


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
