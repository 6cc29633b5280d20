"""Four-way DHCP exchanges: how many a second, at which cost, and what is left of that at twice the rate.

    python bench/dhcp.py [--pairs 5] [--short] [--nodes 10000] [--profile] [--rate 1500] [exchanges] [overload]

Root. perfdhcp (ISC's, in Debian's kea-admin) asks through a relay for 2,000 machines in turn: imaged with a database of
NODES nodes and Kea with one thread, its leases in a file, then in PostgreSQL; once dnsmasq and ISC dhcpd. The
highest rate is the one at which less than 1 % of the exchanges is lost; processor time and delay are those at
RATE. Under overload imaged is asked for twice its highest rate, while somebody asks its API for a node. With --profile
nothing is compared: where the reactor's time goes at RATE. All keep their leases on the disk of TMPDIR. Exit code 1
when a target is missed. Takes a quarter of an hour.
"""

import argparse
import http.client
import json
import os
import pstats
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, frozen
from link import CLIENT, SERVER, Link, Server, binds, link, says, serving
from pairs import Figures, Row, interleave, publish, row, version

from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition
from imaged.model.setup import Setup
from imaged.store.database import open_database
from imaged.store.nodes import Nodes

FIRST, LAST, LEASE = "10.99.16.0", "10.99.79.255", 3600  # the pool of all servers
MACHINES = 2000
_SCHEMA = "/usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql"
LOSS = 0.01  # of the exchanges, at the highest rate
HELD, PROMPT = 0.9, 500.0  # of the highest rate under overload; milliseconds until the API has answered
# The reactor's thread, from SIGUSR1 on.
_PROFILED = """
import cProfile, signal, sys, time
from twisted.internet import reactor
from imaged.cli.main import main
kept, measured = sys.argv.pop(1), cProfile.Profile(time.thread_time)
reactor.callWhenRunning(lambda: signal.signal(signal.SIGUSR1, lambda *_: measured.enable()))
reactor.addSystemEventTrigger("before", "shutdown", lambda: (measured.disable(), measured.dump_stats(kept)))
main()
"""
_ALIKE = 800  # exchanges a second beside Kea on PostgreSQL, which does not do many more
_STEP = 1.08  # between two rates of a search
_HIGHEST = 32_000


@frozen
class Run:
    """What one run of perfdhcp found. ``delay`` in milliseconds, of both answers together; ``cpu`` in seconds."""

    rate: int
    asked: int
    done: int
    seconds: float
    delay: float
    cpu: float

    @property
    def clean(self) -> bool:
        """Under 1 % is lost of what was to be asked: perfdhcp asks less where it cannot keep up itself."""
        return self.done >= self.rate * self.seconds * (1 - LOSS) - 1


def exchanges(link: Link, server: Server, rate: int, seconds: float) -> Run:
    """Ask for so many a second."""
    before = server.cpu()
    argv = ["perfdhcp", "-4", "-r", str(rate), "-R", str(MACHINES), "-p", f"{seconds:g}", "-W", "1000000"]
    said = subprocess.run(
        [*link.client, *argv, "-l", CLIENT, SERVER], capture_output=True, text=True, check=False
    ).stdout  # its exit code says that something was lost
    asked, offers = _numbers("sent packets", said)[0], _numbers("avg delay", said)
    done = _numbers("received packets", said)[1]
    return Run(rate, int(asked), int(done), seconds, sum(offers), server.cpu() - before)


def _numbers(what: str, said: str) -> list[float]:
    found = [float(number) for number in re.findall(rf"^{what}: ([0-9.]+)", said, re.MULTILINE)]
    return [*found, 0.0, 0.0][:2]  # nothing came back: no delay is told


def highest(link: Link, server: Server, first: int, seconds: float, *, fine: bool) -> int:
    """The highest rate that is clean, looked for from ``first`` on: by doubling, then between the two."""

    def clean(rate: int) -> bool:
        run = exchanges(link, server, rate, seconds)
        return run.clean or exchanges(link, server, rate, seconds).clean  # others use this machine as well

    good, bad = 0, first
    while bad <= _HIGHEST and clean(bad):
        good, bad = bad, round(bad * (_STEP if fine else 2))
    while good == 0 and bad > 20:
        bad = round(bad / (_STEP if fine else 2))
        if clean(bad):
            good, bad = bad, round(bad * (_STEP if fine else 2))
    while bad > good * _STEP:
        middle = round((good * bad) ** 0.5)
        good, bad = (middle, bad) if clean(middle) else (good, middle)
    return good


# --- servers


@contextmanager
def imaged(link: Link, nodes: int, started: tuple[str, ...] = ("-m", "imaged")) -> Iterator[Server]:
    """The daemon, with its database. ``started``: how Python is told which program it is."""
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as scratch:
        home = Path(scratch)
        fill(home / "state/imaged.sqlite", nodes)
        settings = home / "imaged.yaml"
        settings.write_text(
            f"address: {SERVER}\nstate: {home}/state\napi: {{socket: {home}/api}}\n"
            "dhcp:\n  mode: authoritative\n"
            f"  subnets: [{{network: 10.99.0.0/16, pool: {FIRST}-{LAST}, lease: {LEASE}}}]\n"
        )
        argv = [*link.server, sys.executable, *started, "--settings", str(settings), "serve"]
        with serving(argv, says(b" ready: ")) as server:
            yield evolve(server, log=home / "api")


def fill(database: Path, count: int) -> None:
    """Nodes that are nobody of those who ask."""
    engine = open_database(database)
    macs = (Mac.from_bytes(b"\x52\x54" + number.to_bytes(4, "big")) for number in range(count))
    setup = Setup(ImageRef("compute"))
    defined = (Definition(f"node{number:05}", (mac,), setup) for number, mac in enumerate(macs))
    Nodes(engine).define(defined, BootAction.LOCAL)
    engine.dispose()


@contextmanager
def kea(link: Link) -> Iterator[Server]:
    """One thread, leases in its file."""
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as home:
        leases = {"type": "memfile", "persist": True, "name": f"{home}/leases.csv"}
        with _kea(link, home, leases) as server:
            yield server


@contextmanager
def kea_on_postgresql(link: Link) -> Iterator[Server]:
    """The same, with its leases where they are flushed before the ACK leaves, as ours are."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    nobody = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as home:
        shutil.chown(home, "postgres")
        made = [*nobody, programs / "initdb", "-D", f"{home}/data", "--auth=trust", "--username=kea"]
        subprocess.run(made, check=True, cwd=home, stdout=subprocess.DEVNULL)
        runs = [*nobody, str(programs / "postgres"), "-D", f"{home}/data", "-k", home, "-c", "listen_addresses="]
        with serving(runs, says(b"ready to accept connections")) as database:
            psql = ["psql", "-q", "-h", home, "-U", "kea", "-d", "postgres", "-f", _SCHEMA]
            subprocess.run(psql, check=True, stdout=subprocess.DEVNULL)
            leases = {"type": "postgresql", "host": home, "name": "postgres", "user": "kea"}
            with _kea(link, home, leases) as server:
                yield evolve(server, beside=(database.pid,))


@contextmanager
def _kea(link: Link, home: str, leases: Mapping[str, object]) -> Iterator[Server]:
    settings = {
        "interfaces-config": {"interfaces": ["*"], "dhcp-socket-type": "raw"},
        "multi-threading": {"enable-multi-threading": False},
        "lease-database": leases,
        "valid-lifetime": LEASE,
        "subnet4": [{"subnet": "10.99.0.0/16", "pools": [{"pool": f"{FIRST} - {LAST}"}]}],
        "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output_options": [{"output": "stdout"}]}],
    }
    Path(home, "kea.json").write_text(json.dumps({"Dhcp4": settings}))
    its = ["env", f"KEA_PIDFILE_DIR={home}", f"KEA_LOCKFILE_DIR={home}"]
    with serving([*link.server, *its, "kea-dhcp4", "-c", f"{home}/kea.json"], binds(link, "udp", 67)) as server:
        yield server


@contextmanager
def dnsmasq(link: Link) -> Iterator[Server]:
    """With its lease file, and without a ping before each offer, which Kea and we do not send either."""
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as home:
        argv = ["dnsmasq", "-k", "-C", "/dev/null", "--port=0", "--user=root", "--no-ping", "--quiet-dhcp"]
        argv += [f"--dhcp-range={FIRST},{LAST},255.255.0.0,{LEASE}", f"--dhcp-leasefile={home}/leases"]
        argv += ["--dhcp-lease-max=20000", f"--pid-file={home}/pid", "--bind-interfaces", "--dhcp-authoritative"]
        with serving([*link.server, *argv], binds(link, "udp", 67)) as server:
            yield server


@contextmanager
def dhcpd(link: Link) -> Iterator[Server]:
    """ISC's, without a ping before each offer."""
    with tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/var/lib/dhcp") as home:
        Path(home, "leases").touch()
        Path(home, "conf").write_text(
            f"authoritative; ping-check false; default-lease-time {LEASE};\n"
            f"subnet 10.99.0.0 netmask 255.255.0.0 {{ range {FIRST} {LAST}; }}\n"
        )
        argv = ["dhcpd", "-4", "-f", "-q", "-cf", f"{home}/conf", "-lf", f"{home}/leases", "-pf", f"{home}/pid"]
        with serving([*link.server, *argv], binds(link, "udp", 67)) as server:
            yield server


# --- what is measured


class Bench:
    """One server after another on the same link. What rate was clean the last time is where the next search begins."""

    def __init__(self, link: Link, options: argparse.Namespace, rate: int) -> None:
        self._link = link
        self._rate, self._nodes = rate, options.nodes
        self._seconds = 1.5 if options.short else 3.0
        self._known: dict[str, int] = {}

    def measure(self, name: str, server: Server) -> Figures:
        """Of a server that has just been started."""
        fixed = min(self._rate, self._known.get(name, self._rate))
        exchanges(self._link, server, fixed, MACHINES / fixed)  # each machine has its lease
        known = self._known.get(name)
        self._known[name] = highest(self._link, server, known or 500, self._seconds, fine=known is not None)
        rate = min(self._rate, self._known[name])
        found = exchanges(self._link, server, rate, 2 * self._seconds)
        print(f"{name}: {self._known[name]}/s; at {rate}/s {found}", flush=True)
        return {
            "exchanges/s": float(self._known[name]),
            "µs CPU/exchange": 1e6 * found.cpu / max(1, found.done),
            "ms from DISCOVER to ACK": found.delay,
        }

    def ours(self) -> Figures:
        """Imaged."""
        with imaged(self._link, self._nodes) as server:
            return self.measure("imaged", server)

    def peer(self, serve: Callable[[Link], object]) -> Figures:
        """Another."""
        with serve(self._link) as server:  # type: ignore[attr-defined]
            return self.measure(serve.__name__, server)

    def overload(self) -> tuple[Figures, Figures]:
        """What is done of twice the rate that is clean, and how the API answers meanwhile; beside what is asked."""
        with imaged(self._link, self._nodes) as server:
            self.measure("imaged", server)
            rate = self._known["imaged"]
            with asking(server.log) as took:
                run = exchanges(self._link, server, 2 * rate, 4 * self._seconds)
        done, slowest = run.done / run.seconds, 1000 * max(took)
        print(f"overload: {done:.0f}/s of {2 * rate}/s; the slowest of {len(took)} answers took {slowest:.0f} ms")
        return {"exchanges/s": done, "ms": slowest}, {"exchanges/s": float(rate), "ms": PROMPT}


@contextmanager
def asking(path: Path) -> Iterator[list[float]]:
    """Ask the API for nodes, over and over; how long each answer took, in seconds."""
    took: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.2):
            begun = time.monotonic()
            connection = http.client.HTTPConnection("local")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(30)
            connection.sock.connect(str(path))
            connection.request("GET", "/v1/nodes/node00001")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the API says {answer.status}")
            took.append(time.monotonic() - begun)
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()


def profile(link: Link, options: argparse.Namespace) -> None:
    """Where the reactor's thread spends its time."""
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as home:
        kept = f"{home}/profile"
        with imaged(link, options.nodes, ("-c", _PROFILED, kept)) as server:
            exchanges(link, server, 500, 5.0)
            os.kill(server.pid, signal.SIGUSR1)
            print(exchanges(link, server, options.rate, 5.0))
        pstats.Stats(kept).sort_stats("tottime").print_stats(options.lines)


def compared(link: Link, options: argparse.Namespace) -> tuple[list[Row], str]:
    """Beside the others, and what is to be known of that."""
    bench = Bench(link, options, options.rate)
    found = interleave(bench.ours, lambda: bench.peer(kea), options.pairs)
    what = "DHCP, one thread of Kea's"
    rows = [
        row(what, "exchanges/s", "Kea", found, least=2.0),
        row(what, "µs CPU/exchange", "Kea", found, most=1.0),
        row(what, "ms from DISCOVER to ACK", "Kea", found),
    ]
    alike = Bench(link, options, _ALIKE)
    found_alike = interleave(alike.ours, lambda: alike.peer(kea_on_postgresql), options.pairs)
    rows += [
        row("DHCP, both flush before the ACK", "exchanges/s", "Kea on PostgreSQL", found_alike, least=2.0),
        row("DHCP, both flush before the ACK", "µs CPU/exchange", "Kea on PostgreSQL", found_alike, most=1.0),
    ]
    ours = {key: statistics.median(pair[0][key] for pair in found) for key in found[0][0]}
    for peer in () if options.short else (dnsmasq, dhcpd):
        beside = [(ours, bench.peer(peer))]
        rows += [row("DHCP", key, peer.__name__, beside) for key in ("exchanges/s", "µs CPU/exchange")]
    return rows, (
        f"Processor time and delay at {options.rate:,} exchanges a second; beside PostgreSQL, whose processes count "
        f"with Kea's, at {_ALIKE}. Kea's memfile writes and does not flush; imaged's leases are flushed before the "
        "ACK, as PostgreSQL's are."
    )


def overloaded(link: Link, options: argparse.Namespace) -> tuple[list[Row], str]:
    """Asked for twice its highest rate."""
    bench = Bench(link, options, options.rate)
    found = [bench.overload() for _ in range(options.pairs)]
    return [
        row("asked for twice its highest rate", "exchanges/s", "its highest", found, least=HELD),
        row("the API's slowest answer meanwhile", "ms", "the limit", found, most=1.0),
    ], ""


PARTS = {"exchanges": compared, "overload": overloaded}


def main() -> int:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which of them (all)")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rate", type=int, default=1500, help="at which processor time and delay are taken")
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=15, help="of a profile")
    parser.add_argument("--short", action="store_true", help="a first look: one pair, Kea only, nothing is kept")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.short:
        options.pairs = 1
    missed = False
    with link() as wires:
        if options.profile:
            version("kea-admin")
            profile(wires, options)
            return 0
        versions = version("kea-admin", "kea-dhcp4-server", "dnsmasq-base", "isc-dhcp-server", "postgresql-15")
        for part in options.parts or PARTS:
            rows, notes = PARTS[part](wires, options)
            if options.short:
                print(*rows, sep="\n", flush=True)
                missed |= not all(each.kept for each in rows)
            else:
                command = f"python bench/dhcp.py --pairs {options.pairs} {part}"
                missed |= not publish(f"DHCP: {part}", command, rows, versions, notes)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
