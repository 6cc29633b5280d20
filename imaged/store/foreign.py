"""Machines of SystemImager that told us how they do."""

from collections.abc import Iterable

import sqlalchemy as sa
from attrs import asdict

from imaged.model.codec import from_plain
from imaged.model.foreign import Foreign
from imaged.store.tables import foreign


class Foreigners:
    """Those of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> tuple[Foreign, ...]:
        """Every one, by host name."""
        with self._engine.connect() as connection:
            found = [from_plain(dict(row._mapping), Foreign) for row in connection.execute(sa.select(foreign))]
        return tuple(sorted(found, key=lambda each: (each.host, each.mac)))

    def save(self, changed: Iterable[Foreign], *, before: float) -> None:
        """Keep these, and forget those of which nothing was heard since ``before``; one commit."""
        rows = [{**asdict(each), "mac": str(each.mac)} for each in changed]
        with self._engine.begin() as connection:
            if rows:
                again = foreign.delete().where(foreign.c.mac == sa.bindparam("of"))
                connection.execute(again, [{"of": row["mac"]} for row in rows])
                connection.execute(foreign.insert(), rows)
            connection.execute(foreign.delete().where(foreign.c.last_seen < before))
