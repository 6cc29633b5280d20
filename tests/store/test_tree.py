"""Links inside a tree are followed as the machine would: nothing of ours is reached through them."""

from pathlib import Path

import pytest

from imaged.store.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree with honest, absolute, climbing and circular links; ``secret`` lies beside it."""
    (tmp_path / "secret").write_text("ours")
    root = tmp_path / "tree"
    (root / "usr/bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/hosts").write_text("theirs")
    (root / "usr/bin/sh").write_text("sh")
    for name, target in {
        "bin": "usr/bin", "abs": "/etc/hosts", "climb": "../../../../secret", "etc/up": "../../etc/hosts",
        "loop": "loop", "a": "b", "b": "a", "dangling": "/run/x", "etc/dir": "/usr",
    }.items():  # fmt: skip
        (root / name).symlink_to(target)
    return Tree(root)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "."),
        ("/bin/sh", "usr/bin/sh"),
        ("/abs", "etc/hosts"),
        ("/etc/up", "etc/hosts"),
        ("/climb", "secret"),
        ("/../../etc/hosts", "etc/hosts"),
        ("/etc/dir/bin/sh", "usr/bin/sh"),
        ("/dangling", "run/x"),
        ("/loop", None),
        ("/a/x", None),
    ],
)
def test_links_stay_inside(tree: Tree, path: str, expected: str | None) -> None:
    assert tree.locate(path) == (None if expected is None else tree.root / expected)


@pytest.mark.parametrize(("path", "expected"), [("/abs", "abs"), ("/bin/sh", "usr/bin/sh"), ("/loop", "loop")])
def test_the_last_link_can_be_meant_itself(tree: Tree, path: str, expected: str) -> None:
    assert tree.locate(path, follow=False) == tree.root / expected


@pytest.mark.parametrize(
    ("path", "exists", "text"),
    [
        ("/abs", True, "theirs"),
        ("/climb", False, ""),
        ("/dangling", False, ""),
        ("/loop", False, ""),
        ("/etc", True, ""),
        ("/none", False, ""),
    ],
)
def test_reading(tree: Tree, path: str, exists: bool, text: str) -> None:
    assert (tree.exists(path), tree.text(path)) == (exists, text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/etc/h*", ["etc/hosts"]),
        ("/bin/*", ["usr/bin/sh"]),
        ("/*/sh", ["usr/bin/sh"]),
        ("/dangling", ["dangling"]),
        ("/a*", ["a", "abs"]),
        ("/none/*", []),
        ("/climb/*", []),
        ("/etc/hosts/*", []),
    ],
)
def test_patterns_are_anchored_in_the_tree(tree: Tree, pattern: str, expected: list[str]) -> None:
    assert [str(path.relative_to(tree.root)) for path in tree.glob(pattern)] == expected
