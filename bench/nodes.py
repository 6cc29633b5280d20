"""How fast the node database answers with 10,000 nodes: `imaged lsnode`, a DHCP packet's question, a change on disk.

    python bench/nodes.py [--nodes 10000] [--rounds 7] [--database URL]

The nodes run, are in step, have two NICs and are in a group of all and one of their rack, from which they have image,
layout and a variable; beside each is stored what a server with 14 disks tells of itself. They lie in a temporary
directory, or with --database in an empty database of PostgreSQL's. `lsnode` is a process of its own, from its start to
its last line; the peer is a Python that imports the libraries that it needs and ends. A change is one of one node by
`setnode`'s own function, until it has survived a power cut. Exit code 1 when a median is above its target.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import sqlalchemy as sa
from plan import machine

from imaged.admin import nodes as admin
from imaged.admin.desk import Desk
from imaged.admin.nodes import NodeChanges
from imaged.model.codec import to_json
from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, NodeState
from imaged.model.outcome import Drift, Outcome, Updated
from imaged.model.setup import Setup
from imaged.planning.standing import planned
from imaged.store.generation import Generations
from imaged.store.settings import read
from imaged.store.tables import nodes

LSNODE, FIND, CHANGE = 1.0, 0.001, 0.010  # seconds
RACK = 50
LIBRARIES = "import click, rich.console, sqlalchemy, cattrs, ClusterShell.NodeSet"


def mac(number: int, card: int) -> Mac:
    """Of a node's first or second NIC."""
    return Mac.from_bytes(b"\x52\x54" + bytes([card]) + number.to_bytes(3, "big"))


def name(number: int) -> str:
    """``node00042``."""
    return f"node{number:05}"


def fill(desk: Desk, count: int) -> None:
    """A site that runs."""
    with desk.images.working("compute") as working:
        working.tree.mkdir(exist_ok=True)
        (working.tree / "etc").mkdir()
        version = desk.images.seal(working, origin="bench")
        desk.images.publish(version, "stable")
    racks = [Group(f"rack{number:03}", 50, Setup(variables={"rack": str(number)})) for number in range(count // RACK)]
    groups = [Group("all", 200, Setup(ImageRef("compute"), "one-disk", "ttyS0,115200")), *racks]
    definitions = (
        Definition(
            name(number), (mac(number, 1), mac(number, 2)), uuid=f"{number + 1:032x}",
            address=IPv4Address(0x0A000000 + number), groups=("all", racks[number // RACK].name),
        )
        for number in range(count)
    )  # fmt: skip
    desk.nodes.define(definitions, BootAction.LOCAL, groups)
    updated = to_json(Updated(version.ref, "0" * 16, Outcome.DONE, changed=7))
    inventory, touched = to_json(machine(14)), json.dumps([{"path": f"/etc/{at}", "action": "x"} for at in range(99)])
    generations, facts = Generations(desk.state), []
    for number, node in enumerate(desk.nodes.all()):
        groups = ("all", racks[number // RACK].name)
        layers = groups, (), generations.of(node.name, "compute", groups)
        facts.append({"wanted": node.name, "planned": str(planned("0" * 16, node, "0" * 64, layers))})
    same = {
        "state": NodeState.READY.value, "installed": version.ref, "plan_hash": "0" * 64, "serial": "0" * 16,
        "updated": updated, "drift": to_json(Drift(version.ref, "0" * 16, 0)), "inventory": inventory,
        "touched": touched, "system": touched,
    }  # fmt: skip
    with desk.engine.begin() as connection:
        one = nodes.update().where(nodes.c.name == sa.bindparam("wanted")).values(**same)
        connection.execute(one.values(planned=sa.bindparam("planned")), facts)


def lsnode(settings: Path) -> None:
    """The whole list, as a person or a script gets it."""
    words = (sys.executable, "-m", "imaged", "--settings", settings, "lsnode")
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def imports() -> None:
    """What any Python of that size has to pay for."""
    subprocess.run((sys.executable, "-c", LIBRARIES), check=True)


def seconds(act: Callable[[], object]) -> float:
    """One go."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def row(title: str, act: Callable[[int], object], rounds: int, target: float | None) -> bool:
    """Prints it; whether the target is met."""
    took = [seconds(lambda number=number: act(number)) for number in range(rounds)]
    middle, shown = statistics.median(took), "" if target is None else f"{target * 1000:g}"
    print(f"| {title} | {middle * 1000:.2f} | {min(took) * 1000:.2f} to {max(took) * 1000:.2f} | {shown} |", flush=True)
    return target is None or middle <= target


def measure(desk: Desk, settings: Path, count: int, rounds: int) -> bool:
    """The rows of the table."""
    print("| what | ms, median | range | target |\n|---|---|---|---|")
    alternate = [("`imaged lsnode`", lambda _: lsnode(settings), LSNODE), ("its libraries", lambda _: imports(), None)]
    met = [row(title, act, rounds, target) for title, act, target in alternate]
    asked = rounds * 100

    def find(number: int) -> None:
        assert desk.nodes.find(mac(number * 7 % count, 2)) is not None

    def change(number: int) -> None:
        admin.change(desk, (name(number * 7 % count),), NodeChanges(console=f"ttyS{number % 4}"))

    met.append(row("a packet's question: which node has this MAC", find, asked, FIND))
    met.append(row("a node changed, on disk", change, asked, CHANGE))
    return all(met)


def main() -> int:
    """Exit code 1: too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--database", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imaged-bench-") as scratch:
        settings = Path(scratch, "imaged.yaml")
        settings.write_text(json.dumps({
            "address": "127.0.0.1", "state": f"{scratch}/state", "database": options.database
        }))  # fmt: skip
        desk = Desk(read(settings))
        took = seconds(lambda: fill(desk, options.nodes))
        print(f"{options.nodes} nodes defined in {took:.1f} s\n")
        return int(not measure(desk, settings, options.nodes, options.rounds))


if __name__ == "__main__":
    raise SystemExit(main())
