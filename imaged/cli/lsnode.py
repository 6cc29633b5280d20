"""``imaged lsnode``: nodes and the machines that wait for a name."""

import json
import time

import click
from rich.console import Console
from rich.table import Table

from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.machine import Machine
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.nodes import Nodes


@click.command("lsnode")
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@click.pass_obj
def command(context: Context, names: tuple[str, ...], as_json: bool) -> None:
    """List NODEs (all without a name), and machines that network-booted but are no node yet."""
    store = Nodes(open_database(context.state.database))
    nodes = tuple(store.get(name) for name in names) if names else store.all()
    machines = () if names else store.discovered()
    if as_json:
        click.echo(json.dumps({"nodes": to_plain(nodes), "discovered": to_plain(machines)}, indent=2))
    elif nodes or machines:
        _show(store, nodes, machines)
    else:
        click.echo("No nodes yet. `imaged addnode NAME --mac MAC --image IMAGE` defines one.")


def _show(store: Nodes, nodes: tuple[Node, ...], machines: tuple[Machine, ...]) -> None:
    console = Console()
    if nodes:
        table = Table("node", "state", "next boot", "image", "on disk", "layout", "address", "mac", box=None)
        for node in nodes:
            installed = store.fact(node.name, "installed") or "-"
            macs = " ".join(map(str, node.macs))
            cells = (str(node.image), installed, node.layout, str(node.address or "-"), macs)
            table.add_row(node.name, node.state.value, node.action.value, *cells)
        console.print(table)
        for node in nodes:
            if node.reason:
                console.print(f"{node.name}: {node.reason}", markup=False, highlight=False)
    if machines:
        table = Table("discovered", "arch", "uuid", "address", "last seen", box=None)
        for machine in machines:
            seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(machine.last_seen))
            table.add_row(str(machine.mac), machine.arch, machine.uuid or "-", machine.address or "-", seen)
        console.print(table)
        console.print("Discovered machines are left alone. `imaged addnode NAME --mac MAC --image IMAGE` adopts one.")
