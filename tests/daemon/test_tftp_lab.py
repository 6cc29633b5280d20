"""TFTP between network namespaces: loss, several addresses, several interfaces."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon.lab import lab, missing

RUNNER = Path(__file__).with_name("serve_tftp.py")
REASON = missing("nft", "atftp", "curl")
pytestmark = [pytest.mark.clients, pytest.mark.skipif(bool(REASON), reason=REASON)]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/f").write_bytes(os.urandom(1 << 20))
    return tmp_path / "root"


@contextmanager
def house(root, *interfaces):
    """Server and client, joined by two cables: 10.1.0.0/24 with two addresses of the server, and 10.2.0.0/24."""
    with lab() as it:
        server, client = it.namespace("server"), it.namespace("client")
        it.link(server, "s0", client, "c0")
        it.link(server, "s1", client, "c1")
        server.up("s0", "10.1.0.1/24", "10.1.0.9/24")
        server.up("s1", "10.2.0.1/24")
        client.up("c0", "10.1.0.2/24")
        client.up("c1", "10.2.0.2/24")
        daemon = server.start(
            "env", f"PYTHONPATH={RUNNER.parents[2]}", "sh", "-c", 'sleep 1000 | exec "$@"', "sh",
            sys.executable, str(RUNNER), str(root), *interfaces,
        )  # fmt: skip
        line = ""
        while not line.isdigit():  # its log and its port come by the same pipe
            line = daemon.stdout.readline().strip()
            assert line, "the daemon did not start"
        yield server, client, line


def fetch(client, address, port, to, *options):
    chosen = [word for option in options for word in ("--option", option)]
    return client.run(
        "atftp", *chosen, "--get", "-r", "f", "-l", str(to), address, port, timeout=120, check=False
    ).returncode  # fmt: skip


@pytest.mark.parametrize(("percent", "window"), [(1, 1), (1, 16), (5, 16)])
def test_loss_on_both_ways(percent, window, root, tmp_path):
    with house(root) as (server, client, port):
        server.run("nft", "add table inet loss")
        for hook in ("input", "output"):
            server.run("nft", f"add chain inet loss {hook} {{ type filter hook {hook} priority 0; }}")
            server.run("nft", f"add rule inet loss {hook} meta l4proto udp numgen random mod 100 < {percent} drop")
        assert fetch(client, "10.1.0.1", port, tmp_path / "got", "blksize 1428", f"windowsize {window}") == 0
        assert (tmp_path / "got").read_bytes() == (root / "f").read_bytes()


@pytest.mark.parametrize("block", [1468, 1469, 8192])
def test_blocks_that_the_path_takes_whole_or_in_pieces(block, root, tmp_path):
    """On an Ethernet the kernel cuts windows into packets of 1472 bytes and no longer ones."""
    with house(root) as (_, client, port):
        assert fetch(client, "10.1.0.1", port, tmp_path / "got", f"blksize {block}", "windowsize 64") == 0
        assert (tmp_path / "got").read_bytes() == (root / "f").read_bytes()


@pytest.mark.parametrize("address", ["10.1.0.1", "10.1.0.9", "10.2.0.1"])
def test_every_address_answers_for_itself(address, root, tmp_path):
    """The client's firewall lets in only what comes from the address that it asked."""
    with house(root) as (_, client, port):
        client.run("nft", "add table inet wall")
        client.run("nft", "add chain inet wall input { type filter hook input priority 0; policy drop; }")
        client.run("nft", f"add rule inet wall input ip saddr {address} accept")
        assert fetch(client, address, port, tmp_path / "got", "windowsize 4") == 0
        assert (tmp_path / "got").read_bytes() == (root / "f").read_bytes()


def test_only_the_named_interfaces_are_served(root, tmp_path):
    with house(root, "s1") as (_, client, port):
        done = client.run("curl", "-s", "-m", "3", f"tftp://10.1.0.1:{port}/f", timeout=60, check=False)
        assert done.returncode == 28  # curl's "timed out": no answer at all
        assert fetch(client, "10.2.0.1", port, tmp_path / "got") == 0
        assert (tmp_path / "got").read_bytes() == (root / "f").read_bytes()
