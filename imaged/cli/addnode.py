"""``imaged addnode``: define a node."""

from typing import Any

import click

from imaged.admin import nodes
from imaged.admin.nodes import NewNode
from imaged.cli import hosting, setups
from imaged.cli.context import Context
from imaged.model.net import Mac
from imaged.model.node import BootAction
from imaged.planning.defining import FIRST


@click.command("addnode")
@click.argument("name")
@click.option("--mac", "macs", multiple=True, required=True, help="MAC of a NIC it boots from; repeat for more.")
@setups.options
@click.option("--address", help="Its IPv4 address; without one it gets a lease from the pool.")
@click.option("--uuid", default="", help="SMBIOS UUID, to know the machine by besides its MAC.")
@click.option(
    "--action",
    type=click.Choice(FIRST),
    help="What its next network boot does; else as its groups say, or install.",
)
@click.option("--group", "groups", multiple=True, help="A group it is in; repeat for more.")
@hosting.options
@click.pass_obj
def command(
    context: Context,
    /,
    name: str,
    macs: tuple[str, ...],
    address: str | None,
    uuid: str,
    action: str | None,
    groups: tuple[str, ...],
    **said: Any,
) -> None:
    """Define node NAME; its next network boot installs it, unless --action or a group says otherwise.

    What is not said of it comes from its groups. Without an image it is left alone until it or a group has one.
    """
    setup = setups.take(said)
    new = NewNode(
        name,
        tuple(Mac.parse(mac) for mac in macs),
        **setup,
        address=address or "",
        uuid=uuid,
        action=BootAction(action) if action else None,
        groups=groups,
        host=hosting.host(**said),
    )
    node = nodes.add(context.desk, new)
    click.echo(f"{node.name}: {node.image or 'no image'}, next network boot: {node.action.value}")
    setups.tell_missing([node])
