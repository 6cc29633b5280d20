"""Files of an EFI system partition: whole at every moment, also when the machine dies in the middle."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from installer.node import esp
from installer.node.actions import ADD, Action
from installer.node.apply import apply
from installer.node.errors import Failed, Skipped
from installer.node.manifest import Entry
from installer.node.place import Place
from installer.node.stage import Stage
from installer.node.steps import carry_out

OLD, NEW = b"old" * 1000, b"new" * 1000
LOADERS = ("EFI/debian/shimx64.efi", "EFI/debian/grubx64.efi", "EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi")
BEFORE = 1_600_000_000


def lay(root: Path, files: dict[str, bytes], time: int = BEFORE) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        os.utime(root / path, (time, time))
    return root


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_copy_is_made_once_and_has_the_time_of_its_source(tmp_path: Path) -> None:
    lay(tmp_path, {"new.efi": NEW, "EFI/a.efi": OLD, "EFI/a.efi.imaged-new": b"half"})
    source, at = str(tmp_path / "new.efi"), tmp_path / "EFI/a.efi"
    assert esp.copy(source, str(at)) and not esp.copy(source, str(at))
    assert content(tmp_path / "EFI") == {"a.efi": NEW} and at.stat().st_mtime == BEFORE
    assert esp.copy(source, str(tmp_path / "EFI/deep/b.efi"))
    with pytest.raises(FileNotFoundError):
        esp.copy(str(tmp_path / "gone"), str(at))
    assert at.read_bytes() == NEW


def test_what_a_program_makes_in_the_stage_takes_its_place(tmp_path: Path) -> None:
    lay(tmp_path, {**dict.fromkeys(LOADERS, OLD), f"{esp.STAGE}/EFI/debian/junk": b"of a run that was cut"})
    with esp.stage(str(tmp_path)) as place:
        lay(Path(place), dict.fromkeys(LOADERS[1:], NEW))
        assert set(content(tmp_path / "EFI").values()) == {OLD}
    assert content(tmp_path) == {LOADERS[0]: OLD, **dict.fromkeys(LOADERS[1:], NEW)}


def test_a_program_that_fails_changes_nothing(tmp_path: Path) -> None:
    lay(tmp_path, dict.fromkeys(LOADERS, OLD))
    with pytest.raises(Failed), esp.stage(str(tmp_path)) as place:
        lay(Path(place), dict.fromkeys(LOADERS, NEW))
        raise Failed("grub-install ended with 1")
    assert content(tmp_path) == dict.fromkeys(LOADERS, OLD)


@pytest.mark.parametrize(
    ("there", "changed"),
    [
        ({}, True),
        ({"EFI/debian/grubx64.efi": NEW, "EFI/BOOT/BOOTX64.EFI": NEW}, False),
        ({"EFI/debian/grubx64.efi": OLD, "EFI/BOOT/BOOTX64.EFI": OLD[:-1]}, True),
        ({"EFI/debian/grubx64.efi": NEW, "EFI/BOOT/BOOTX64.EFI": NEW, "EFI/debian/old.efi": OLD}, True),
        ({"EFI/debian/grubx64.efi": NEW, "efi/boot/bootx64.efi": NEW}, False),
    ],
)
def test_a_mirror_holds_what_the_first_does_and_nothing_else(
    tmp_path: Path, there: dict[str, bytes], changed: bool
) -> None:
    """Names differ in no letter's case, as on FAT: what is there under another one is not removed."""
    source = lay(tmp_path / "one", {"EFI/debian/grubx64.efi": NEW, "EFI/BOOT/BOOTX64.EFI": NEW})
    (tmp_path / "two").mkdir()
    other = lay(tmp_path / "two", {path: text for path, text in there.items() if text != OLD})
    lay(other, {path: text for path, text in there.items() if text == OLD}, BEFORE - 60)
    assert esp.mirror(str(source), str(other)) is changed
    assert {path.lower(): text for path, text in content(other).items()} == {
        path.lower(): text for path, text in content(source).items()
    }
    assert not esp.mirror(str(source), str(other))


def test_what_a_copy_does_not_hold_byte_for_byte(tmp_path: Path) -> None:
    one = lay(tmp_path / "one", {"EFI/a": NEW, "EFI/b": NEW, "EFI/c": NEW, "EFI/D": NEW})
    two = lay(tmp_path / "two", {"EFI/a": NEW, "EFI/b": OLD, "EFI/d": NEW, "EFI/e": NEW})
    assert esp.unlike(str(one), str(two)) == ["EFI/b", "EFI/c", "EFI/e"]
    assert esp.mirror(str(one), str(two)) and esp.unlike(str(one), str(two)) == ["EFI/b"], "its time is the same"


CUT = """\
import os, sys
from installer.node import esp
left = int(sys.argv[1])
def dying(function):
    def call(*words, **more):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return function(*words, **more)
    return call
os.rename, os.unlink, esp._sync, esp._write = map(dying, (os.rename, os.unlink, esp._sync, esp._write))
with esp.stage(sys.argv[2]) as place:
    for path in {loaders!r}:
        os.makedirs(os.path.dirname(os.path.join(place, path)), exist_ok=True)
        with open(os.path.join(place, path), "wb") as file:
            file.write(b"new" * 1000)
esp.copy(os.path.join(sys.argv[2], {loaders!r}[0]), os.path.join(sys.argv[2], "EFI/BOOT/mmx64.efi"))
esp.mirror(sys.argv[2], sys.argv[3])
"""


@pytest.mark.processes
def test_a_machine_that_dies_anywhere_keeps_a_whole_set_of_loaders(tmp_path: Path) -> None:
    """The process is ended before each rename, deletion, write and sync. Every file is wholly old or wholly new, the
    removable path is not begun before the vendor's directory is through, nor a copy before the first is whole; and the
    same once more comes to its end."""
    script, state = tmp_path / "cut.py", tmp_path / "state"
    script.write_text(CUT.format(loaders=LOADERS))
    ended = 9
    for left in range(100):
        shutil.rmtree(state, ignore_errors=True)
        first, second = (lay(state / name, dict.fromkeys(LOADERS, OLD)) for name in ("one", "two"))
        command = [sys.executable, str(script), str(left), str(first), str(second)]
        ended = subprocess.run(command, check=False, env={"PYTHONPATH": str(Path.cwd())}).returncode
        one, two = content(first), content(second)
        assert {text for files in (one, two) for path, text in files.items() if path in LOADERS} <= {OLD, NEW}
        removable = [one[path] for path in LOADERS[2:]]
        if NEW in removable:
            assert [one[path] for path in LOADERS[:2]] == [NEW, NEW]
        if NEW in (two[path] for path in LOADERS):
            assert {one[path] for path in LOADERS} == {NEW}
        if ended == 0:
            break
        again = subprocess.run([*command[:2], "10000", *command[3:]], check=True, env={"PYTHONPATH": str(Path.cwd())})
        assert again.returncode == 0
        assert content(first) == content(second) == {**dict.fromkeys(LOADERS, NEW), "EFI/BOOT/mmx64.efi": NEW}
    assert ended == 0 and left > 20


@pytest.fixture
def bind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mount(8) as asked for, but for the kernel's FAT: a device is a directory here."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mount").write_text(
        '#!/bin/sh\n[ "$1 $2 $3 $4" = "-t vfat -o umask=0077" ] && exec /bin/mount --bind "$5" "$6"\nexit 64\n'
    )
    (tmp_path / "bin/mount").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts")
def test_the_step_brings_each_copy_up_to_date_and_tells_of_one_that_is_gone(tmp_path: Path, bind: None) -> None:
    first = lay(tmp_path / "node/boot/efi", dict.fromkeys(LOADERS, NEW))
    second = lay(tmp_path / "second", dict.fromkeys(LOADERS, OLD), BEFORE - 60)
    log: list[str] = []
    step = {"step": "MirrorEsp", "source": "/boot/efi", "devices": [str(tmp_path / "gone"), str(second)]}
    with pytest.raises(Skipped, match=r"/boot/efi: has no copy on .*/gone: .*does not exist"):
        carry_out(step, str(tmp_path / "node"), log.append)
    assert content(second) == content(first)
    assert not carry_out({**step, "devices": [str(second)]}, str(tmp_path / "node"), log.append)
    assert [line for line in log if line.startswith("copied")] == [f"copied /boot/efi to {second}"]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_grub_is_installed_beside_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grub-install that writes where it is told; the node's own root needs no chroot(8)."""
    lay(tmp_path, dict.fromkeys(LOADERS, OLD))
    program = tmp_path / "grub-install"
    program.write_text(
        '#!/bin/sh\ncd "${3#--efi-directory=}" && mkdir -p EFI/debian && printf new >EFI/debian/grubx64.efi\n'
    )
    program.chmod(0o755)
    step = {"step": "InstallGrub", "esp": str(tmp_path), "argv": [str(program), "--target=x86_64-efi", "--no-nvram"]}
    carry_out(step, "/", lambda _: None)
    assert (tmp_path / "EFI/debian/grubx64.efi").read_bytes() == b"new" and not (tmp_path / esp.STAGE).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes files of somebody else")
@pytest.mark.parametrize("coarse", [False, True])
def test_a_filesystem_without_owners_and_modes_is_given_none(tmp_path: Path, coarse: bool) -> None:
    """FAT refuses them; all else of the image has them set."""
    (tmp_path / "boot").mkdir()
    entry = Entry(b"boot/vmlinuz", "file", 0o440, 12345, 12345, BEFORE * 10**9)
    place = Place(os.fsencode(tmp_path))
    stage = Stage(place)
    action = Action(ADD, entry.path, entry, content=True)
    at = tmp_path / os.fsdecode(stage.content(entry.path))
    stage.directory(b".")
    at.parent.mkdir(parents=True)
    at.write_text("kernel\n")
    apply(place, stage, [action], {}, lambda path: coarse)
    found = (tmp_path / "boot/vmlinuz").stat()
    assert found.st_mtime == BEFORE
    assert (found.st_uid == 12345, found.st_mode & 0o777 == 0o440) == (not coarse, not coarse)
    place.close()
    stage.close()
