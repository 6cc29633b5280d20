"""The one function that turns a name from outside into a path, and what it must never open."""

import os
import resource
from pathlib import Path

import pytest

from imaged.model.errors import NotFound
from imaged.store.paths import open_beneath


@pytest.fixture
def root(tmp_path):
    """A root with files and links, and a secret beside it."""
    root = tmp_path / "root"
    (root / "loaders").mkdir(parents=True)
    (root / "loaders/undionly.kpxe").write_text("loader")
    (root / "caf\udce9").write_text("latin")
    (root / "inside").symlink_to("loaders")
    (root / "absolute").symlink_to(root / "loaders/undionly.kpxe")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2/secret").write_text("secret")
    (root / "out").symlink_to("../secret")
    (root / "outdir").symlink_to("..")
    (root / "etc").symlink_to("/etc")
    (root / "sibling").symlink_to("../root2")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "fifo")
    return root


def read(root, name):
    with open(open_beneath(root, name), encoding="latin-1") as file:
        return file.read()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("loaders/undionly.kpxe", "loader"),
        ("/loaders/undionly.kpxe", "loader"),
        ("//loaders//./undionly.kpxe", "loader"),
        ("\\loaders\\undionly.kpxe", "loader"),
        ("inside/undionly.kpxe", "loader"),
        ("absolute", "loader"),
        ("caf\udce9", "latin"),
    ],
)
def test_opened(root, name, content):
    assert read(root, name) == content


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "/", "//", "\\", "..", "../secret", "loaders/../../secret", "loaders/../loaders/undionly.kpxe",
        "..\\secret", "..\\..\\etc\\passwd", "loaders\\..\\..\\secret", "/etc/passwd", "//etc/passwd", "out",
        "outdir/secret", "etc/passwd", "sibling/secret", "loop", "loop/x", "dangling", "fifo", "loaders", "loaders/",
        "inside", "missing", "loaders/undionly.kpxe/x", "loaders/undionly.kpxe\0", "loaders/undionly.kpxe\0.txt", "\0",
        "a" * 10_240, "a/" * 5_120, "x" * 300, "\ud800", "C:\\boot\\x", "%2e%2e/secret", "~/x", "~root/.profile",
    ],
)  # fmt: skip
def test_not_found(root, name):
    with pytest.raises(NotFound) as error:
        open_beneath(root, name)
    assert str(error.value) == "no such file"  # one answer for all: it says nothing about what exists


@pytest.mark.skipif(os.geteuid() != 0, reason="making a device needs root")
def test_a_device_is_no_file(root):
    os.mknod(root / "null", 0o666 | 0o020000, os.makedev(1, 3))
    with pytest.raises(NotFound):
        open_beneath(root, "null")


def test_a_root_that_is_itself_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to("root")
    assert read(tmp_path / "link", "loaders/undionly.kpxe") == "loader"


def test_a_missing_root(tmp_path):
    with pytest.raises(NotFound):
        open_beneath(tmp_path / "none", "x")


def test_a_directory_that_becomes_a_link_after_it_was_resolved(root, monkeypatch):
    """The race itself: the name is swapped between the look and the open."""
    (root / "swapped").mkdir()
    (root / "swapped/secret").write_text("harmless")
    real_open = os.open

    def swap_then_open(path, *args, **kwargs):
        (root / "swapped/secret").unlink()
        (root / "swapped").rmdir()
        (root / "swapped").symlink_to("..")
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swap_then_open)
    with pytest.raises(NotFound):
        open_beneath(root, "swapped/secret")


def test_refused_names_leave_no_descriptor_behind(root):
    for name in ("fifo", "loaders", "out", "missing") * 20:
        with pytest.raises(NotFound):
            open_beneath(root, name)
    names = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    assert not [name for name in names if name.is_relative_to(root)]


def test_running_out_of_descriptors_is_not_a_missing_file(root):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            open_beneath(root, "loaders/undionly.kpxe")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
