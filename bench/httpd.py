"""HTTP beside nginx: a large file, ranges and heads of it, a crowd that does not read, and boot scripts.

    python bench/httpd.py [--pairs 5 | --short] [--seconds 5] [--profile]

nginx is Debian's, with one worker and sendfile. Both serve the same 512 MiB in memory over the same link; server on
one processor, clients (curl, wrk) on the other. The daemon is whole: its database has NODES nodes that are to be
installed, and every boot script is for another of them, with a token of its own; nginx serves one file of that size.
Processor time is of all processes of the server. Writes the table into RESULTS.md; exit code 1 when a target is missed:
nginx's throughput at 1 and 32 clients, 1.2 times its processor time for each GiB, 4,000 boot scripts a second, and an
answer of the API within 500 ms while 32 clients fetch. Needs root. ``--profile`` prints instead where the time of the
reactor's thread goes: while boot scripts are asked for, and while 32 clients fetch.
"""

import argparse
import http.client
import os
import pstats
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pairs
from attrs import frozen
from link import SERVER, Link, binds, link, says, serving
from link import Server as Process

from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition
from imaged.model.setup import Setup
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.nodes import Nodes

TITLE = "HTTP beside nginx"
NODES = 2000
SCRIPTS = 4000  # a second
API = 500.0  # milliseconds
IDLE = 200  # clients that do not read
PORT, PEER_PORT = 29180, 29181
_GIB, _MIB = 2**30, 2**20
_PIECE = 2**20
_ALONE = ("taskset", "-c", "1")
_BESIDE = ("taskset", "-c", "0")
_NGINX = """daemon off; worker_processes 1; error_log {home}/error.log; pid {home}/pid; user root;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
    client_body_temp_path {home}; proxy_temp_path {home}; fastcgi_temp_path {home}; uwsgi_temp_path {home};
    scgi_temp_path {home};
    server {{ listen {port} backlog=1024; root {root}; }}
}}
"""
_WATCHED = """
import cProfile
from twisted.internet import reactor
from imaged.cli.main import main
watch, run = cProfile.Profile(), reactor.run
reactor.run = lambda: watch.runcall(run)
try:
    main()
finally:
    watch.dump_stats({kept!r})
"""
_TARGETS = {  # a lua of wrk's: what each request asks for
    "ranges": """
        local at = 0
        request = function()
            at = (at + 1) % {pieces}
            local range = "bytes=" .. at * {piece} .. "-" .. (at + 1) * {piece} - 1
            return wrk.format("GET", "/boot/large", {{["Range"] = range}})
        end""",
    "scripts": """
        local at = 0
        request = function()
            at = (at + 1) % {nodes}
            local path = string.format("/ipxe/52:54:00:00:%02x:%02x", math.floor(at / 256), at % 256)
            return wrk.format("GET", path .. "?uuid=564d0000-0000-4000-8000-000000000001")
        end""",
}


@frozen
class Server:
    """One of the two, as it runs."""

    process: Process
    link: Link
    port: int

    def url(self, path: str) -> str:
        """As the clients' end says it."""
        return f"http://{SERVER}:{self.port}{path}"


Measure = Callable[[Server], pairs.Figures]


def mac(number: int) -> Mac:
    """Of a node, as wrk makes them."""
    return Mac(f"52:54:00:00:{number // 256:02x}:{number % 256:02x}")


def site(home: Path, memory: Path, nodes: int) -> Path:
    """The settings of a server with an image and nodes to be installed; its boot directory is in memory."""
    state = home / "state"
    images = Images(state / "images")
    with images.working("compute") as working:
        for directory in ("usr/bin", "boot", "etc", "lib/modules/6.1"):
            (working.tree / directory).mkdir(parents=True)
        (working.tree / "usr/bin/true").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44))
        (working.tree / "etc/os-release").write_text("ID=bench\n")
        images.publish(images.seal(working, origin="bench"), "stable")
    (state / "boot").symlink_to(memory)
    engine = open_database(state / "imaged.sqlite")
    setup = Setup(ImageRef("compute"))
    Nodes(engine).define((Definition(f"node{n:05}", (mac(n),), setup) for n in range(nodes)), BootAction.INSTALL)
    engine.dispose()
    settings = home / "imaged.yaml"
    settings.write_text(
        f"address: {SERVER}\nstate: {state}\ndhcp: {{mode: off}}\ntftp: {{port: 29169}}\n"
        f"http: {{port: {PORT}}}\nrsync: {{port: 29173}}\n"
    )
    return settings


def get(server: Server, path: str) -> bytes:
    """By curl, at the clients' end."""
    argv = [*server.link.client, "curl", "-sSf", server.url(path)]
    return subprocess.run(argv, capture_output=True, check=True).stdout


def curl(server: Server, count: int) -> pairs.Figures:
    """One client, one file after the other."""
    urls = [word for _ in range(count) for word in ("-o", "/dev/null", server.url("/boot/large"))]
    before, began = server.process.cpu(), time.perf_counter()
    argv = [*server.link.client, *_BESIDE, "curl", "-sSf", "-w", "%{size_download}\n", *urls]
    sizes = subprocess.run(argv, capture_output=True, check=True, text=True).stdout.split()
    took, spent = time.perf_counter() - began, server.process.cpu() - before
    size = sum(map(int, sizes))
    return {"MiB/s": size / _MIB / took, "s CPU/GiB": spent / size * _GIB}


def heads(server: Server, count: int) -> pairs.Figures:
    """One client that asks how large the file is, again and again over one connection."""
    before, began = server.process.cpu(), time.perf_counter()
    argv = [
        *server.link.client,
        *_BESIDE,
        "curl",
        "-sSf",
        "-I",
        "-o",
        "/dev/null",
        f"{server.url('/boot/large')}?[1-{count}]",
    ]
    subprocess.run(argv, check=True)
    took, spent = time.perf_counter() - began, server.process.cpu() - before
    return {"requests/s": count / took, "µs CPU/request": 1e6 * spent / count}


def wrk(server: Server, path: str, clients: int, seconds: int, lua: str = "", *more: str) -> pairs.Figures:
    """Many clients, for some seconds. Raises RuntimeError when an answer was none of 2xx."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(lua)
        script.flush()
        script_words = ["-s", script.name] if lua else []
        before = server.process.cpu()
        argv = [*server.link.client, *_BESIDE, "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", *script_words, *more,
                server.url(path)]  # fmt: skip
        said = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
        spent = server.process.cpu() - before
    if "Non-2xx" in said:
        raise RuntimeError(said)
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s|m), ([\d.]+)([KMGT]?)B read", said)
    assert found, said
    number, took = int(found[1]), float(found[2]) * {"ms": 1e-3, "s": 1, "m": 60}[found[3]]
    size = float(found[4]) * 1024 ** "_KMGT".index(found[5] or "_")
    return {
        "MiB/s": size / _MIB / took, "s CPU/GiB": spent / max(1.0, size) * _GIB,
        "requests/s": number / took, "µs CPU/request": 1e6 * spent / max(1, number),
    }  # fmt: skip


@contextmanager
def crowd(server: Server) -> Iterator[None]:
    """Clients that have asked for the large file and read nothing of it."""
    code = (
        "import socket, sys\nheld = []\n"
        f"for _ in range({IDLE}):\n"
        "    each = socket.socket()\n"
        "    each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)\n"
        f"    each.connect(('{SERVER}', {server.port}))\n"
        "    each.sendall(b'GET /boot/large HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "    held.append(each)\n"
        "print('there', flush=True)\nsys.stdin.read()\n"
    )
    argv = [*server.link.client, *_BESIDE, sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        yield
        process.stdin.close()


def api(server: Server, local: Path, seconds: int) -> list[float]:
    """How long answers of the API took, in milliseconds, while 32 clients fetched the large file."""
    argv = [*server.link.client, *_BESIDE, "wrk", "-t1", "-c32", f"-d{seconds}s", server.url("/boot/large")]
    took: list[float] = []
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as load:
        time.sleep(0.5)
        while load.poll() is None:
            began = time.perf_counter()
            connection = http.client.HTTPConnection("localhost", timeout=30)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(local))
            connection.request("GET", "/v1/nodes/node00000")
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            connection.close()
            took.append(1000 * (time.perf_counter() - began))
            time.sleep(0.1)
    return took


@contextmanager
def ours(road: Link, settings: Path, profile: Path | None = None) -> Iterator[Server]:
    """The daemon."""
    program = ["-c", _WATCHED.format(kept=str(profile))] if profile else ["-m", "imaged"]
    argv = [*road.server, *_ALONE, sys.executable, *program, "--settings", str(settings), "serve"]
    with serving(argv, says(b"ready: ")) as process:
        yield Server(process, road, PORT)


@contextmanager
def theirs(road: Link, home: Path, root: Path) -> Iterator[Server]:
    """nginx."""
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(home=home, port=PEER_PORT, root=root))
    argv = [*road.server, *_ALONE, "nginx", "-c", str(config)]
    with serving(argv, binds(road, "tcp", PEER_PORT)) as process:
        yield Server(process, road, PEER_PORT)


def measure(options: argparse.Namespace, us: Server, peer: Server, local: Path, versions: list[str]) -> bool:
    """All rows; whether every target is met."""
    rows: list[pairs.Row] = []
    scripts = _TARGETS["scripts"].format(nodes=options.nodes)
    ranges = _TARGETS["ranges"].format(pieces=options.size * _MIB // _PIECE, piece=_PIECE)

    def against(
        what: str, figures: Mapping[str, Mapping[str, float]], one: Measure, other: Measure | None = None
    ) -> list[tuple[pairs.Figures, pairs.Figures]]:
        """``figures`` with their targets."""
        print(what, file=sys.stderr)
        found = pairs.interleave(lambda: one(us), lambda: (other or one)(peer), options.pairs)
        rows.extend(pairs.row(what, figure, "nginx", found, **target) for figure, target in figures.items())
        return found

    def many(path: str, lua: str = "", *more: str) -> Measure:
        return lambda server: wrk(server, path, 32, options.seconds, lua, *more)

    def crowded(server: Server) -> pairs.Figures:
        with crowd(server):
            return curl(server, options.files)

    large = {"MiB/s": {"least": 1.0}, "s CPU/GiB": {"most": 1.2}}
    each = {"requests/s": {}, "µs CPU/request": {}}
    close = "-H", "Connection: close"
    for server in us, peer:  # what is done once after a start is no cost of a file
        curl(server, 1)
    against("large file, 1 client", large, lambda server: curl(server, options.files))
    against("large file, 32 clients", large, many("/boot/large"))
    against("pieces of 1 MiB of it, 32 clients", {"MiB/s": {}, "s CPU/GiB": {}}, many("/boot/large", ranges))
    against("HEAD, 1 client", each, lambda server: heads(server, 1000 * options.files))
    against(f"large file, 1 client beside {IDLE} that do not read", {"MiB/s": {}}, crowded)
    found = against("boot scripts, 32 clients", each, many("/", scripts), many("/boot/script"))
    alone = many("/", scripts, *close)
    against("boot scripts, a connection for each", each, alone, many("/boot/script", "", *close))
    took = api(us, local, max(5, options.seconds))
    rate = statistics.median(mine["requests/s"] for mine, _ in found)
    notes = (
        f"Boot scripts a second: {rate:,.0f}, target at least {SCRIPTS:,}: {_mark(rate >= SCRIPTS)}. "
        f"While 32 clients fetched the large file the API answered {len(took)} times, in "
        f"{statistics.median(took):.0f} ms and at most {max(took):.0f} ms; target {API:.0f} ms: "
        f"{_mark(max(took) <= API)}."
    )
    command = f"python bench/httpd.py --pairs {options.pairs}"
    return pairs.publish(TITLE, command, rows, versions, notes) and rate >= SCRIPTS and max(took) <= API


def _mark(kept: bool) -> str:
    return "met" if kept else "**missed**"


def profile(road: Link, settings: Path, home: Path, options: argparse.Namespace) -> None:
    """Where the time of the reactor's thread goes, the 15 that take most by themselves."""
    for what, path, lua in (
        ("boot scripts", "/", _TARGETS["scripts"].format(nodes=options.nodes)),
        ("large file, 32 clients", "/boot/large", ""),
    ):
        kept = home / "profile"
        with ours(road, settings, kept) as us:
            found = wrk(us, path, 32, options.seconds, lua)
        print(f"\n{what}: {found['requests/s']:,.0f} requests/s, {found['MiB/s']:,.0f} MiB/s while watched")
        pstats.Stats(str(kept)).sort_stats("tottime").print_stats(15)


def main() -> int:
    """Both servers, and what they do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--size", type=int, default=512, help="MiB")
    parser.add_argument("--files", type=int, default=8, help="that curl fetches")
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--short", action="store_true", help="one pair, a second each")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.short:
        options.pairs, options.seconds, options.files, options.nodes = 1, 2, 3, min(options.nodes, 500)
    versions = pairs.version("nginx-light", "wrk", "curl")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/var/tmp")))
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/dev/shm"))) / "boot"
        memory.mkdir()
        with (memory / "large").open("wb") as file:
            for _ in range(options.size):
                file.write(os.urandom(_MIB))
        settings = site(home, memory, options.nodes)
        road = stack.enter_context(link())
        if options.profile:
            profile(road, settings, home, options)
            return 0
        us = stack.enter_context(ours(road, settings))
        (memory / "script").write_bytes(get(us, f"/ipxe/{mac(0)}"))
        peer = stack.enter_context(theirs(road, home, memory.parent))
        return int(not measure(options, us, peer, home / "state/run/imaged.sock", versions))


if __name__ == "__main__":
    raise SystemExit(main())
