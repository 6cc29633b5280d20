"""What watching costs the server: followed changes, a scrape, and a rack that reports its progress every second.

    python bench/monitor.py [--nodes 10000] [--reporting 2000] [--seconds 20] [--rounds 10]

A daemon of its own, as a process, with NODES nodes in its database, of which REPORTING are in a transfer. In turn:
nobody writes while a webhook follows the changes; Prometheus scrapes after a change, so that all is read anew; `imaged
monitor --once --all`; and all REPORTING nodes report their progress ROUNDS times, each over a connection of its own, as
the agent does. Processor time is user and system, of the daemon or the verb. Prints the rows of the table of results;
exit code 1 when 2,000 reports would cost more than half a second of a processor.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from link import Server, says, serving

from imaged.model.codec import to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition
from imaged.model.report import Report, Status
from imaged.model.setup import Setup
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.tables import nodes
from imaged.store.tokens import secret_hash

PORTS = {"tftp": 29169, "http": 29180, "rsync": 29173}
URL = f"http://127.0.0.1:{PORTS['http']}"
TARGET = 0.5 / 2000  # seconds of processor time for a report


def name(number: int) -> str:
    """Of a node."""
    return f"node{number:05}"


def site(home: Path, count: int, reporting: int) -> Path:
    """Settings of a site with so many nodes."""
    engine = open_database(home / "state/imaged.sqlite")
    macs = (Mac.from_bytes(b"\x52\x54" + number.to_bytes(4, "big")) for number in range(count))
    setup = Setup(ImageRef("compute"))
    defined = (Definition(name(number), (mac,), setup) for number, mac in enumerate(macs))
    Nodes(engine).define(defined, BootAction.LOCAL)
    now = time.time()
    with engine.begin() as connection:
        connection.execute(nodes.update().values(state="ready", installed="compute@3", last_seen=now, drift_count=0))
        for number in range(reporting):
            mine = nodes.c.name == name(number)
            secret = secret_hash(f"secret{number}")
            connection.execute(
                nodes.update().where(mine).values(state="installing", installing="compute@4", secret_hash=secret)
            )
    settings = home / "imaged.yaml"
    settings.write_text(
        f"address: 127.0.0.1\nstate: {home}/state\ndhcp: {{mode: off}}\nmonitor: {{metrics: true}}\n"
        + "".join(f"{service}: {{port: {port}}}\n" for service, port in PORTS.items())
        + "webhooks: [{url: 'http://127.0.0.1:9/', events: [nothing]}]\n"
    )
    return settings


def scrape() -> int:
    """Bytes."""
    with urllib.request.urlopen(f"{URL}/metrics", timeout=60) as answer:
        return len(answer.read())


class Agent:
    """Of one node: its requests go over one connection."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def report(self, percent: float) -> bool:
        """Whether it was taken."""
        if self._pipe is None:
            self._pipe = await asyncio.open_connection("127.0.0.1", PORTS["http"])
        reader, writer = self._pipe
        body = to_json(Report("transfer", Status.PROGRESS, 100.0, percent=percent)).encode()
        writer.write(
            f"POST /v1/report HTTP/1.1\r\nHost: 127.0.0.1:{PORTS['http']}\r\nAccept-Encoding: identity\r\n"
            f"Authorization: Bearer secret{self._number}\r\n{HEADER}: {dialect()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return b" 204 " in await reader.readuntil(b"\r\n\r\n")

    def close(self) -> None:
        """Done."""
        if self._pipe:
            self._pipe[1].close()


async def rack(count: int, rounds: int) -> int:
    """Reports that were taken: of each node one in each round, 64 of them under way at a time."""
    room, agents = asyncio.Semaphore(64), [Agent(number) for number in range(count)]

    async def one(agent: Agent, percent: float) -> bool:
        async with room:
            return await agent.report(percent)

    taken = 0
    for percent in range(rounds):
        taken += sum(await asyncio.gather(*(one(agent, percent) for agent in agents)))
    for agent in agents:
        agent.close()
    return taken


def measure(options: argparse.Namespace, home: Path, settings: Path, server: Server) -> int:
    """Print the rows; the exit code."""
    before = server.cpu()
    time.sleep(options.seconds)
    idle = (server.cpu() - before) / options.seconds
    print(f"| changes followed, nobody writes, {options.nodes} nodes: share of a processor | {100 * idle:.2f} % |")
    writer = Nodes(open_database(home / "state/imaged.sqlite"))
    cost, size = [], 0
    for number in range(10):
        writer.keep(name(0), last_seen=time.time() + number)
        time.sleep(1.1)  # two scrapes within a second are given the same
        before = server.cpu()
        size = scrape()
        cost.append(server.cpu() - before)
    print(f"| a scrape, {options.nodes} nodes, {size / 2**20:.1f} MiB: processor | {statistics.median(cost):.2f} s |")
    imaged = [sys.executable, "-m", "imaged", "--settings", str(settings), "monitor", "--once", "--all"]
    before = time.perf_counter()
    lines = subprocess.run(imaged, capture_output=True, check=True).stdout.count(b"\n")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"| `imaged monitor --once --all`, {lines} lines: processor (seconds) "
        f"| {used.ru_utime + used.ru_stime:.2f} s ({time.perf_counter() - before:.2f} s) |"
    )
    before, began = server.cpu(), time.monotonic()
    taken = asyncio.run(rack(options.reporting, options.rounds))
    cpu, took = server.cpu() - before, time.monotonic() - began
    print(
        f"| {options.reporting} nodes report their progress, {taken} reports in {took:.0f} s: processor for each "
        f"| {1e6 * cpu / max(1, taken):.0f} µs |"
    )
    print(f"| the daemon's memory after that | {server.memory():.0f} MiB |")
    return int(cpu / max(1, taken) > TARGET)


def main() -> int:
    """A daemon, and what it costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--reporting", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as scratch:
        settings = site(Path(scratch), options.nodes, options.reporting)
        argv = [sys.executable, "-m", "imaged", "--settings", str(settings), "serve"]
        with serving(argv, says(b"ready: ")) as server:
            time.sleep(2)
            return measure(options, Path(scratch), settings, server)


if __name__ == "__main__":
    raise SystemExit(main())
