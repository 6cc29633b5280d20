"""Fetching contents: rsync's arguments and ends in tables, and the real rsync service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from installer.node.fetch import argv, names, server, verdict
from installer.node.full import argv as full_argv
from installer.node.full import literal, rules
from tests.node.test_update import Node, entries, furnish

ROOT = Path(__file__).parents[2]


def test_the_call_of_rsync():
    assert argv("rsync://imaged/image/", "/", "/.imaged/stage", False) == (
        "rsync", "-t", "-S", "-I", "--partial", "--no-inc-recursive", "--files-from=-", "--from0", "--timeout=300",
        "--compare-dest=/",
        "rsync://imaged/image/", "/.imaged/stage/",
    )  # fmt: skip
    assert "--whole-file" in argv("a", "/", "b", True)
    assert names([b"#a", b"b\nc"]) == b"./#a\0./b\nc\0"
    assert server("10.0.0.1", 873, "n1", "s").secret == {"RSYNC_PROXY": "n1:s@10.0.0.1:873"}


@pytest.mark.parametrize(
    ("code", "errors", "expected"),
    [
        (0, "", ("done", "")),
        (11, 'write failed on "x": No space left on device (28)', ("failed", "the disk is full")),
        (5, "bad response from proxy -- HTTP/1.0 503 busy", ("again", "the server answered 503 busy")),
        (5, "bad response from proxy -- HTTP/1.0 403 no", ("failed", "the server answered 403 no")),
        (5, "@ERROR: max connections (1) reached", ("again", "the server says: max connections (1) reached")),
        (5, "@ERROR: Unknown module 'x'", ("failed", "the server says: Unknown module 'x'")),
        (23, "some files vanished", ("done", "")), (12, "", ("again", "rsync ended with 12")),
        (-9, "", ("again", "rsync ended with -9")), (1, "", ("failed", "rsync ended with 1")),
    ],
)  # fmt: skip
def test_what_the_end_of_rsync_means(code, errors, expected):
    assert verdict(code, errors) == expected


def test_the_call_and_the_rules_of_a_full_update():
    assert full_argv("src/", "/", True, False)[-5:] == ("--from0", "--delete-delay", "--filter=merge -", "src/", "/")
    assert full_argv("src/", "/", False, False, "/etc")[-2:] == ("src/etc/", "/etc/")
    assert rules(["/home/", "/etc/host*"], [b"a[1]"], [b"mnt"], []).split(b"\0")[:-1] == [
        b"- /home/*", b"- /etc/host*", b"- /a\\[1]", b"- /mnt",
    ]  # fmt: skip
    assert b"P /boot/*-6.1\0" in rules([], [], [], ["6.1"])
    assert rules(["/etc/x", "/home/"], [], [], [], "/etc") == b"- /x\0"
    assert literal(b"/a\\b") == b"/a\\b"


@pytest.mark.processes
def test_an_update_through_the_real_service(tmp_path: Path):
    node = Node(tmp_path)
    furnish(node.image)
    node.seal()
    node.image.rename(tmp_path / "tree")
    script = ROOT / "tests/daemon/serve_rsync.py"
    command = (sys.executable, str(script), str(tmp_path), "2")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdin and child.stdout
        try:
            port = int(child.stdout.readline())
            node.update(where=server("127.0.0.1", port, "n1", "s"))
        finally:
            child.stdin.close()
    found, expected = node.tree(), entries(tmp_path / "tree")
    assert {path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)} <= {"var/lib"}
