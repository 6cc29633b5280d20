"""The ramdisk on a machine: what init does when the agent fails, and when it is done. QEMU, about a minute each."""

import os
import re
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imaged.ramdisk import toolset
from imaged.ramdisk.build import Order, Result, build
from imaged.ramdisk.kernel import KernelChoice
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache

CACHE = Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE)
DEBIAN = KernelChoice.parse("debian", arch="x86_64")
READY = (
    os.geteuid() == 0
    and all((CACHE / recipe.key).is_dir() for recipe in (toolset.recipe(), DEBIAN.recipe()))
    and all(shutil.which(program) for program in ("qemu-system-x86_64", "ssh", "ssh-keygen"))
)
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not READY, reason="needs root, QEMU, ssh and the packages that `imaged mkramdisk` has fetched"),
]
PATIENCE = 300  # seconds; emulated, on a busy machine
MAC = "52:54:00:12:34:56"


def ramdisk(scratch: Path, agent: str) -> Result:
    package = scratch / "installer"
    package.mkdir()
    (package / "__main__.py").write_text(agent)
    order = Order(DEBIAN, "x86_64", package, scratch / "boot")
    return build(order, Cache(CACHE), lambda ref: scratch, "2026-11-21T00:00:00", lambda line: None)


class Machine:
    """A running QEMU, its serial console as text."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said = ""

    def wait_for(self, pattern: str) -> str:
        """Read the console until ``pattern`` is on it, and forget what came before."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not (found := re.search(pattern, self.said)):
                left = deadline - time.monotonic()
                if left < 0 or not selector.select(left):
                    pytest.fail(f"{pattern!r} did not appear:\n{self.said[-3000:]}")
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    pytest.fail(f"the machine is gone:\n{self.said[-3000:]}")
                self.said += chunk.decode(errors="replace").replace("\r", "")
        self.said = self.said[found.end() :]
        return found[0]

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()


@contextmanager
def machine(built: Result, words: str, *devices: str) -> Iterator[Machine]:
    process = subprocess.Popen(
        ("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-smp", "2", "-m", "1024",
         "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
         "-kernel", str(built.path / "vmlinuz"), "-initrd", str(built.path / "initrd.img"),
         "-append", f"console=ttyS0 rdinit=/sbin/imaged-init {words}", *devices),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Machine(process)
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_a_failed_agent_leaves_a_way_in_and_never_reboots(tmp_path: Path) -> None:
    key, port = tmp_path / "key", free_port()
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key), check=True)
    public = key.with_suffix(".pub").read_text()
    built = ramdisk(
        tmp_path,
        "import os, pathlib, subprocess, sys\n"
        "os.mkdir('/root/.ssh')\n"
        f"pathlib.Path('/root/.ssh/authorized_keys').write_text({public!r})\n"
        "subprocess.run('(sleep 0.1; true) &', shell=True)\n"  # an orphan, for process 1 to reap
        "sys.exit(3)\n",
    )
    nic = ("-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", f"e1000e,netdev=n,mac={MAC},romfile=")
    with machine(built, f"BOOTIF=01-{MAC.replace(':', '-')}", *nic) as vm:
        vm.wait_for(r"imaged: init at [0-9.]+ s\n")
        vm.wait_for(r"imaged: network \S+ 10\.0\.2\.15\n")
        vm.wait_for(r"imaged: agent at [0-9.]+ s\n")
        vm.wait_for(r"imaged: the agent ended with code 3 at [0-9.]+ s; this machine stays as it is\n")
        vm.wait_for(r"imaged: ssh root@10\.0\.2\.15\n")
        vm.wait_for("/ # ")
        vm.type("exit\n")
        vm.wait_for("/ # ")  # a new shell
        vm.type("echo $((6 * 7)) $(ps -o stat | grep -c Z)\n")
        vm.wait_for(r"\n42 0\n")
        ssh = ("ssh", "-i", str(key), "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=60",
               "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "root@127.0.0.1")  # fmt: skip
        done = subprocess.run((*ssh, "hostname; id -u"), capture_output=True, text=True, check=False)
        assert done.stdout == "imaged-installer\n0\n", done.stderr
        assert vm.process.poll() is None


def test_an_agent_that_is_done_ends_in_a_reboot(tmp_path: Path) -> None:
    """Also: booted by a card that is not there, init says so and tries what there is."""
    built = ramdisk(tmp_path, "print('done')\n")
    nic = ("-netdev", "user,id=n", "-device", f"virtio-net-pci,netdev=n,mac={MAC},romfile=")
    with machine(built, "BOOTIF=01-52-54-00-aa-bb-cc", *nic) as vm:
        vm.wait_for(r"imaged: waiting for the network card 52:54:00:aa:bb:cc\n")
        vm.wait_for(rf"imaged: no network card has the address 52:54:00:aa:bb:cc .*: \S+ {MAC} virtio_net;\n")
        vm.wait_for(r"imaged: network \S+ 10\.0\.2\.15\n")
        vm.wait_for(r"\ndone\n")
        vm.process.wait(PATIENCE)  # -no-reboot: QEMU ends when the machine resets
        assert vm.process.returncode == 0
