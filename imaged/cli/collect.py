"""``imaged collect``: name machines in the order in which they are powered on."""

import time

import click

from imaged.admin import collecting
from imaged.cli import naming
from imaged.cli.context import Context
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.node import BootAction
from imaged.model.places import Places
from imaged.planning import defining
from imaged.planning.defining import FIRST

_POLL = 0.5  # seconds between looks at what the daemon has seen; a machine asks again after four


@click.command("collect")
@click.option("--names", required=True, metavar="NAMES", help="The places in their order, such as node[001-064].")
@click.option("--image", default="", help="NAME, NAME@CHANNEL or NAME@VERSION; else as their groups say.")
@click.option("--layout", default="", help="Disk layout; else as their groups say, or one-disk.")
@click.option("--address", help="Of the first name; those of the others count up by place.")
@click.option("--console", default="", help="Serial console, such as ttyS0,115200.")
@click.option("--group", "groups", multiple=True, help="A group that they are in; repeat for more.")
@click.option("--skip", default="", metavar="NAMES", help="Places that stay free; they keep their address.")
@click.option("--relay", default="", metavar="ADDRESS", help="Only machines behind this DHCP relay.")
@click.option("--seen", is_flag=True, help="Also those that were seen before and have no name, in that order.")
@click.option("--action", type=click.Choice(FIRST), help="First boot; else as their groups say, or install.")
@click.pass_obj
def command(
    context: Context, names: str, image: str, layout: str, address: str | None, console: str, groups: tuple[str, ...],
    skip: str, relay: str, seen: bool, action: str | None,
) -> None:  # fmt: skip
    """Give names to machines as they network-boot: power them on in the order of the rack, one after the other.

    Each machine that no node knows takes the next place, is told so to you, and goes on to what --action says. Ends
    when every place is taken, or by Ctrl-C; what was named stays, and `imaged assign` names one that was left over.
    `imaged serve` has to run.
    """
    desk, first = context.desk, defining.address(address or "", context.settings)
    reference = ImageRef.parse(image) if image else NO_IMAGE
    places = Places(
        names, reference, layout, first, console, BootAction(action) if action else None, groups, skip, relay
    )
    since = 0.0 if seen else time.time()
    free = collecting.begin(desk, places)
    click.echo(f"{len(free)} places from {free[0].name} on. Power the machines on in order; Ctrl-C ends.", err=True)
    while True:
        named, left = collecting.fill(desk, places, since=since)
        for at, each in enumerate(named, start=1):
            click.echo(f"{naming.line(each)}; {left + len(named) - at} to go")
        if not left:
            return
        time.sleep(_POLL)
