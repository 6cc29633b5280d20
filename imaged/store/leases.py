"""DHCP leases on disk. What `save` has returned from survives kill -9 and a power cut."""

import sqlite3
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import Any

import sqlalchemy as sa

from imaged.model.errors import ImagedError
from imaged.model.lease import Lease, LeaseState
from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.store.database import upsert
from imaged.store.machines import put_seen
from imaged.store.tables import leases, nics, nodes

_COLUMNS = ("address", "mac", "state", "expires")
_PLAIN = (
    "INSERT INTO leases (address, mac, state, expires) VALUES (?, ?, ?, ?) ON CONFLICT (address) DO UPDATE"
    " SET mac = excluded.mac, state = excluded.state, expires = excluded.expires"
)
# Built once: it is asked for every packet, and building it takes longer than the answer.
_RESERVED = sa.select(nodes.c.name).where(nodes.c.address == sa.bindparam("address"))
_HOLDER = (
    sa.select(nics.c.node)
    .join_from(nics, leases, nics.c.mac == leases.c.mac)
    .where(leases.c.address == sa.bindparam("address"), leases.c.state == LeaseState.BOUND.value)
)


class LeaseStore:
    """The leases of one node database. ``save`` is for one thread; ``close`` gives back the connection it keeps."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._plain = engine.dialect.name == "sqlite"
        self._kept: sa.PoolProxiedConnection | None = None

    def close(self) -> None:
        """The next ``save`` opens it again."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()  # back into the pool, and rolled back if it was not committed

    def load(self) -> tuple[Lease, ...]:
        """Every lease ever given, one per address."""
        with self._engine.connect() as connection:
            return tuple(
                Lease(IPv4Address(row.address), Mac(row.mac), LeaseState(row.state), row.expires)
                for row in connection.execute(sa.select(leases))
            )

    def save(self, changed: Iterable[Lease], seen: Iterable[Machine] = ()) -> None:
        """Store these in one commit, all or none; the last of an address counts. ``seen``: as ``Machines.saw``."""
        last = {lease.address: lease for lease in changed}
        machines = tuple(seen)
        if not (last or machines):
            return
        rows = [(str(each.address), str(each.mac), each.state.value, each.expires) for each in last.values()]
        if self._plain and not machines:
            self._save_plain(rows)
            return
        with self._engine.begin() as connection:
            if rows:
                connection.execute(upsert(connection, leases), [dict(zip(_COLUMNS, row, strict=True)) for row in rows])
            put_seen(connection, machines)

    def _save_plain(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Past SQLAlchemy, which takes four times as long as SQLite itself, and this is done 200 times a second."""
        try:
            if self._kept is None:
                self._kept = self._engine.raw_connection()
            self._kept.cursor().executemany(_PLAIN, rows)
            self._kept.commit()
        except sqlite3.Error as error:
            self.close()
            raise ImagedError(f"the database failed: {error}") from error
        except BaseException:
            self.close()
            raise

    def holds(self, lease: Lease) -> bool:
        """Whether this machine still has this address."""
        here = leases.c.address == str(lease.address), leases.c.mac == str(lease.mac)
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(leases.c.address).where(*here)) is not None

    def latest(self, macs: Iterable[Mac]) -> IPv4Address | None:
        """The address that one of these was given last."""
        mine = leases.c.mac.in_([str(mac) for mac in macs]), leases.c.state == LeaseState.BOUND.value
        query = sa.select(leases.c.address).where(*mine).order_by(leases.c.expires.desc()).limit(1)
        with self._engine.connect() as connection:
            found = connection.scalar(query)
        return IPv4Address(found) if found else None

    def holder(self, address: IPv4Address) -> str | None:
        """The node that has this address: its own, or one of the pool's that it was given."""
        with self._engine.connect() as connection:
            name = connection.scalar(_RESERVED, {"address": str(address)})
            return name or connection.scalar(_HOLDER, {"address": str(address)})

    def is_reserved(self, address: IPv4Address) -> bool:
        """Whether some node has this address for its own."""
        with self._engine.connect() as connection:
            return connection.scalar(_RESERVED, {"address": str(address)}) is not None


def end_leases(connection: sa.Connection, macs: Iterable[Mac]) -> None:
    """These machines are not there any more: what they were given is free. The daemon asks before it refuses."""
    connection.execute(leases.delete().where(leases.c.mac.in_([str(mac) for mac in macs])))
