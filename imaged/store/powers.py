"""What switches the power of nodes, as said for a node or for a group of nodes, in the node database (mode 0600)."""

from typing import Any

import sqlalchemy as sa

from imaged.model.power import PowerAccess, PowerAddress
from imaged.store.database import alone
from imaged.store.events import note
from imaged.store.tables import group_powers, node_powers


class Powers:
    """What was said of every node and group of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put_nodes(self, said: dict[str, PowerAccess | None]) -> None:
        """Of each node from now on; None forgets. All or none."""
        self._put(node_powers, "node", said)

    def put_group(self, name: str, access: PowerAccess | None) -> None:
        """Of the nodes of a group from now on; None forgets."""
        self._put(group_powers, "group", {name: access})

    def nodes(self) -> dict[str, PowerAccess]:
        """Every node of which something was said."""
        return self._read(node_powers)

    def groups(self) -> dict[str, PowerAccess]:
        """Every group of which something was said."""
        return self._read(group_powers)

    def _put(self, table: sa.Table, whose: str, said: dict[str, PowerAccess | None]) -> None:
        with self._engine.begin() as connection:
            alone(connection)
            for name, access in said.items():
                mine = table.c.name == name
                before = next((_access(row) for row in connection.execute(sa.select(table).where(mine))), None)
                connection.execute(table.delete().where(mine))
                if access:
                    connection.execute(table.insert().values(name=name, **_columns(access)))
                anew = {"password": "another one"} if before and access and before.password != access.password else {}
                note(connection, f"power of a {whose}", name, _told(before), _told(access) | anew)

    def _read(self, table: sa.Table) -> dict[str, PowerAccess]:
        with self._engine.connect() as connection:
            return {row.name: _access(row) for row in connection.execute(sa.select(table))}


def _access(row: Any) -> PowerAccess:
    return PowerAccess(PowerAddress.parse(row.address), row.password, row.fingerprint, row.verify)


def _columns(access: PowerAccess) -> dict[str, Any]:
    return {
        "address": str(access.address),
        "password": access.password,
        "fingerprint": access.fingerprint,
        "verify": access.verify,
    }


def _told(access: PowerAccess | None) -> dict[str, Any]:
    """For an event: no password, only that there is one."""
    if access is None:
        return {}
    certificate = access.fingerprint or ("" if access.verify else "any")
    told = {"address": str(access.address), "certificate": certificate, "password": "set" if access.password else ""}
    return {key: value for key, value in told.items() if value}
