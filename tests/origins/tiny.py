"""The least tree that programs can run in: busybox and its libraries."""

import re
import shutil
import subprocess
from pathlib import Path

_APPLETS = (
    "sh", "cat", "chmod", "echo", "env", "hostname", "id", "install", "kill", "ln", "ls", "mkdir", "mv", "ps", "rm",
    "sleep", "stty", "test", "touch", "true", "tty",
)  # fmt: skip


def make(root: Path) -> None:
    """Fill the directory ``root``; it is made where it is missing."""
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "var/lib", "etc", "boot"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    write(root / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    write(root / "etc/shadow", "root:!:19000:0:99999:7:::\n")
    write(root / "etc/group", "root:x:0:\n")
    write(root / "etc/os-release", 'ID=tiny\nVERSION_ID=9\nPRETTY_NAME="Tiny 9"\n')
    write(root / "usr/share/zoneinfo/Etc/UTC", "TZif")
    copy_program(root, "/usr/bin/busybox")
    for name in _APPLETS:
        (root / "usr/bin" / name).symlink_to("busybox")


def copy_program(root: Path, path: str) -> None:
    """A program of this machine with the libraries that it needs."""
    listed = subprocess.run(("ldd", path), capture_output=True, text=True, check=True).stdout
    for each in (path, *re.findall(r"(/lib\S+) \(0x", listed)):
        at = root / (each if each.startswith("/usr") else f"/usr{each}").lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(each, at)


def write(path: Path, text: str) -> None:
    """A file, with the directories that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
