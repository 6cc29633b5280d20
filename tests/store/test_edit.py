"""Steps change the tree they are meant for and nothing else."""

from pathlib import Path

import pytest

from imaged.model.errors import CommandFailed
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.store.edit import apply
from imaged.store.tree import Tree


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


def test_a_link_at_the_end_is_replaced_not_followed(tree: Tree, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.write_text("ours")
    (tree.root / "etc/resolv.conf").symlink_to(ours)
    apply(tree, WriteFile("/etc/resolv.conf", "theirs"), nothing_runs)
    assert ours.read_text() == "ours"
    assert not (tree.root / "etc/resolv.conf").is_symlink()


def test_a_link_on_the_way_leads_inside_the_tree(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "var").symlink_to(tmp_path)
    apply(tree, WriteFile("/var/x", "theirs"), nothing_runs)
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
