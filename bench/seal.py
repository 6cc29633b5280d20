"""Seal against sha256sum: the same files, interleaved pairs, caches warm.

    python bench/seal.py --state DIR [--pairs 5]

DIR is a state directory with the image debian-12. Sealing walks its tree, reads every attribute, hashes every regular
file on all cores and formats the manifest.
Its peer is ``find tree -type f -print0 | xargs -0 -P1 sha256sum``, which only hashes, on one core.
Prints a row for the table of results; exit code 1 when the median ratio is above the target of 1.5.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from imaged.model.names import ImageRef
from imaged.store import seal
from imaged.store.images import Images
from imaged.store.manifest import format_manifest

TARGET = 1.5


def seal_once(tree: Path) -> tuple[float, int, int]:
    """Seconds, entries, bytes."""
    began = time.perf_counter()
    sealed = seal.read_tree(tree)
    "".join(format_manifest(sealed.entries)).encode("ascii")
    return time.perf_counter() - began, len(sealed.entries), sealed.bytes


def hash_once(tree: Path) -> float:
    """Seconds of the peer."""
    began = time.perf_counter()
    find = subprocess.Popen(("find", str(tree), "-type", "f", "-print0"), stdout=subprocess.PIPE)
    subprocess.run(("xargs", "-0", "-P1", "sha256sum"), stdin=find.stdout, stdout=subprocess.DEVNULL, check=True)
    if find.wait():
        raise SystemExit("find failed")
    return time.perf_counter() - began


def main() -> int:
    """One pair to warm the caches, then the pairs that count, each beginning with the other side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    images = Images(options.state / "images")
    tree = images.tree(images.resolve(ImageRef("debian-12")))
    hash_once(tree)
    ours: list[float] = []
    theirs: list[float] = []
    entries = size = 0
    for pair in range(options.pairs):
        if pair % 2:
            theirs.append(hash_once(tree))
        seconds, entries, size = seal_once(tree)
        ours.append(seconds)
        if not pair % 2:
            theirs.append(hash_once(tree))
    ratio = statistics.median(mine / peer for mine, peer in zip(ours, theirs, strict=True))
    sys.stdout.write(
        "| what | cores | tree | seal, s (median) | sha256sum, s (median) | ratio (median of pairs) | target |\n"
        "|---|---|---|---|---|---|---|\n"
        f"| seal | {os.cpu_count()} | {size / 2**20:.0f} MiB, {entries} entries | {statistics.median(ours):.1f} "
        f"| {statistics.median(theirs):.1f} | {ratio:.2f} | {TARGET} |\n"
    )
    return int(ratio > TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
