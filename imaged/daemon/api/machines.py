"""Machines that have no name: what they are, what the rules would make of them, and naming them."""

import time
from typing import Any

from attrs import frozen

from imaged.admin import collecting, discovery
from imaged.admin.collecting import Assignment
from imaged.admin.naming import Named
from imaged.daemon.api.nodes import NodeShown, shown
from imaged.daemon.api.route import Call
from imaged.model.errors import BadInput, NotFound
from imaged.model.hardware import Inventory
from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.model.places import Places, Rules
from imaged.planning.collect import Slot
from imaged.planning.discovery import Proposal


@frozen
class Proposed:
    """What a rule would make of a machine; null where there is none. Without a name ``why`` says the reason.

    ``approve``: a person has to say yes.
    """

    rule: str | None = None
    name: str | None = None
    address: str | None = None
    approve: bool = True
    why: str = ""


@frozen
class MachineShown:
    """A machine that network-booted and is no node, and what the rules would make of it."""

    machine: Machine
    proposal: Proposed


@frozen
class MachineList:
    """In the order in which they were first seen."""

    machines: tuple[MachineShown, ...]


@frozen
class MachineQuery:
    """``ignored``: also those that are never offered."""

    ignored: bool = False


@frozen
class MachineDetail:
    """All that a machine has told. ``node`` is its name, null: none; ``inventory`` is null until it was asked."""

    machine: Machine
    node: str | None
    inventory: Inventory | None
    proposal: Proposed


@frozen
class Ignored:
    """Whether a machine is never offered for a name."""

    ignored: bool = True


@frozen
class Approval:
    """``machines`` become what the rules propose; null: all that a rule has a place for."""

    machines: tuple[Mac, ...] | None = None


@frozen
class NamedMachines:
    """Nodes that were machines without a name until now. ``left``: so many places are still free."""

    nodes: tuple[NodeShown, ...]
    left: int | None = None


@frozen
class FreePlaces:
    """Places that no node has, in their order. ``since``: what `collect` takes for machines that come from now on."""

    places: tuple[Slot, ...]
    since: float


@frozen
class Collecting:
    """Machines first seen at or after ``since`` (seconds since the epoch; 0: all) take ``places`` as they came."""

    places: Places
    since: float = 0.0


def every(call: Call[MachineQuery, None]) -> MachineList:
    """List machines that network-booted and are no node."""
    machines = call.desk.machines.nobodys()
    made = _proposals(call)
    return MachineList(
        tuple(
            MachineShown(each, made.get(each.mac, Proposed()))
            for each in machines
            if call.query.ignored or not each.ignored
        )
    )


def one(call: Call[None, None]) -> MachineDetail:
    """All that a machine has told of itself, whether or not it is a node."""
    machine = _machine(call)
    node = call.desk.nodes.find(machine.mac, machine.uuid)
    inventory = (call.desk.nodes.inventory(node.name) if node else None) or call.desk.machines.inventory(machine.mac)
    proposal = _proposals(call).get(machine.mac, Proposed())
    return MachineDetail(machine, node.name if node else None, inventory, proposal)


def remove(call: Call[None, None]) -> None:
    """Forget a machine with all that it told. If it boots again it is seen anew."""
    call.desk.machines.remove([_machine(call).mac])


def ignore(call: Call[None, Ignored]) -> Ignored:
    """Never offer a machine for a name, or offer it again."""
    call.desk.machines.ignore([_machine(call).mac], ignored=call.body.ignored)
    return call.body


def assign(call: Call[None, Assignment]) -> NodeShown:
    """Let a machine be a node of this name.

    Where the name is a place that machines were collected for, or one of a rule, what is not said is that place's.
    """
    return shown(collecting.assign_named(call.desk, _machine(call), call.body).node)


def rules(call: Call[None, None]) -> Rules:
    """The rules that propose names: what rules.yaml in the state directory says. People write that file."""
    return Rules(discovery.read_rules(call.desk.state))


def approve(call: Call[None, Approval]) -> NamedMachines:
    """Let machines become what the rules propose: all of them, or none."""
    return _named(call, discovery.approve(call.desk, discovery.read_rules(call.desk.state), call.body.machines))


def places(call: Call[None, Places]) -> FreePlaces:
    """Places for machines to come, checked, and remembered for `assign`."""
    since = time.time()
    return FreePlaces(collecting.begin(call.desk, call.body), since)


def collect(call: Call[None, Collecting]) -> NamedMachines:
    """Give names to the machines that came since, in the order in which they came; ask again for those to come."""
    if not 0 <= call.body.since < 2**53:
        raise BadInput("is no time", where="since")
    collecting.free(call.desk, call.body.places)
    named, left = collecting.fill(call.desk, call.body.places, since=call.body.since)
    return _named(call, named, left)


def _machine(call: Call[Any, Any]) -> Machine:
    text = call.path["mac"]
    try:
        found = call.desk.machines.find(Mac.parse(text))
    except BadInput:
        found = None
    if found is None:
        raise NotFound(f"no machine {text[:40]!r} was seen", hint="/v1/machines lists those that were.")
    return found


def _proposals(call: Call[Any, Any]) -> dict[Mac, Proposed]:
    rules = discovery.read_rules(call.desk.state)
    return {each.machine.mac: _proposed(each) for each in discovery.proposed(call.desk, rules)}


def _proposed(made: Proposal) -> Proposed:
    rule, slot = made.rule, made.slot
    return Proposed(
        rule.name if rule else None,
        slot.name if slot else None,
        str(slot.address) if slot and slot.address else None,
        rule.approve if rule else True,
        made.why,
    )


def _named(call: Call[Any, Any], named: tuple[Named, ...], left: int | None = None) -> NamedMachines:
    return NamedMachines(tuple(shown(each.node) for each in named), left)
