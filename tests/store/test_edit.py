"""Steps change the tree they are meant for and nothing else."""

import os
import shutil
from pathlib import Path

import pytest

from imaged.model.errors import CommandFailed
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.store.edit import apply, lay_over
from imaged.store.tree import Tree

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to root")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty tree; ``tmp_path`` beside it is ours."""
    root = tmp_path / "tree"
    (root / "etc").mkdir(parents=True)
    return Tree(root)


def nothing_runs(step: RunInTarget) -> None:
    raise AssertionError(step)


def test_a_file_is_written_with_its_mode_and_directories(tree: Tree) -> None:
    apply(tree, WriteFile("/root/.ssh/authorized_keys", "key\n", "0600"), nothing_runs)
    at = tree.root / "root/.ssh/authorized_keys"
    assert (at.read_text(), at.stat().st_mode & 0o7777) == ("key\n", 0o600)
    assert [path.name for path in at.parent.iterdir()] == ["authorized_keys"]


def test_a_file_that_is_already_so_is_left_alone(tree: Tree) -> None:
    step = WriteFile("/etc/machine-id", "", "0444")
    apply(tree, step, nothing_runs)
    before = (tree.root / "etc/machine-id").stat()
    apply(tree, step, nothing_runs)
    assert (tree.root / "etc/machine-id").stat() == before
    (tree.root / "etc/machine-id").chmod(0o644)
    apply(tree, step, nothing_runs)
    assert (tree.root / "etc/machine-id").stat().st_mode & 0o7777 == 0o444


def test_a_link_at_the_end_is_replaced_not_followed(tree: Tree, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.write_text("ours")
    (tree.root / "etc/resolv.conf").symlink_to(ours)
    apply(tree, WriteFile("/etc/resolv.conf", "theirs"), nothing_runs)
    assert ours.read_text() == "ours"
    assert not (tree.root / "etc/resolv.conf").is_symlink()


def test_a_link_on_the_way_leads_inside_the_tree(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "link").symlink_to(tmp_path)
    apply(tree, WriteFile("/link/x", "theirs"), nothing_runs)
    assert not (tmp_path / "x").exists()


def test_links_in_a_circle_are_an_error(tree: Tree) -> None:
    (tree.root / "var").symlink_to("var")
    with pytest.raises(CommandFailed, match="circle"):
        apply(tree, WriteFile("/var/x", "theirs"), nothing_runs)


def test_a_link_is_made_and_made_again(tree: Tree) -> None:
    for target in ("one", "two"):
        apply(tree, MakeLink("/etc/localtime", target), nothing_runs)
    assert str((tree.root / "etc/localtime").readlink()) == "two"


def test_removal_takes_what_the_pattern_names_and_not_what_a_link_points_to(tree: Tree, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "kept").touch()
    for name in ("etc/ssh_host_a", "etc/ssh_host_b", "etc/ssh_config"):
        (tree.root / name).touch()
    (tree.root / "etc/ssh_host_dir/deep").mkdir(parents=True)
    (tree.root / "etc/ssh_host_link").symlink_to(ours)
    apply(tree, RemovePath("/etc/ssh_host_*"), nothing_runs)
    apply(tree, RemovePath("/nothing/there/*"), nothing_runs)
    assert [path.name for path in (tree.root / "etc").iterdir()] == ["ssh_config"]
    assert (ours / "kept").exists()


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (CheckFile("/etc/f"), ""),
        (CheckFile("/etc/f", mode="0640", contains="wor"), ""),
        (CheckFile("/etc/empty"), "missing or empty"),
        (CheckFile("/etc/none"), "missing or empty"),
        (CheckFile("/etc"), "missing or empty"),
        (CheckFile("/etc/f", mode="0644"), "does not have mode 0644"),
        (CheckFile("/etc/f", contains="planet"), "does not say 'planet'"),
    ],
)
def test_checks(tree: Tree, step: CheckFile, fault: str) -> None:
    (tree.root / "etc/empty").touch()
    (tree.root / "etc/f").write_text("world")
    (tree.root / "etc/f").chmod(0o640)
    if not fault:
        apply(tree, step, nothing_runs)
        return
    with pytest.raises(CommandFailed, match=fault):
        apply(tree, step, nothing_runs)


def test_programs_go_to_the_runner(tree: Tree) -> None:
    ran: list[RunInTarget] = []
    step = RunInTarget(("locale-gen",))
    apply(tree, step, ran.append)
    assert ran == [step]


@pytest.fixture
def override(tmp_path: Path) -> Path:
    """A directory to lay over a tree."""
    (tmp_path / "over/lib/modprobe.d").mkdir(parents=True)
    (tmp_path / "over/lib/modprobe.d/site.conf").write_text("blacklist floppy\n")
    return tmp_path / "over"


@root
def test_an_override_follows_the_links_of_the_tree_and_stays_in_it(tree: Tree, override: Path) -> None:
    (tree.root / "usr/lib").mkdir(parents=True)
    (tree.root / "lib").symlink_to("/usr/lib")
    lay_over(tree, override)
    assert (tree.root / "lib").is_symlink()
    assert (tree.root / "usr/lib/modprobe.d/site.conf").read_text() == "blacklist floppy\n"


@root
def test_an_override_keeps_modes_and_times_of_files_but_not_of_directories_that_are_there(
    tree: Tree, override: Path
) -> None:
    (override / "etc").mkdir(mode=0o777)
    program = override / "etc/run"
    program.write_text("x")
    program.chmod(0o4750)
    os.utime(program, ns=(1, 1_000_000_007))
    (tree.root / "etc").chmod(0o711)
    lay_over(tree, override)
    laid = (tree.root / "etc/run").stat()
    assert (laid.st_mode & 0o7777, laid.st_mtime_ns, laid.st_uid, laid.st_gid) == (0o4750, 1_000_000_007, 0, 0)
    assert (tree.root / "etc").stat().st_mode & 0o7777 == 0o711


@root
def test_an_override_replaces_links_and_does_not_write_through_them(tree: Tree, override: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.write_text("ours")
    (override / "etc").mkdir()
    (override / "etc/motd").write_text("theirs")
    (override / "etc/link").symlink_to("motd")
    (override / "etc/directory-link").symlink_to("/var")
    (tree.root / "etc/motd").symlink_to(ours)
    (tree.root / "etc/link").write_text("a file")
    lay_over(tree, override)
    lay_over(tree, override)
    assert ours.read_text() == "ours"
    assert (tree.root / "etc/motd").read_text() == "theirs"
    assert str((tree.root / "etc/link").readlink()) == "motd"
    assert str((tree.root / "etc/directory-link").readlink()) == "/var"


@root
def test_an_override_does_not_change_other_names_of_a_file(tree: Tree, override: Path) -> None:
    (tree.root / "lib/modprobe.d").mkdir(parents=True)
    (tree.root / "lib/modprobe.d/site.conf").write_text("before")
    (tree.root / "lib/other").hardlink_to(tree.root / "lib/modprobe.d/site.conf")
    lay_over(tree, override)
    assert (tree.root / "lib/other").read_text() == "before"


@root
def test_a_file_never_takes_the_place_of_a_directory_nor_the_reverse(tree: Tree, override: Path) -> None:
    (tree.root / "lib/modprobe.d/site.conf").mkdir(parents=True)
    with pytest.raises(CommandFailed, match="is a directory in the image"):
        lay_over(tree, override)
    shutil.rmtree(tree.root / "lib")
    (tree.root / "lib").touch()
    with pytest.raises(CommandFailed, match="none in the image"):
        lay_over(tree, override)


@root
def test_an_override_holds_files_links_and_directories_only(tree: Tree, override: Path) -> None:
    os.mkfifo(override / "pipe")
    with pytest.raises(CommandFailed, match="neither a file nor a link"):
        lay_over(tree, override)
