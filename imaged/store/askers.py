"""Who asks how to boot, in one question to the database over a connection that is kept.

A rack that boots asks thousands of times a second. The statement is SQLAlchemy's and made once; what runs it is the
database's own driver, which takes a quarter of the time. Not a cache: each answer is as the database is now.
"""

from typing import Any

import sqlalchemy as sa
from attrs import frozen

from imaged.model.net import Mac
from imaged.model.next_boot import Booting
from imaged.model.node import Node
from imaged.store import resolve
from imaged.store.next_boots import booting_of
from imaged.store.tables import nodes

_MORE = nodes.c.begun, nodes.c.boot_with, nodes.c.boot_after
_BY = {"mac": resolve.BY_MAC.add_columns(*_MORE), "uuid": resolve.BY_UUID.add_columns(*_MORE)}


@frozen
class Asker:
    """A node, what its next network boot does, and how often its install was begun."""

    node: Node
    booting: Booting
    begun: int


class Askers:
    """Of one database. One thread at a time."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._kept: sa.Connection | None = None
        made = {key: query.compile(dialect=engine.dialect) for key, query in _BY.items()}
        self._texts = {key: str(each) for key, each in made.items()}
        self._ordered = made["mac"].positional

    def find(self, mac: Mac, uuid: str = "") -> Asker | None:
        """The node with this MAC, else with this SMBIOS UUID."""
        found = self._ask("mac", str(mac)) or (self._ask("uuid", uuid.lower()) if uuid else None)
        if found is None:
            return None
        begun, boot_with, boot_after = found.row[-3:]
        node = found.node()
        return Asker(node, booting_of(node.action, boot_with, boot_after), begun or 0)

    def _ask(self, key: str, value: str) -> resolve.Found | None:
        try:
            rows = self._driver().execute(self._texts[key], (value,) if self._ordered else {key: value}).fetchall()
        except Exception:  # its driver's own: a server that was restarted, a full disk. SQLAlchemy tells it in words
            self._kept = None
            with self._engine.connect() as connection:
                rows = list(connection.execute(_BY[key], {key: value}))
        return next(iter(resolve.gathered(rows)), None)

    def _driver(self) -> Any:
        if self._kept is None:
            self._kept = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._kept.connection.driver_connection
