"""How nodes' own systems shall be set up, as said for a node or for a group of nodes, in the node database."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from imaged.model.codec import from_json, to_json
from imaged.model.host import Host
from imaged.store.database import alone, upsert
from imaged.store.events import note
from imaged.store.tables import group_hosts, node_hosts


class Hosts:
    """What was said of every node and group of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put_node(self, name: str, host: Host) -> None:
        """Said of one node from now on, instead of what was."""
        self._put(node_hosts, name, host)

    def put_group(self, name: str, host: Host) -> None:
        """Said of the nodes of a group from now on."""
        self._put(group_hosts, name, host)

    def node(self, name: str) -> Host:
        """What was said of the node itself."""
        return self._get(node_hosts, name)

    def group(self, name: str) -> Host:
        """What was said of the group."""
        return self._get(group_hosts, name)

    def of(self, node: str, groups: tuple[str, ...]) -> Host:
        """What holds for a node that is in ``groups``, of which the last wins; what is said of itself wins over all."""
        host = Host()
        for text in self.said(node, groups):
            host = from_json(text, Host, where=f"what was said of {node} or of its groups").over(host)
        return host

    def said(self, node: str, groups: tuple[str, ...]) -> tuple[str, ...]:
        """The same as it is stored, in one small question: equal as long as nothing has changed."""
        own = sa.select(sa.null().label("group"), node_hosts.c.host).where(node_hosts.c.name == node)
        theirs = sa.select(group_hosts.c.name, group_hosts.c.host).where(group_hosts.c.name.in_(groups))
        with self._engine.connect() as connection:
            found = {row[0]: str(row[1]) for row in connection.execute(sa.union_all(own, theirs))}
        return tuple(found[name] for name in (*groups, None) if name in found)

    def every(self) -> Callable[[str, tuple[str, ...]], tuple[str, ...]]:
        """``said`` of any node without another question, as all of it was at this moment."""
        with self._engine.connect() as connection:
            own, theirs = (
                {row[0]: str(row[1]) for row in connection.execute(sa.select(table.c.name, table.c.host))}
                for table in (node_hosts, group_hosts)
            )

        def said(node: str, groups: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(text for text in (*map(theirs.get, groups), own.get(node)) if text is not None)

        return said

    def _put(self, table: sa.Table, name: str, host: Host) -> None:
        text = to_json(host)
        with self._engine.begin() as connection:
            alone(connection)
            before = connection.scalar(sa.select(table.c.host).where(table.c.name == name))
            if host == Host():
                connection.execute(table.delete().where(table.c.name == name))
            else:
                connection.execute(upsert(connection, table), {"name": name, "host": text})
            whose = "node" if table is node_hosts else "group"
            note(connection, f"system of a {whose}", name, _said(before), _said(text if host != Host() else None))

    def _get(self, table: sa.Table, name: str) -> Host:
        with self._engine.connect() as connection:
            text = connection.scalar(sa.select(table.c.host).where(table.c.name == name))
        return from_json(text, Host, where=f"what was said of {name}") if text else Host()


def _said(text: str | None) -> dict[str, Any]:
    """What is said in it, without what is not."""
    plain: dict[str, Any] = json.loads(text) if text else {}
    return {key: value for key, value in plain.items() if value}
