"""``imaged syncfiles`` as a person types it: the node's own agent through a real ssh and sshd, and into an image."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from imaged.cli import reach
from imaged.store.images import Images
from imaged.store.nodeagent import node_agent
from tests.cli.test_cluster import NAMES, call, needs_sshd, said, site
from tests.daemon.test_provisioning import fill

__all__ = ["call", "site"]
pytestmark = [needs_sshd, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files get owners")]
ANN = "ann:x:1000:1000::/home/ann:/bin/sh"
Call = Callable[..., Result]


class Nodes:
    """Trees in the place of nodes: the agent works on the one of the name by which it was called."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name in NAMES:
            (self[name] / "etc").mkdir(parents=True)
            for file, text in (("passwd", "root:x:0:0::/root:/bin/sh\n"), ("group", "root:x:0:\n")):
                (self[name] / "etc" / file).write_text(text)
        (home / "imaged.pyz").write_bytes(node_agent())
        (home / "imaged").write_text(
            f'#!/bin/sh\necho "$NODE $*" >> {home}/calls\n'
            f'exec {sys.executable} {home}/imaged.pyz "$@" --root {home}/"$NODE"\n'
        )
        (home / "imaged").chmod(0o755)

    def __getitem__(self, name: str) -> Path:
        return self.home / name

    @property
    def calls(self) -> list[str]:
        """Of the agent, since the last look."""
        path = self.home / "calls"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(found)


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    made = Nodes(tmp_path / "nodes")
    monkeypatch.setattr(reach, "AGENT", str(made.home / "imaged"))
    return made


@pytest.fixture
def listed(site: Path, tmp_path: Path) -> Path:
    """Where the files of the server are; two of them are in its list."""
    source = tmp_path / "srv"
    source.mkdir()
    for name, text in (("motd", "hi\n"), ("passwd", f"root:x:0:0::/:/x\n{ANN}\n"), ("shadow", "ann:$6$x:1::::::\n")):
        (source / name).write_text(text)
    (site.parent / "state/syncfiles.yaml").write_text(
        f"all:\n- {{path: /etc/motd, source: {source}/motd, mode: '0640'}}\n"
        f"group/rack1:\n- {{path: /etc/passwd, source: {source}/passwd}}\n"
        f"- {{path: /etc/shadow, source: {source}/shadow}}\n"
    )
    return source


def test_what_differs_is_sent_and_equal_nodes_are_told_once(call: Call, nodes: Nodes, listed: Path) -> None:
    looked = call("syncfiles", "--dry-run", "@*")
    assert (
        looked.output
        == "node[01-02]:\n  add /etc/motd\n  merge /etc/passwd\n  add /etc/shadow\nnode03:\n  add /etc/motd\n"
    )
    assert not (nodes["node01"] / "etc/motd").exists()
    assert nodes.calls == [f"{name} syncfiles --dry-run" for name in NAMES for _ in range(2)]
    done = call("syncfiles", "@*")
    assert done.output == looked.output.replace("add ", "added ").replace("merge ", "merged "), said(done)
    assert (nodes["node02"] / "etc/passwd").read_text() == f"root:x:0:0::/root:/bin/sh\n{ANN}\n"
    assert (nodes["node03"] / "etc/motd").stat().st_mode & 0o777 == 0o640
    assert (nodes["node03"] / "etc/passwd").read_text() == "root:x:0:0::/root:/bin/sh\n", "not in the group"
    assert [line for line in nodes.calls if "dry" not in line] == [f"{name} syncfiles" for name in NAMES]
    (nodes["node02"] / "etc/motd").write_text("edited\n")
    again = call("syncfiles", "@*")
    assert again.output == "node[01,03]:\n  in step\nnode02:\n  changed /etc/motd\n"
    assert [line for line in nodes.calls if "dry" not in line] == ["node02 syncfiles"], "a look is all for the others"


def test_files_alone_listed_or_not(call: Call, nodes: Nodes, listed: Path) -> None:
    assert call("syncfiles", "node01", "/etc/motd").output == "node01:\n  added /etc/motd\n"
    target = str(listed / "passwd")
    assert call("syncfiles", "node03", target).output == f"node03:\n  added {target}\n"
    assert (nodes["node03"] / target.lstrip("/")).read_text() == (listed / "passwd").read_text()


def test_a_node_where_it_fails_is_named_and_the_others_have_it(call: Call, nodes: Nodes, listed: Path) -> None:
    (nodes["node03"] / "etc/motd").mkdir()
    (nodes.home / "imaged").write_text(
        (nodes.home / "imaged").read_text().replace("exec", 'test "$NODE" != node02 || exit 127\nexec')
    )
    done = call("syncfiles", "@*")
    assert "node01:\n  added /etc/motd\n  merged /etc/passwd" in done.output
    assert "node02: ended with 1\n  has no agent\n" in done.output
    assert "node03: ended with 1\n  FAILED /etc/motd: is a directory here\n" in done.output
    assert "node[02-03]: 2 of 3 nodes failed" in said(done)


@pytest.mark.parametrize(
    ("words", "text", "what"),
    [
        ((), "", "which nodes or images?"),
        (("node01", "--channel", "stable"), "", "goes with --image"),
        (("node01", "/etc/../x"), "", "not the absolute path"),
        (("node01", "/no/such"), "", "/no/such: is not on this server"),
        (("node01", "/dev/null"), "", "is no file"),
        (("node99",), "all: [/etc/hosts]\n", "node99"),
        (("node01",), "", "syncfiles.yaml: lists no files"),
        (("node01",), "all: [/etc/hosts]\ngroup/rak1: []\n", "there is no group 'rak1'"),
        (("node01",), "node/node09: []\n", "there is no node 'node09'"),
        (("node01",), "all: [/etc/hosts\n", "not valid YAML"),
        (("node01",), "all: [{path: /etc/hosts, modus: '0644'}]\n", "unknown key 'modus'"),
        (("--image", "none"), "all: [/etc/hosts]\n", "there is no image 'none'"),
    ],
)
def test_refused_before_anything_is_done(
    site: Path, call: Call, nodes: Nodes, words: tuple[str, ...], text: str, what: str
) -> None:
    if text:
        (site.parent / "state/syncfiles.yaml").write_text(text)
    done = call("syncfiles", *words)
    assert done.exit_code and what in said(done)
    assert nodes.calls == []


def test_too_much_is_refused(call: Call, nodes: Nodes, listed: Path) -> None:
    with (listed / "motd").open("wb") as file:
        file.truncate(17 << 20)
    assert "more than 16 MiB" in said(call("syncfiles", "node01"))
    assert nodes.calls == []


def test_an_image_gets_a_version_only_for_what_differs(site: Path, call: Call, listed: Path) -> None:
    images = Images(site.parent / "state/images")
    with images.working("tiny") as working:
        fill(working.tree)
        (working.tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (working.tree / "etc/group").write_text("root:x:0:\n")
        images.publish(images.seal(working, origin="test"), "stable")
    looked = call("syncfiles", "--image", "tiny", "--dry-run")
    assert looked.output == "tiny@1:\n  add /etc/motd\n"
    assert images.numbers("tiny") == (1,)
    with (site.parent / "state/syncfiles.yaml").open("a") as file:
        file.write(f"image/tiny:\n- {{path: /etc/passwd, source: {listed}/passwd}}\n")
    done = call("syncfiles", "--image", "tiny", "--channel", "stable")
    assert done.output == "tiny@2, made of tiny@1:\n  added /etc/motd\n  merged /etc/passwd\n", said(done)
    assert images.channels("tiny") == {"stable": 2}
    tree = images.tree(images.version("tiny", 2))
    assert ANN in (tree / "etc/passwd").read_text() and (tree / "etc/motd").read_text() == "hi\n"
    assert "syncfiles of tiny@1" in images.version("tiny", 2).origin
    assert not list(tree.rglob("*.pyc")) and not (tree / "var/lib/imaged/lock").exists()
    assert call("syncfiles", "--image", "tiny").output == "tiny@2:\n  in step\n"
    assert images.numbers("tiny") == (1, 2)
    (listed / "motd").write_text("new\n")
    (listed / "passwd").write_text(f"{ANN}\nbob:x:1001:1001::/home/bob:/bin/sh\n")
    assert call("syncfiles", "--image", "tiny").output == (
        "tiny@3, made of tiny@2:\n  changed /etc/motd\n  merged /etc/passwd\n"
        "No channel means it yet: imaged publish tiny@3\n"
    )
    assert images.channels("tiny") == {"stable": 2}, "nobody said so"


def test_an_image_that_cannot_take_a_file_stays_what_it_is(site: Path, call: Call, listed: Path) -> None:
    images = Images(site.parent / "state/images")
    with images.working("tiny") as working:
        fill(working.tree)
        (working.tree / "etc/motd").mkdir()
        images.publish(images.seal(working, origin="test"), "stable")
    done = call("syncfiles", "--image", "tiny")
    assert "tiny@1: /etc/motd: is a directory here" in said(done)
    assert images.numbers("tiny") == (1,)
