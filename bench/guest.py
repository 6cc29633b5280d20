"""What benches in a guest share: a ramdisk whose agent is the bench's own, and how figures are told."""

import os
import shutil
import statistics
import sys
from pathlib import Path

from imaged.model.boot import RAMDISK_DIR
from imaged.model.errors import NotFound
from imaged.ramdisk.build import Order, build, read_ramdisk
from imaged.ramdisk.kernel import KernelChoice
from imaged.ramdisk.trees import DEFAULT_CACHE, Cache
from imaged.store.images import Images
from imaged.store.paths import State, shipped

ARCH = "x86_64"


def make_site(state: State, site: State, scratch: Path, agent: Path) -> None:
    """A state directory with the given one's images, and its ramdisk with ``agent``/__main__.py for the agent's own."""
    ramdisk = read_ramdisk(state.boot / RAMDISK_DIR / ARCH)
    if ramdisk is None:
        raise NotFound("no boot ramdisk", where=str(state.boot), hint="`make ramdisk` makes one.")
    site.root.mkdir()
    site.images.symlink_to(state.images)
    images = Images(site.images)
    package = scratch / "installer"
    shutil.copytree(shipped("installer"), package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(agent / "__main__.py", package / "__main__.py")
    order = Order(KernelChoice.parse(ramdisk.source, arch=ARCH), ARCH, package, site.boot, os.uname().release)
    cache = Cache(Path(os.environ.get("IMAGED_CACHE") or DEFAULT_CACHE).absolute())
    build(order, cache, lambda ref: images.tree(images.resolve(ref)), ramdisk.created, say)


def spread(values: list[float], digits: int) -> str:
    """Median, and the least and the most. Pure."""
    middle, least, most = (f"{each:.{digits}f}" for each in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


def say(line: str) -> None:
    """How far it is; the table alone goes to stdout."""
    print(f"  {line}", file=sys.stderr, flush=True)
