"""Groups of nodes in the node database: which there are, and which node is in which. A node may be in several."""

from collections.abc import Iterable

import sqlalchemy as sa

from imaged.model.errors import Conflict, NotFound
from imaged.model.group import Group, in_order
from imaged.store.database import refusing_duplicates, tables
from imaged.store.events import note

groups = sa.Table(
    "groups",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("priority", sa.Integer, nullable=False),
)

members = sa.Table(
    "members",
    tables,
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    sa.Column("group", sa.ForeignKey("groups.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
)

_OF = (
    sa.select(groups.c.name, groups.c.priority)
    .join(members, members.c.group == groups.c.name)
    .where(members.c.node == sa.bindparam("wanted"))
)


class Groups:
    """Every group of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        tables.create_all(engine, tables=[groups, members])  # a database of an earlier release has none

    def add(self, group: Group) -> None:
        """Raises Conflict when there is one of that name."""
        with (
            self._engine.begin() as connection,
            refusing_duplicates(f"there is a group {group.name!r} already", hint="`imaged lsgroup` shows it."),
        ):
            connection.execute(groups.insert().values(name=group.name, priority=group.priority))
            note(connection, "group added", group.name, {}, {"priority": group.priority})

    def remove(self, name: str, *, force: bool = False) -> None:
        """Raises NotFound, and Conflict while nodes are in it and not ``force``."""
        with self._engine.begin() as connection:
            inside = connection.scalars(sa.select(members.c.node).where(members.c.group == name)).all()
            if inside and not force:
                hint = "--force takes them out of it."
                raise Conflict(f"{len(inside)} nodes are in it: {', '.join(sorted(inside)[:5])}", where=name, hint=hint)
            priority = connection.scalar(sa.select(groups.c.priority).where(groups.c.name == name))
            if priority is None:
                raise _unknown(name)
            connection.execute(groups.delete().where(groups.c.name == name))
            note(connection, "group removed", name, {"priority": priority, "nodes": sorted(inside)}, {})

    def get(self, name: str) -> Group:
        """Raises NotFound."""
        found = next((group for group in self.all() if group.name == name), None)
        if found is None:
            raise _unknown(name)
        return found

    def all(self) -> tuple[Group, ...]:
        """In the order in which they are applied, the winner last."""
        with self._engine.connect() as connection:
            found = {row.name: Group(row.name, row.priority) for row in connection.execute(sa.select(groups))}
        return tuple(found[name] for name in in_order(tuple(found.values())))

    def of(self, node: str) -> tuple[str, ...]:
        """The groups that a node is in, the winner last."""
        with self._engine.connect() as connection:
            rows = connection.execute(_OF, {"wanted": node})
            return in_order(tuple(Group(row.name, row.priority) for row in rows))

    def nodes(self, name: str) -> tuple[str, ...]:
        """The nodes in a group, sorted."""
        query = sa.select(members.c.node).where(members.c.group == name).order_by(members.c.node)
        with self._engine.connect() as connection:
            return tuple(connection.scalars(query))

    def put(self, node: str, names: Iterable[str]) -> None:
        """``node`` is in exactly these groups from now on. Raises NotFound for a group or node that is not there."""
        wanted = tuple(dict.fromkeys(names))
        for name in wanted:
            self.get(name)
        try:
            with self._engine.begin() as connection:
                before = connection.scalars(sa.select(members.c.group).where(members.c.node == node)).all()
                connection.execute(members.delete().where(members.c.node == node))
                if wanted:
                    connection.execute(members.insert(), [{"node": node, "group": name} for name in wanted])
                note(connection, "groups of a node", node, {"groups": sorted(before)}, {"groups": sorted(wanted)})
        except sa.exc.IntegrityError:
            raise NotFound(f"no node {node!r}", hint="`imaged lsnode` shows the nodes there are.") from None


def _unknown(name: str) -> NotFound:
    return NotFound(f"no group {name!r}", hint="`imaged lsgroup` shows the groups there are.")
