"""Into nodes that are in the installer: the ramdisk's own dropbear, as its agent starts it, and our ssh clients."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.node import NodeEvent
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from installer import sshd
from installer.process import Processes
from tests.cli.test_cluster import said, site

__all__ = ["site"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dropbear"), reason="needs root and dropbear-bin")
# Root's own directory is the test's, in a mount namespace that ends with it.
INSIDE = 'mount --bind "$1" /root && shift && exec "$@"'
WRONG = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJw4HqTJ1yYxN0CzYzWvXkqkYy4u8Xb1mXbXzQyX3J0k"
Call = Callable[..., Result]


@pytest.fixture
def nodes(site: Path) -> Nodes:
    return Nodes(open_database(site.parent / "state/imaged.sqlite"))


@pytest.fixture
def call(site: Path, nodes: Nodes, tmp_path: Path) -> Iterator[Call]:
    """A verb with its words. node01 is in the installer, and an installed system of that name would be another."""
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "user"), check=True)
    home = tmp_path / "root"
    (home / ".ssh").mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    shutil.copyfile(tmp_path / "user.pub", home / ".ssh/authorized_keys")
    path = tmp_path / "host"
    key = sshd.host_key(Processes(lambda line: None).run, path)
    assert key.startswith("ssh-ed25519 ") and key == sshd.host_key(Processes(lambda line: None).run, path)
    nodes.change([evolve(nodes.definition("node01"), address=IPv4Address("127.0.0.1"))])
    nodes.keep("node01", host_keys=WRONG)
    nodes.record("node01", NodeEvent.CLAIMED, installer_key=key)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (*sshd.argv(path), "-F", "-E", "-P", str(tmp_path / "pid"), "-p", f"127.0.0.1:{port}")
    child = subprocess.Popen(
        ("unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh", home, *command),
        stderr=(tmp_path / "dropbear.log").open("w"),
    )
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            assert child.poll() is None, (tmp_path / "dropbear.log").read_text()

    def run(verb: str, *words: str) -> Result:
        how = ("--ssh-option", f"Port={port}", "--ssh-key", str(tmp_path / "user"), "--ssh-user", "nobody")
        return CliRunner().invoke(imaged, ["--settings", str(site), verb, *how, *words])

    yield run
    child.kill()
    child.wait()


def test_a_command_there(call: Call) -> None:
    done = call("cexec", "--installer", "node01", "id -un; cat /root/.ssh/authorized_keys | wc -l")
    assert done.output == "node01:\n  root\n  1\n", said(done)


@pytest.mark.skipif(not Path("/usr/lib/sftp-server").exists(), reason="needs openssh-sftp-server")
def test_files_there_and_back(call: Call, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("hello\n")
    (tmp_path / "new").chmod(0o750)
    assert call("cpush", "--installer", "node01", str(tmp_path / "new"), str(tmp_path / "there")).output == (
        "node01: done\n"
    )
    assert ((tmp_path / "there").read_text(), (tmp_path / "there").stat().st_mode & 0o777) == ("hello\n", 0o750)
    assert call("cget", "--installer", "node01", str(tmp_path / "there"), str(tmp_path)).output == "node01: done\n"
    assert (tmp_path / "there.node01").read_text() == "hello\n"


def test_verbs_for_running_nodes_do_not_go_there_nor_the_other_way_round(call: Call, nodes: Nodes) -> None:
    done = call("cexec", "node01", "reboot")
    assert done.output.startswith("node01: not gone to\n  is in the installer; cexec")
    assert "node01: 1 of 1 nodes failed" in said(done)
    done = call("cexec", "--installer", "node[01-02]", "echo there")
    assert done.output == "node01:\n  there\nnode02: not gone to\n  is not in the installer\n"
    done = call("cshutdown", "--yes", "node01")
    assert "is in the installer" in done.output and done.exit_code == 1
    assert call("cpush", "node01", "/etc/hosts").output.startswith("node01: not gone to")


def test_a_failed_node_is_still_there_until_a_system_of_its_own_is_up(call: Call, nodes: Nodes) -> None:
    nodes.record("node01", NodeEvent.FAILED, reason="mkfs: no")
    assert call("cexec", "--installer", "node01", "true").output == "node01: done\n"
    nodes.record("node01", NodeEvent.UP, installer_key=None)
    assert "is not in the installer" in call("cexec", "--installer", "node01", "true").output
    assert "not reached by ssh" in call("cexec", "node01", "true").output, "its host keys are those of its own system"


def test_another_machine_in_its_place_is_not_spoken_to(call: Call, nodes: Nodes) -> None:
    nodes.keep("node01", installer_key=WRONG)
    done = call("cexec", "--installer", "node01", "echo secret")
    assert "not reached by ssh" in done.output and "verification failed" in done.output
