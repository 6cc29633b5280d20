"""``imaged lsnode``: nodes and the machines that wait for a name."""

import json
import time
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from imaged.cli import reach
from imaged.cli.context import Context
from imaged.model.codec import from_json, to_plain
from imaged.model.errors import ImagedError
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.node import Node
from imaged.model.update import Drift, Updated
from imaged.planning.standing import Planned, drifted, in_step, planned, trouble
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.nodes import Nodes
from imaged.store.overrides import Overrides

_WIDE = 1000  # columns: a name cut short helps nobody, so a narrow terminal breaks the lines instead


@click.command("lsnode")
@click.argument("names", nargs=-1, metavar="[NODES]...")
@click.option(
    "--json", "as_json", is_flag=True, help="Everything, for programs; of NODES also which files are their own."
)
@click.pass_obj
def command(context: Context, names: tuple[str, ...], as_json: bool) -> None:
    """List NODES (all without a name), and machines that network-booted but are no node yet."""
    engine = open_database(context.state.database)
    store = Nodes(engine)
    nodes = reach.named(engine, names) if names else store.all()
    machines = () if names else store.discovered()
    if as_json:
        plain = [{**to_plain(node), **_known(store, node.name, files=bool(names))} for node in nodes]
        click.echo(json.dumps({"nodes": plain, "discovered": to_plain(machines)}, indent=2))
    elif nodes or machines:
        now = _Now(store, Groups(engine), Overrides(context.state))
        _show(store, Images(context.state.images), nodes, machines, now)
    else:
        click.echo("No nodes yet. `imaged addnode NAME --mac MAC --image IMAGE` defines one.")


def _known(store: Nodes, name: str, *, files: bool) -> dict[str, Any]:
    """What is known of the node beside its definition, for programs; ``files``: those that an install made its own."""
    facts = store.facts(name)
    plain = {key: facts[key] for key in ("installed", "updating", "serial", "updated_at", "drift_at", "last_seen")}
    shown = ("updated", "drift", *(("touched",) if files else ()))
    return plain | {key: json.loads(facts[key]) if facts[key] else None for key in shown}


class _Now:
    """What a plan for each node would be made from now."""

    def __init__(self, store: Nodes, groups: Groups, overrides: Overrides) -> None:
        self._store, self._groups, self._overrides = store, groups, overrides

    def of(self, node: Node, facts: dict[str, Any]) -> Planned:
        """With the serial that the node is at."""
        groups = self._groups.of(node.name)
        layers = groups, self._overrides.generation(node.name, node.image.image, groups)
        return planned(facts["serial"] or "", node, facts["plan_hash"], layers)


def _show(store: Nodes, images: Images, nodes: tuple[Node, ...], machines: tuple[Machine, ...], now: _Now) -> None:
    console = Console(width=_WIDE)
    if nodes:
        titles = ("node", "state", "next boot", "image", "on disk", "in step", "drift", "layout", "address", "mac")
        table = Table(*titles, box=None)
        wanted = {image: _published(images, image) for image in {node.image for node in nodes}}
        reasons = []
        for node in nodes:
            facts = store.facts(node.name)
            installed = facts["installed"] or ""
            updated = from_json(facts["updated"], Updated) if facts["updated"] else None
            drift = from_json(facts["drift"], Drift) if facts["drift"] else None
            given = Planned.read(facts["planned"])
            standing = in_step(installed, wanted[node.image], updated, given, now.of(node, facts))
            cells = (str(node.image), installed or "-", standing, drifted(drift))
            place = (node.layout, str(node.address or "-"), " ".join(map(str, node.macs)))
            table.add_row(node.name, node.state.value, node.action.value, *cells, *place)
            reasons += [f"{node.name}: {reason}" for reason in (node.reason, trouble(updated)) if reason]
        console.print(table)
        for reason in reasons:
            console.print(reason, markup=False, highlight=False)
    if machines:
        table = Table("discovered", "arch", "uuid", "address", "last seen", box=None)
        for machine in machines:
            seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(machine.last_seen))
            table.add_row(str(machine.mac), machine.arch, machine.uuid or "-", machine.address or "-", seen)
        console.print(table)
        console.print("Discovered machines are left alone. `imaged addnode NAME --mac MAC --image IMAGE` adopts one.")


def _published(images: Images, image: ImageRef) -> str:
    """Which version the name means now; empty where that cannot be told."""
    try:
        return images.resolve(image).ref
    except ImagedError:
        return ""
