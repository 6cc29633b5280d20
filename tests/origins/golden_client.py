"""A golden client for tests: a real sshd, in mount and process namespaces of its own, with a small tree as its root.

Its programs are this host's /usr, shown there as an overlay: a filesystem that a capture leaves out.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_START = r"""set -e
root=$1 dev=$2 port=$3
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$dev/lower"
mount -t overlay -o "ro,lowerdir=/usr:$dev/lower" overlay "$root/usr"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir -p "$root/run/sshd" "$root/dev/pts"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
echo secret > "$root/dev/secret"
[ ! -x "$dev/mounts" ] || "$dev/mounts" "$root"
mkdir -p "$root/run/old"
cd "$root"
pivot_root . run/old
umount -l /run/old
exec /usr/sbin/sshd -D -e -p "$port" -f /etc/ssh/sshd_config
"""
_SSHD = """ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
StrictModes no
PermitRootLogin yes
AuthorizedKeysFile /root/.ssh/authorized_keys
PidFile none
LogLevel ERROR
MaxStartups 100
"""


class GoldenClient:
    """``root`` is its tree, to change at will. ``ssh`` are the options that getimage needs to reach it."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._home = home
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ssh(self) -> list[str]:
        options = [
            f"IdentityFile={self._home}/key", f"UserKnownHostsFile={self._home}/known", "StrictHostKeyChecking=yes",
            "BatchMode=yes", "IdentitiesOnly=yes",
        ]  # fmt: skip
        return ["--ssh-user", "root", "--ssh-port", str(self.port), *(f"--ssh-option={each}" for each in options)]

    def start(self) -> None:
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with (self._home / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "sh", "-c", _START, "start", str(self.root), str(self._home), str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        key = (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        (self._home / "known").write_text(f"[127.0.0.1]:{self.port} {key}")
        for _ in range(2000):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                if connection.recv(4) == b"SSH-":
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        pytest.fail(f"the golden client's sshd did not start: {(self._home / 'sshd.log').read_text()}")

    def sessions(self) -> list[int]:
        """Processes of connections: children of the listening sshd."""
        assert self._process is not None
        first = _children(self._process.pid)
        return [session for listener in first for session in _children(listener)]

    def cut(self) -> None:
        """kill -9 of every connection's sshd, as when the network breaks."""
        for pid in self.sessions():
            for child in (*_children(pid), pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def golden_client(tree: Path, home: Path, mounts: str = "") -> Iterator[GoldenClient]:
    """``tree`` becomes a client's root; ``home`` holds keys and logs; ``mounts`` is more of the shell that mounts."""
    for name in ("usr", "proc", "run", "dev", "sys", "tmp", "root/.ssh", "etc/ssh"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (tree / name).is_symlink():
            (tree / name).symlink_to(f"usr/{name}")
    users = (
        "root:x:0:0:root:/root:/bin/sh",
        "sshd:x:100:65534::/run/sshd:/bin/false",
        "plain:x:1000:1000::/tmp:/bin/sh",
    )
    (tree / "etc/passwd").write_text("".join(f"{user}\n" for user in users))
    (tree / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (tree / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    (tree / "etc/ssh/sshd_config").write_text(_SSHD)
    home.mkdir(parents=True, exist_ok=True)
    for path in (home / "key", tree / "etc/ssh/ssh_host_ed25519_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    shutil.copy(home / "key.pub", tree / "root/.ssh/authorized_keys")
    if mounts:
        (home / "mounts").write_text(f"#!/bin/sh\nset -e\nroot=$1\n{mounts}\n")
        (home / "mounts").chmod(0o755)
    client = GoldenClient(tree, home)
    client.start()
    try:
        yield client
    finally:
        client.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
