"""Everything that is known of one node, and where each thing was said."""

from attrs import frozen

from imaged.admin.desk import Desk
from imaged.admin.overview import Standing, standings
from imaged.model.hardware import Inventory
from imaged.planning.explained import Explained, Said, explained
from imaged.store.events import Event, Events
from imaged.store.leases import LeaseStore
from imaged.store.powers import Powers


@frozen
class Shown:
    """``last_seen`` in seconds since the epoch; ``history`` is of the node and of its groups, oldest first."""

    standing: Standing
    values: tuple[Explained, ...]
    inventory: Inventory | None
    last_seen: float | None
    history: tuple[Event, ...]


def values(desk: Desk, name: str) -> tuple[Explained, ...]:
    """What holds for a node, and where each thing was said. Raises NotFound."""
    node, powers = desk.nodes.get(name), Powers(desk.engine)
    groups = [group for group in desk.groups.all() if group.name in node.groups]
    said = Said(
        node, desk.nodes.definition(name), groups, desk.hosts.node(name),
        {group.name: desk.hosts.group(group.name) for group in groups}, powers.nodes().get(name), powers.groups(),
        LeaseStore(desk.engine).latest(node.macs),
    )  # fmt: skip
    return tuple(explained(said, desk.settings))


def show(desk: Desk, name: str, events: int) -> Shown:
    """All of it, with so many events at most. Raises NotFound."""
    node = desk.nodes.get(name)
    (standing,) = standings(desk, [node])
    return Shown(
        standing,
        values(desk, name),
        desk.nodes.inventory(name),
        desk.nodes.fact(name, "last_seen"),
        Events(desk.engine).last(events, (name, *node.groups)),
    )
