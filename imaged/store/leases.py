"""DHCP leases on disk. What `save` has returned from survives kill -9 and a power cut."""

from collections.abc import Iterable
from ipaddress import IPv4Address

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from imaged.model.lease import Lease, LeaseState
from imaged.model.net import Mac
from imaged.store.database import leases, nodes

# Built once: it is asked for every packet, and building it takes longer than the answer.
_RESERVED = sa.select(nodes.c.name).where(nodes.c.address == sa.bindparam("address"))


class LeaseStore:
    """The leases of one node database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def load(self) -> tuple[Lease, ...]:
        """Every lease ever given, one per address."""
        with self._engine.connect() as connection:
            return tuple(
                Lease(IPv4Address(row.address), Mac(row.mac), LeaseState(row.state), row.expires)
                for row in connection.execute(sa.select(leases))
            )

    def save(self, changed: Iterable[Lease]) -> None:
        """Store these in one commit, all or none. The last of an address counts."""
        rows = [
            {"address": str(lease.address), "mac": str(lease.mac), "state": lease.state.value, "expires": lease.expires}
            for lease in changed
        ]
        if not rows:
            return
        query = insert(leases)
        update = {name: query.excluded[name] for name in ("mac", "state", "expires")}
        with self._engine.begin() as connection:
            connection.execute(query.on_conflict_do_update(index_elements=["address"], set_=update), rows)

    def is_reserved(self, address: IPv4Address) -> bool:
        """Whether some node has this address for its own."""
        with self._engine.connect() as connection:
            return connection.scalar(_RESERVED, {"address": str(address)}) is not None
