"""How long the server plans an install: seconds from a node's inventory to its plan, as `POST /v1/plan` has it made.

    python bench/plan.py --state DIR [--rounds 20]

DIR is a state directory with images, as `make demo` and `make test-matrix` leave one. The machine has two NVMe disks of
960 GB, twelve hard disks of 8 TB and four NICs; the layouts are those of tests/vm and shipped ones that need no disk
of an earlier install. Everything is read anew in each round, image and layout files too, but for what the operating
system caches. Prints a row for each layout; exit code 1 when a median is above 50 ms.
"""

import argparse
import statistics
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

from imaged.daemon.provisioning import Provisioning
from imaged.model.errors import ImagedError
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.settings import Settings
from imaged.model.size import GIB

TARGET = 0.050
LAYOUTS = Path(__file__).parents[1] / "tests/vm/layouts"
CASES = (
    ("debian-12", "one-disk"), ("debian-12-storage", "raid1-data-raid"), ("debian-12-storage", "raid1"),
    ("debian-12-storage", "lvm"), ("debian-12-storage", "luks"), ("debian-12-storage", "btrfs"),
)  # fmt: skip
NVME, HARD = 960_197_124_096, 8_001_563_222_016


def machine(disks: int) -> Inventory:
    """A storage server; with ``disks`` of 1 the first alone, for layouts that would not choose between two."""
    solid = tuple(
        Disk(f"/dev/nvme{number}n1", NVME, 512, 512, Bus.NVME, model="bench", serial=f"N{number}", rotational=False)
        for number in range(min(disks, 2))
    )
    hard = tuple(
        Disk(f"/dev/sd{letter}", HARD, 512, 4096, Bus.SAS, model="bench", serial=f"S{letter}", rotational=True)
        for letter in "abcdefghijkl"[: max(disks - 2, 0)]
    )
    nics = tuple(Nic(f"eth{number}", Mac.parse(f"52:54:00:00:00:{number:02x}")) for number in range(4))
    return Inventory("x86_64", Firmware.UEFI, 256 * GIB, 64, (*solid, *hard), nics, boot_mac=nics[0].mac)


def seconds(provisioning: Provisioning, node: Node, inventory: Inventory) -> float:
    """One plan."""
    began = time.perf_counter()
    provisioning.plan(node, inventory)
    return time.perf_counter() - began


def main() -> int:
    """The rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as scratch:
        home = Path(scratch)
        (home / "images").symlink_to(options.state.resolve() / "images")
        (home / "layouts").symlink_to(LAYOUTS)
        provisioning = Provisioning(Settings(IPv4Address("127.0.0.1"), state=PurePosixPath(home)), time.time)
        print("| layout | image | disks | ms, median of rounds | slowest | target |\n|---|---|---|---|---|---|")
        for number, (image, layout) in enumerate(CASES):
            inventory = machine({"raid1-data-raid": 14, "raid1": 2}.get(layout, 1))
            node = Node(f"bench{number}", (Mac.parse("52:54:00:00:00:00"),), ImageRef(image), layout=layout)
            try:
                took = [seconds(provisioning, node, inventory) for _ in range(options.rounds)]
            except ImagedError as error:
                parser.exit(error.exit_code, f"{layout}: {error}\n")
            middle = statistics.median(took)
            slowest = max(slowest, middle)
            print(
                f"| {layout} | {image} | {len(inventory.disks)} | {middle * 1000:.1f} "
                f"| {max(took) * 1000:.1f} | {TARGET * 1000:.0f} |"
            )
    return int(slowest > TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
