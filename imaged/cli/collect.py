"""``imaged collect``: name machines in the order in which they are powered on."""

import time
from ipaddress import IPv4Address

import click

from imaged.cli import defining, reach
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.names import ImageRef, node_name
from imaged.model.node import BootAction, Node
from imaged.planning.collect import assign, check_addresses, known_uuid, slots
from imaged.store import layouts
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.nodes import Nodes

_POLL = 0.5  # seconds between looks at what the daemon has seen; a machine asks again after four


@click.command("collect")
@click.option("--names", required=True, metavar="NAMES", help="The places in their order, such as node[001-064].")
@click.option("--image", required=True, help="NAME, NAME@CHANNEL or NAME@VERSION.")
@click.option("--layout", default="one-disk", show_default=True, help="Disk layout.")
@click.option("--address", help="Of the first name; those of the others count up by place.")
@click.option("--console", default="", help="Serial console, such as ttyS0,115200.")
@click.option("--group", "groups", multiple=True, help="A group that they are in; repeat for more.")
@click.option("--skip", default="", metavar="NAMES", help="Places that stay free; they keep their address.")
@click.option("--relay", default="", metavar="ADDRESS", help="Only machines behind this DHCP relay.")
@click.option("--seen", is_flag=True, help="Also those that were seen before and have no name, in that order.")
@click.option("--action", type=click.Choice([a.value for a in BootAction]), default="install", show_default=True)
@click.pass_obj
def command(
    context: Context, names: str, image: str, layout: str, address: str | None, console: str, groups: tuple[str, ...],
    skip: str, relay: str, seen: bool, action: str,
) -> None:  # fmt: skip
    """Give names to machines as they network-boot: power them on in the order of the rack, one after the other.

    Each machine that no node knows takes the next place, is told so to you, and goes on to what --action says. Ends
    when every place is taken, or by Ctrl-C; what was named stays. `imaged serve` has to run.
    """
    engine = open_database(context.state.database)
    store, memberships = Nodes(engine), Groups(engine)
    known = store.all()
    first = defining.address(address, context.settings) if address else None
    free = slots(
        [node_name(each) for each in reach.unfolded(names)],
        taken={node.name for node in known}, reserved=set(reach.unfolded(skip)) if skip else set(), first=first,
    )  # fmt: skip
    networks = [subnet.network for subnet in context.settings.dhcp.subnets]
    check_addresses(free, networks, {node.address for node in known if node.address})
    if relay and not _is_address(relay):
        raise BadInput(f"{relay!r} is not an IPv4 address", where="--relay")
    reference = ImageRef.parse(image)
    Images(context.state.images).resolve(reference)
    layouts.find(context.state.layouts, layout)
    for group in groups:
        memberships.get(group)
    since = 0.0 if seen else time.time()
    click.echo(f"{len(free)} places from {free[0].name} on. Power the machines on in order; Ctrl-C ends.", err=True)
    while free:
        machines = [each for each in store.discovered() if not relay or each.relay == relay]
        for slot, machine in assign(free, machines, since=since):
            node = Node(
                slot.name, (machine.mac,), reference, layout=layout, uuid=known_uuid(machine.uuid),
                address=slot.address, console=defining.console(console), action=BootAction(action),
            )  # fmt: skip
            store.add(node)
            memberships.put(node.name, groups)
            free = free[1:]
            place = f", {slot.address}" if slot.address else ""
            click.echo(f"{slot.name}: {machine.mac}{place} ({machine.arch or 'unknown firmware'}); {len(free)} to go")
        if free:
            time.sleep(_POLL)


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
