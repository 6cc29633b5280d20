"""Groups of nodes in the node database: what is said of them, and which node is in which. A node may be in several."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from imaged.model.codec import from_json, to_plain
from imaged.model.errors import Conflict, NotFound
from imaged.model.group import Group, in_order
from imaged.model.setup import UNSAID, Setup
from imaged.store.database import alone, refusing_duplicates
from imaged.store.events import note
from imaged.store.tables import groups, members

_OF = sa.select(groups).join(members, members.c.group == groups.c.name).where(members.c.node == sa.bindparam("wanted"))
_THERE = sa.select(groups.c.name).where(groups.c.name.in_(sa.bindparam("wanted", expanding=True)))
_LEAVE = members.delete().where(members.c.node == sa.bindparam("wanted"))


class Groups:
    """Every group of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, *added: Group) -> None:
        """All of them, or none. Raises Conflict when there is one of that name."""
        with self._engine.begin() as connection:
            insert_groups(connection, added)

    def change(self, group: Group) -> None:
        """Another priority and setup for the group of that name. Raises NotFound."""
        with self._engine.begin() as connection:
            alone(connection)
            before = _get(connection, group.name)
            connection.execute(groups.update().where(groups.c.name == group.name).values(**_columns(group)))
            note(connection, "group changed", group.name, _plain(before), _plain(group))

    def remove(self, *names: str, force: bool = False) -> None:
        """All of them, or none. Raises NotFound, and Conflict while nodes are in one and not ``force``."""
        with self._engine.begin() as connection:
            alone(connection)
            for name in names:
                before = _get(connection, name)
                inside = sorted(connection.scalars(sa.select(members.c.node).where(members.c.group == name)))
                if inside and not force:
                    hint = "--force takes them out of it."
                    raise Conflict(f"{len(inside)} nodes are in it: {', '.join(inside[:5])}", where=name, hint=hint)
                connection.execute(groups.delete().where(groups.c.name == name))
                note(connection, "group removed", name, {**_plain(before), "nodes": inside}, {})

    def get(self, name: str) -> Group:
        """Raises NotFound."""
        with self._engine.connect() as connection:
            return _get(connection, name)

    def all(self) -> tuple[Group, ...]:
        """In the order in which they are applied, the winner last."""
        with self._engine.connect() as connection:
            return in_order(map(_group, connection.execute(sa.select(groups))))

    def of(self, node: str) -> tuple[str, ...]:
        """The groups that a node is in, the winner last."""
        with self._engine.connect() as connection:
            return tuple(group.name for group in in_order(map(_group, connection.execute(_OF, {"wanted": node}))))

    def nodes(self, name: str) -> tuple[str, ...]:
        """The nodes in a group, sorted."""
        query = sa.select(members.c.node).where(members.c.group == name)
        with self._engine.connect() as connection:
            return tuple(sorted(connection.scalars(query)))

    def members(self) -> dict[str, tuple[str, ...]]:
        """The nodes in each group, sorted; groups in the order in which they are applied."""
        inside: dict[str, list[str]] = {group.name: [] for group in self.all()}
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(members)):
                inside.setdefault(row.group, []).append(row.node)
        return {name: tuple(sorted(names)) for name, names in inside.items()}

    def put(self, node: str, names: Iterable[str]) -> None:
        """``node`` is in exactly these groups from now on. Raises NotFound for a group or node that is not there."""
        with self._engine.begin() as connection:
            alone(connection)
            before = connection.scalars(sa.select(members.c.group).where(members.c.node == node)).all()
            wanted = put_members(connection, node, names)
            note(connection, "groups of a node", node, {"groups": sorted(before)}, {"groups": sorted(wanted)})


def insert_groups(connection: sa.Connection, added: Iterable[Group]) -> None:
    """See ``Groups.add``; for those who change more in the same transaction."""
    for group in added:
        with refusing_duplicates(f"there is a group {group.name!r} already", hint="`imaged lsgroup` shows it."):
            connection.execute(groups.insert().values(name=group.name, **_columns(group)))
        note(connection, "group added", group.name, {}, _plain(group))


def put_members(connection: sa.Connection, node: str, names: Iterable[str]) -> tuple[str, ...]:
    """See ``Groups.put``; for those who change more in the same transaction."""
    wanted = tuple(dict.fromkeys(names))
    there = set(connection.scalars(_THERE, {"wanted": wanted}))
    for name in wanted:
        if name not in there:
            raise _unknown(name)
    connection.execute(_LEAVE, {"wanted": node})
    try:
        if wanted:
            connection.execute(members.insert(), [{"node": node, "group": name} for name in wanted])
    except sa.exc.IntegrityError:
        raise NotFound(f"no node {node!r}", hint="`imaged lsnode` shows the nodes there are.") from None
    return wanted


@lru_cache(maxsize=4096)  # the same few, read for every node that is in them
def read_group(name: str, priority: int, setup: str | None) -> Group:
    """A group as its row has it."""
    where = f"what was said of group {name}"
    return Group(name, priority, from_json(setup, Setup, where=where) if setup else UNSAID)


def setup_plain(setup: Setup) -> dict[str, Any]:
    """As events tell it: what was said, each variable by itself (``var.rack``)."""
    plain: dict[str, Any] = {key: value for key, value in to_plain(setup).items() if value and key != "variables"}
    return plain | {f"var.{name}": text for name, text in setup.variables.items()}


def _group(row: Any) -> Group:
    return read_group(row.name, row.priority, row.setup)


def _get(connection: sa.Connection, name: str) -> Group:
    row = connection.execute(sa.select(groups).where(groups.c.name == name)).first()
    if row is None:
        raise _unknown(name)
    return _group(row)


def _plain(group: Group) -> dict[str, Any]:
    return {"priority": group.priority, **setup_plain(group.setup)}


def _columns(group: Group) -> dict[str, Any]:
    said = {key: value for key, value in to_plain(group.setup).items() if value}
    return {"priority": group.priority, "setup": json.dumps(said, sort_keys=True) if said else None}


def put(connection: sa.Connection, node: str, wanted: tuple[str, ...]) -> None:
    """As ``Groups.put``, in somebody's transaction. Node and groups are there."""
    before = connection.scalars(sa.select(members.c.group).where(members.c.node == node)).all()
    connection.execute(members.delete().where(members.c.node == node))
    if wanted:
        connection.execute(members.insert(), [{"node": node, "group": name} for name in wanted])
    note(connection, "groups of a node", node, {"groups": sorted(before)}, {"groups": sorted(wanted)})


def _unknown(name: str) -> NotFound:
    return NotFound(f"no group {name!r}", hint="`imaged lsgroup` shows the groups there are.")
