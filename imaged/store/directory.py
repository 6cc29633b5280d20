"""Whose MAC, UUID and address is which: what every DHCP packet asks, from memory as long as it still holds.

Other processes change the database. SQLite tells by a number whether anybody has (PRAGMA data_version), which costs
microseconds, and the events tell which nodes are concerned. PostgreSQL has none: there each question is asked.
"""

import sqlite3
from ipaddress import IPv4Address
from typing import Any, Final

import sqlalchemy as sa

from imaged.model.errors import BadInput, ImagedError
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store import resolve
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes

_MANY: Final = 1000  # events; after so many at once everything is read anew
_OF_NODE: Final = frozenset({"node added", "node changed", "node removed"})  # whose is whose is different
_OF_GROUP: Final = frozenset({"group changed", "group removed"})  # all others are of the node that is their subject
_NEWER: Final = "SELECT id, what, subject FROM events WHERE id > ? ORDER BY id LIMIT ?"

_Key = Mac | str | IPv4Address


class Directory:
    """For one thread. ``close`` gives the connection back by which it follows the database.

    What ``find`` and ``is_reserved`` say is as of the last ``look``, without which they know nobody.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._store, self._leases = Nodes(engine), LeaseStore(engine)
        self._follows = engine.dialect.name == "sqlite"
        self._watch: sa.PoolProxiedConnection | None = None
        self._ask: Any = None  # a cursor: what is asked for each packet goes past SQLAlchemy
        self._version: object = None
        self._event = 0
        self._nodes: dict[str, Node | None] = {}  # by name; None: it is to be read again
        self._keys: dict[str, tuple[_Key, ...]] = {}  # MACs, UUID and address of each
        self._names: dict[_Key, str] = {}  # of the node with one of them

    def look(self) -> None:
        """Take in what others have changed. Raises ImagedError."""
        if self._follows:
            self._catch_up()

    def find(self, mac: Mac, uuid: str = "") -> Node | None:
        """As ``Nodes.find``."""
        if not self._follows:
            return self._store.find(mac, uuid)
        name = self._names.get(mac)
        if name is None:
            if not uuid:
                return None
            name = self._names.get(uuid.lower())
            if name is None:
                return None
        node = self._nodes[name]
        if node is None:
            node = self._nodes[name] = self._store.get(name)
        return node

    def is_reserved(self, address: IPv4Address) -> bool:
        """As ``LeaseStore.is_reserved``."""
        if not self._follows:
            return self._leases.is_reserved(address)
        return address in self._names

    def close(self) -> None:
        """The next question opens it again."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _catch_up(self) -> None:
        """Read what is different now."""
        try:
            if self._watch is None:
                self._open()
            version = self._ask.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return
            events = self._ask.execute(_NEWER, (self._event, _MANY)).fetchall()
            if len(events) == _MANY:
                self._read_all()
            elif events:
                self._follow(events)
            self._version = version  # that of before: what came meanwhile is looked at again
        except sqlite3.Error as error:
            self.close()
            raise ImagedError(f"the database failed: {error}") from error
        except BaseException:
            self.close()
            raise

    def _follow(self, events: list[tuple[int, str, str]]) -> None:
        for number, what, subject in events:
            self._event = number
            if what in _OF_GROUP:
                self._nodes = dict.fromkeys(self._nodes)
            elif what in _OF_NODE:
                self._read(subject)
            elif subject in self._nodes:
                self._nodes[subject] = None

    def _open(self) -> None:
        self._watch = self._engine.raw_connection()
        self._ask, self._version = self._watch.cursor(), None
        self._read_all()

    def _read_all(self) -> None:
        self._event = int(self._ask.execute("SELECT max(id) FROM events").fetchone()[0] or 0)
        self._nodes, self._keys, self._names = {}, {}, {}
        with self._engine.connect() as connection:
            everyone = resolve.everyone(connection)
        for found in everyone.values():
            self._enter(found)

    def _read(self, name: str) -> None:
        self._nodes.pop(name, None)
        for key in self._keys.pop(name, ()):
            if self._names.get(key) == name:  # else it is another's by now
                del self._names[key]
        with self._engine.connect() as connection:
            for found in resolve.found(connection, resolve.BY_NAME, {"wanted": name}):
                self._enter(found)

    def _enter(self, found: resolve.Found) -> None:
        definition = found.definition()
        name, uuid, address = definition.name, definition.uuid.lower(), definition.address
        self._keys[name] = (*definition.macs, *([uuid] if uuid else []), *([address] if address else []))
        self._names |= dict.fromkeys(self._keys[name], name)
        try:
            self._nodes[name] = found.node()
        except BadInput:
            self._nodes[name] = None  # who asks for it is told
