"""TFTP beside dnsmasq, tftpd-hpa and atftpd: throughput and processor time, in lock-step and by windows, and with loss.

    python bench/tftp.py [--pairs 5] [--processes 2] [--short] [--profile] [lockstep] [windows] [loss]

Needs root. Our daemon and the peers serve one directory in memory from one namespace; in turn, 1, 16 and 64 clients in
another fetch from them, with blocks of 1468 bytes. One client and its server share a processor: on two of them, how
fast the one wakes the other would be measured. Loss drops packets at random, both ways, five fetches of 1 MiB at once:
all they do is wait. Writes into RESULTS.md; with ``--short`` one pair of less, and only prints; with ``--profile``
where our process that carries the blocks spends its time. Exit code 1 when a target is missed.
"""

import argparse
import os
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import link
import pairs
from attrs import frozen

CORE = "1"  # where one client and its server meet
ENOUGH = 90.0  # seconds after which a fetch with loss is not waited for; it counts as so long
PORTS = {"imaged": 6969, "dnsmasq": 69, "tftpd-hpa": 6970, "atftpd": 6971}


@frozen
class Peer:
    """A server that runs, and where."""

    name: str
    server: link.Server
    port: int


@contextmanager
def servers(it: link.Link, scratch: Path) -> Iterator[tuple[dict[str, Peer], list[str]]]:
    """All of them, idle, and their versions. The two tftpds' packages conflict, so they are only unpacked."""
    versions = [*pairs.version("dnsmasq-base", "atftp", "curl", "nftables"), *unpacked(scratch, "tftpd-hpa", "atftpd")]
    root = scratch / "state/boot"
    commands = {
        "imaged": ours(scratch),
        "dnsmasq": dnsmasq(root),
        "tftpd-hpa": [
            f"{scratch}/tftpd-hpa/usr/sbin/in.tftpd", "-L", "-a", f"{link.SERVER}:{PORTS['tftpd-hpa']}", "-u", "root",
            "-s", str(root),
        ],
        "atftpd": [
            f"{scratch}/atftpd/usr/sbin/atftpd", "--daemon", "--no-fork", "--user", "root.root", "--bind-address",
            link.SERVER, "--port", str(PORTS["atftpd"]), "--maxthread", "300", "--verbose=1", str(root),
        ],
    }  # fmt: skip
    with ExitStack() as running:
        found = {}
        for name, argv in commands.items():
            ready = link.says(b"ready: ") if name == "imaged" else link.binds(it, "udp", PORTS[name])
            found[name] = Peer(name, running.enter_context(link.serving([*it.server, *argv], ready)), PORTS[name])
        yield found, versions


def dnsmasq(root: Path) -> list[str]:
    """Its words."""
    return [
        "dnsmasq", "-k", "-C", "/dev/null", "--port=0", "--enable-tftp", f"--tftp-root={root}", "--user=root",
        f"--listen-address={link.SERVER}", "--bind-interfaces", "--tftp-max=1000", "--tftp-mtu=1500", "-q",
    ]  # fmt: skip


def ours(scratch: Path) -> list[str]:
    """Our daemon's words."""
    return [sys.executable, "-m", "imaged", "--settings", str(scratch / "imaged.yaml"), "serve"]


def unpacked(scratch: Path, *packages: str) -> list[str]:
    """Debian's packages below ``scratch``, not installed; their versions."""
    subprocess.run(["apt-get", "-q", "download", *packages], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
    versions = []
    for package in packages:
        (file,) = scratch.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", file, scratch / package], check=True)
        versions.append(" ".join(file.name.split("_")[:2]))
    return versions


def fetch(peer: Peer, client: str, window: int, name: str, to: str) -> str:
    """The words of a shell."""
    if client == "curl":
        return f"curl -s --tftp-blksize 1468 -o {to} tftp://{link.SERVER}:{peer.port}/{name}"
    words = f"--option 'windowsize {window}' " if window > 1 else ""
    return f"atftp --option 'blksize 1468' {words}--get -r {name} -l {to} {link.SERVER} {peer.port}"


def proved(it: link.Link, peer: Peer, window: int, scratch: Path) -> None:
    """A fast answer that is wrong does not count."""
    to = scratch / "got"
    subprocess.run(
        [*it.client, "sh", "-c", fetch(peer, "atftp", window, "4", str(to))], check=True, stderr=subprocess.DEVNULL
    )
    assert to.read_bytes() == (scratch / "state/boot/4").read_bytes(), f"{peer.name} sent another file"


def load(it: link.Link, peer: Peer, client: str, window: int, clients: int, size: int) -> pairs.Figures:
    """So many clients fetch a file of ``size`` MiB at once."""
    one = fetch(peer, client, window, str(size), "/dev/null")
    script = f'for i in $(seq {clients}); do {one} & p="$p $!"; done; for i in $p; do wait $i || exit 1; done'
    pinned = ["taskset", "-c", CORE] if clients == 1 else []
    peer.server.pin(CORE if pinned else f"0-{(os.cpu_count() or 1) - 1}")
    before, began = peer.server.cpu(), time.perf_counter()
    subprocess.run(
        [*it.client, *pinned, "sh", "-c", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    took, total = time.perf_counter() - began, clients * size
    return {"MiB/s": total / took, "ms CPU/MiB": 1000 * (peer.server.cpu() - before) / total}


def compare(it: link.Link, ours: Peer, theirs: Peer, load_: Sequence[int | str], count: int) -> list[pairs.Row]:
    """Rows of one load. What is wanted: as fast as dnsmasq in lock-step, as atftpd by windows and for less."""
    client, window, clients, size = load_
    found = pairs.interleave(
        lambda: load(it, ours, *load_), lambda: load(it, theirs, *load_), count
    )  # fmt: skip
    what = f"{clients} x {size} MiB by {client}, windowsize {window}"
    fast: dict[str, float] = {}
    cheap: dict[str, float] = {}
    if window > 1:
        fast, cheap = {"least": 1.0}, {"most": 0.7}
    elif theirs.name == "dnsmasq" and client == "atftp" and clients != 16:
        fast = {"least": 1.0}
    rows = [pairs.row(what, "MiB/s", theirs.name, found, **fast)]
    if theirs.name != "tftpd-hpa":  # whose children it does not wait for: what they took nobody tells
        rows.append(pairs.row(what, "ms CPU/MiB", theirs.name, found, **cheap))
    return rows


def lockstep(it: link.Link, all_: dict[str, Peer], scratch: Path, count: int, short: bool) -> list[pairs.Row]:
    """Without windowsize: a packet, its answer, and so on."""
    proved(it, all_["imaged"], 1, scratch)
    rows = []
    for name in ("dnsmasq",) if short else ("dnsmasq", "tftpd-hpa", "atftpd"):
        for clients, size in ((1, 32), (16, 8), (64, 2)):
            rows += compare(it, all_["imaged"], all_[name], ("atftp", 1, clients, size), count)
    if not short:
        rows += compare(it, all_["imaged"], all_["dnsmasq"], ("curl", 1, 64, 2), count)
    return rows


def windows(it: link.Link, all_: dict[str, Peer], scratch: Path, count: int, short: bool) -> list[pairs.Row]:
    """By windows of blocks."""
    rows = []
    for window in (16, 64):
        proved(it, all_["imaged"], window, scratch)
        for clients, size in ((1, 64 if short else 128), (16, 16), (64, 4)):
            rows += compare(it, all_["imaged"], all_["atftpd"], ("atftp", window, clients, size), count)
    return rows


def loss(it: link.Link, all_: dict[str, Peer], scratch: Path, count: int, short: bool) -> list[pairs.Row]:
    """Seconds of one fetch, five at once."""
    rows = []
    for percent, window, names in ((1, 1, ("atftpd", "dnsmasq")), (1, 16, ("atftpd",)), (5, 16, ("atftpd",))):
        for name in names[: 1 if short else None]:
            with losing(it, percent):
                times = {each: waited(it, all_[each], window, 2 if short else 5) for each in ("imaged", name)}
            found = [({"s": a}, {"s": b}) for a, b in zip(times["imaged"], times[name], strict=True)]
            target = {"most": 0.2} if (percent, name) == (1, "atftpd") else {}
            rows.append(pairs.row(f"1 MiB, {percent} % lost, windowsize {window}", "s", name, found, **target))
    return rows


@contextmanager
def losing(it: link.Link, percent: int) -> Iterator[None]:
    """Packets of UDP, coming and going, at the server's end."""
    nft = (*it.server, "nft")
    subprocess.run([*nft, "add table inet loss"], check=True)
    try:
        for hook in ("input", "output"):
            subprocess.run([*nft, f"add chain inet loss {hook} {{ type filter hook {hook} priority 0; }}"], check=True)
            drop = f"meta l4proto udp numgen random mod 1000 < {10 * percent} drop"
            subprocess.run([*nft, f"add rule inet loss {hook} {drop}"], check=True)
        yield
    finally:
        subprocess.run([*nft, "delete table inet loss"], check=True)


def waited(it: link.Link, peer: Peer, window: int, fetches: int) -> list[float]:
    """Seconds of each, in order."""
    argv = [*it.client, "sh", "-c", f"exec {fetch(peer, 'atftp', window, '1', '/dev/null')}"]
    began = time.perf_counter()
    under_way = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(fetches)]
    times = []
    while under_way:
        passed = time.perf_counter() - began
        for child in tuple(under_way):
            code = child.poll()
            if code is None and passed < ENOUGH:
                continue
            child.kill()
            child.wait()
            under_way.remove(child)
            times.append(ENOUGH if code else passed)  # a client that gave up was not served
        time.sleep(0.01)
    return sorted(times)


def profile(it: link.Link, scratch: Path) -> None:
    """Where the process spends its time that carries the blocks: 64 clients in lock-step, then by windows of 64."""
    for window in (1, 64):
        out, home = scratch / f"profile-{window}", scratch / f"hook-{window}"
        home.mkdir()
        (home / "sitecustomize.py").write_text(HOOK.format(out=str(out)))
        path = f"PYTHONPATH={home}:{os.environ.get('PYTHONPATH', '')}"
        argv = [*it.server, "env", path, *ours(scratch)]
        with link.serving(argv, link.says(b"ready: ")) as server:
            load(it, Peer("imaged", server, PORTS["imaged"]), "atftp", window, 64, 2)
            os.kill(server.pid, signal.SIGTERM)  # the ferry ends by itself and writes what it has found
            while not out.exists():
                time.sleep(0.1)
        print(f"### windowsize {window}\n", flush=True)
        pstats.Stats(str(out)).sort_stats("tottime").print_stats(15)


HOOK = """
import atexit, cProfile, os, sys
if "imaged.daemon.ferry" in sys.orig_argv:
    found = cProfile.Profile()
    atexit.register(lambda: (found.dump_stats({out!r} + ".part"), os.rename({out!r} + ".part", {out!r})))
    atexit.register(found.disable)
    found.enable()
"""

PARTS: dict[str, Callable[..., list[pairs.Row]]] = {"lockstep": lockstep, "windows": windows, "loss": loss}


def main() -> int:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which of them (all)")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--processes", type=int, default=2, help="of ours that carry transfers (2)")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/dev/shm") as name, link.link() as it:
        scratch = Path(name)
        (scratch / "state/boot").mkdir(parents=True)
        for size in (1, 2, 4, 8, 16, 32, 64, 128):
            (scratch / f"state/boot/{size}").write_bytes(os.urandom(size << 20))
        (scratch / "imaged.yaml").write_text(
            f"address: {link.SERVER}\nstate: {scratch}/state\ndhcp: {{mode: off}}\n"
            f"tftp: {{port: {PORTS['imaged']}, processes: {options.processes}}}\n"
            "http: {port: 28080}\nrsync: {port: 28073}\n"
        )
        if options.profile:
            profile(it, scratch)
            return 0
        with servers(it, scratch) as (all_, versions):
            for part in options.parts or PARTS:
                rows = PARTS[part](it, all_, scratch, 1 if options.short else options.pairs, options.short)
                if options.short:
                    print(*rows, sep="\n", flush=True)
                    missed |= not all(each.kept for each in rows)
                else:
                    title, command = f"TFTP: {part}", f"python bench/tftp.py --pairs {options.pairs} {part}"
                    missed |= not pairs.publish(title, command, rows, versions, PARTS[part].__doc__ or "")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
