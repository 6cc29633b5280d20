"""``imaged replacenode``: another machine takes a node's place."""

import click

from imaged.admin import nodes
from imaged.cli import setups
from imaged.cli.context import Context
from imaged.model.net import Mac


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
    desk = context.desk
    old = desk.nodes.get(name)
    new = nodes.replace(desk, name, tuple(map(Mac.parse, macs)), uuid, disks_moved=disks_moved)
    now, before = (", ".join(map(str, each.macs)) for each in (new, old))
    click.echo(f"{name}: {now}, was {before}; next network boot: {new.action.value}")
    setups.tell_missing([new])
