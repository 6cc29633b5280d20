"""The transfer step of an install against plain ``rsync -aHAXS`` of the same tree, in the same guest.

    python bench/transfer.py --state DIR [--pairs 3 | --short]

DIR is a state directory with the image ``debian-12`` and a ramdisk, as `make demo` leaves one. Ours goes through the
daemon: CONNECT, queue, hand-over, log and reports of progress. The peer is the ramdisk's same rsync, with the options
of the manual and no more, and a bare ``rsync --daemon`` beside ours. Ours and peer in turn, each onto a filesystem
made a moment before, with the guest's caches dropped and the server's warm. Seconds are the guest's.
Prints a row for the table of results; exit code 1 when the median ratio is above the target of 1.15. Needs root and
QEMU; emulated, a pair takes minutes. ``--short`` is one pair.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

from attrs import frozen
from guest import make_site, say, spread

from imaged import process
from imaged.model.errors import ImagedError
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.settings import Settings
from imaged.model.size import format_size
from imaged.rehearsal.machine import MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.images import Images
from imaged.store.paths import State

TARGET = 1.15
IMAGE = "debian-12"
NODE = "bench01"
AGENT = Path(__file__).parent / "transfer_agent"
PEER_PORT = 8730  # as in bench/transfer_agent/__main__.py
PATIENCE = 3600.0  # seconds for a pair, on a busy host that emulates
_FIGURE = re.compile(r" bench: (ours|peer) ([\d.]+) s, (\d+) inodes$", re.MULTILINE)


@frozen
class Run:
    """One copy: the guest's seconds, and how many inodes of the new filesystem were taken afterwards."""

    side: str
    seconds: float
    inodes: int


def runs_of(log: str) -> tuple[Run, ...]:
    """What the bench's agent has told the node's log so far. Pure."""
    return tuple(Run(side, float(seconds), int(inodes)) for side, seconds, inodes in _FIGURE.findall(log))


def peer_settings(tree: Path) -> str:
    """A bare rsync daemon for the same tree. No look-up: the private network has no DNS to wait for."""
    return (
        f"port = {PEER_PORT}\nreverse lookup = no\nuse chroot = yes\nuid = 0\ngid = 0\n"
        f"[image]\npath = {tree}\nread only = yes\n"
    )


def measure(site: State, tree: Path, scratch: Path, pairs: int) -> tuple[Run, ...]:
    """Ours and peer in turn, ``pairs`` times. Raises ImagedError with what went wrong in the guest."""
    subprocess.run(("find", str(tree), "-type", "f", "-exec", "cat", "{}", "+"), stdout=subprocess.DEVNULL, check=True)
    config = scratch / "rsyncd.conf"
    config.write_text(peer_settings(tree))
    with Rehearsal(Settings(IPv4Address("127.0.0.1"), state=PurePosixPath(site.root)), logs=scratch / "logs") as r:
        r.start_daemon()
        argv = ("rsync", "--daemon", "--no-detach", f"--config={config}")
        process.start(r.network.inside(argv), output=scratch / "peer.log")  # ends with the network
        r.machine(NODE, MachineSpec(), image=IMAGE).power_on()
        log = r.state.logs / f"{NODE}.log"
        known: tuple[Run, ...] = ()

        def look(_: object) -> None:
            nonlocal known
            seen = runs_of(log.read_text()) if log.exists() else ()
            for run in seen[len(known) :]:
                say(f"{run.side}: {run.seconds:.1f} s, load of the host {os.getloadavg()[0]:.1f}")
            known = seen

        r.watch(lambda _: len(known) >= 2 * pairs, look, timeout=PATIENCE * pairs)
    return known[: 2 * pairs]


def row(runs: tuple[Run, ...], version: Version) -> tuple[str, float]:
    """The row of the table, and the median of the pairs' ratios. Pure."""
    ours, peer = ([run.seconds for run in runs if run.side == side] for side in ("ours", "peer"))
    ratios = [mine / other for mine, other in zip(ours, peer, strict=True)]
    ratio = statistics.median(ratios)
    return (
        f"| transfer | {len(ratios)} | {format_size(version.bytes)}, {version.entries} entries | {spread(ours, 1)} "
        f"| {spread(peer, 1)} | {spread(ratios, 2)} | {TARGET} |\n"
    ), ratio


def main() -> int:
    """The row of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    how_often = parser.add_mutually_exclusive_group()
    how_often.add_argument("--pairs", type=int, default=3)
    how_often.add_argument("--short", action="store_const", const=1, dest="pairs")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("at least one pair is needed")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwind: the machine, its network and the scratch go
    state = State(options.state.resolve())
    try:
        images = Images(state.images)
        version = images.resolve(ImageRef(IMAGE))
        with tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/var/tmp") as scratch:
            site = State(Path(scratch) / "site")
            make_site(state, site, Path(scratch), AGENT)
            runs = measure(site, images.tree(version), Path(scratch), options.pairs)
    except ImagedError as error:
        parser.exit(error.exit_code, f"{error}\n")
    if len({run.inodes for run in runs}) != 1:
        parser.exit(1, f"the copies are not the same: {runs}\n")
    text, ratio = row(runs, version)
    print("| what | pairs | tree | ours, s | rsync, s | ratio (of pairs) | target |\n|---|---|---|---|---|---|---|")
    print(text, end="")
    return int(ratio > TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
