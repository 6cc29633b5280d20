"""``imaged setnode``: change what is defined of nodes."""

from typing import Any

import click
from attrs import evolve

from imaged.cli import defining, reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store import layouts
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.nodes import Nodes


@click.command("setnode")
@click.argument("nodes", nargs=-1, required=True, metavar="NODES...")
@click.option("--image", help="NAME, NAME@CHANNEL or NAME@VERSION; they get it with their next install or update.")
@click.option("--layout", help="Disk layout of their next install.")
@click.option("--console", help="Serial console, such as ttyS0,115200; empty: none.")
@click.option("--address", help="Of one node: its IPv4 address; empty: one of the pool.")
@click.option("--uuid", help="Of one node: SMBIOS UUID; empty: none.")
@click.option("--mac", "macs", multiple=True, help="Of one node: its MACs from now on, all of them; repeat for more.")
@click.option("--join", multiple=True, metavar="GROUP", help="Put them into a group; repeat for more.")
@click.option("--leave", multiple=True, metavar="GROUP", help="Take them out of a group; repeat for more.")
@click.pass_obj
def command(
    context: Context, /, nodes: tuple[str, ...], join: tuple[str, ...], leave: tuple[str, ...], **given: Any
) -> None:
    """Change NODES (node01, node[01-64], @rack1): all of them, or none where something is wrong.

    Nothing happens on the nodes: `imaged boot NODES install` or `imaged updateclient NODES` carries it there.
    """
    engine = open_database(context.state.database)
    store, groups = Nodes(engine), Groups(engine)
    wanted = reach.named(engine, nodes)
    said = {key: value for key, value in given.items() if value not in (None, ())}
    if not said and not join and not leave:
        raise BadInput("nothing to change", hint="`imaged setnode --help` shows what can be.")
    alone = [key.removesuffix("s") for key in ("address", "uuid", "macs") if said.get(key)]
    if len(wanted) > 1 and alone:
        raise BadInput(f"two nodes cannot have the same {alone[0]}", where=f"--{alone[0]}")
    changes = _changes(context, said)
    for group in (*join, *leave):
        groups.get(group)
    store.change(evolve(node, **changes) for node in wanted)
    for node in wanted:
        if join or leave:
            groups.put(node.name, [each for each in (*groups.of(node.name), *join) if each not in leave])
        click.echo(_line(store.get(node.name), groups.of(node.name)))


def _changes(context: Context, said: dict[str, Any]) -> dict[str, Any]:
    """Of a Node's attributes. Raises BadInput, NotFound."""
    changes: dict[str, Any] = {}
    if "image" in said:
        changes["image"] = ImageRef.parse(said["image"])
        Images(context.state.images).resolve(changes["image"])
    if "layout" in said:
        layouts.find(context.state.layouts, said["layout"])
        changes["layout"] = said["layout"]
    if "console" in said:
        changes["console"] = defining.console(said["console"])
    if "address" in said:
        changes["address"] = defining.address(said["address"], context.settings) if said["address"] else None
    if "uuid" in said:
        changes["uuid"] = defining.uuid(said["uuid"])
    if "macs" in said:
        changes["macs"] = tuple(dict.fromkeys(Mac.parse(mac) for mac in said["macs"]))
    return changes


def _line(node: Node, groups: tuple[str, ...]) -> str:
    place = [str(node.image), node.layout, str(node.address or "an address of the pool"), *map(str, node.macs)]
    return f"{node.name}: {', '.join(place)}" + (f", in {', '.join(groups)}" if groups else "")
