"""``imaged setnode``: change what is defined of nodes."""

from typing import Any

import click

from imaged.admin import nodes as admin
from imaged.admin.nodes import NodeChanges
from imaged.cli import setups
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.net import Mac
from imaged.model.node import Node


@click.command("setnode")
@click.argument("nodes", nargs=-1, required=True, metavar="NODES...")
@setups.changing
@click.option("--address", help="Of one node: its IPv4 address; empty: one of the pool.")
@click.option("--uuid", help="Of one node: SMBIOS UUID; empty: none.")
@click.option("--mac", "macs", multiple=True, help="Of one node: its MACs from now on, all of them; repeat for more.")
@click.option("--all-nics", is_flag=True, help="Know them by all network cards of their inventories, too.")
@click.option("--join", multiple=True, metavar="GROUP", help="Put them into a group; repeat for more.")
@click.option("--leave", multiple=True, metavar="GROUP", help="Take them out of a group; repeat for more.")
@click.pass_obj
def command(
    context: Context, /, nodes: tuple[str, ...], join: tuple[str, ...], leave: tuple[str, ...], **given: Any
) -> None:
    """Change NODES (node01, node[01-64], @rack1): all of them, or none where something is wrong.

    Nothing happens on the nodes: `imaged boot NODES install` or `imaged updateclient NODES` carries it there.
    """
    setup = setups.take(given)
    said = {key: value for key, value in given.items() if value not in (None, (), False)}
    if "macs" in said:
        said["macs"] = tuple(Mac.parse(mac) for mac in said["macs"])
    changes = NodeChanges(**setup, **said, join=join, leave=leave)
    if changes == NodeChanges():
        raise BadInput("nothing to change", hint="`imaged setnode --help` shows what can be.")
    for node in admin.change(context.desk, nodes, changes):
        click.echo(_line(node))


def _line(node: Node) -> str:
    where = str(node.address or "an address of the pool")
    place = [str(node.image) or "no image", node.layout, where, *map(str, node.macs)]
    return f"{node.name}: {', '.join(place)}" + (f", in {', '.join(node.groups)}" if node.groups else "")
