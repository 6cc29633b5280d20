"""Whole updates of a real tree by a real rsync: the server's own walk of the node is the judge."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imaged.store import seal
from imaged.store.manifest import format_manifest
from imaged.store.seal import read_tree
from installer.node.dress import ACLS_OF_XFS
from installer.node.errors import Failed, Refused
from installer.node.fetch import Source
from installer.node.known import Known
from installer.node.site import Site
from installer.node.stamps import Stamps
from installer.node.update import Options, update

pytestmark = pytest.mark.processes
LONG_AGO = 1_700_000_000


class Node:
    """A tree that is to follow ``image``, both below ``base``."""

    def __init__(self, base: Path) -> None:
        self.image, self.root, self.state = base / "image", base / "node", base / "node/var/lib/imaged"
        self.manifest = base / "manifest"
        self.phases: list[tuple[str, str]] = []
        self.log: list[str] = []
        self.image.mkdir(parents=True)
        self.state.mkdir(parents=True)

    def seal(self) -> None:
        self.manifest.write_text("".join(format_manifest(read_tree(self.image).entries)))

    def update(self, *, kernel: str = "", where: Source | None = None, options: Options | None = None, **plan: object):
        whole = {"serial": "s", "image": "c@1", "protect": [], "fixups": [], **plan}
        site = Site(
            str(self.root), str(self.state), kernel, self.log.append,
            lambda phase, status, message: self.phases.append((phase, status)), lambda seconds: None,
        )  # fmt: skip
        local = Source({"image": f"{self.image}/", "overrides": f"{self.image.parent}/overrides/"}, {})
        stamps = Stamps.blank(len(self.manifest.read_bytes().splitlines()))
        return update(site, whole, Known(str(self.manifest), "", stamps, False), where or local, options or Options())

    def tree(self) -> dict[str, object]:
        return entries(self.root)


def entries(root: Path) -> dict[str, object]:
    found = {each.path: each for each in read_tree(root).entries}
    return {path: each for path, each in found.items() if not path.startswith("var/lib/imaged")}


def furnish(tree: Path) -> None:
    """One of each kind, with everything that makes a file, and names that break programs."""
    for name in ("usr/bin", "usr/lib/modules/6.1", "etc/d", "boot", "var/lib", "dev"):
        (tree / name).mkdir(parents=True)
    raw = os.fsencode(tree)
    names = [b"usr/bin/tool", b"etc/#hash", b"etc/;semi", b"etc/new\nline", b"etc/\xff\xfe", b"etc/" + b"n" * 255,
             "etc/ü".encode(), b"etc/*[x]?", b"etc/ lead", b"usr/lib/libc.so.6", b"boot/vmlinuz-6.1"]  # fmt: skip
    for name in names:
        Path(os.fsdecode(raw + b"/" + name)).write_bytes(b"content of " + name)
    (tree / "usr/bin/same").hardlink_to(tree / "usr/bin/tool")
    (tree / "usr/bin/suid").write_text("s")
    os.chown(tree / "usr/bin/suid", 1234, 4321)
    (tree / "usr/bin/suid").chmod(0o6755)
    os.setxattr(tree / "usr/bin/tool", "user.note", b"\0binary")
    subprocess.run(("setcap", "cap_net_raw+ep", tree / "usr/bin/tool"), check=True)
    subprocess.run(("setfacl", "-m", "u:1234:rwx", tree / "etc/d"), check=True)
    (tree / "lib").symlink_to("usr/lib")
    os.mknod(tree / "dev/null", 0o20666, os.makedev(1, 3))
    os.mkfifo(tree / "var/pipe")
    with open(tree / "var/sparse", "wb") as file:
        file.truncate(4 << 20)
        file.seek(2 << 20)
        file.write(b"island")
    age(tree)


def age(tree: Path) -> None:
    for path in sorted(tree.rglob("*"), reverse=True):
        os.utime(path, ns=(LONG_AGO * 10**9 + 7,) * 2, follow_symlinks=False)
    os.utime(tree, (LONG_AGO, LONG_AGO))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path)
    furnish(node.image)
    node.seal()
    return node


def test_an_empty_tree_becomes_the_version(node: Node) -> None:
    outcome = node.update()
    expected = entries(node.image)
    assert node.tree() == expected | {path: each for path, each in node.tree().items() if path in ("var/lib",)}
    assert (node.root / "var/sparse").stat().st_blocks * 512 < 1 << 20
    assert not (node.root / ".imaged").exists() and not (node.state / "journal").exists()
    assert node.phases[0] == ("compare", "started") and ("scripts", "done") in node.phases
    assert node.update().actions == () and outcome.actions


CHANGES = {
    "content": "printf other > usr/bin/suid; chmod 6755 usr/bin/suid",
    "mode and owner": "chown 7:8 usr/bin/suid; chmod 4711 usr/bin/suid",
    "caps gone": "setcap -r usr/bin/tool",
    "acl": "setfacl -b etc/d; setfacl -m g:99:r usr/bin/suid",
    "link parted": "cp -a usr/bin/same x; mv x usr/bin/same",
    "link added": "ln usr/bin/tool usr/bin/third",
    "new content of a link": "printf new > usr/bin/tool",
    "file to directory": "rm usr/bin/suid; mkdir -p usr/bin/suid/in; touch usr/bin/suid/in/file",
    "directory to link": "mv usr/lib usr/lib64; ln -s lib64 usr/lib",
    "link to directory": "rm lib; mkdir lib; touch lib/x",
    "device": "rm dev/null; mknod dev/null c 1 5",
    "fifo to file": "rm var/pipe; echo x > var/pipe",
    "removed": "rm -r etc boot/vmlinuz-6.1",
    "time": "touch -d @1600000000 usr/bin/tool",
}


@pytest.mark.parametrize("backwards", [False, True], ids=["to", "back"])
@pytest.mark.parametrize("script", CHANGES.values(), ids=list(CHANGES))
def test_the_tree_equals_the_version(node: Node, script: str, backwards: bool) -> None:
    """Forwards to the changed version, or from it back."""
    shutil.rmtree(node.root)
    subprocess.run(("cp", "-a", f"{node.image}/.", str(node.root)), check=True)
    changed = node.root if backwards else node.image
    subprocess.run(("sh", "-ec", script), cwd=changed, check=True)
    node.state.mkdir(parents=True, exist_ok=True)
    node.seal()
    node.update()
    expected, found = entries(node.image), node.tree()
    assert {path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)} <= {"var/lib"}


def test_protected_paths_and_what_fixups_write_are_left_alone(node: Node) -> None:
    node.update()
    (node.root / "etc/d/mine").write_text("mine")
    (node.root / "etc/hostname").write_text("node07\n")
    (node.root / "usr/bin/extra").write_text("x")
    step = {"step": {"step": "WriteFile", "path": "/etc/hostname", "content": "node07\n", "mode": "0644"}, "when": []}
    outcome = node.update(protect=[{"pattern": "/etc/d/", "reason": "ours"}], fixups=[step])
    assert (node.root / "etc/d/mine").exists() and (node.root / "etc/hostname").read_text() == "node07\n"
    assert [each.path for each in outcome.actions if each.verb == "delete"] == [b"usr/bin/extra"]


def test_a_damaged_stored_file_never_reaches_the_tree(node: Node) -> None:
    node.update()
    (node.image / "usr/bin/suid").write_text("new")
    node.seal()
    (node.image / "usr/bin/suid").write_text("bad")
    before = node.tree()
    with pytest.raises(Failed, match="stored file is damaged") as caught:
        node.update()
    assert "/usr/bin/suid" in caught.value.where
    assert {path: each for path, each in node.tree().items() if not path.startswith(".")} == {
        path: each for path, each in before.items() if path != "."
    }


def test_guards_stop_before_the_first_write(node: Node) -> None:
    node.update()
    for number in range(5):
        (node.root / f"usr/bin/{number}").touch()
    with pytest.raises(Refused, match="5 paths would be deleted"):
        node.update(guard={"deletes": 4})
    assert (node.root / "usr/bin/0").exists()
    node.update(guard={"deletes": 4}, options=Options(confirmed=True))
    assert not (node.root / "usr/bin/0").exists()


def test_a_directory_in_the_way_with_protected_contents_is_refused(node: Node) -> None:
    node.update()
    (node.root / "usr/bin/suid").unlink()
    (node.root / "usr/bin/suid").mkdir()
    (node.root / "usr/bin/suid/data").touch()
    with pytest.raises(Refused, match="/usr/bin/suid/data in it is protected"):
        node.update(protect=[{"pattern": "/usr/bin/suid/", "reason": "data"}])


def test_a_planted_link_leads_nowhere(node: Node, tmp_path: Path) -> None:
    """Somebody on the node puts a link where the image has a directory: what it points to is not touched."""
    node.update()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "tool").write_text("precious")
    shutil.rmtree(node.root / "usr/bin")
    (node.root / "usr/bin").symlink_to(outside)
    node.update()
    assert (outside / "tool").read_text() == "precious" and not (node.root / "usr/bin").is_symlink()
    assert entries(node.image).keys() == node.tree().keys()


def test_the_running_kernel_stays(node: Node) -> None:
    node.update()
    (node.root / "boot/vmlinuz-5.10").write_text("k")
    (node.root / "usr/lib/modules/5.10").mkdir()
    outcome = node.update(kernel="5.10")
    assert (node.root / "boot/vmlinuz-5.10").exists() and (node.root / "usr/lib/modules/5.10").exists()
    assert {each.reason for each in outcome.actions if each.verb == "protected"} == {"kernel 5.10 must stay bootable"}


def test_dry_run_touches_nothing(node: Node) -> None:
    outcome = node.update(options=Options(dry_run=True))
    assert outcome.actions and set(node.root.iterdir()) == {node.root / "var"}


def test_a_full_update_takes_everything_anew(node: Node) -> None:
    """Contents that size, time and manifest hide; what is protected and the running kernel stay."""
    node.update()
    hidden = node.root / "usr/bin/suid"
    hidden.write_text("S")
    hidden.chmod(0o6755)
    os.utime(hidden, ns=(LONG_AGO * 10**9 + 7,) * 2)
    (node.root / "etc/d/mine").write_text("mine")
    (node.root / "boot/vmlinuz-5.10").write_text("k")
    (node.root / "usr/bin/extra").touch()
    keep = [{"pattern": "/etc/d/", "reason": "ours"}]
    node.update(kernel="5.10", protect=keep, options=Options(full=True, checksum=True))
    assert hidden.read_text() == "s" and not (node.root / "usr/bin/extra").exists()
    assert (node.root / "etc/d/mine").exists() and (node.root / "boot/vmlinuz-5.10").exists()
    assert (node.root / "var/lib/imaged").exists() and not (node.root / ".imaged").exists()


def test_only_below_a_directory_and_without_deletions(node: Node) -> None:
    node.update()
    for name in ("etc/extra", "usr/bin/extra"):
        (node.root / name).touch()
    (node.root / "usr/bin/suid").unlink()
    (node.root / "etc/#hash").unlink()
    node.update(options=Options(directory=b"etc", delete=False))
    assert (node.root / "etc/#hash").exists() and not (node.root / "usr/bin/suid").exists()
    assert (node.root / "etc/extra").exists() and (node.root / "usr/bin/extra").exists()


def test_users_are_merged_and_a_failing_script_fails_the_update(node: Node) -> None:
    (node.image / "etc/passwd").write_text("root:x:0:0:::\nnew:x:5:5:::\n")
    node.seal()
    (node.root / "etc").mkdir()
    (node.root / "etc/passwd").write_text("root:x:0:0:::\nmine:x:7:7:::\n")
    (node.root / "etc/passwd").chmod(0o640)
    node.update(merge=["/etc/passwd"])
    assert (node.root / "etc/passwd").read_text() == "root:x:0:0:::\nmine:x:7:7:::\nnew:x:5:5:::\n"
    assert (node.root / "etc/passwd").stat().st_mode & 0o777 == 0o640
    (node.image / "etc/passwd").write_text("root:x:0:0:::\n")
    node.seal()
    node.update(merge=["/etc/passwd"])
    assert (node.root / "etc/passwd").read_text() == "root:x:0:0:::\nmine:x:7:7:::\n"
    with pytest.raises(Failed, match="post-update script 10all"):
        node.update(scripts=[{"name": "10all", "content": "#!/bin/sh\nexit 1\n"}])
    assert node.phases[-1] == ("scripts", "failed")


def test_what_sealing_passes_over_an_update_does_too(node: Node) -> None:
    assert seal._TWICE == ACLS_OF_XFS
    node.update()
    tool = node.root / "usr/lib/libc.so.6"
    for name in ACLS_OF_XFS:
        os.setxattr(tool, name, b"as XFS shows an ACL")
    assert node.tree()["usr/lib/libc.so.6"] == entries(node.image)["usr/lib/libc.so.6"]
    assert node.update().actions == ()
    tool.chmod(0o700)
    assert [each.verb for each in node.update().actions] == ["attributes"]
    assert set(os.listxattr(tool)) >= ACLS_OF_XFS, "to remove one would remove the ACL"
