"""Updates of running nodes against ``rsync -aHAXS --delete``: server CPU, bytes on the wire, seconds on the node.

    python bench/update.py --state DIR [--files 200000] [--size 4G] [--nodes 50] [--pairs 5 | --short]

DIR is a state directory with the image ``debian-12``, as `make demo` leaves one. The image of the bench is that system
and files of a seeded generator, sealed as version 1; version 2 is the same with 100 files changed. Ours is the daemon
and the agent of a node, run on a local tree by ``--root``; the peer is a bare ``rsync --daemon`` and rsync, on a tree
of its own. In turn: nothing to do; the 100 files, forth and back; and these on all nodes at once, each on an overlay of
its own. Server CPU is user and system time of the server and its children; memory is that of a node's largest process;
bytes are what the loopback of a network namespace of the bench's own has carried. Prints the rows of the table of
results; exit code 1 when a median misses its target. Needs root, rsync, and about three times SIZE in --scratch.
``--short`` is 20,000 files, 400 MiB, 5 nodes, one pair.
"""

import argparse
import os
import shutil
import signal
import stat
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

import trees
from attrs import evolve, frozen

from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.errors import ImagedError
from imaged.model.hardware import Bus, Disk, Firmware, Inventory
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import CheckFile, InstallPlan, MakeLink, RemovePath, WriteFile
from imaged.model.report import Report, Status
from imaged.model.settings import HttpSettings, RsyncSettings, Settings, TftpSettings
from imaged.model.size import GIB, MIB, format_size, parse_size
from imaged.model.talk import Claim, PlanAnswer, PlanRequest
from imaged.store import edit
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.nodeagent import node_agent
from imaged.store.nodes import Nodes
from imaged.store.paths import State
from imaged.store.tree import Tree

IMAGE = "bench"
CHANGED = 100
SEED = 20261121
HTTP_PORT, RSYNC_PORT, PEER_PORT = 18080, 18730, 18731
_PLACE = "opt/bench"  # below a directory that no update leaves alone
_PARENT = """import os, sys
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
_TICKS = os.sysconf("SC_CLK_TCK")
_LEFT_ALONE = ("/var/lib/imaged/", "/.imaged/", "/proc/*", "/sys/*", "/dev/*", "/run/*")


@frozen
class Cost:
    """What one run took: the server's CPU seconds, bytes on the wire, seconds."""

    cpu: float
    bytes: int
    wall: float


@frozen
class Case:
    """A row: ours and peer in pairs, and the most that the median of each ratio may be."""

    name: str
    ours: tuple[Cost, ...]
    peer: tuple[Cost, ...]
    targets: dict[str, float]

    def ratio(self, what: str) -> float:
        """Median of the pairs' ratios."""
        pairs = zip(self.ours, self.peer, strict=True)
        return statistics.median(getattr(mine, what) / getattr(other, what) for mine, other in pairs)

    @property
    def missed(self) -> tuple[str, ...]:
        """What is above its target."""
        return tuple(what for what, most in self.targets.items() if self.ratio(what) > most)


def cpu_of(process: int) -> float:
    """CPU seconds of a server and of its children, once all of these have ended (proc_pid_stat(5): utime to cstime)."""
    children = Path(f"/proc/{process}/task/{process}/children")
    while children.read_text():
        time.sleep(0.01)
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


def carried() -> int:
    """Bytes that the loopback has carried, headers included."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[0])
    raise SystemExit("no loopback")


def peak(process: int) -> int:
    """The largest resident set that a process had, in KiB (proc_pid_status(5))."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def peak_of(argv: Sequence[str]) -> int:
    """The same of a command, or of the largest of its children. By a small parent: Linux counts what a process was
    before it called exec (getrusage(2)), and we are large."""
    argv = (sys.executable, "-I", "-S", "-c", _PARENT, *argv)
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def measured(server: int, run: Callable[[], None]) -> Cost:
    """``run`` with the cost to the server whose process is ``server``."""
    cpu, wire, began = cpu_of(server), carried(), time.monotonic()
    run()
    wall = time.monotonic() - began
    return Cost(cpu_of(server) - cpu, carried() - wire, wall)


# --- the image ---------------------------------------------------------------


def make_image(given: State, site: State, files: int, size: int) -> tuple[Version, Version]:
    """Version 1 and 2 of the bench's image; made once for a scratch directory."""
    source, images = Images(given.images), Images(site.images)
    if len(images.versions(IMAGE)) < 2:
        base = source.tree(source.resolve(ImageRef("debian-12")))
        with images.working(IMAGE) as working:
            subprocess.run(("cp", "-a", f"{base}/.", str(working.tree)), check=True)
            (working.tree / "usr/bin/findmnt").unlink()  # it would look for the node's disks, of which there are none
            system = sum(1 for _ in working.tree.rglob("*"))
            trees.make(working.tree / _PLACE, SEED, max(files - system, CHANGED), size)
            first = images.seal(working, origin="bench")
        images.publish(first, "stable")
        with images.working(IMAGE) as working:
            subprocess.run(("cp", "-a", f"{images.tree(first)}/.", str(working.tree)), check=True)
            trees.change(working.tree / _PLACE, SEED, CHANGED)
            images.seal(working, origin=f"{CHANGED} files changed")
    one, two = images.versions(IMAGE)
    return one, two


# --- the two servers ---------------------------------------------------------


@contextmanager
def running(argv: Sequence[str], log: Path, port: int) -> Iterator[int]:
    """A server that has opened its port; ended and reaped afterwards."""
    with log.open("ab") as output, subprocess.Popen(argv, stdout=output, stderr=output) as child:
        try:
            while f":{port:04X} " not in Path("/proc/net/tcp").read_text():
                if child.poll() is not None:
                    raise SystemExit(f"{argv[0]} ended: {log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield child.pid
        finally:
            child.terminate()


def settings_of(site: State) -> Settings:
    """Everything on loopback and high ports, without DHCP."""
    return Settings(
        IPv4Address("127.0.0.1"), PurePosixPath(site.root), http=HttpSettings(HTTP_PORT),
        rsync=RsyncSettings(RSYNC_PORT, transfers=64), tftp=TftpSettings(16900),
    )  # fmt: skip


# --- nodes -------------------------------------------------------------------


def become_ready(settings: Settings, number: int) -> tuple[str, InstallPlan]:
    """What a machine says on its way to ready, without being one. Returns the node's secret, and its plan."""
    secret, mac, inventory = f"secret-of-bench{number:02}-0123456789abcdef", _mac(number), _inventory()

    def ask(path: str, body: str | None = None) -> str:
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", HEADER: dialect()}
        data = body.encode() if body is not None else None
        request = urllib.request.Request(settings.base_url + path, data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    script = ask(f"/ipxe/{mac}")
    token = next(word.partition("=")[2] for word in script.split() if word.startswith("imaged.token="))
    ask("/v1/claim", to_json(Claim(token, secret)))
    answer = from_json(ask("/v1/plan", to_json(PlanRequest(evolve(inventory, boot_mac=mac)))), PlanAnswer)
    ask("/v1/report", to_json(Report("reboot", Status.DONE, 1.0)))
    ask("/v1/up", "")
    return secret, answer.plan


def settle(root: Path, settings: Settings, number: int) -> None:
    """What an install leaves on a node, as far as updates look at it: our own files, devices, the boot loader's."""
    secret, plan = become_ready(settings, number)
    tree = Tree(root)
    for step in (step for phase in plan.phases for step in phase.steps):
        if isinstance(step, WriteFile | MakeLink | RemovePath):
            edit.apply(tree, step, lambda _: None)
        elif isinstance(step, CheckFile) and (not tree.exists(step.path) or step.contains not in tree.text(step.path)):
            edit.apply(tree, WriteFile(step.path, step.contains or "x", step.mode or "0644"), lambda _: None)
    for name, minor in (("null", 3), ("urandom", 9)):
        if not (root / "dev" / name).exists():
            os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    home = root / "var/lib/imaged"
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    (home / "secret").write_text(secret + "\n")
    (home / "secret").chmod(0o600)
    (home / "server").write_text(settings.base_url + "\n")


def update(agent: Path, root: Path) -> None:
    """The node's own update, as its administrator runs it."""
    together((update_argv(agent, root),))


def update_argv(agent: Path, root: Path) -> tuple[str, ...]:
    """The node's own verb, by the system's Python, as on a node."""
    return ("/usr/bin/python3", str(agent), "updateclient", f"--root={root}", "--yes")


def plain(root: Path) -> None:
    """The peer's update."""
    together((plain_argv(root),))


def plain_argv(root: Path) -> tuple[str, ...]:
    """The peer's, with the options of rsync's manual for a whole system."""
    left = (f"--exclude={pattern}" for pattern in _LEFT_ALONE)
    source = f"rsync://127.0.0.1:{PEER_PORT}/image/"
    return ("rsync", "-aHAXS", "--numeric-ids", "--delete", *left, source, f"{root}/")


def serve_plain(config: Path, tree: Path) -> None:
    """The bare daemon reads its configuration anew for each connection: what ``image`` is may change meanwhile."""
    config.write_text(
        f"port = {PEER_PORT}\nreverse lookup = no\nuse chroot = yes\nuid = 0\ngid = 0\n[image]\npath = {tree}\n"
    )


# --- the cases ---------------------------------------------------------------


@frozen
class Field:
    """Everything that runs: the two servers' processes, the two nodes' trees, the versions' trees, the agent."""

    daemon: int
    bare: int
    ours: Path
    peer: Path
    trees: tuple[Path, Path]
    agent: Path
    config: Path
    publish: Callable[[int], None]


def unchanged(field: Field, pairs: int) -> Case:
    """Nothing to do: the most frequent question of all."""
    found = [(measured(field.daemon, lambda: update(field.agent, field.ours)), _plainly(field)) for _ in range(pairs)]
    return _case("no change", found, {"cpu": 1 / 100, "bytes": 1 / 50})


def changed(field: Field, pairs: int) -> Case:
    """100 files, forth and back in turn."""
    found = []
    for number in range(pairs):
        wanted = 1 - number % 2
        field.publish(wanted + 1)
        serve_plain(field.config, field.trees[wanted])
        found.append((measured(field.daemon, lambda: update(field.agent, field.ours)), _plainly(field)))
    return _case(f"{CHANGED} files", found, {"cpu": 1 / 20, "wall": 1 / 3})


def at_once(field: Field, count: int, ready: Callable[[int, Path], None], scratch: Path) -> Case:
    """Every node of a rack follows the same 100 files in the same moment, each on an overlay of one tree."""
    field.publish(1)
    update(field.agent, field.ours)
    field.publish(2)
    serve_plain(field.config, field.trees[1])
    with overlays(field.ours, scratch / "nodes", count) as roots:
        for number, root in enumerate(roots):
            ready(number, root)
        ours = measured(field.daemon, lambda: together(update_argv(field.agent, root) for root in roots))
    with overlays(field.peer, scratch / "nodes", count) as roots:
        peer = measured(field.bare, lambda: together(map(plain_argv, roots)))
    return _case(f"{CHANGED} files, {count} nodes at once", [(ours, peer)], {"cpu": 1 / 20})


@contextmanager
def overlays(lower: Path, scratch: Path, count: int) -> Iterator[tuple[Path, ...]]:
    """``count`` trees that are ``lower`` until something is written there. Inode numbers and ctimes are those of it."""
    roots = tuple(scratch / str(number) / "root" for number in range(count))
    try:
        for root in roots:
            upper, work = root.with_name("upper"), root.with_name("work")
            for each in (root, upper, work):
                each.mkdir(parents=True)
            where = f"lowerdir={lower},upperdir={upper},workdir={work}"
            subprocess.run(("mount", "-t", "overlay", "overlay", "-o", where, str(root)), check=True)
        yield roots
    finally:
        for root in roots:
            subprocess.run(("umount", "-l", str(root)), check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(scratch, ignore_errors=True)


def together(commands: Iterable[Sequence[str]]) -> None:
    """All of them at the same time, to their ends."""
    with tempfile.TemporaryFile() as said:
        children = [subprocess.Popen(argv, stdout=said, stderr=said) for argv in commands]
        codes = [child.wait() for child in children]
        if any(codes):
            said.seek(0)
            raise SystemExit(f"one of the nodes failed: {said.read()[-2000:].decode(errors='replace')}")


def _plainly(field: Field) -> Cost:
    return measured(field.bare, lambda: plain(field.peer))


def _case(name: str, found: list[tuple[Cost, Cost]], targets: dict[str, float]) -> Case:
    for ours, peer in found:
        say(f"{name}: ours {_shown(ours)}; rsync {_shown(peer)}")
    return Case(name, tuple(ours for ours, _ in found), tuple(peer for _, peer in found), targets)


def _shown(cost: Cost) -> str:
    return f"{cost.cpu:.2f} s of server CPU, {format_size(cost.bytes)}, {cost.wall:.2f} s"


def row(case: Case) -> str:
    """One row of the table."""
    cells = []
    for what, digits in (("cpu", 3), ("bytes", 0), ("wall", 2)):
        mine, other = (statistics.median(getattr(cost, what) for cost in costs) for costs in (case.ours, case.peer))
        most = f" (at most {case.targets[what]:.3f})" if what in case.targets else ""
        cells.append(f"{mine:.{digits}f} / {other:.{digits}f} = {case.ratio(what):.4f}{most}")
    return f"| {case.name} | {len(case.ours)} | {' | '.join(cells)} |\n"


def say(line: str) -> None:
    """How far it is; the rows alone go to stdout."""
    print(f"  {line}", file=sys.stderr, flush=True)


def measure(given: State, scratch: Path, options: argparse.Namespace) -> tuple[Case, ...]:
    """Everything in turn. Trees that are made stay in ``scratch`` for the next run."""
    site = State(scratch / "site")
    site.root.mkdir(exist_ok=True)
    site.database.unlink(missing_ok=True)
    say("the image")
    one, two = make_image(given, site, options.files, options.size)
    say(f"{one.ref}: {one.entries} entries, {format_size(one.bytes)}")
    images, settings = Images(site.images), settings_of(site)
    images.publish(one, "stable")
    (scratch / "imaged.yaml").write_text(to_json(settings) + "\n")
    store = Nodes(open_database(site.database))
    for number in range(options.nodes + 1):
        store.add(Node(f"bench{number:02}", (_mac(number),), ImageRef(IMAGE)))
    ours, peer = scratch / "ours", scratch / "peer"
    for tree in (ours, peer):
        say(f"the node {tree.name}")
        tree.mkdir(exist_ok=True)
        copy = ("rsync", "-aHAXS", "--numeric-ids", "--delete", f"{images.tree(one)}/", f"{tree}/")
        subprocess.run(copy, check=True)
    agent = scratch / "imaged.pyz"
    agent.write_bytes(node_agent())
    config = scratch / "rsyncd.conf"
    serve_plain(config, images.tree(one))
    daemon = (sys.executable, "-m", "imaged", "--settings", str(scratch / "imaged.yaml"), "serve")
    bare = ("rsync", "--daemon", "--no-detach", f"--config={config}")
    with (
        running(daemon, scratch / "serve.log", RSYNC_PORT) as ours_pid,
        running(bare, scratch / "peer.log", PEER_PORT) as pid,
    ):
        settle(ours, settings, options.nodes)
        say("the first update, which brings the manifest and proves every path")
        first = measured(ours_pid, lambda: update(agent, ours))
        say(f"first: {_shown(first)}")
        update(agent, ours)
        field = Field(
            ours_pid, pid, ours, peer, (images.tree(one), images.tree(two)), agent, config,
            lambda number: images.publish((one, two)[number - 1], "stable"),
        )  # fmt: skip
        cases = (
            unchanged(field, options.pairs),
            changed(field, options.pairs),
            at_once(field, options.nodes, lambda number, root: settle(root, settings, number), scratch),
        )
        for number in (1, 2, 2):
            field.publish(number)
            serve_plain(config, field.trees[number - 1])
            taken = (peak_of(update_argv(agent, ours)), peak_of(plain_argv(peer)))
            say("peak of memory on the node: ours {}, rsync {}".format(*(format_size(each * 1024) for each in taken)))
        say(f"the daemon's peak of memory: {format_size(peak(ours_pid) * 1024)}")
        return cases


def _mac(number: int) -> Mac:
    return Mac.parse(f"52:54:00:be:00:{number:02x}")


def _inventory() -> Inventory:
    """A machine with one large disk."""
    disk = Disk("/dev/vda", 64 * GIB, 512, 512, Bus.VIRTIO)
    return Inventory("x86_64", Firmware.BIOS, 8 * GIB, 2, (disk,), ())


def main() -> int:
    """The rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, help="kept for the next run; without it a new one, removed at the end")
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--size", type=parse_size, default=4 * GIB)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if options.short:
        options.files, options.size, options.nodes, options.pairs = 20_000, 400 * MIB, 5, 1
    if "IMAGED_BENCH_INSIDE" not in os.environ:  # a network of our own: nobody else's bytes on its loopback
        inside = ("unshare", "--net", "--mount", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
        os.environ["IMAGED_BENCH_INSIDE"] = "1"
        os.execvp(inside[0], (*inside, sys.executable, *sys.argv))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    scratch = options.scratch or Path(tempfile.mkdtemp(prefix="imaged-bench-", dir="/var/tmp"))
    scratch.mkdir(exist_ok=True)
    try:
        cases = measure(State(options.state.resolve()), scratch, options)
    except ImagedError as error:
        parser.exit(error.exit_code, f"{error}\n")
    finally:
        if not options.scratch:
            shutil.rmtree(scratch)
    print("| case | pairs | server CPU, s | bytes | seconds on the node |\n|---|---|---|---|---|")
    print("".join(map(row, cases)), end="")
    missed = [f"{case.name}: {what}" for case in cases for what in case.missed]
    if missed:
        print(f"above the target: {', '.join(missed)}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
