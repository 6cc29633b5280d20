"""``imaged addnode``: define a node."""

from ipaddress import IPv4Address, ip_network
from typing import Any
from uuid import UUID

import click

from imaged.cli import hosting
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.names import ImageRef, node_name
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node
from imaged.model.settings import Settings
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
        uuid=_uuid(uuid),
        address=_address(address, context.settings),
        console=_console(console),
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


def _address(text: str | None, settings: Settings) -> IPv4Address | None:
    if text is None:
        return None
    try:
        address = IPv4Address(text)
    except ValueError:
        raise BadInput(f"{text!r} is not an IPv4 address", where="--address") from None
    subnets = settings.dhcp.subnets
    if subnets and not any(address in subnet.network for subnet in subnets):
        known = ", ".join(str(subnet.network) for subnet in subnets)
        raise BadInput(f"{address} is in none of our subnets", where="--address", hint=f"The settings have {known}.")
    if address == settings.address or any(_is_an_end(address, str(subnet.network)) for subnet in subnets):
        raise BadInput(f"{address} is the server's, the network's or the broadcast address", where="--address")
    return address


def _is_an_end(address: IPv4Address, network: str) -> bool:
    ends = ip_network(network)
    return ends.num_addresses > 2 and address in (ends.network_address, ends.broadcast_address)


def _uuid(text: str) -> str:
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        raise BadInput(f"{text!r} is not a UUID", where="--uuid") from None


def _console(text: str) -> str:
    if text and not all(ch.isalnum() or ch in ",-" for ch in text):
        raise BadInput(f"{text!r} is not a console", where="--console", hint="Write it like ttyS0,115200.")
    return text
