"""Nodes: defined, changed, forgotten and replaced."""

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import evolve, field, frozen

from imaged.admin import ranges
from imaged.admin.desk import Desk
from imaged.model.errors import BadInput, NotFound
from imaged.model.host import Host
from imaged.model.names import LABEL, NO_IMAGE, ImageRef, node_name
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, Node
from imaged.model.setup import UNSAID
from imaged.planning import defining
from imaged.planning.defining import SetupChanges
from imaged.planning.discovery import cards
from imaged.store import layouts
from imaged.store.overrides import Overrides
from imaged.store.vault import Vault

_GONE = {"inventory": None, "plan_hash": None, "secure_boot": None}  # facts of a machine that was replaced
_SOME = {"limits": {"minItems": 1}}


@frozen
class NewNode:
    """A node that is to be. ``address`` is IPv4, empty: one of the pool; ``uuid`` may be empty. What is empty of
    ``image``, ``layout``, ``console`` and ``action`` comes from its groups or the defaults."""

    name: str = field(metadata={"limits": {"pattern": f"^{LABEL}$"}})
    macs: tuple[Mac, ...] = field(metadata=_SOME)
    image: ImageRef = NO_IMAGE
    layout: str = ""
    address: str = ""
    uuid: str = ""
    console: str = ""
    action: BootAction | None = None
    groups: tuple[str, ...] = ()
    host: Host = Host()
    variables: dict[str, str] = field(factory=dict)


@frozen
class NodeChanges(SetupChanges):
    """What becomes different of nodes; None: stays. An empty text takes ``address`` or ``uuid`` away.

    ``address``, ``uuid`` and ``macs`` are of one node only. ``join`` and ``leave`` are groups. ``all_nics`` adds the
    MACs of all cards that the inventory has.
    """

    address: str | None = None
    uuid: str | None = None
    macs: tuple[Mac, ...] | None = field(default=None, metadata=_SOME)
    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    all_nics: bool = False


def add(desk: Desk, new: NewNode) -> Node:
    """Define a node. Raises BadInput, NotFound for an image, layout or group, Conflict for what is another node's."""
    if not new.macs:
        raise BadInput("a node needs a MAC to be known by", where="macs")
    definition = Definition(
        name=node_name(new.name),
        macs=_each_once(new.macs),
        setup=defining.setup(UNSAID, SetupChanges(new.image, new.layout, new.console, dict(new.variables))),
        uuid=defining.uuid(new.uuid),
        address=defining.address(new.address, desk.settings),
        groups=new.groups,
    )
    host = defining.host(new.host)
    refuse_unknown(desk, new.image, new.layout, new.groups)
    desk.nodes.define([definition], new.action)
    desk.hosts.put_node(definition.name, host)
    return desk.nodes.get(definition.name)


def change(desk: Desk, names: Sequence[str], changes: NodeChanges) -> tuple[Node, ...]:
    """The nodes as they are then: all of them changed, or none where something is wrong. ``names`` are ranges.

    Raises BadInput, NotFound, and Conflict for what is another node's.
    """
    wanted = ranges.named(desk, names)
    if changes == NodeChanges():
        raise BadInput("nothing to change")
    for key, value in (("address", changes.address), ("uuid", changes.uuid), ("mac", changes.macs)):
        if value and len(wanted) > 1:
            raise BadInput(f"two nodes cannot have the same {key}", where=key)
    identity = _identity(desk, changes)
    refuse_unknown(desk, changes.image, changes.layout, (*changes.join, *changes.leave))
    names = [node.name for node in wanted]
    changed = [_changed(each, changes, identity) for each in desk.nodes.definitions(names)]
    desk.nodes.change(_with_all_cards(desk, changed) if changes.all_nics else changed)
    return desk.nodes.named(names)


def _changed(old: Definition, changes: NodeChanges, identity: dict[str, Any]) -> Definition:
    groups = tuple(each for each in (*old.groups, *changes.join) if each not in changes.leave)
    return evolve(old, setup=defining.setup(old.setup, changes), groups=groups, **identity)


def _with_all_cards(desk: Desk, nodes: Sequence[Definition]) -> list[Definition]:
    """Raises NotFound for a node whose hardware is not known."""
    owners = {mac: each.name for each in desk.nodes.all() for mac in each.macs}
    found = []
    for node in nodes:
        inventory = desk.nodes.inventory(node.name)
        if inventory is None:
            hint = f"`imaged boot {node.name} inventory` lets it tell its hardware at its next network boot."
            raise NotFound("its hardware is not known yet", where=node.name, hint=hint)
        others = {mac for mac, owner in owners.items() if owner != node.name}
        own = cards(node.macs[0], inventory, others, every=True)
        found.append(evolve(node, macs=_each_once((*node.macs, *own))))
    return found


def _identity(desk: Desk, changes: NodeChanges) -> dict[str, Any]:
    """Of a Definition's attributes, those that are one node's alone. Raises BadInput."""
    columns: dict[str, Any] = {}
    if changes.address is not None:
        columns["address"] = defining.address(changes.address, desk.settings)
    if changes.uuid is not None:
        columns["uuid"] = defining.uuid(changes.uuid)
    if changes.macs is not None:
        if not changes.macs:
            raise BadInput("a node needs a MAC to be known by", where="macs")
        columns["macs"] = _each_once(changes.macs)
    return columns


def remove(desk: Desk, names: Sequence[str]) -> tuple[str, ...]:
    """Forget nodes, their reports and secrets; their names. All of them exist, or none is removed. Raises NotFound."""
    gone = tuple(node.name for node in ranges.named(desk, names))
    for name in gone:
        desk.nodes.remove(name)
        Overrides(desk.state).forget(name)  # there may be secrets among them
        Vault(desk.state.vault).forget(name)
    return gone


def replace(desk: Desk, name: str, macs: tuple[Mac, ...], uuid: str = "", *, disks_moved: bool = False) -> Node:
    """Another machine is the node from now on, with its address; without the old disks it is installed.

    Raises as ``add``.
    """
    if not macs:
        raise BadInput("a node needs a MAC to be known by", where="macs")
    old = desk.nodes.definition(name)
    action = BootAction.LOCAL if disks_moved else BootAction.INSTALL
    return desk.nodes.replace(evolve(old, macs=_each_once(macs), uuid=defining.uuid(uuid)), action, **_GONE)


def refuse_unknown(desk: Desk, image: ImageRef | None, layout: str | None, groups: Iterable[str]) -> None:
    """Raises NotFound for an image, a layout or a group that is not there; BadInput for what is no name of one.

    What is empty is not said, so nothing is unknown about it.
    """
    if image:
        desk.images.resolve(image)
    if layout:
        layouts.find(desk.state.layouts, layout)
    for group in groups:
        desk.groups.get(group)


def _each_once(macs: Iterable[Mac]) -> tuple[Mac, ...]:
    return tuple(dict.fromkeys(macs))
