"""How far those have read who follow the changes and are to go on from there after a restart."""

import sqlalchemy as sa

from imaged.store.database import upsert
from imaged.store.tables import meta


class Bookmarks:
    """By name, in one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> str:
        """Empty for one that there is not."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.key == _key(name))) or ""

    def put(self, name: str, place: str) -> None:
        """Keep it."""
        with self._engine.begin() as connection:
            connection.execute(upsert(connection, meta), {"key": _key(name), "value": place})


def _key(name: str) -> str:
    return f"bookmark {name}"
