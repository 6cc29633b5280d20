"""``imaged addnode``: define a node."""

from typing import Any

import click

from imaged.cli import defining, hosting
from imaged.cli.context import Context
from imaged.model.names import ImageRef, node_name
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node
from imaged.store import layouts
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.images import Images
from imaged.store.nodes import Nodes


@click.command("addnode")
@click.argument("name")
@click.option("--mac", "macs", multiple=True, required=True, help="MAC of a NIC it boots from; repeat for more.")
@click.option("--image", required=True, help="NAME, NAME@CHANNEL or NAME@VERSION.")
@click.option("--layout", default="one-disk", show_default=True, help="Disk layout.")
@click.option("--address", help="Its IPv4 address; without one it gets a lease from the pool.")
@click.option("--uuid", default="", help="SMBIOS UUID, to know the machine by besides its MAC.")
@click.option("--console", default="", help="Serial console in the kernel's notation, such as ttyS0,115200.")
@click.option(
    "--action",
    type=click.Choice([action.value for action in BootAction]),
    default=BootAction.INSTALL.value,
    show_default=True,
    help="What its next network boot does.",
)
@click.option("--group", "groups", multiple=True, help="A group it is in; repeat for more.")
@hosting.options
@click.pass_obj
def command(
    context: Context,
    /,
    name: str,
    macs: tuple[str, ...],
    image: str,
    layout: str,
    address: str | None,
    uuid: str,
    console: str,
    action: str,
    groups: tuple[str, ...],
    **said: Any,
) -> None:
    """Define node NAME; its next network boot installs it (--action local: leaves it alone)."""
    node = Node(
        name=node_name(name),
        macs=tuple(Mac.parse(mac) for mac in macs),
        image=ImageRef.parse(image),
        layout=layout,
        uuid=defining.uuid(uuid),
        address=defining.address(address, context.settings) if address else None,
        console=defining.console(console),
        action=BootAction(action),
    )
    host = hosting.host(**said)
    Images(context.state.images).resolve(node.image)
    layouts.find(context.state.layouts, node.layout)
    engine = open_database(context.state.database)
    memberships = Groups(engine)
    for group in groups:
        memberships.get(group)  # all of them exist, or there is no node
    Nodes(engine).add(node)
    memberships.put(node.name, groups)
    Hosts(engine).put_node(node.name, host)
    click.echo(f"{node.name}: {node.image}, next network boot: {node.action.value}")
