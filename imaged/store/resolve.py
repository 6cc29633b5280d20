"""What the database says of nodes and of their groups, put together: definitions, and what holds for a node."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address
from socket import inet_aton
from typing import Any

import sqlalchemy as sa

from imaged.model.errors import BadInput, ImagedError, NotFound
from imaged.model.group import Group, in_order
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, Node, NodeState
from imaged.model.setup import NO_CONSOLE, Setup, effective
from imaged.store.groups import read_group
from imaged.store.tables import groups, members, nics, nodes

_FEW = 1000  # nodes that are asked for by their names; of more, all are read
# Built once: every DHCP packet asks who sent it, and making the statement costs more than running it.
_COLUMNS = (
    *(nodes.c[key] for key in ("name", "image", "layout", "console", "variables")),
    *(nodes.c[key] for key in ("uuid", "address", "action", "state", "reason", "secure_boot")),
)
_OF_GROUP = (groups.c.name, groups.c.priority, groups.c.setup)
_IN = nodes.outerjoin(members, members.c.node == nodes.c.name).outerjoin(groups, groups.c.name == members.c.group)
_WITH_NICS = sa.select(*_COLUMNS, *_OF_GROUP, nics.c.mac, nics.c.position).select_from(
    _IN.outerjoin(nics, nics.c.node == nodes.c.name)
)
BY_NAME = _WITH_NICS.where(nodes.c.name == sa.bindparam("wanted"))
_BY_NAMES = _WITH_NICS.where(nodes.c.name.in_(sa.bindparam("wanted", expanding=True)))
BY_UUID = _WITH_NICS.where(nodes.c.uuid == sa.bindparam("uuid"))
_owner = nics.alias("owner")
BY_MAC = _WITH_NICS.where(nodes.c.name.in_(sa.select(_owner.c.node).where(_owner.c.mac == sa.bindparam("mac"))))
# What the answer to the holder of a secret depends on, and what is being updated, on which it does not.
BY_SECRET = (
    sa.select(*_COLUMNS, *_OF_GROUP, sa.null(), sa.null(), nodes.c.plan_hash, nodes.c.updating)
    .select_from(_IN)
    .where(nodes.c.secret_hash == sa.bindparam("hash"))
)
# All nodes: each table once, where the rows above would be as many as a node has NICs times groups.
_NODES, _NICS = sa.select(*_COLUMNS), sa.select(nics.c.node, nics.c.mac, nics.c.position)
_GROUPS, _MEMBERS = sa.select(*_OF_GROUP), sa.select(members.c.node, members.c.group)
_SAYING = sa.select(members.c.node, *_OF_GROUP).join_from(members, groups).where(groups.c.setup.is_not(None))


class Found:
    """One node: its row in ``nodes``, and what of the other tables belongs to it."""

    __slots__ = ("groups", "macs", "row")

    def __init__(self, row: Any) -> None:
        self.row = row
        self.groups: dict[str, tuple[str, int, str | None]] = {}  # as their rows have it
        self.macs: dict[str, int] = {}  # with their positions

    def definition(self) -> Definition:
        """What was said of the node itself."""
        _, _, _, _, _, uuid, address, *_ = self.row
        where = _address(address)
        return Definition(self.row[0], self._cards(), self._own(), uuid, where, self._joined()[0])

    def node(self) -> Node:
        """With all that holds for it. Raises BadInput where a later release knows more than we do."""
        name, _, _, _, _, uuid, address, action, state, reason, secure_boot, *_ = self.row
        try:
            setup = self.setup
            return Node(
                name, self._cards(), setup.image, setup.layout, uuid, _address(address),
                "" if setup.console == NO_CONSOLE else setup.console, BootAction(action), NodeState(state), reason,
                secure_boot, setup.variables, self._joined()[0],
            )  # fmt: skip
        except (ValueError, OSError, ImagedError) as error:
            raise BadInput(f"is not as this program knows it: {error}", where=f"node {name}") from None

    @property
    def setup(self) -> Setup:
        """What holds for it, wherever it was said."""
        inherited = self._joined()[1]
        return self._own().over(inherited) if any(self.row[1:5]) else inherited

    def _own(self) -> Setup:
        _, image, layout, console, variables, *_ = self.row
        return Setup(_image(image) if image else NO_IMAGE, layout, console, json.loads(variables) if variables else {})

    def _joined(self) -> tuple[tuple[str, ...], Setup]:
        return _joined(tuple(self.groups.values()))

    def _cards(self) -> tuple[Mac, ...]:
        ordered = sorted(self.macs, key=self.macs.__getitem__) if len(self.macs) > 1 else self.macs
        return tuple(map(Mac, ordered))


def found(connection: sa.Connection, query: sa.Select[Any], values: Mapping[str, Any]) -> list[Found]:
    """Every node that ``query``, one of the above, finds."""
    return gathered(connection.execute(query, values))


def gathered(rows: Iterable[Any]) -> list[Found]:
    """Nodes of the rows that such a query has found."""
    each: dict[str, Found] = {}
    for row in rows:
        node = each.get(row[0]) or each.setdefault(row[0], Found(row))
        group, priority, setup, mac, position = row[11:16]
        if group is not None:
            node.groups[group] = group, priority, setup
        if mac is not None:
            node.macs[mac] = position
    return list(each.values())


def everyone(connection: sa.Connection) -> dict[str, Found]:
    """All nodes by name, in the order of names."""
    each = {row[0]: Found(row) for row in connection.execute(_NODES).all()}
    known = {row[0]: tuple(row) for row in connection.execute(_GROUPS).all()}
    for name, mac, position in connection.execute(_NICS).all():
        if name in each:  # or it came between two of these questions
            each[name].macs[mac] = position
    for name, group in connection.execute(_MEMBERS).all():
        if name in each and group in known:
            each[name].groups[group] = known[group]
    return dict(sorted(each.items()))


def images_of_groups(connection: sa.Connection) -> dict[str, str]:
    """The image that each node's groups say, of those whose groups do."""
    inside: dict[str, list[Group]] = {}
    for node, *row in connection.execute(_SAYING):
        inside.setdefault(node, []).append(read_group(*row))
    images = {node: str(effective(group.setup for group in in_order(found)).image) for node, found in inside.items()}
    return {node: image for node, image in images.items() if image}


def one(connection: sa.Connection, name: str) -> Found:
    """Raises NotFound."""
    rows = found(connection, BY_NAME, {"wanted": name})
    if not rows:
        raise unknown(name)
    return rows[0]


def several(connection: sa.Connection, names: Sequence[str]) -> Iterator[Found]:
    """Each of them. Raises NotFound."""
    if len(names) > _FEW:
        known = everyone(connection)
    else:
        known = {each.row[0]: each for each in found(connection, _BY_NAMES, {"wanted": names})}
    for name in names:
        if name not in known:
            raise unknown(name)
        yield known[name]


def unknown(name: str) -> NotFound:
    """There is no such node."""
    return NotFound(f"no node {name!r}", hint="`imaged lsnode` shows the nodes there are.")


@lru_cache(maxsize=4096)  # nodes of one rack are in the same groups
def _joined(rows: tuple[tuple[str, int, str | None], ...]) -> tuple[tuple[str, ...], Setup]:
    """The names of these groups in order, and what they and the defaults say together."""
    ordered = in_order(read_group(*row) for row in rows)
    return tuple(group.name for group in ordered), effective(group.setup for group in ordered)


_image = lru_cache(maxsize=4096)(ImageRef.parse)


def _address(text: str | None) -> IPv4Address | None:
    """By the C library: ``IPv4Address`` takes a text apart letter by letter, which of thousands is noticed."""
    return IPv4Address(inet_aton(text)) if text else None
