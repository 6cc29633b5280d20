"""What the web page costs the server: the first sight of it, and each change while somebody looks.

    python bench/page.py [--nodes 10000] [--rounds 15]

A daemon of its own, as a process, with NODES nodes of 64 in a group. First a browser asks for pages: how long that
takes, and the daemon's processor time for it, user and system. Then a page is open with 2,000 lines unfolded, nodes
change in the database as by any other process, and the processor time counts from the change until it was sent. Prints
the rows of the table of results; exit code 1 when processor time or memory is above its target.
"""

import argparse
import http.client
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from link import Server, says, serving

from imaged.admin.desk import Desk
from imaged.model.access import Role
from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition
from imaged.model.report import Report, Status
from imaged.model.setup import Setup
from imaged.store import settings
from imaged.store.apitokens import ApiTokens
from imaged.store.groups import members
from imaged.store.tables import nodes

PORTS = {"tftp": 29269, "http": 29280, "rsync": 29273}
FIRST, UPDATE, MEMORY = 1.0, 0.100, 300  # seconds, seconds of processor time, MiB
RACK = 64


def name(number: int) -> str:
    """Of a node."""
    return f"node{number:05}"


def fill(desk: Desk, count: int) -> str:
    """A site with so many nodes, a fifth of them under way; the secret of a token."""
    macs = (Mac.from_bytes(b"\x52\x54" + number.to_bytes(4, "big")) for number in range(count))
    setup = Setup(ImageRef("compute"))
    desk.nodes.define((Definition(name(number), (mac,), setup) for number, mac in enumerate(macs)), BootAction.LOCAL)
    for number in range(count // RACK + 1):
        desk.groups.add(Group(f"rack{number:03}"))
    way = {"state": "installing", "installing": "compute@4"}
    with desk.engine.begin() as connection:
        now = {"state": "ready", "installed": "compute@3", "last_seen": time.time(), "drift_count": 0}
        connection.execute(nodes.update().values(**now))
        connection.execute(nodes.update().where(nodes.c.name < name(count // 5)).values(**way))
        inside = [{"node": name(number), "group": f"rack{number // RACK:03}"} for number in range(count)]
        connection.execute(members.insert(), inside)
    return ApiTokens(desk.engine).add("bench", Role.ADMIN, None)


class Browser:
    """As much of one as this needs."""

    def __init__(self, secret: str) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._ask("POST", "/login", urlencode({"secret": secret}), form)
        self._cookie = {"Cookie": answer.getheader("Set-Cookie").partition(";")[0]}

    def _ask(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None):
        connection = http.client.HTTPConnection("127.0.0.1", PORTS["http"], timeout=60)
        connection.request(method, path, body, headers or self._cookie)
        return connection.getresponse()

    def load(self, path: str, server: Server) -> tuple[float, float, int]:
        """Seconds, those of the server's processor, and bytes."""
        began, before = time.perf_counter(), server.cpu()
        size = len(self._ask("GET", path).read())
        return time.perf_counter() - began, server.cpu() - before, size

    def follow(self, path: str):
        """Its stream."""
        return self._ask("GET", f"/live?{urlencode({'page': path})}")


def mean(found: list[tuple[float, float, int]], at: int) -> float:
    """Of processor time, which is told in hundredths of a second: no median."""
    return statistics.mean(each[at] for each in found)


def heard(stream) -> int:
    """Bytes of the next message."""
    while not (line := stream.readline()).startswith(b"data:"):
        assert line, "the stream has ended"
    return len(line)


def changes(desk: Desk, stream, server: Server, count: int, rounds: int) -> tuple[float, float]:
    """Processor seconds for a change of so many nodes, median; bytes that were sent."""
    took, sent = [], []
    for at in range(rounds):
        before = server.cpu()
        now = time.time()
        progress = Report("transfer", Status.PROGRESS, 1.0, percent=float(at % 100))
        desk.nodes.add_progress([(name(number), now, progress) for number in range(count)])
        sent.append(heard(stream))
        took.append(server.cpu() - before)
    return statistics.mean(took), statistics.median(sent)


def main() -> int:
    """The rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    slow = False

    def row(what: str, figure: str, target: str = "", fine: bool = True) -> None:
        nonlocal slow
        slow = slow or not fine
        print(f"| {what} | {figure} | | | {target} | `python bench/page.py` |", flush=True)

    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as scratch:
        file = Path(scratch) / "imaged.yaml"
        ports = "".join(f"{service}: {{port: {port}}}\n" for service, port in PORTS.items())
        file.write_text(f"address: 127.0.0.1\nstate: {scratch}/state\n{ports}")
        desk = Desk(settings.read(file))
        secret = fill(desk, options.nodes)
        argv = (sys.executable, "-m", "imaged", "--settings", str(file), "serve")
        with serving(argv, says(b"ready:")) as server:
            browser = Browser(secret)
            took, busy, _ = browser.load("/", server)
            what = f"page: the first one, {options.nodes:,} nodes, folded (of it processor)"
            row(what, f"{took:.2f} s ({busy:.2f})", "1 s", busy < FIRST)
            for path, what in (("/", "folded"), ("/?open=*", "2,000 lines"), ("/nodes/node00042", "a node")):
                found = [browser.load(path, server) for _ in range(options.rounds)]
                took, busy, size = statistics.median(each for each, _, _ in found), mean(found, 1), found[0][2]
                row(f"the same again, {what}, {size // 1024} KiB", f"{took:.2f} s ({busy:.3f})", "1 s", busy < FIRST)
            stream = browser.follow("/?open=*")
            heard(stream)
            for count in (1, 64, 1000):
                took, size = changes(desk, stream, server, count, options.rounds)
                fine = took < UPDATE or count > RACK
                row(f"a change of {count} nodes, {size / 1024:.0f} KiB sent", f"{took * 1000:.0f} ms", "100 ms", fine)
            most = round(server.peak())
            row("the daemon's memory, at most", f"{most} MiB", f"{MEMORY} MiB", most < MEMORY)
    return int(slow)


if __name__ == "__main__":
    raise SystemExit(main())
