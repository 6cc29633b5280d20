"""A machine becomes a node: what every way of naming machines does in the end, in the transaction that decides it."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from attrs import frozen

from imaged.admin.desk import Desk
from imaged.admin.nodes import refuse_unknown
from imaged.model.codec import to_json
from imaged.model.errors import BadInput
from imaged.model.hardware import Inventory
from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.places import Places
from imaged.planning import discovery
from imaged.planning.collect import Slot
from imaged.planning.discovery import Known
from imaged.planning.rules import places_faults
from imaged.store import nodes, resolve
from imaged.store.events import note
from imaged.store.machines import inventories


@frozen
class Named:
    """A machine that has become a node. ``rule`` is empty where none did it."""

    node: Node
    machine: Machine
    rule: str = ""


def known(desk: Desk, connection: sa.Connection) -> Known:
    """What nodes have already."""
    return Known.of(nodes.everyone(connection), desk.settings)


def check(desk: Desk, all_places: Iterable[Places]) -> None:
    """That machines can become what is said: image, layout and groups are there. Raises NotFound, BadInput."""
    for places in all_places:
        if found := list(places_faults(places)):
            raise BadInput("\n  ".join(found))
        refuse_unknown(desk, places.image, places.layout, places.groups)


def name(
    connection: sa.Connection, machine: Machine, slot: Slot, places: Places, *, taken: Collection[Mac] = (),
    all_nics: bool = False, rule: str = "",
) -> Named:  # fmt: skip
    """``machine`` is the node of this place from now on, with all that it has told of its hardware.

    ``taken`` are the MACs that other nodes have. Raises Conflict.
    """
    inventory = inventories(connection, [machine.mac]).get(machine.mac)
    macs = discovery.cards(machine.mac, inventory, taken, every=all_nics)
    nodes.insert(connection, discovery.definition(machine, slot, places, macs), places.action, **_told(inventory))
    node = resolve.one(connection, slot.name).node()
    note(connection, "machine named", str(machine.mac), {}, {"node": node.name, **({"rule": rule} if rule else {})})
    return Named(node, machine, rule)


def _told(inventory: Inventory | None) -> dict[str, object]:
    return {"inventory": to_json(inventory), "secure_boot": inventory.secure_boot} if inventory else {}
