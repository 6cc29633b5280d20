"""What Python gets at most where a target is missed: servers that decide nothing and keep nothing, beside the peers.

    python bench/floor.py [--pairs 5] [--short]

Needs root. In lock-step TFTP: a loop that compares an ACK and sends the packet after it, all of them made beforehand,
beside dnsmasq. DHCP: a loop that sends each packet back with a few bytes changed, beside Kea with one thread. rsync:
a loop that starts rsync for each connection, with one configuration for all, beside ``rsync --daemon``, which forks.
Whoever does more than this in Python, in one thread, is slower. Writes into RESULTS.md. Takes ten minutes.
"""

import argparse
import os
import signal
import socket
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import which

import dhcp
import pairs
import rsync
import tftp
from link import SERVER, Link, Server, binds, link, serving

from imaged.model.transfer import Module
from imaged.planning import rsyncd

_YIADDR, _CHADDR, _OPTIONS, _TYPE = slice(16, 20), slice(28, 34), 240, 242  # of a packet; perfdhcp puts the type first
_MIB = 32


def serve_tftp(root: str, port: str) -> None:
    """One transfer after the other, in blocks of 1468 bytes."""
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.bind((SERVER, int(port)))
    while True:
        request, client = asked.recvfrom(1500)
        content = Path(root, request[2:].split(b"\0")[0].decode()).read_bytes()
        cuts = range(0, len(content) + 1, 1468)
        packets = [b"\0\3" + (n & 0xFFFF).to_bytes(2, "big") + content[at : at + 1468] for n, at in enumerate(cuts, 1)]
        wanted = [b"\0\4" + (n & 0xFFFF).to_bytes(2, "big") for n in range(len(packets))]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.connect(client)
            receive, send = line.recv, line.send
            send(b"\0\6blksize\x001468\0")
            for packet, ack in zip(packets, wanted, strict=True):
                while receive(476) != ack:
                    pass
                send(packet)
            receive(476)


def serve_dhcp(port: str) -> None:
    """To everybody who comes by a relay, an address made of the MAC."""
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    line.bind(("", int(port)))
    options = b"\x36\x04" + socket.inet_aton(SERVER) + b"\x33\x04\0\0\x0e\x10" + b"\xff"  # server, an hour, end
    packet = bytearray(1500)
    while True:
        _, relay = line.recvfrom_into(packet)
        answer = packet[:_OPTIONS]
        answer[0] = 2
        answer[_YIADDR] = b"\x0a\x63" + answer[_CHADDR][4:]
        kind = b"\x35\x01\x05" if packet[_TYPE] == 3 else b"\x35\x01\x02"  # ACK, OFFER
        line.sendto((answer + kind + options).ljust(300, b"\0"), relay)


def serve_rsync(config: str, port: str) -> None:
    """A child for each connection, with it for standard input (rsyncd.conf(5): as inetd starts it)."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    argv, program, null = ["rsync", "--daemon", f"--config={config}"], which("rsync"), os.open(os.devnull, os.O_RDWR)
    listening = socket.create_server((SERVER, int(port)), backlog=128)
    while True:
        connection, _ = listening.accept()
        ends = [(os.POSIX_SPAWN_DUP2, connection.fileno(), end) for end in (0, 1)]
        os.posix_spawn(program, argv, os.environ, file_actions=[*ends, (os.POSIX_SPAWN_DUP2, null, 2)])
        connection.close()


SERVERS = {"tftp": serve_tftp, "dhcp": serve_dhcp, "rsync": serve_rsync}


def started(road: Link, kind: str, protocol: str, port: int, *words: str) -> AbstractContextManager[Server]:
    """One of them, in a process of its own."""
    argv = [*road.server, sys.executable, __file__, "--serve", protocol, *words, str(port)]
    return serving(argv, binds(road, kind, port))


def lockstep(road: Link, scratch: Path, count: int) -> pairs.Row:
    """TFTP, one client that shares a processor with the server."""
    root = scratch / "boot"
    root.mkdir()
    (root / str(_MIB)).write_bytes(os.urandom(_MIB << 20))
    with (
        started(road, "udp", "tftp", 6980, str(root)) as bare,
        serving([*road.server, *tftp.dnsmasq(root)], binds(road, "udp", 69)) as peer,
    ):
        ends = tftp.Peer("bare", bare, 6980), tftp.Peer("dnsmasq", peer, 69)
        load = ("atftp", 1, 1, _MIB)
        found = pairs.interleave(
            lambda: tftp.load(road, ends[0], *load), lambda: tftp.load(road, ends[1], *load), count
        )
    return pairs.row(f"TFTP, 1 x {_MIB} MiB by atftp, windowsize 1", "MiB/s", "dnsmasq", found)


def exchanges(road: Link, count: int, short: bool) -> pairs.Row:
    """DHCP: the highest rate at which less than 1 % is lost."""
    known: dict[str, int] = {}

    def measure(name: str, server: Server) -> pairs.Figures:
        known[name] = dhcp.highest(road, server, known.get(name, 2000), 1.5 if short else 3.0, fine=name in known)
        return {"exchanges/s": float(known[name])}

    def ours() -> pairs.Figures:
        with started(road, "udp", "dhcp", 67) as server:
            return measure("bare", server)

    def theirs() -> pairs.Figures:
        with dhcp.kea(road) as server:
            return measure("Kea", server)

    return pairs.row("DHCP", "exchanges/s", "one thread of Kea's", pairs.interleave(ours, theirs, count))


def hand_over(road: Link, scratch: Path, count: int) -> pairs.Row:
    """rsync: until the transfer begins."""
    tree, config = scratch / "tree", scratch / "rsyncd.conf"
    tree.mkdir()
    config.write_text(rsyncd.configuration((Module("image", tree),), timeout=60, as_root=True, log=scratch / "log"))
    with (
        started(road, "tcp", "rsync", 29175, str(config)) as bare,
        rsync.bare(road, config) as peer,
    ):
        found = pairs.interleave(
            lambda: rsync.begins(road, bare, 29175, 40), lambda: rsync.begins(road, peer, rsync.PEER_PORT, 40), count
        )
    return pairs.row("rsync, connect until the transfer begins", "ms", "rsync --daemon", found)


def main() -> int:
    """The table."""
    if sys.argv[1:2] == ["--serve"]:
        SERVERS[sys.argv[2]](*sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="one pair, nothing is kept")
    options = parser.parse_args()
    count = 1 if options.short else options.pairs
    versions = pairs.version("atftp", "dnsmasq-base", "kea-admin", "kea-dhcp4-server", "rsync")
    with tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/dev/shm") as name, link() as road:
        scratch = Path(name)
        rows = [lockstep(road, scratch, count), hand_over(road, scratch, count), exchanges(road, count, options.short)]
    if options.short:
        print(*rows, sep="\n")
    else:
        pairs.publish("Floors: Python that decides nothing", f"python bench/floor.py --pairs {count}", rows, versions,
                      "What imaged itself does is in the tables above.", ours="the barest server")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
