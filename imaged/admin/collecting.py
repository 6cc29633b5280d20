"""Machines that were seen and have no name: they are named in the order of a rack, or as somebody says."""

import time
from collections.abc import Sequence

from attrs import evolve, field, frozen

from imaged.admin import naming
from imaged.admin.desk import Desk
from imaged.admin.discovery import read_rules
from imaged.admin.naming import Named
from imaged.model.errors import BadInput, Conflict
from imaged.model.machine import Machine
from imaged.model.names import LABEL, ImageRef, node_name
from imaged.model.node import BootAction
from imaged.model.places import Places, Rule
from imaged.planning import defining, discovery
from imaged.planning.collect import Slot, assign, check_addresses
from imaged.store.machines import naming as turn
from imaged.store.machines import offered


@frozen
class Assignment:
    """A name for a machine; what is not said is as its place has it, where the name is one. ``address``: empty: none.

    ``all_nics``: the node is known by all of its network cards, as far as its inventory is known.
    """

    name: str = field(metadata={"limits": {"pattern": f"^{LABEL}$"}})
    image: ImageRef | None = None
    layout: str | None = None
    address: str | None = None
    console: str | None = None
    groups: tuple[str, ...] | None = None
    action: BootAction | None = None
    all_nics: bool = False


def begin(desk: Desk, places: Places) -> tuple[Slot, ...]:
    """The places that no node has, everything else about them checked. They are remembered for ``place``.

    Raises BadInput, NotFound.
    """
    found = free(desk, places)
    desk.machines.keep_places(places, time.time())
    return found


def free(desk: Desk, places: Places) -> tuple[Slot, ...]:
    """Those that no node has yet, everything else about them checked. Raises BadInput, NotFound."""
    naming.check(desk, [places])
    with desk.engine.connect() as connection:
        found = discovery.places(places, naming.known(desk, connection))
    if not found:
        raise BadInput("every one of these names is taken or reserved", where="names")
    return found


def fill(desk: Desk, places: Places, *, since: float) -> tuple[tuple[Named, ...], int]:
    """Machines first seen at or after ``since`` take places in the order in which they came; how many are left.

    Others may name machines and take places meanwhile. Raises BadInput where an address cannot be a node's.
    """
    with turn(desk.engine) as connection:
        found = discovery.places(places, naming.known(desk, connection))
        seen = [each for each in offered(connection) if not places.relay or each.relay == places.relay]
        pairs = assign(found, seen, since=since)
        return tuple(naming.name(connection, each, slot, places) for slot, each in pairs), len(found) - len(pairs)


def place(desk: Desk, rules: Sequence[Rule], name: str) -> tuple[Slot, Places] | None:
    """The place called ``name``: of a rule, or of those that machines were collected for; None if it is in neither."""
    node_name(name)
    for places in (*(rule.become for rule in rules), *desk.machines.places()):
        slot = discovery.slot_named(name, places)
        if slot:
            return slot, places
    return None


def assign_named(desk: Desk, machine: Machine, wanted: Assignment) -> Named:
    """Name one machine by hand. Raises BadInput for a name that is no place and that no image was said for, and as
    ``assign_one``."""
    slot, places = place(desk, read_rules(desk.state), wanted.name) or (Slot(wanted.name), None)
    if places is None and wanted.image is None:
        hint = "No rule and no `imaged collect` has this name: say which."
        raise BadInput(f"what shall {wanted.name} run?", where="image", hint=hint)
    if places is None:
        assert wanted.image
        places = Places(wanted.name, wanted.image)
    said = {key: getattr(wanted, key) for key in ("image", "layout", "console", "groups", "action")}
    places = evolve(places, **{key: value for key, value in said.items() if value is not None})
    if wanted.address is not None:
        slot = Slot(wanted.name, defining.address(wanted.address, desk.settings))
    return assign_one(desk, machine, slot, places, all_nics=wanted.all_nics)


def assign_one(desk: Desk, machine: Machine, slot: Slot, places: Places, *, all_nics: bool = False) -> Named:
    """Name one machine by hand. Raises Conflict where name, address or machine are somebody's already."""
    naming.check(desk, [places])
    with turn(desk.engine) as connection:
        known = naming.known(desk, connection)
        if not any(each.mac == machine.mac for each in offered(connection)):
            raise Conflict("this machine is a node already, or ignored", where=str(machine.mac))
        check_addresses((slot,), known.settings, known.addresses)
        return naming.name(connection, machine, slot, places, taken=known.macs, all_nics=all_nics)
