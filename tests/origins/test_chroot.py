"""Programs run in a tree as in a machine of its own, and nothing of it outlives them."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaged import process
from imaged.model.errors import CommandFailed, Conflict
from imaged.origins import chroot
from imaged.store import seal
from imaged.store.tree import Tree
from tests.origins import tiny

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make namespaces and mounts"),
    pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox"),
]
_DEVICES = ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"]
_SECONDS = 30  # what the kernel may take to end a namespace on a busy machine


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree of busybox."""
    tiny.make(tmp_path / "tree")
    return Tree(tmp_path / "tree")


def inside(tree: Tree, script: str) -> str:
    with chroot.surroundings(tree):
        return process.run(chroot.inside(tree, ("sh", "-c", script))).output


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "ls /dev",
            [
                "fd",
                "full",
                "null",
                "ptmx",
                "pts",
                "random",
                "shm",
                "stderr",
                "stdin",
                "stdout",
                "tty",
                "urandom",
                "zero",
            ],
        ),
        ("ls -d /proc/self/mounts /sys/class", ["/proc/self/mounts", "/sys/class"]),
        ("hostname", ["localhost"]),
        ("cat /proc/cmdline", []),
        ("id -u", ["0"]),
        ("cat /etc/resolv.conf", Path("/etc/resolv.conf").read_text().split()),
        ("echo $HOME $SYSTEMD_OFFLINE $PYTEST_CURRENT_TEST .", ["/root", "1", "."]),
        ("ls /run /tmp", ["/run:", "lock", "/tmp:"]),
        ("touch /dev/x /run/x /tmp/x; : > /dev/null; echo $?", ["0"]),
    ],
)
def test_what_is_there(tree: Tree, script: str, expected: list[str]) -> None:
    assert inside(tree, script).split() == expected


def test_a_visit_leaves_the_tree_as_it_was(tree: Tree) -> None:
    (tree.root / "usr/bin/dpkg").touch()
    before = seal.read_tree(tree.root)
    assert inside(tree, "touch /run/x /tmp/x /dev/x; cat /usr/sbin/policy-rc.d").endswith("exit 101\n")
    assert seal.read_tree(tree.root) == before


def test_what_is_written_stays(tree: Tree) -> None:
    inside(tree, "echo hello > /etc/motd")
    assert tree.text("/etc/motd") == "hello\n"


@pytest.mark.parametrize("target", ["../run/systemd/resolve/stub-resolv.conf", "/run/resolvconf/resolv.conf"])
def test_resolvers_are_shown_where_the_images_link_leads(tree: Tree, target: str) -> None:
    (tree.root / "etc/resolv.conf").symlink_to(target)
    assert inside(tree, "cat /etc/resolv.conf") == Path("/etc/resolv.conf").read_text()
    assert str((tree.root / "etc/resolv.conf").readlink()) == target
    assert tree.names("/run") == ()


def test_resolvers_of_the_image_are_hidden_and_come_back(tree: Tree) -> None:
    tiny.write(tree.root / "etc/resolv.conf", "nameserver 10.0.0.53\n")
    assert inside(tree, "cat /etc/resolv.conf") == Path("/etc/resolv.conf").read_text()
    with pytest.raises(CommandFailed):
        inside(tree, "echo nameserver 10.9.9.9 > /etc/resolv.conf")
    assert tree.text("/etc/resolv.conf") == "nameserver 10.0.0.53\n"


def test_a_policy_of_the_images_own_is_hidden_and_comes_back(tree: Tree) -> None:
    (tree.root / "usr/bin/dpkg").touch()
    tiny.write(tree.root / "usr/sbin/policy-rc.d", "own")
    assert "exit 101" in inside(tree, "cat /usr/sbin/policy-rc.d")
    assert tree.text("/usr/sbin/policy-rc.d") == "own"


def test_links_do_not_lead_the_mounts_out_of_the_tree(tree: Tree) -> None:
    (tree.root / "run").rmdir()
    (tree.root / "run").symlink_to("/var/nobody-has-this")
    assert inside(tree, "echo hello > /run/x; ls /var/nobody-has-this").split() == ["lock", "x"]
    assert not Path("/var/nobody-has-this").exists()


def test_missing_mount_points_are_made_with_their_modes(tree: Tree) -> None:
    for name in ("proc", "tmp"):
        (tree.root / name).rmdir()
    inside(tree, "true")
    assert [(tree.root / name).stat().st_mode & 0o7777 for name in ("proc", "tmp")] == [0o555, 0o1777]


def test_a_file_where_a_mount_point_belongs_is_said(tree: Tree) -> None:
    (tree.root / "proc").rmdir()
    (tree.root / "proc").touch()
    with pytest.raises(Conflict, match="is no directory"):
        inside(tree, "true")


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_code_of_the_program_comes_out(tree: Tree, script: str, code: int) -> None:
    with chroot.surroundings(tree):
        done = process.run(chroot.inside(tree, ("sh", "-c", script)), check=False)
    assert done.code == code


def test_what_it_leaves_running_ends_with_it(tree: Tree) -> None:
    inside(tree, "sleep 1000 & sleep 1001 &")
    assert users(tree) == []


VISIT = """
import sys
from pathlib import Path
from imaged import process
from imaged.origins import chroot
from imaged.store.tree import Tree
tree = Tree(Path(sys.argv[1]))
with chroot.surroundings(tree):
    process.attach(chroot.inside(tree, ("sh", "-c", "echo ready; sleep 1000 & sleep 1000; true")))
"""


@pytest.fixture
def visit(tree: Tree) -> Iterator[subprocess.Popen[str]]:
    """Somebody who is inside."""
    argv = (sys.executable, "-c", VISIT, str(tree.root))
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("victim", ["us", "unshare", "first process", "program"])
def test_a_kill_of_any_of_them_ends_all_and_leaves_no_mount(
    tree: Tree, visit: subprocess.Popen[str], victim: str
) -> None:
    (unshare,) = children(visit.pid)
    (first,) = children(unshare)
    (program,) = children(first)
    everybody = {"us": visit.pid, "unshare": unshare, "first process": first, "program": program}
    assert len(users(tree)) >= 3
    handles = [os.pidfd_open(pid) for pid in (*everybody.values(), *children(program))]
    os.kill(everybody[victim], signal.SIGKILL)
    for handle in handles:
        assert select.select([handle], [], [], _SECONDS)[0], "a process outlived the kill"
        os.close(handle)
    assert users(tree) == []
    assert str(tree.root) not in Path("/proc/self/mountinfo").read_text()


def test_what_a_killed_visit_left_in_the_tree_goes_with_the_next(tree: Tree, visit: subprocess.Popen[str]) -> None:
    before = tree.text("/etc/resolv.conf")
    assert "server's own list" in before
    visit.kill()
    visit.wait()
    chroot.tidy(tree)
    assert not tree.exists("/etc/resolv.conf")


def children(pid: int) -> list[int]:
    """Process ids, from proc_pid_stat(5), field 4."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def users(tree: Tree) -> list[str]:
    """Processes that have something mounted in the tree, or that as their root."""
    found = []
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            rooted = (mounts.parent / "root").readlink() == tree.root
            if rooted or f" {tree.root}/" in mounts.read_text():
                found.append(mounts.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(("shell", "argv"), [(True, ("/bin/bash", "--login")), (False, ("/bin/sh", "-l"))])
def test_the_shell_is_the_best_that_there_is(tree: Tree, shell: bool, argv: tuple[str, ...]) -> None:
    if shell:
        (tree.root / "usr/bin/bash").touch()
    assert chroot.shell(tree) == argv


@pytest.mark.parametrize(
    ("ours", "known", "expected"),
    [("xterm-256color", True, "xterm-256color"), ("xterm-kitty", False, "linux"), ("dumb", False, "dumb")],
)
def test_a_terminal_that_the_image_does_not_know_becomes_one_that_it_does(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, ours: str, known: bool, expected: str
) -> None:
    monkeypatch.setenv("TERM", ours)
    monkeypatch.setenv("SECRET", "no business of the image's")
    if known:
        tiny.write(tree.root / f"lib/terminfo/{ours[0]}/{ours}", "")
    environment = chroot.for_terminal(tree, "compute")
    assert environment["TERM"] == expected
    assert "(compute)" in environment["PS1"]
    assert "SECRET" not in environment
