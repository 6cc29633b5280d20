"""Machines that nobody has named: what they do at a network boot, and which names the rules would give them. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Address
from typing import Self

from attrs import evolve, frozen

from imaged.model.boot import Arch
from imaged.model.errors import BadInput, NotFound
from imaged.model.hardware import Inventory
from imaged.model.machine import Discovery, Machine, Next
from imaged.model.net import Mac
from imaged.model.node import Definition, Node
from imaged.model.places import Places, Rule
from imaged.model.settings import Settings
from imaged.model.setup import Setup
from imaged.planning.collect import Slot, check_addresses, known_uuid, slots
from imaged.planning.ranges import unfolded
from imaged.planning.rules import Choice, choose

# Of the USB cards that BMCs show to their hosts, with the same MAC in every machine of a model.
_BMC_DRIVERS = frozenset({"cdc_ether", "cdc_ncm", "cdc_eem", "cdc_subset", "rndis_host"})


class Way(Enum):
    """What the boot script of a machine without a name does."""

    LOCAL = "local"
    ASK = "ask"
    INVENTORY = "inventory"


@frozen
class Known:
    """What is taken already, and the settings that say which addresses nodes may have."""

    settings: Settings
    names: Collection[str] = ()
    macs: Collection[Mac] = ()
    addresses: Collection[IPv4Address] = ()

    @classmethod
    def of(cls, nodes: Collection[Node], settings: Settings) -> Self:
        """What ``nodes`` have."""
        addresses = {node.address for node in nodes if node.address}
        return cls(settings, {node.name for node in nodes}, {mac for node in nodes for mac in node.macs}, addresses)


@frozen
class Proposal:
    """What a rule would make of a machine. Without a ``slot`` nothing, and ``why`` says the reason."""

    machine: Machine
    rule: Rule | None = None
    slot: Slot | None = None
    why: str = ""


def way(machine: Machine | None, mode: Discovery, *, asked: bool, ramdisk: bool) -> Way:
    """For a machine without a name that asks for its script. ``asked``: it cannot be asked (again) who it is;
    ``ramdisk``: there is one for its processor."""
    if mode is Discovery.OFF or (machine is not None and machine.ignored):
        return Way.LOCAL
    if not asked:
        return Way.ASK
    told = machine is not None and machine.inventoried is not None
    return Way.INVENTORY if mode is Discovery.INVENTORY and ramdisk and not told else Way.LOCAL


def ramdisk_arch(machine: Machine | None) -> str:
    """Which ramdisk a machine without an image starts, as ``uname -m`` says it."""
    return "aarch64" if machine is not None and machine.arch == Arch.ARM64.value else "x86_64"


def after_inventory(named: bool, then: Next) -> Next:
    """What a machine does that has told its hardware. One that has a name boots again, and that boot does what it is to
    do."""
    return Next.REBOOT if named else then


def distinct(machines: Sequence[Machine]) -> Iterator[tuple[Machine, Machine | None]]:
    """Each machine in the order of first sight, with the one whose second card it is (the same SMBIOS UUID)."""
    met: dict[str, Machine] = {}
    for machine in sorted(machines, key=lambda each: each.first_seen):
        uuid = known_uuid(machine.uuid)
        first = met.get(uuid) if uuid else None
        if uuid and first is None:
            met[uuid] = machine
        yield machine, first


def proposals(
    rules: Sequence[Rule], machines: Sequence[Machine], inventories: Mapping[Mac, Inventory], known: Known
) -> tuple[Proposal, ...]:
    """For every machine, in the order of first sight. No two get the same place."""
    made: list[Proposal] = []
    gone: set[str] = set()
    free: dict[str, Iterator[Slot] | str] = {}
    for machine, first in distinct(machines):
        if first is not None:
            made.append(Proposal(machine, why=f"another card of {first.mac}"))
            continue
        choice = choose(rules, machine, inventories.get(machine.mac), known.settings.discovery)
        made.append(_proposal(machine, choice, free, gone, known))
    return tuple(made)


def _proposal(
    machine: Machine, choice: Choice, free: dict[str, Iterator[Slot] | str], gone: set[str], known: Known
) -> Proposal:
    rule = choice.rule
    if rule is None:
        return Proposal(machine, why=choice.why)
    if rule.name not in free:
        try:
            free[rule.name] = iter(places(rule.become, known))
        except BadInput as error:
            free[rule.name] = error.what
    left = free[rule.name]
    if isinstance(left, str):
        return Proposal(machine, rule, why=f"rule {rule.name}: {left}")
    slot = next((each for each in left if each.name not in gone), None)
    if slot is None:
        return Proposal(machine, rule, why=f"rule {rule.name} has no place left in {rule.become.names}")
    gone.add(slot.name)
    return Proposal(machine, rule, slot)


def places(of: Places, known: Known) -> tuple[Slot, ...]:
    """Those that are free. Raises BadInput where an address cannot be a node's."""
    first = unfolded(of.names)
    found = slots(first, taken=known.names, reserved=set(unfolded(of.skip)), first=of.address)
    check_addresses(found, known.settings, known.addresses)
    return found


def slot_named(name: str, of: Places) -> Slot | None:
    """The place called ``name`` with the address that goes with it, taken or not."""
    found = slots(unfolded(of.names), taken=(), reserved=(), first=of.address)
    return next((each for each in found if each.name == name), None)


def definition(machine: Machine, slot: Slot, of: Places, macs: tuple[Mac, ...]) -> Definition:
    """What the machine becomes at that place."""
    setup = Setup(of.image, of.layout, of.console)
    groups = tuple(dict.fromkeys(of.groups))
    return Definition(slot.name, macs, setup, known_uuid(machine.uuid), slot.address, groups)


def cards(mac: Mac, inventory: Inventory | None, taken: Collection[Mac], *, every: bool) -> tuple[Mac, ...]:
    """The MACs that a node is known by: the one it booted from first, and with ``every`` all cards of its own.

    Left out are those of other nodes, and what a BMC shows as a card.
    """
    others = inventory.nics if inventory and every else ()
    own = (each.mac for each in others if each.driver not in _BMC_DRIVERS and each.mac not in taken)
    return tuple(dict.fromkeys((mac, *own)))


def find(machines: Sequence[Machine], text: str) -> Machine:
    """The machine that a person means by a MAC, a SMBIOS UUID, a serial number or an asset tag. Raises NotFound,
    BadInput."""
    wanted = text.strip().lower()
    try:
        mac: Mac | None = Mac.parse(text)
    except BadInput:
        mac = None
    found = [
        each for each in machines
        if each.mac == mac or (wanted and wanted in (each.uuid.lower(), each.serial.lower(), each.asset.lower()))
    ]  # fmt: skip
    different = [machine for machine, first in distinct(found) if first is None]
    if len(different) > 1:
        shown = ", ".join(str(each.mac) for each in different[:5])
        raise BadInput(f"{text!r} means several machines: {shown}", hint="Name one by its MAC.")
    if not different:
        raise NotFound(f"no machine {text!r} was seen", hint="`imaged lsmachine` shows those that were.")
    return different[0]


def labelled(machine: Machine, inventory: Inventory) -> Machine:
    """With what the inventory says of it, where its iPXE has not."""
    said = inventory.smbios
    return evolve(
        machine, vendor=machine.vendor or said.vendor, product=machine.product or said.product,
        serial=machine.serial or said.serial, uuid=machine.uuid or known_uuid(said.uuid),
    )  # fmt: skip
