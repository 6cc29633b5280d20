"""How nodes' own systems shall be set up, as said for a node or for a group of nodes, in the node database."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from imaged.model.codec import from_json, to_json
from imaged.model.host import Host
from imaged.store.database import tables
from imaged.store.events import note
from imaged.store.groups import groups

_nodes = sa.Table(
    "node_hosts",
    tables,
    sa.Column("name", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),  # JSON of model.host.Host
)
_groups = sa.Table(
    "group_hosts",
    tables,
    sa.Column("name", sa.ForeignKey("groups.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
)


class Hosts:
    """What was said of every node and group of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        tables.create_all(engine, tables=[groups, _nodes, _groups])  # a database of an earlier release has none

    def put_node(self, name: str, host: Host) -> None:
        """Said of one node from now on, instead of what was."""
        self._put(_nodes, name, host)

    def put_group(self, name: str, host: Host) -> None:
        """Said of the nodes of a group from now on."""
        self._put(_groups, name, host)

    def node(self, name: str) -> Host:
        """What was said of the node itself."""
        return self._get(_nodes, name)

    def group(self, name: str) -> Host:
        """What was said of the group."""
        return self._get(_groups, name)

    def of(self, node: str, groups: tuple[str, ...]) -> Host:
        """What holds for a node that is in ``groups``, of which the last wins; what is said of itself wins over all."""
        host = Host()
        for text in self.said(node, groups):
            host = from_json(text, Host, where=f"what was said of {node} or of its groups").over(host)
        return host

    def said(self, node: str, groups: tuple[str, ...]) -> tuple[str, ...]:
        """The same as it is stored, in one small question: equal as long as nothing has changed."""
        own = sa.select(sa.null().label("group"), _nodes.c.host).where(_nodes.c.name == node)
        theirs = sa.select(_groups.c.name, _groups.c.host).where(_groups.c.name.in_(groups))
        with self._engine.connect() as connection:
            found = {row[0]: str(row[1]) for row in connection.execute(sa.union_all(own, theirs))}
        return tuple(found[name] for name in (*groups, None) if name in found)

    def _put(self, table: sa.Table, name: str, host: Host) -> None:
        text = to_json(host)
        new = (
            insert(table)
            .values(name=name, host=text)
            .on_conflict_do_update(index_elements=["name"], set_={"host": text})
        )
        with self._engine.begin() as connection:
            before = connection.scalar(sa.select(table.c.host).where(table.c.name == name))
            connection.execute(new if host != Host() else table.delete().where(table.c.name == name))
            whose = "node" if table is _nodes else "group"
            note(connection, f"system of a {whose}", name, _said(before), _said(text if host != Host() else None))

    def _get(self, table: sa.Table, name: str) -> Host:
        with self._engine.connect() as connection:
            text = connection.scalar(sa.select(table.c.host).where(table.c.name == name))
        return from_json(text, Host, where=f"what was said of {name}") if text else Host()


def _said(text: str | None) -> dict[str, Any]:
    """What is said in it, without what is not."""
    plain: dict[str, Any] = json.loads(text) if text else {}
    return {key: value for key, value in plain.items() if value}
