"""The scripts that we ship as samples do what they say, filled in as an admin would."""

import shutil
import subprocess
from pathlib import Path

import pytest

from imaged.model.errors import CommandFailed
from imaged.model.plan import RunScript
from imaged.store.paths import shipped
from imaged.store.templates import render_text
from tests.installer.test_chroot import needs_root, root
from tests.installer.test_scripts import Ramdisk, install, ramdisk

__all__ = ["ramdisk", "root"]

SAMPLES = sorted(path for kind in ("pre", "post") for path in shipped(f"autoinstall_scripts/{kind}-install").iterdir())


def sample(path: str, *changes: tuple[str, str]) -> str:
    text = shipped(f"autoinstall_scripts/{path}").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_shell_can_read_it(path: Path) -> None:
    text = path.read_bytes()
    if path.suffix == ".j2":
        text = render_text(text, {"groups": ["gpu"], "node": "n1", "image": "i"}, where=path.name)
    assert text.startswith(b"#!/bin/sh\n")
    assert subprocess.run(("sh", "-n"), input=text, capture_output=True, check=False).stderr == b""


def test_waiting_for_links(ramdisk: Ramdisk) -> None:
    name = "pre-install/10all.wait-for-link"
    ramdisk.run(RunScript("10all.x", sample(name)))
    ramdisk.run(RunScript("10all.x", sample(name, ('CARDS=""', 'CARDS="lo 00:00:00:00:00:00"'))))
    assert [line for line in ramdisk.log if "has a link" in line] == [
        "  lo has a link",
        "  00:00:00:00:00:00 has a link",
    ]
    with pytest.raises(CommandFailed) as raised:
        changes = (('CARDS=""', 'CARDS="nosuch0"'), ("WAIT=60", "WAIT=0"))
        ramdisk.run(RunScript("10all.x", sample(name, *changes)))
    assert raised.value.hint == "nosuch0 has no link after 0 s"


@pytest.mark.parametrize(
    ("serial", "noted"), [("VMware-42 1f $(reboot)\n", "VMware-421freboot"), ("", "none"), (None, "none")]
)
def test_the_serial_number(ramdisk: Ramdisk, tmp_path: Path, serial: str | None, noted: str) -> None:
    place = tmp_path / "serial"
    if serial is not None:
        place.write_text(serial)
    text = sample("pre-install/20all.note-serial", ("/sys/class/dmi/id/product_serial", str(place)))
    ramdisk.run(RunScript("20all.x", text))
    assert ramdisk.notes.read_text() == f"MACHINE_SERIAL={noted}\n"


def bring(root: Path, program: str) -> None:
    """This machine's own program, with the libraries that it needs."""
    found = shutil.which(program)
    assert found
    libraries = subprocess.run(("ldd", found), capture_output=True, text=True, check=True).stdout.split()
    for path in (found, *(word for word in libraries if word.startswith("/"))):
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])


HASH = "$6$salt$abc/def."


@needs_root
@pytest.mark.parametrize(
    ("groups", "expected"), [(("lab", "gpu"), HASH), (("gpu", "lab"), HASH), (("lab",), "*"), ((), "*")]
)
def test_a_password_by_group(root: Path, groups: tuple[str, ...], expected: str) -> None:
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/shadow").write_text("root:*:19000::::::\n")
    bring(root, "chpasswd")
    text = sample("post-install/10all.root-password.j2", ('"gpu": ""', f'"gpu": "{HASH}"'))
    values = {"groups": list(groups), "node": "n1", "image": "compute"}
    rendered = render_text(text.encode(), values, where="test").decode()
    told = install(root, RunScript("10all.x", rendered, in_target=True))
    assert told["seen"][-1] == "bootloader done", told
    assert (root / "etc/shadow").read_text().split(":")[1] == expected
    assert not any(HASH in line for line in told["log"])


@needs_root
def test_a_label(root: Path) -> None:
    for applet in ("mkdir", "tr"):
        (root / "bin" / applet).symlink_to("busybox")
    said = {"HOSTNAME": "n1", "IMAGED_IMAGE": "compute", "IMAGED_VERSION": "3", "IMAGESERVER": "10.0.0.1"}
    before = sample("pre-install/20all.note-serial", ("/sys/class/dmi/id/product_serial", str(root / "serial")))
    (root / "serial").write_text("XY-1\n")
    after = sample("post-install/20all.label")
    grouped = {**said, "GROUPNAMES": "a b"}
    install(root, RunScript("20all.x", before, said), RunScript("20all.y", after, grouped, in_target=True))
    assert (root / "etc/motd.d/imaged").read_text() == (
        "n1: compute version 3, installed from 10.0.0.1\ngroups: a b\nserial number: XY-1\n"
    )


@needs_root
@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox")
def test_three_beeps(root: Path) -> None:
    changes = (("/dev/tty0", "/etc/console"), ("> ", ">> "), ("sleep 1", ""))
    install(root, RunScript("99all.x", sample("post-install/99all.beep", *changes), in_target=True))
    assert (root / "etc/console").read_bytes() == b"\a\a\a"
    told = install(
        root, RunScript("99all.x", sample("post-install/99all.beep", ("/dev/tty0", "/no/tty")), in_target=True)
    )
    assert told["seen"][-1] == "bootloader done"
