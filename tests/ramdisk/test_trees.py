"""The cache of trees: what is kept is whole, what fails leaves nothing."""

import os
from pathlib import Path

import pytest

from imaged.model.errors import CommandFailed, Denied
from imaged.ramdisk.enter import Bind, inside_argv
from imaged.ramdisk.trees import Cache, TreeRecipe, digest, mmdebstrap_argv

RECIPE = TreeRecipe("toolset", ("udev", "kmod"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def silent(_: str) -> None:
    pass


@pytest.mark.parametrize(
    "other",
    [
        TreeRecipe("toolset", ("udev",)),
        TreeRecipe("toolset", ("udev", "kmod"), installed=True),
        TreeRecipe("toolset", ("udev", "kmod"), suite="trixie"),
        TreeRecipe("toolset", ("udev", "kmod"), mirror="http://archive.example/debian"),
        TreeRecipe("toolset", ("udev", "kmod"), components=("main", "non-free-firmware")),
        TreeRecipe("kernel", ("udev", "kmod")),
    ],
)
def test_every_input_is_in_the_key(other: TreeRecipe) -> None:
    assert other.key != RECIPE.key
    assert TreeRecipe("toolset", ("udev", "kmod")).key == RECIPE.key


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("é") == digest("é".encode())


def test_mmdebstrap_argv() -> None:
    argv = mmdebstrap_argv(RECIPE, Path("/cache/new"))
    assert argv[:6] == ("unshare", "--mount", "--propagation", "private", "--", "mmdebstrap")
    assert "--include=udev,kmod" in argv
    assert "--variant=extract" in argv
    assert argv[-2:] == ("bookworm", "/cache/new")
    mirrored = mmdebstrap_argv(TreeRecipe("t", ("udev",), installed=True, mirror="http://archive.example/"), Path("/t"))
    assert "--variant=essential" in mirrored
    assert mirrored[-1] == "http://archive.example/"


def test_entering_a_tree_passes_names_as_arguments() -> None:
    argv = inside_argv(Path("/cache/tree"), ("depmod", "$(reboot)"), (Bind(Path("/a b"), "mnt/x", writable=True),))
    assert argv[-7:] == ("/cache/tree", "rw", "/a b", "mnt/x", "--", "depmod", "$(reboot)")
    assert "$(reboot)" not in argv[argv.index("-c") + 1]


def test_made_once(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), []

    def make(path: Path) -> None:
        made.append(path)
        (path / "file").write_text(str(len(made)))

    assert (cache.keep("a-1", make) / "file").read_text() == "1"
    assert (cache.keep("a-1", make) / "file").read_text() == "1"
    assert (cache.keep("a-1", make, renew=True) / "file").read_text() == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1"]


@pytest.mark.parametrize("stop", [CommandFailed("no such package"), KeyboardInterrupt(), OSError(28, "No space left")])
def test_a_make_that_fails_leaves_what_was_there(tmp_path: Path, stop: BaseException) -> None:
    cache = Cache(tmp_path)

    def make(path: Path) -> None:
        (path / "half").write_text("")
        raise stop

    with pytest.raises(type(stop)):
        cache.keep("a-1", make)
    assert not list(tmp_path.iterdir())

    cache.keep("a-1", lambda path: (path / "file").touch())
    with pytest.raises(type(stop)):
        cache.keep("a-1", make, renew=True)
    assert [path.name for path in (tmp_path / "a-1").iterdir()] == ["file"]


def test_prune_keeps_those_used_last_and_what_is_not_its_own(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keys = [f"base-{number:016x}" for number in range(5)]
    for number, key in enumerate(keys):
        cache.keep(key, lambda path: None)
        os.utime(tmp_path / key, (number, number))
    (tmp_path / "demo/images").mkdir(parents=True)  # a state directory that somebody put there
    os.utime(tmp_path / "demo", (0, 0))
    day = 24 * 3600
    cache.prune(keep=1, now=day)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*keys, "demo"]  # all were used within a day
    cache.prune(keep=2, now=day + 3.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [keys[3], keys[4], "demo"]
    cache.keep(keys[3], lambda path: pytest.fail("it is there"))
    cache.prune(keep=1, now=2 * day)
    assert sorted(path.name for path in tmp_path.iterdir()) == [keys[3], "demo"]


@needs_root
def test_holding_clears_what_a_killed_builder_left(tmp_path: Path) -> None:
    (tmp_path / ".building-x1/made").mkdir(parents=True)
    with Cache(tmp_path).hold(silent):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_root_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Denied, match="needs root"), Cache(tmp_path / "cache").hold(silent):
        pass
    assert not (tmp_path / "cache").exists()


@needs_root
def test_mmdebstrap_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandFailed, match="mmdebstrap is not installed"):
        Cache(tmp_path).tree(RECIPE, silent)
    assert not list(tmp_path.iterdir())
