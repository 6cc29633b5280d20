"""Keys of nodes' encrypted devices: made when a node first asks, the same ever after. In no plan, log or report."""

import base64
import secrets
import time

import sqlalchemy as sa
from attrs import frozen

from imaged.store.database import insert_missing
from imaged.store.tables import keys

_BYTES = 32  # as many as the volume key that it guards


@frozen
class Key:
    """``device`` is the name in /dev/mapper, ``created`` seconds since the epoch; ``text`` is the secret itself."""

    device: str
    created: float
    text: str

    def __repr__(self) -> str:
        return f"Key({self.device!r})"  # a traceback or a log line must not give it away


class Keys:
    """The keys in the node database, which only its owner may read (mode 0600).

    They outlive their node: what is still on its disks is worth nothing without them.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, node: str, device: str) -> str:
        """The key of ``device``; a new one where there is none."""
        made = base64.b64encode(secrets.token_bytes(_BYTES)).decode()
        new = {"node": node, "device": device, "created": time.time(), "text": made}
        mine = sa.select(keys.c.text).where(keys.c.node == node, keys.c.device == device)
        with self._engine.begin() as connection:
            connection.execute(insert_missing(connection, keys), new)
            return str(connection.scalar(mine))

    def all(self, node: str) -> tuple[Key, ...]:
        """Every key of a node, by device."""
        query = sa.select(keys).where(keys.c.node == node)
        with self._engine.connect() as connection:
            found = [Key(row.device, row.created, row.text) for row in connection.execute(query)]
        return tuple(sorted(found, key=lambda key: key.device))  # a server's own order goes by its locale
