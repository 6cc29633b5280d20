"""``imaged assign``: name one discovered machine by hand."""

from typing import Any

import click

from imaged.admin import collecting
from imaged.admin.collecting import Assignment
from imaged.cli import naming
from imaged.cli.context import Context
from imaged.model.names import ImageRef
from imaged.model.next_boot import AT_FIRST
from imaged.model.node import BootAction


@click.command("assign")
@click.argument("name")
@click.argument("machine")
@click.option("--image", help="NAME, NAME@CHANNEL or NAME@VERSION.")
@click.option("--layout", help="Disk layout.")
@click.option("--address", help="Its IPv4 address.")
@click.option("--console", help="Serial console, such as ttyS0,115200.")
@click.option("--group", "groups", multiple=True, help="A group it is in, instead of the place's; repeat for more.")
@click.option("--action", type=click.Choice([a.value for a in AT_FIRST]), help="What its next network boot does.")
@click.option("--all-nics", is_flag=True, help="Know it by all of its network cards, as far as its inventory is known.")
@click.pass_obj
def command(
    context: Context, /, name: str, machine: str, image: str | None, address: str | None, action: str | None,
    all_nics: bool, **said: Any,
) -> None:  # fmt: skip
    """Let a discovered MACHINE (a MAC, a serial number: see `imaged lsmachine`) be node NAME.

    Where NAME is a place that machines were collected for, or one of a rule, image, layout, address and the rest are
    that place's, unless an option says otherwise.
    """
    desk = context.desk
    (found,) = naming.meant(desk.machines.nobodys(), [machine])
    wanted = Assignment(
        name, ImageRef.parse(image) if image else None, address=address or None,
        action=BootAction(action) if action else None, all_nics=all_nics,
        **{key: value for key, value in said.items() if value},
    )  # fmt: skip
    click.echo(naming.line(collecting.assign_named(desk, found, wanted)))
