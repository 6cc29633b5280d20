"""``imaged replacenode``: another machine takes a node's place."""

import click
from attrs import evolve

from imaged.cli import defining
from imaged.cli.context import Context
from imaged.model.net import Mac
from imaged.model.node import BootAction
from imaged.store.database import open_database
from imaged.store.nodes import Nodes

_GONE = {"inventory": None, "plan_hash": None, "secure_boot": None}  # facts of the old machine


@click.command("replacenode")
@click.argument("name", metavar="NODE")
@click.option("--mac", "macs", multiple=True, required=True, help="MAC of the new machine; repeat for more.")
@click.option("--uuid", default="", help="Its SMBIOS UUID.")
@click.option("--disks-moved", is_flag=True, help="It has the old machine's disks: it is not installed again.")
@click.pass_obj
def command(context: Context, name: str, macs: tuple[str, ...], uuid: str, disks_moved: bool) -> None:
    """Let another machine be NODE: a new board after a repair, or a spare.

    Name, address, groups, image, overrides and kept identity (host keys, machine-id) stay. Its next network boot
    installs it, unless it has the old disks.
    """
    nodes = Nodes(open_database(context.state.database))
    node = nodes.get(name)
    new = tuple(dict.fromkeys(Mac.parse(mac) for mac in macs))
    nodes.change([evolve(node, macs=new, uuid=defining.uuid(uuid))], **_GONE)
    action = BootAction.LOCAL if disks_moved else BootAction.INSTALL
    nodes.set_action([name], action)
    click.echo(
        f"{name}: {', '.join(map(str, new))}, was {', '.join(map(str, node.macs))}; next network boot: {action.value}"
    )
