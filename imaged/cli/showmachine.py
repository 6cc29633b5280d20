"""``imaged showmachine``: all that one machine has told of itself."""

import json

import click

from imaged.admin import discovery
from imaged.cli.context import Context
from imaged.cli.lsmachine import moment, outcome
from imaged.model.codec import to_plain
from imaged.model.hardware import Inventory
from imaged.model.machine import Machine
from imaged.model.node import Node
from imaged.model.size import format_size
from imaged.planning.discovery import find


@click.command("showmachine")
@click.argument("machine")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def command(context: Context, machine: str, as_json: bool) -> None:
    """Show MACHINE (a MAC, a serial number, the name of its node): what its boots told, its disks and network cards."""
    desk = context.desk
    store, nodes = desk.machines, desk.nodes
    node = next((each for each in nodes.all() if each.name == machine), None)
    found = (node and store.find(node.macs[0])) or (None if node else find(store.all(), machine))
    node = node or (nodes.find(found.mac, found.uuid) if found else None)
    inventory = (nodes.inventory(node.name) if node else None) or (store.inventory(found.mac) if found else None)
    made = {each.machine.mac: each for each in discovery.proposed(desk, discovery.read_rules(desk.state))}
    rule = outcome(made.get(found.mac)) if found and node is None else ""
    if as_json:
        plain = {"machine": found, "node": node.name if node else None, "inventory": inventory}
        click.echo(json.dumps(to_plain(plain), indent=2))
        return
    for line in (*_identity(found, node), *([f"by the rules   {rule}"] if rule else []), *hardware(inventory)):
        click.echo(line)


def _identity(machine: Machine | None, node: Node | None) -> list[str]:
    rows = [("node", f"{node.name}, next network boot: {node.action.value}" if node else "")]
    if machine:
        rows += [
            ("machine", str(machine.mac)),
            ("ignored", "yes" if machine.ignored else ""),
            ("vendor", machine.vendor),
            ("product", machine.product),
            ("serial", machine.serial),
            ("asset tag", machine.asset),
            ("UUID", machine.uuid),
            ("firmware", machine.arch),
            ("vendor class", machine.vendor_class),
            ("address", machine.address),
            ("relay", machine.relay),
            ("first seen", moment(machine.first_seen)),
            ("last seen", moment(machine.last_seen)),
            ("inventory", moment(machine.inventoried) if machine.inventoried else ""),
        ]
    return [f"{key:<14} {value}" for key, value in rows if value]


def hardware(inventory: Inventory | None) -> list[str]:
    """A line for each part."""
    if inventory is None:
        return [
            "Its hardware is not known: see `discovery: inventory` and `imaged boot NODE inventory` in docs/nodes.md."
        ]
    board = " ".join(word for word in (inventory.smbios.board, inventory.smbios.bios_version) if word)
    rows = [
        ("processors", f"{inventory.cpus} ({inventory.cpu_model or inventory.arch})"),
        ("memory", format_size(inventory.memory)),
        ("started by", f"{inventory.firmware.value}{', Secure Boot' if inventory.secure_boot else ''}"),
        ("board", board),
        *(
            ("disk", f"{disk}, {disk.bus.value}{f', {disk.contents}' if disk.contents else ''}")
            for disk in inventory.disks
        ),
        *(("array", f"{each.name} {each.uuid}") for each in inventory.arrays),
        *(("volume group", each.name) for each in inventory.groups),
        *(
            ("network card", f"{nic.name} {nic.mac} {nic.driver}{'' if nic.link else ', no link'}")
            for nic in inventory.nics
        ),
    ]
    return [f"{key:<14} {value}" for key, value in rows if value]
