"""Steps of a plan on a node's tree, twice each: the second time nothing changes."""

import os
from pathlib import Path

import pytest

from installer.node.errors import Failed
from installer.node.steps import carry_out, due, written


def write(path: str, content: str = "x\n", mode: str = "0644") -> dict[str, object]:
    return {"step": "WriteFile", "path": path, "content": content, "mode": mode}


@pytest.mark.parametrize(
    ("when", "changed", "expected"),
    [
        ([], [], 1), (["/boot/"], [], 0), (["/boot/"], [b"etc/x"], 0), (["/boot/"], [b"etc/x", b"boot/vmlinuz-1"], 1),
        (["/etc/default/grub", "/usr/lib/grub/"], [b"usr/lib/grub/i386-pc/x.mod"], 1),
        (["/etc/*.conf"], [b"etc/d/a.conf"], 0),
    ],
)  # fmt: skip
def test_a_step_runs_if_what_it_reads_was_changed(when, changed, expected):
    assert len(due([{"step": write("/x"), "when": when}], changed)) == expected


def test_the_paths_that_steps_write():
    steps = [write("/a"), {"step": "RemovePath", "path": "/b/*"}, {"step": "RunInTarget", "argv": ["true"]},
             {"step": "MakeLink", "path": "/c", "target": "d"}]  # fmt: skip
    assert written([{"step": step} for step in steps]) == ("/a", "/b/*", "/c")


def test_steps_do_their_work_once(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/old1").touch()
    (tmp_path / "etc/old2").mkdir()
    log: list[str] = []
    steps = [
        write("/etc/deep/file", "text", "0600"), {"step": "RemovePath", "path": "/etc/old*"},
        {"step": "MakeLink", "path": "/etc/link", "target": "deep/file"},
        {"step": "CheckFile", "path": "/etc/link", "mode": "0600", "contains": "tex"},
    ]  # fmt: skip
    for step in steps:
        carry_out(step, str(tmp_path), log.append)
    before, said = os.lstat(tmp_path / "etc/deep/file"), len(log)
    assert (
        sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["deep", "link"]
        and before.st_mode & 0o777 == 0o600
    )
    for step in steps:
        carry_out(step, str(tmp_path), log.append)
    assert len(log) == said and os.lstat(tmp_path / "etc/deep/file").st_ino == before.st_ino


def test_links_are_followed_inside_the_root_only(tmp_path: Path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for each in (root / "run", outside):
        each.mkdir(parents=True)
    (root / "etc").symlink_to(outside)
    (root / "var").symlink_to("/run")
    carry_out(write("/etc/x"), str(root), print)
    carry_out(write("/var/y"), str(root), print)
    assert not any(outside.iterdir()) and (root / "run/y").exists()


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"step": "WipeDisk"}, "no step of an update"),
        ({"step": "CheckFile", "path": "/none"}, "No such file"),
        ({"step": "CheckFile", "path": "/empty"}, "is empty"),
        ({"step": "CheckFile", "path": "/full", "mode": "0600"}, "has mode 0644 instead of 0600"),
        ({"step": "CheckFile", "path": "/full", "contains": "z"}, "does not hold 'z'"),
        ({"step": "RemovePath", "path": "/../etc"}, "not an anchored pattern"),
    ],
)
def test_what_a_step_cannot_do_is_said(tmp_path: Path, step, fault):
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_text("x")
    (tmp_path / "full").chmod(0o644)
    with pytest.raises(Failed, match=fault):
        carry_out(step, str(tmp_path), print)


@pytest.mark.processes
def test_a_program_that_fails_shows_its_last_lines():
    step = {"step": "RunInTarget", "argv": ["sh", "-c", "cat; echo broken >&2; exit 3"], "stdin": "in"}
    log: list[str] = []
    with pytest.raises(Failed, match="ended with 3") as caught:
        carry_out(step, "/", log.append)
    assert caught.value.hint == "broken" and "  in" in log


def test_a_file_gets_another_name_once(tmp_path: Path):
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-0-rescue-a").write_text("new")
    (tmp_path / "boot/vmlinuz-0-rescue-b").write_text("old")
    step = {"step": "MoveFile", "source": "/boot/vmlinuz-0-rescue-a", "path": "/boot/vmlinuz-0-rescue-b"}
    assert carry_out(step, str(tmp_path), lambda _: None) and not carry_out(step, str(tmp_path), lambda _: None)
    assert [(path.name, path.read_text()) for path in (tmp_path / "boot").iterdir()] == [("vmlinuz-0-rescue-b", "new")]
    assert written([{"step": step}]) == ("/boot/vmlinuz-0-rescue-b", "/boot/vmlinuz-0-rescue-a")
