"""Which machine becomes which node: slots in the order of their names, machines in the order in which they were seen.

OSCAR's way of naming a rack: power the machines on one after the other, from the first place to the last. Pure.
"""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.machine import Machine
from imaged.model.settings import Settings
from imaged.planning.defining import refuse_address

# What boards say that nobody gave a UUID: all zeros, all ones, and a sample value of AMI's firmware.
_NO_UUID = frozenset({
    "", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "03000200-0400-0500-0006-000700080009",
})  # fmt: skip


@frozen
class Slot:
    """A place in the rack: the node's name, and the address that goes with the place."""

    name: str
    address: IPv4Address | None = None


def slots(
    names: Sequence[str], *, taken: Collection[str], reserved: Collection[str], first: IPv4Address | None
) -> tuple[Slot, ...]:
    """The places that are to be filled. Those that are taken or reserved are passed over and keep their address.

    ``first`` is the first name's address; the others count up. Raises BadInput where the addresses run into the end of
    all that there are.
    """
    found = []
    for number, name in enumerate(names):
        if name in taken or name in reserved:
            continue
        try:
            found.append(Slot(name, first + number if first else None))
        except ValueError:
            raise BadInput(f"there is no address for {name}: {first} and {number} more") from None
    return tuple(found)


def check_addresses(wanted: Sequence[Slot], settings: Settings, used: Collection[IPv4Address]) -> None:
    """Raises BadInput for the first address that no node may have, or that a node has."""
    for slot in wanted:
        if slot.address:
            refuse_address(slot.address, settings, slot.name)
            if slot.address in used:
                raise BadInput(f"{slot.address} belongs to another node", where=slot.name)


def assign(free: Sequence[Slot], machines: Sequence[Machine], *, since: float) -> tuple[tuple[Slot, Machine], ...]:
    """Each machine that was first seen at or after ``since`` takes the next place, in the order of first sight.

    A second card of a machine that has a place (the same SMBIOS UUID) gets none.
    """
    fresh, met = [], set[str]()
    for machine in sorted(machines, key=lambda each: each.first_seen):
        if machine.first_seen < since or machine.uuid in met:
            continue
        if known_uuid(machine.uuid):
            met.add(machine.uuid)
        fresh.append(machine)
    return tuple(zip(free, fresh, strict=False))


def known_uuid(uuid: str) -> str:
    """The UUID where it can tell machines apart, else empty."""
    return "" if uuid.lower() in _NO_UUID else uuid
