"""The hand-over of an rsync connection beside a bare ``rsync --daemon`` that serves the same module.

    python bench/rsync.py [--pairs 5 | --short] [--count 40]

Time from connect(2) until rsync has taken the module and the transfer begins (``@RSYNCD: OK``), COUNT connections one
after the other; a whole small transfer by a real rsync, COUNT / 4 times; and 200 connections at once, ours with 32
slots and a fifth of the waiting dead before their turn, the bare daemon's without a limit. The daemon is whole: each
connection is another node's, identified in the database, with a configuration of its own. Writes the table into
RESULTS.md; exit code 1 when a transfer begins later than 1.5 times the bare daemon's, when somebody was served before
others that came earlier, or a slot was lost. Needs root.
"""

import argparse
import base64
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpd
import pairs
from link import SERVER, Link, Server, binds, link, says, serving

from imaged.model.transfer import Module
from imaged.planning import rsyncd
from imaged.store.database import open_database
from imaged.store.tables import nodes
from imaged.store.tokens import secret_hash

TITLE = "rsync hand-over beside rsync --daemon"
TARGET = 1.5
CROWD, SLOTS, EVERY = 200, 32, 5
PORT, PEER_PORT = 29173, 29174
_HELLO, _MODULE = b"@RSYNCD: 31.0\n", b"image\n"


def name(number: int) -> str:
    """Of a node; its secret is the same."""
    return f"node{number:05}"


def who(number: int) -> bytes:
    """What a node's rsync says first."""
    credentials = base64.b64encode(f"{name(number)}:{name(number)}".encode())
    return b"CONNECT imaged:873 HTTP/1.0\r\nProxy-Authorization: Basic %s\r\n\r\n" % credentials


def until(client: socket.socket, said: bytes) -> None:
    """Read until ``said`` has come."""
    received = b""
    while said not in received:
        piece = client.recv(4096)
        if not piece:
            raise ConnectionError(received)
        received += piece


def begin(number: int, port: int) -> float:
    """Seconds until a transfer begins."""
    began = time.perf_counter()
    with socket.create_connection((SERVER, port), timeout=30) as client:
        if port == PORT:
            client.sendall(who(number))
            until(client, b"\r\n\r\n")
        client.sendall(_HELLO)
        until(client, b"\n")
        client.sendall(_MODULE)
        until(client, b"@RSYNCD: OK\n")
        return time.perf_counter() - began


def crowd(port: int) -> dict[str, float]:
    """All at once: seconds until all were served, and how far anybody was served before one that came earlier."""
    chosen, arrived, order = selectors.DefaultSelector(), [], []
    began = time.perf_counter()
    for number in range(CROWD):
        client = socket.create_connection((SERVER, port), timeout=30)
        client.sendall(who(number) if port == PORT else _HELLO + _MODULE)
        arrived.append(client)
        time.sleep(0.002)
    dead = [n for n in range(SLOTS, CROWD) if port == PORT and n % EVERY == 0]
    for number in dead:
        arrived[number].close()
    live = [n for n in range(CROWD) if n not in dead]
    said = dict.fromkeys(live, b"")
    for number in live:
        chosen.register(arrived[number], selectors.EVENT_READ, number)
    while len(order) < len(live):
        found = chosen.select(30)
        if not found:
            raise TimeoutError(f"{len(live) - len(order)} of {len(live)} were never served")
        for key, _ in found:
            number, client = key.data, arrived[key.data]
            said[number] += client.recv(4096)
            if b" 200 " in said[number] and number not in order and port == PORT:
                order.append(number)
                client.sendall(_HELLO + _MODULE)
            if b"@RSYNCD: OK\n" in said[number]:
                if port != PORT:
                    order.append(number)
                chosen.unregister(client)
                client.close()
    earlier = max(place - live.index(number) for place, number in enumerate(order))
    return {"seconds": time.perf_counter() - began, "overtaken": float(earlier)}


def client(words: list[str]) -> None:
    """In the clients' namespace: ``begin`` or ``crowd``, a port, how many; prints JSON."""
    what, port, count = words[0], int(words[1]), int(words[2])
    print(json.dumps([begin(n % CROWD, port) for n in range(count)] if what == "begin" else crowd(port)))


def asked(road: Link, what: str, port: int, count: int = 0) -> object:
    """What a client found."""
    argv = [*road.client, sys.executable, __file__, "--client", what, str(port), str(count)]
    return json.loads(subprocess.run(argv, capture_output=True, check=True, text=True).stdout)


def begins(road: Link, server: Server, port: int, count: int) -> pairs.Figures:
    """Connections one after the other."""
    before = server.cpu()
    took = asked(road, "begin", port, count)
    assert isinstance(took, list)
    return {"ms": 1000 * statistics.median(took), "ms CPU": 1000 * (server.cpu() - before) / count}


def copies(road: Link, port: int, count: int) -> pairs.Figures:
    """Whole transfers, one after the other."""
    took = []
    for number in range(count):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as target:
            environment = {**os.environ}
            if port == PORT:
                environment["RSYNC_PROXY"] = f"{name(number)}:{name(number)}@{SERVER}:{port}"
            host = "imaged" if port == PORT else f"{SERVER}:{port}"
            argv = [*road.client, "rsync", "-aHAX", "--numeric-ids", f"rsync://{host}/image/", target]
            began = time.perf_counter()
            subprocess.run(argv, env=environment, check=True)
            took.append(time.perf_counter() - began)
    return {"ms": 1000 * statistics.median(took)}


def bare(road: Link, config: Path) -> AbstractContextManager[Server]:
    """Rsync's own daemon."""
    argv = [*road.server, "rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={PEER_PORT}"]
    return serving(argv, binds(road, "tcp", PEER_PORT))


def site(home: Path) -> tuple[Path, Path]:
    """Settings of a server on which everybody is in the middle of an install; and the image's tree."""
    memory = home / "boot"
    memory.mkdir()
    settings = httpd.site(home, memory, CROWD)
    engine = open_database(home / "state/imaged.sqlite")
    with engine.begin() as connection:
        for number in range(CROWD):
            values = {"state": "installing", "installing": "compute@1", "secret_hash": secret_hash(name(number))}
            connection.execute(nodes.update().where(nodes.c.name == name(number)).values(**values))
    engine.dispose()
    text = settings.read_text().replace("rsync: {port: 29173}", f"rsync: {{port: {PORT}, transfers: {SLOTS}}}")
    settings.write_text(text)
    return settings, home / "state/images/compute/1/tree"


def main() -> int:
    """Both daemons, and what they do."""
    if sys.argv[1:2] == ["--client"]:
        client(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--short", action="store_true", help="one pair")
    options = parser.parse_args()
    if options.short:
        options.pairs = 1
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/var/tmp")))
        settings, tree = site(home)
        config = home / "rsyncd.conf"
        module = (Module("image", tree),)
        config.write_text(rsyncd.configuration(module, timeout=60, as_root=True, log=home / "bare.log"))
        road = stack.enter_context(link())
        argv = [*road.server, sys.executable, "-m", "imaged", "--settings", str(settings), "serve"]
        us = stack.enter_context(serving(argv, says(b"ready: ")))
        peer = stack.enter_context(bare(road, config))
        begun = pairs.interleave(lambda: begins(road, us, PORT, options.count),
                                 lambda: begins(road, peer, PEER_PORT, options.count), options.pairs)  # fmt: skip
        count = max(1, options.count // 4)
        copied = pairs.interleave(
            lambda: copies(road, PORT, count), lambda: copies(road, PEER_PORT, count), options.pairs
        )
        crowds = pairs.interleave(lambda: asked(road, "crowd", PORT), lambda: asked(road, "crowd", PEER_PORT),
                                  options.pairs)  # fmt: skip
    rows = [
        pairs.row("connect until the transfer begins", "ms", "rsync --daemon", begun, most=TARGET),
        pairs.row("the same, of the server", "ms CPU", "rsync --daemon", begun),
        pairs.row("a whole small transfer", "ms", "rsync --daemon", copied),
        pairs.row(f"{CROWD} connections at once, {SLOTS} slots", "seconds", "rsync --daemon without a limit", crowds),
    ]
    overtaken = max(mine["overtaken"] for mine, _ in crowds)
    # As many as are begun at once may be heard of in any order.
    notes = f"Of {CROWD} connections nobody was served more than {overtaken:.0f} places later than it came."
    command = f"python bench/rsync.py --pairs {options.pairs}"
    return int(not pairs.publish(TITLE, command, rows, pairs.version("rsync"), notes) or overtaken > SLOTS)


if __name__ == "__main__":
    raise SystemExit(main())
