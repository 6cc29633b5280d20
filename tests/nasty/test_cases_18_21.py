"""The nasty cases 18 to 21: labels, odd files, links and machine-ids, from the golden client to the node."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.capture import GoldenFacts, Mounted
from imaged.model.errors import Conflict
from imaged.model.plan import SyncTree, WriteFile
from imaged.planning import capture
from imaged.planning.build import doubtful
from imaged.planning.excludes import DEFAULT, excludes
from imaged.planning.fixups.identity import machine_identity
from imaged.planning.identity import machine_id
from imaged.planning.rsync_filter import takes
from imaged.store import facts
from imaged.store import facts as facts_of_tree
from imaged.store.images import Images
from imaged.store.manifest import format_manifest, parse_manifest
from imaged.store.seal import read_tree
from imaged.store.tree import Tree
from installer import transfer, tree
from installer.node import steps as node_steps
from installer.node.errors import Failed
from tests.nasty.outcome import carry_out
from tests.nasty.plans import FACTS, NODE, SITE, bare_target, planned
from tests.nasty.programs import needs, run
from tests.nasty.trees import lay
from tests.nasty.updates import UpdatedNode

# 18


@contextmanager
def mounted(kind: str, at: Path, *options: str) -> Iterator[None]:
    at.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", kind, *options, kind if kind in ("ramfs", "tmpfs") else "none", str(at))
    try:
        yield
    finally:
        run("umount", str(at))


@needs(root=True)
def test_case_18_a_store_that_would_lose_labels_is_refused_before_a_byte_is_moved(tmp_path: Path) -> None:
    """SELinux is enforcing on the golden client, and the image server's filesystem keeps no extended attributes: every
    label and capability would be lost. The capture says so when it begins."""
    with mounted("ramfs", tmp_path / "images"):
        images = Images(tmp_path / "images")
        with pytest.raises(Conflict, match="file capabilities and security labels") as caught, images.working("rhel9"):
            pytest.fail("it was begun")
        assert "ext4, XFS or btrfs" in caught.value.hint and images.unfinished() == ()
        assert [each.name for each in (tmp_path / "images/rhel9").glob(".keeps*")] == []
    with Images(tmp_path / "kept").working("rhel9") as working:
        assert working.tree.is_dir(), "the same where they are kept"


@needs(root=True)
def test_case_18_labels_are_in_the_manifest(tmp_path: Path) -> None:
    """Where labels are kept they are sealed: what a disk or a copy loses of them later is drift."""
    (tmp_path / "shadow").write_text("x")
    label = b"system_u:object_r:shadow_t:s0\0"
    os.setxattr(tmp_path / "shadow", "security.selinux", label)
    text = "".join(format_manifest(read_tree(tmp_path).entries))
    assert (
        dict(next(each for each in parse_manifest(text) if each.path == "shadow").xattrs)["security.selinux"] == label
    )


@needs(root=True)
@pytest.mark.parametrize(
    ("mode", "label", "told"),
    [("enforcing", b"", True), ("permissive", b"", True), ("disabled", b"", False),
     ("enforcing", b"system_u:object_r:etc_t:s0\0", False)],
)  # fmt: skip
def test_case_18_a_captured_tree_without_a_label_is_told_wherever_they_were_lost(
    tmp_path: Path, mode: str, label: bytes, told: bool
) -> None:
    """On the golden client's own filesystem, in an rsync that was made without them, or on the way."""
    text = f"# enforcing, permissive or disabled\nSELINUX={mode}\nSELINUXTYPE=targeted\n"
    lay(tmp_path, {"etc/selinux/config": text, "etc/passwd": "root"})
    if label:
        os.setxattr(tmp_path / "etc/passwd", "security.selinux", label)
    found = facts.read(Tree(tmp_path))
    assert found.labelled is (None if mode == "disabled" else not told)
    assert ["no file has a label" in each for each in doubtful(found)] == [True] * told


# 19

LONG_AGO = 1_700_000_000 * 10**9


def furnish(root: Path) -> Path:
    """Everything that a file may be or have."""
    lay(root, {"bin/ping": "ping", "bin/su": "su", "srv/acl": "x", "usr/lib/farm/0": "farmed", "etc/resolv.conf": "#"})
    for number in range(1, 300):
        (root / f"usr/lib/farm/{number}").hardlink_to(root / "usr/lib/farm/0")
    run("setcap", "cap_net_raw+ep", str(root / "bin/ping"))
    (root / "bin/su").chmod(0o4755)
    run("setfacl", "-m", "u:1234:rw,d:g:77:r", str(root / "srv"))
    run("setfacl", "-m", "u:1234:rw", str(root / "srv/acl"))
    os.chown(root / "srv/acl", 2**32 - 2, 2**32 - 2)
    raw = os.fsencode(root) + b"/srv/"
    for name in (b"caf\xe9", b"\xff\xfe", b"new\nline", b"#;*[?]\\", b" lead", b"n" * 255):
        with open(raw + name, "wb") as file:
            file.write(name)
    os.mkfifo(root / "srv/pipe")
    os.mknod(root / "srv/zero", 0o20640, os.makedev(1, 5))
    here = Path.cwd()
    os.chdir(root / "srv")  # paths of sockets hold 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind("socket")
    finally:
        os.chdir(here)
    with open(root / "srv/sparse", "wb") as file:
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"island")
    for path in (*root.rglob("*"), root):
        os.utime(path, ns=(LONG_AGO + 7, LONG_AGO + 7), follow_symlinks=False)
    return root


def sealed(root: Path) -> dict[str, object]:
    """The entries of a tree, once written as a manifest and read again."""
    return {each.path: each for each in parse_manifest("".join(format_manifest(read_tree(root).entries)))}


def transferred(source: Path, to: Path) -> None:
    """The agent's rsync, with its own options, from a tree here."""
    to.mkdir()
    argv = transfer.argv(SyncTree("compute@1", "/", 0, 0), to)
    run(*(f"{source}/" if word == "rsync://imaged/image/" else word for word in argv))


@needs("setcap", "setfacl", "chattr", "rsync", root=True)
def test_case_19_a_node_gets_every_kind_of_file_as_it_was_sealed(tmp_path: Path) -> None:
    """Capabilities, ACLs, set-user-id, owners up to 2^32 - 2, hard links by the hundred, names that are no UTF-8,
    sockets, devices, holes: what the manifest says, the node has. The flag `immutable` is no part of an image: it would
    lock the node's own files against its fixups."""
    image = furnish(tmp_path / "image")
    run("chattr", "+i", str(image / "etc/resolv.conf"))
    try:
        transferred(image, tmp_path / "node")
    finally:
        run("chattr", "-i", str(image / "etc/resolv.conf"))
    expected = sealed(image)
    assert sealed(tmp_path / "node") == expected
    assert expected["srv/acl"].uid == 2**32 - 2 and expected["usr/lib/farm/7"].links == 300
    assert (tmp_path / "node/srv/sparse").stat().st_blocks * 512 < 1 << 20
    carry_out((WriteFile("/etc/resolv.conf", "nameserver 10.0.0.1\n"),), tmp_path / "node")


@needs("rsync")
def test_case_19_a_lastlog_of_a_terabyte_of_holes_takes_no_room(tmp_path: Path) -> None:
    """A user of uid 2^32 - 2 who logged in once makes lastlog a file of a terabyte, nearly all of it a hole. A capture
    leaves it out; where an image has such a file nevertheless, a plan does not ask for a disk of a terabyte."""
    log = lay(tmp_path / "golden", {"var/log/lastlog": ""}) / "var/log/lastlog"
    with open(log, "r+b") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"x" * 4096)
    rules = [f"--filter={each.rule}" for each in excludes(DEFAULT)]
    run("rsync", "-aHAXS", *rules, f"{tmp_path}/golden/", f"{tmp_path}/image/")
    assert [each.name for each in (tmp_path / "image/var/log").iterdir()] == []

    log.unlink()
    with open(log, "wb") as file:
        file.truncate(1 << 25)
        file.seek(1 << 24)
        file.write(b"x" * 4096)
    (tmp_path / "golden/var/log/plain").write_bytes(b"y" * 5000)
    found = read_tree(tmp_path / "golden")
    assert 9096 <= found.bytes < 1 << 20 and found.usage["/var/log"] == found.bytes
    assert next(each for each in found.entries if each.path == "var/log/lastlog").size == 1 << 25
    planned(size=found.bytes)


@needs("chattr", root=True)
def test_case_19_an_update_names_the_file_that_nobody_may_change(node: UpdatedNode) -> None:
    """Somebody has made a file of the node immutable, and the image has another version of it."""
    lay(node.image, {"etc/issue": "one", "srv/door": ""})
    node.update()
    (node.image / "srv/door").unlink()
    os.mknod(node.image / "srv/door", 0o140755)
    (node.image / "etc/issue").write_text("other")
    run("chattr", "+i", str(node.root / "etc/issue"))
    try:
        with pytest.raises(Failed, match="Operation not permitted") as caught:
            node.update()
    finally:
        run("chattr", "-i", str(node.root / "etc/issue"))
    assert caught.value.where == "/etc/issue" and "lsattr" in caught.value.hint
    node.update()
    assert (node.root / "etc/issue").read_text() == "other" and (node.root / "srv/door").is_socket()


# 20

LINKS = {
    "etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
    "etc/fstab": "/run/fstab",
    "etc/hostname": "../../../../etc/hostname",
    "etc/hosts": "/usr/share/hosts",
    "etc/mailname": "/../../../../../../../etc/mailname",
}


@pytest.mark.parametrize("by", ["the installer", "an update"])
def test_case_20_no_link_leads_a_fixup_out_of_the_tree_or_to_where_a_boot_forgets_it(tmp_path: Path, by: str) -> None:
    """Links of the image in the place of files that fixups write: into /run, in a circle, and with so many `..` that
    they would reach the ramdisk's own files. The node has its files where it looks for them; nothing else changed."""
    root = lay(tmp_path / "mnt/ramdisk/target", {"run/keep": "", "usr/share/hosts": "golden"})
    victims = lay(tmp_path, {"etc/hostname": "ramdisk", "etc/mailname": "ramdisk"})
    for path, to in LINKS.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).symlink_to(to)
    facts = facts_of_tree.read(Tree(root))
    assert "ramdisk" not in repr(facts)
    for path in LINKS:
        if by == "the installer":
            tree.write_file(WriteFile(f"/{path}", "node07"), root)
        else:
            node_steps.carry_out({"step": "WriteFile", "path": f"/{path}", "content": "node07"}, str(root), print)
    assert [(victims / "etc" / name).read_text() for name in ("hostname", "mailname")] == ["ramdisk"] * 2
    assert [path.name for path in (root / "run").iterdir()] == ["keep"]
    own = {path: (root / path).is_symlink() for path in LINKS}
    assert own == {path: path == "etc/hosts" for path in LINKS}, "an image may keep a file elsewhere, if that lasts"
    assert all(tree.inside(root, f"/{path}").read_text() == "node07" for path in LINKS)
    assert (root / "usr/share/hosts").read_text() == "node07"


# 21


@pytest.mark.parametrize(
    "links",
    [
        {},
        {"var/lib/dbus/machine-id": "/etc/machine-id"},
        {"etc/machine-id": "/var/lib/dbus/machine-id"},
        {"etc/machine-id": "../run/machine-id"},
    ],
    ids=["two files", "as it should be", "the wrong way round", "made at each boot"],
)
def test_case_21_machine_id_and_dbus_id_are_one_file_whatever_they_were(tmp_path: Path, links: dict[str, str]) -> None:
    """dbus's id is a file of its own with the golden client's number in it, or /etc/machine-id is the link; either may
    be read-only. The node has one id, in /etc, and dbus links to it."""
    root = tmp_path
    for path in ("etc/machine-id", "var/lib/dbus/machine-id"):
        (root / path).parent.mkdir(parents=True)
        if path in links:
            (root / path).symlink_to(links[path])
        else:
            (root / path).write_text("90" * 16 + "\n")
            (root / path).chmod(0o444)
    facts = evolve(FACTS, files=facts_of_tree.read(Tree(root)).files)
    for step in machine_identity(bare_target(facts)):
        tree.write_file(step, root) if isinstance(step, WriteFile) else tree.make_link(step, root)
    assert not (root / "etc/machine-id").is_symlink()
    own = (root / "etc/machine-id").read_text()
    assert own == f"{machine_id(SITE.uuid, NODE.name)}\n" != "90" * 16 + "\n"
    if "/var/lib/dbus/machine-id" in facts.files:
        assert tree.inside(root, "/var/lib/dbus/machine-id") == root / "etc/machine-id"
        assert (root / "var/lib/dbus/machine-id").is_symlink()


@needs(root=True)
def test_case_21_a_machine_id_that_is_mounted_over_is_left_or_told(tmp_path: Path) -> None:
    """systemd mounts an id of its own over /etc/machine-id where it cannot write the file: an update cannot put
    another in its place. It goes on where the id is right and says what is wrong where it is not."""
    root = lay(tmp_path, {"etc/machine-id": "a\n", "run/machine-id": "transient\n"})
    step = {"step": "WriteFile", "path": "/etc/machine-id", "content": "a\n", "mode": "0444"}
    (root / "etc/machine-id").chmod(0o444)
    for source in ("etc/machine-id", "run/machine-id"):
        run("mount", "--bind", str(root / source), str(root / "etc/machine-id"))
        try:
            if source == "etc/machine-id":
                assert node_steps.carry_out(step, str(root), print) is False
            else:
                with pytest.raises(Failed, match="something is mounted over it") as caught:
                    node_steps.carry_out(step, str(root), print)
                assert caught.value.where == "/etc/machine-id"
        finally:
            run("umount", str(root / "etc/machine-id"))
    assert sorted(each.name for each in (root / "etc").iterdir()) == ["machine-id"], "nothing half made is left"


def test_case_21_a_capture_takes_no_machine_id_mounted_or_not() -> None:
    """The golden client runs with such a mount: it is no filesystem to capture, and no id gets into the image."""
    mounts = (Mounted(1, "8:1", "/", "/", "ext4", "/dev/sda1"),
              Mounted(2, "0:22", "/machine-id", "/etc/machine-id", "tmpfs", "tmpfs"))  # fmt: skip
    golden = GoldenFacts("golden", "x86_64", "6.1", 0, "3.2", "uefi", 0, {}, mounts)
    made = capture.plan(golden, capture.Wishes())
    assert [each.at for each in made.kept] == ["/"]
    assert [each.at for each in made.left_out] == ["/etc/machine-id"]
    assert not takes(made.rules, "/etc/machine-id") and not takes(made.rules, "/var/lib/dbus/machine-id")
