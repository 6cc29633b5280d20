"""The agent's ``syncfiles`` on real trees: what is put where, with which owner, and what is refused."""

import base64
import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from installer.node import syncfiles
from installer.node.errors import BadUsage, Failed
from installer.node.syncfiles import sync

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files get owners")
SHADOW = b"root:*:1::::::\nann:$6$old:1::::::\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nslurm:x:64030:64030::/:/x\n")
    (tree / "etc/group").write_text("root:x:0:\nslurm:x:64030:\n")
    (tree / "etc/shadow").write_bytes(b"root:*:1::::::\n")
    os.chown(tree / "etc/shadow", 0, 42)
    (tree / "etc/shadow").chmod(0o640)
    return tree


def file(path: str, content: bytes, *, send: bool = True, **changes: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    sent = base64.b64encode(content).decode() if send else None
    return {"path": path, "sha256": sha256, "owner": "root", "group": "root", "mode": "0644", "merge": False,
            "then": "", "content": sent, **changes}  # fmt: skip


def run(root: Path, *files: dict[str, Any], then: str = "", dry: bool = False) -> dict[str, Any]:
    return sync(str(root), list(files), then, dry, lambda line: None)


def actions(answer: dict[str, Any]) -> list[str]:
    return [each["action"] for each in answer["files"]]


def test_a_file_is_put_in_its_place_once(root: Path) -> None:
    new = file("/etc/slurm/slurm.conf", b"x=1\n", owner="slurm", group="64030", mode="0640")
    assert actions(run(root, new)) == ["add"]
    status = (root / "etc/slurm/slurm.conf").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (64030, 64030, 0o640)
    assert actions(run(root, new)) == ["same"]
    assert actions(run(root, {**new, "content": None})) == ["same"], "a checksum is enough"
    os.chown(root / "etc/slurm/slurm.conf", 0, 0)
    assert actions(run(root, {**new, "content": None})) == ["attributes"]
    assert actions(run(root, new)) == ["same"]
    (root / "etc/slurm/slurm.conf").write_text("x=2\n")
    inode = (root / "etc/slurm/slurm.conf").stat().st_ino
    assert actions(run(root, new)) == ["change"]
    assert (root / "etc/slurm/slurm.conf").read_text() == "x=1\n"
    assert (root / "etc/slurm/slurm.conf").stat().st_ino != inode, "by a rename"
    assert [path.name for path in (root / "etc/slurm").iterdir()] == ["slurm.conf"]


@pytest.mark.parametrize("send", [True, False])
def test_a_look_touches_nothing(root: Path, send: bool) -> None:
    before = {path: path.stat().st_ctime_ns for path in root.rglob("*")}
    found = run(root, file("/etc/motd", b"hi", send=send), file("/etc/group", b"root:y\n", send=send), dry=True)
    assert actions(found) == ["add", "change"]
    assert {path: path.stat().st_ctime_ns for path in root.rglob("*")} == before


def test_what_has_changed_since_the_look_is_said(root: Path) -> None:
    (found,) = run(root, file("/etc/motd", b"hi", send=False))["files"]
    assert (found["action"], found["message"]) == ("failed", "has changed since it was looked at")
    assert not (root / "etc/motd").exists()


def test_links_lead_nowhere_outside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (root / "etc/out").symlink_to(f"../../../../../../../{tmp_path}/outside")
    (root / "etc/alias").symlink_to("/etc/real")
    (root / "etc/real").write_text("old")
    (root / "etc/fleeting").symlink_to("/run/x")
    (root / "etc/dir").symlink_to(str(tmp_path))
    files = [file(f"/etc/{name}", b"new") for name in ("out", "alias", "fleeting", "dir/y")]
    run(root, *files)
    assert (tmp_path / "outside").read_text() == "mine" and not (tmp_path / "y").exists()
    assert (root / "etc/alias").is_symlink() and (root / "etc/real").read_text() == "new"
    assert not (root / "etc/fleeting").is_symlink()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"path": "/etc"}, "is a directory here"),
        ({"path": "/etc/passwd/x"}, "Not a directory"),
        ({"owner": "nobody-here"}, "there is no user 'nobody-here' here"),
        ({"group": "nobody-here"}, "there is no group 'nobody-here' here"),
        ({"sha256": "0" * 64}, "was damaged on its way"),
        ({"content": "no base64!"}, "was damaged on its way"),
    ],
)
def test_what_cannot_be_is_said_and_the_others_go_on(root: Path, changes: dict[str, Any], what: str) -> None:
    found = run(root, {**file("/etc/x", b"x"), **changes}, file("/etc/motd", b"hi"))
    assert actions(found) == ["failed", "add"]
    assert what in found["files"][0]["message"]
    assert not list(root.rglob(".imaged-*"))


def users(*lines: str, send: bool = True) -> list[dict[str, Any]]:
    passwd = "".join(f"{line}\n" for line in lines).encode()
    shadow = b"".join(line.split(":")[0].encode() + b":$6$new:1::::::\n" for line in lines)
    return [file("/etc/passwd", passwd, merge=True, send=send), file("/etc/shadow", shadow, merge=True, send=send)]


ANN, BOB = "ann:x:1000:1000::/home/ann:/bin/sh", "bob:x:1001:1001::/home/bob:/bin/sh"


def names(root: Path, path: str = "etc/passwd") -> list[str]:
    return [line.split(":")[0] for line in (root / path).read_text().splitlines()]


def test_users_are_added_changed_and_removed_by_name(root: Path) -> None:
    assert actions(run(root, *users(ANN, BOB, send=False))) == ["merge", "merge"]
    assert names(root) == ["root", "slurm"]
    assert actions(run(root, *users(ANN, BOB))) == ["merge", "merge"]
    assert sorted(names(root)) == ["ann", "bob", "root", "slurm"] and sorted(names(root, "etc/shadow")) == [
        "ann", "bob", "root",
    ]  # fmt: skip
    status = (root / "etc/shadow").stat()
    assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (42, 0o640), "as they were here"
    assert actions(run(root, *users(ANN, BOB, send=False))) == ["same", "same"], "by its checksum alone"
    (root / "etc/passwd").write_text((root / "etc/passwd").read_text() + "local:x:2000:2000::/:/x\n")
    assert actions(run(root, *users(ANN.replace("/bin/sh", "/bin/zsh")))) == ["merge", "merge"]
    assert "ann:x:1000:1000::/home/ann:/bin/zsh" in (root / "etc/passwd").read_text()
    assert sorted(names(root)) == ["ann", "local", "root", "slurm"], "what only the node has stays"
    assert names(root, "etc/shadow") == ["root", "ann"] or names(root, "etc/shadow") == ["ann", "root"]
    kept = root / "var/lib/imaged/synced/etc/shadow"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "var/lib/imaged/synced").stat().st_mode) == 0o700


def test_what_the_node_changed_itself_is_kept_and_said(root: Path) -> None:
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:5000:5000::/home/ann:/bin/sh\n")
    found = run(root, *users(ANN))
    assert "ann:x:5000:5000" in (root / "etc/passwd").read_text()
    assert any("ann: field 3 differs, the node's is kept" in line for line in found["said"])
    assert actions(run(root, *users(ANN, send=False))) == ["same", "same"], "it is not asked again"


def test_a_dry_run_of_users_says_what_would_change(root: Path) -> None:
    assert actions(run(root, *users(ANN), dry=True)) == ["merge", "merge"]
    assert names(root) == ["root", "slurm"] and not (root / "var").exists()


def test_a_tree_without_the_file_gets_it(root: Path) -> None:
    (root / "etc/shadow").unlink()
    assert actions(run(root, *users(ANN))) == ["merge", "add"]
    assert names(root, "etc/shadow") == ["ann"]


def test_a_new_user_owns_its_file_in_the_same_run(root: Path) -> None:
    found = run(root, file("/etc/ann.conf", b"x", owner="ann", group="1000"), *users(ANN))
    assert actions(found) == ["add", "merge", "merge"]
    assert (root / "etc/ann.conf").stat().st_uid == 1000


def test_commands_run_once_and_only_for_what_changed(tmp_path: Path) -> None:
    home = tmp_path.resolve()
    note = f"echo ran >> {home}/ran"
    one, two = (file(f"{home}/{name}", b"x", then=note) for name in ("one", "two"))
    bad = file(f"{home}/three", b"x", then="echo why >&2; exit 3")
    found = run(Path("/"), one, two, bad, then=f"echo all >> {home}/ran")
    assert [(each["command"], each["code"]) for each in found["ran"]] == [
        (note, 0), ("echo why >&2; exit 3", 3), (f"echo all >> {home}/ran", 0)
    ]  # fmt: skip
    assert found["ran"][1]["message"] == "why"
    assert (home / "ran").read_text() == "ran\nall\n"
    assert run(Path("/"), one, two, then="false")["ran"] == [], "nothing has changed"
    (home / "one").unlink()
    assert run(Path("/"), one, two, dry=True, then="false")["ran"] == []


def test_in_a_tree_that_does_not_run_nothing_runs(root: Path) -> None:
    assert run(root, file("/etc/motd", b"x", then="exit 1"), then="exit 1")["ran"] == []


def call(monkeypatch: pytest.MonkeyPatch, root: Path, text: bytes, *, dry: bool = False) -> int:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    return syncfiles.syncfiles(str(root), dry)


def test_a_line_of_json_and_an_exit_code(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = file("/etc/grüße", b"x"), file("/etc", b"x")
    assert call(monkeypatch, root, json.dumps({"files": [good], "then": ""}).encode()) == 0
    assert json.loads(capsys.readouterr().out)["files"][0] == {"path": "/etc/grüße", "action": "add", "message": ""}
    assert (root / "etc/grüße").exists()
    assert call(monkeypatch, root, json.dumps({"files": [bad], "then": ""}).encode()) == 1
    assert not (root / "var/lib/imaged/lock").exists(), "an image is left without one"


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"\xff", b'{"files": [{}], "then": ""}', b'{"files": 7, "then": ""}',
     json.dumps({"files": [{**file("/x", b""), "path": "../x"}], "then": ""}).encode(),
     json.dumps({"files": [{**file("/x", b""), "path": "/../x"}], "then": ""}).encode(),
     json.dumps({"files": [{**file("/x", b""), "mode": "rw"}], "then": ""}).encode(),
     json.dumps({"files": [{**file("/x", b""), "merge": 1}], "then": ""}).encode()],
)  # fmt: skip
def test_what_is_no_question(root: Path, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    with pytest.raises(BadUsage):
        call(monkeypatch, root, text)


def test_users_that_were_damaged_on_their_way_change_nothing(root: Path) -> None:
    passwd, shadow = users(ANN)
    with pytest.raises(Failed, match="damaged"):
        run(root, passwd, {**shadow, "sha256": "0" * 64})
    assert names(root) == ["root", "slurm"]
