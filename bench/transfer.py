"""The transfer step of an install against plain ``rsync -aHAXS`` of the same tree, in the same guest.

    python bench/transfer.py --state DIR [--pairs 3]

DIR is a state directory with the image ``debian-12``, as `make demo` leaves one. Ours goes through the daemon: CONNECT,
queue, hand-over, reports of progress every second. The peer is the same rsync program with a bare ``rsync --daemon``
beside the daemon. Both copy onto an ext4 made a moment before; ours and peer in turn. Seconds are the guest's. Prints a
row for the table of results; exit code 1 when the median ratio is above the target of 1.15. Needs root and QEMU.
"""

import argparse
import re
import shutil
import statistics
import sys
import tempfile
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

from imaged import process
from imaged.model.names import ImageRef
from imaged.model.settings import Settings
from imaged.model.size import format_size
from imaged.ramdisk.build import Order, build
from imaged.ramdisk.kernel import KernelChoice
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache
from imaged.rehearsal.machine import DiskOption, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.images import Images
from imaged.store.paths import shipped

TARGET = 1.15
IMAGE = "debian-12"
PEER_PORT = 8730
PATIENCE = 1800.0  # seconds for a pair, on a busy host
_FIGURE = re.compile(r"bench: (ours|peer) ([\d.]+)")


def agent(directory: Path, pairs: int) -> Path:
    """The installer's package with another main."""
    package = directory / "installer"
    shutil.copytree(shipped("installer"), package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__main__.py").rename(package / "recipe.py")
    main = (Path(__file__).parent / "transfer_agent/main.py").read_text()
    (package / "__main__.py").write_text(main.replace("from installer.__main__", "from installer.recipe"))
    (package / "bench_settings.py").write_text(f'PAIRS = {pairs}\nPEER = "10.99.0.1:{PEER_PORT}"\n')
    return package


def peer_daemon(directory: Path, tree: Path) -> Path:
    """The configuration of a bare rsync daemon that serves the same tree."""
    config = directory / "rsyncd.conf"
    config.write_text(
        f"port = {PEER_PORT}\nuse chroot = yes\nuid = 0\ngid = 0\n[image]\npath = {tree}\nread only = yes\n"
    )
    return config


def measure(state: Path, scratch: Path, pairs: int) -> dict[str, list[float]]:
    """Seconds of ours and of the peer, in pairs."""
    images = Images(state / "images")
    version = images.resolve(ImageRef(IMAGE))
    site = scratch / "site"
    site.mkdir()
    (site / "images").symlink_to(state / "images")
    kernel = KernelChoice.parse(f"image:{IMAGE}", arch="x86_64")
    order = Order(kernel, "x86_64", agent(scratch, pairs), site / "boot")
    build(order, Cache(DEFAULT_CACHE), lambda ref: images.tree(images.resolve(ref)), version.created, print)
    with Rehearsal(Settings(IPv4Address("127.0.0.1"), state=PurePosixPath(site)), logs=scratch / "logs") as r:
        r.start_daemon()
        config = peer_daemon(scratch, images.tree(version))
        argv = ("rsync", "--daemon", "--no-detach", f"--config={config}")
        peer = process.start(r.network.inside(argv), output=scratch / "peer.log")
        try:
            guest = r.machine("bench01", MachineSpec(disks=(DiskOption.parse("virtio,8G"),)), image=IMAGE)
            guest.power_on()
            r.wait_console("bench01", "bench: done", timeout=PATIENCE * pairs)
        finally:
            peer.terminate()
            peer.wait()
        said = guest.console.path.read_text(errors="replace")
    figures: dict[str, list[float]] = {"ours": [], "peer": []}
    for name, seconds in _FIGURE.findall(said):
        figures[name].append(float(seconds))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imaged-bench-", dir="/var/tmp") as scratch:
        figures = measure(options.state.resolve(), Path(scratch), options.pairs)
    version = Images(options.state / "images").resolve(ImageRef(IMAGE))
    ours, peer = (statistics.median(figures[name]) for name in ("ours", "peer"))
    ratio = statistics.median(mine / other for mine, other in zip(figures["ours"], figures["peer"], strict=True))
    spread = " ".join(f"{mine:.1f}/{other:.1f}" for mine, other in zip(*figures.values(), strict=True))
    what = f"{format_size(version.bytes)}, {version.entries} entries"
    print(f"pairs, ours/peer in seconds: {spread}")
    print(f"| transfer | {options.pairs} pairs | {what} | {ours:.1f} | {peer:.1f} | {ratio:.2f} | {TARGET} |")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
