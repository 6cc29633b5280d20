"""Nodes and groups of other programs' files: all of them defined, or nothing."""

from attrs import frozen

from imaged.admin import groups, nodes
from imaged.admin.desk import Desk
from imaged.model.group import Group
from imaged.model.names import ImageRef, node_name
from imaged.model.node import BootAction, Definition
from imaged.model.setup import Setup
from imaged.planning import defining
from imaged.planning.roster.entries import Entry, Roster


@frozen
class Import:
    """What of a roster is defined, and the names of what is not: ``without`` a MAC, or ``there`` already."""

    nodes: tuple[Definition, ...]
    groups: tuple[Group, ...]
    without: tuple[str, ...]
    there: tuple[str, ...]


def prepare(desk: Desk, roster: Roster, image: ImageRef, layout: str) -> Import:
    """What an import would define; ``image`` and ``layout`` are of nodes for which none is said, empty: none.

    Raises BadInput, NotFound as ``nodes.add`` and ``groups.add``.
    """
    known = {node.name for node in desk.nodes.all()}
    fresh = [entry for entry in roster.entries if node_name(entry.name) not in known]
    there = {group.name for group in desk.groups.all()}
    prepared = Import(
        nodes=tuple(_definition(desk, entry, Setup(image, layout)) for entry in fresh if entry.macs),
        groups=tuple(groups.checked(group) for group in roster.groups if group.name not in there),
        without=tuple(entry.name for entry in fresh if not entry.macs),
        there=tuple(sorted({entry.name for entry in roster.entries} & known)),
    )
    said = [*(node.setup for node in prepared.nodes), *(group.setup for group in prepared.groups)]
    for reference in {setup.image for setup in said}:
        nodes.refuse_unknown(desk, reference, None, ())
    for wanted in {setup.layout for setup in said}:
        nodes.refuse_unknown(desk, None, wanted, ())
    return prepared


def define(desk: Desk, prepared: Import, action: BootAction) -> None:
    """Raises Conflict when a name, a MAC, a UUID or an address is taken."""
    desk.nodes.define(prepared.nodes, action, prepared.groups)


def _definition(desk: Desk, entry: Entry, default: Setup) -> Definition:
    defining.console(entry.setup.console)
    address = defining.address(str(entry.address or ""), desk.settings)
    uuid = defining.uuid(entry.uuid)
    return Definition(entry.name, entry.macs, entry.setup.over(default), uuid, address, entry.groups)
