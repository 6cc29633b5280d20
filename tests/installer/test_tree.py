"""Files of a target whose links all try to get out."""

import os
import stat
from pathlib import Path

import pytest

from imaged.model.errors import BadInput, ImagedError
from imaged.model.plan import CheckFile, KeepSecret, MakeLink, MoveFile, RemovePath, WriteFile
from installer.tree import (
    check_file,
    inside,
    keep_secret,
    make_link,
    matches,
    move_file,
    remove_path,
    replace,
    write_file,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A target with nasty links, in a directory that must stay as it is."""
    (tmp_path / "outside").write_text("untouched")
    place = tmp_path / "root"
    (place / "etc/real").mkdir(parents=True)
    for name, target in {
        "etc/absolute": "/etc/real",
        "etc/up": "../../../../../../etc/real",
        "etc/out": "../../outside",
        "etc/self": "self",
        "etc/a": "b",
        "etc/b": "a",
        "etc/dangling": "/run/systemd/resolve/stub",
        "etc/chain": "absolute",
        "link": "/etc",
    }.items():
        (place / name).symlink_to(target)
    return place


@pytest.mark.parametrize(
    ("path", "follow", "expected"),
    [
        ("/", True, ""),
        ("/etc/hosts", True, "etc/hosts"),
        ("//etc/./hosts/", True, "etc/hosts"),
        ("/../../../etc/hosts", True, "etc/hosts"),
        ("/etc/../../../outside", True, "outside"),
        ("/etc/absolute/x", True, "etc/real/x"),
        ("/etc/up/x", True, "etc/real/x"),
        ("/etc/out", True, "outside"),
        ("/etc/out", False, "etc/out"),
        ("/etc/dangling", True, "run/systemd/resolve/stub"),
        ("/etc/chain/x", True, "etc/real/x"),
        ("/etc/chain", False, "etc/chain"),
        ("/link/absolute/../x", True, "etc/x"),
        ("/nothing/here/../x", True, "nothing/x"),
    ],
)
def test_inside(root: Path, path: str, follow: bool, expected: str) -> None:
    assert inside(root, path, follow=follow) == root / expected


@pytest.mark.parametrize("path", ["/etc/self", "/etc/a", "/etc/a/x"])
def test_loops_end(root: Path, path: str) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        inside(root, path)


@pytest.mark.parametrize("path", ["", "etc/hosts", "/etc/\0hosts"])
def test_no_path(root: Path, path: str) -> None:
    with pytest.raises(BadInput):
        inside(root, path)


@pytest.mark.parametrize("path", ["/etc/out", "/etc/up/../../../outside", "/link/out", "/../outside"])
def test_a_write_never_gets_out(root: Path, path: str) -> None:
    write_file(WriteFile(path, "new"), root)
    assert (root.parent / "outside").read_text() == "untouched"
    assert sorted(each.name for each in root.parent.iterdir()) == ["outside", "root"]
    assert (root / "outside").read_text() == "new"


@pytest.mark.parametrize("mode", ["0644", "0600", "0444", "0755", "1777"])
def test_write(root: Path, mode: str) -> None:
    before = os.umask(0o077)
    try:
        write_file(WriteFile("/var/lib/new/file", "tëxt\n", mode), root)
    finally:
        os.umask(before)
    path = root / "var/lib/new/file"
    assert path.read_bytes() == "tëxt\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_write_breaks_a_hard_link(root: Path) -> None:
    (root / "etc/one").write_text("old")
    (root / "etc/two").hardlink_to(root / "etc/one")
    write_file(WriteFile("/etc/one", "new"), root)
    assert ((root / "etc/one").read_text(), (root / "etc/two").read_text()) == ("new", "old")


def test_write_over_a_directory_leaves_nothing_behind(root: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        write_file(WriteFile("/etc/real", "x"), root)
    assert not [each for each in (root / "etc").iterdir() if each.name.startswith(".imaged")]


def test_secret(root: Path) -> None:
    keep_secret(KeepSecret("/etc/imaged/secret"), root, "s3cret")
    assert (root / "etc/imaged/secret").read_text() == "s3cret\n"
    assert stat.S_IMODE((root / "etc/imaged/secret").stat().st_mode) == 0o600


def test_link_replaces_file_link_and_empty_directory(root: Path) -> None:
    for path in ("/etc/new", "/etc/dangling", "/etc/real", "/deep/down/link"):
        make_link(MakeLink(path, "/etc/machine-id"), root)
        assert str(root.joinpath(path[1:]).readlink()) == "/etc/machine-id"
    (root / "etc/full").mkdir()
    (root / "etc/full/file").touch()
    with pytest.raises(OSError, match="not empty"):
        make_link(MakeLink("/etc/full", "x"), root)


def test_remove(root: Path) -> None:
    ssh = root / "etc/ssh"
    (ssh / "ssh_host_dir").mkdir(parents=True)
    for name in ("ssh_host_rsa_key", "ssh_host_rsa_key.pub", ".ssh_host_hidden", "sshd_config", "ssh_host_dir/inner"):
        (ssh / name).touch()
    (ssh / "ssh_host_link").symlink_to("sshd_config")
    remove_path(RemovePath("/etc/ssh/ssh_host_*"), root)
    assert sorted(each.name for each in ssh.iterdir()) == [".ssh_host_hidden", "sshd_config"]
    remove_path(RemovePath("/etc/ssh/ssh_host_*"), root)
    remove_path(RemovePath("/nothing/at/all*"), root)
    remove_path(RemovePath("/etc/ssh/sshd_config/*"), root)
    assert (ssh / "sshd_config").exists()


def test_remove_never_gets_out(root: Path) -> None:
    remove_path(RemovePath("/etc/out"), root)
    remove_path(RemovePath("/link/up"), root)
    assert not os.path.lexists(root / "etc/out")
    assert (root.parent / "outside").exists()
    assert (root / "etc/real").is_dir()
    for path in ("/", "/../outside", "/*/../../outside", "etc/real"):
        with pytest.raises(BadInput):
            remove_path(RemovePath(path), root)


def test_pattern_walks_through_links_inside(root: Path) -> None:
    (root / "etc/real/10-x.conf").touch()
    (root / "etc/real/20-x.conf").touch()
    (root / "etc/real/x[1]").touch()
    assert matches(root, "/link/abs*/[12]0-?.conf") == [root / "etc/real/10-x.conf", root / "etc/real/20-x.conf"]
    assert matches(root, "/etc/real/x[[]1]") == [root / "etc/real/x[1]"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (CheckFile("/etc/nothing"), "No such file"),
        (CheckFile("/etc/empty"), "empty"),
        (CheckFile("/etc/file", "0600"), "mode 0644 instead of 0600"),
        (CheckFile("/etc/file", "0644", "absent"), "does not hold 'absent'"),
        (CheckFile("/etc/out"), "No such file"),
    ],
)
def test_check_fails(root: Path, step: CheckFile, said: str) -> None:
    replace(root / "etc/empty", b"", 0o644)
    replace(root / "etc/file", b"has text", 0o644)
    with pytest.raises(ImagedError, match=said):
        check_file(step, root)


def test_check_passes(root: Path) -> None:
    replace(root / "etc/real/file", b"has text", 0o644)
    for step in (CheckFile("/etc/up/file"), CheckFile("/etc/chain/file", "0644", "has"), CheckFile("/etc/real")):
        check_file(step, root)


def test_a_file_gets_another_name_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    for _ in range(2):
        move_file(MoveFile("/a", "/b"), tmp_path)
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("b", "new")]
