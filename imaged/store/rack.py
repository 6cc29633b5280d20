"""The places that machines are named for from the web page, and whether that goes on: it outlives page and daemon."""

import time

import sqlalchemy as sa
from attrs import frozen

from imaged.store.events import note, who
from imaged.store.tables import rack


@frozen
class Kept:
    """The row. ``places`` is JSON; ``begun`` is when ``who`` let machines be named that were first seen ``since``."""

    names: str
    places: str
    since: float | None = None
    begun: float | None = None
    who: str = ""
    problem: str = ""


class RackStore:
    """The rack of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self) -> Kept | None:
        """None: no places were ever defined."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(rack)).first()
        return Kept(row.names, row.places, row.since, row.begun, row.who, row.problem) if row is not None else None

    def put(self, names: str, places: str) -> None:
        """Other places, for which nobody is named yet."""
        with self._engine.begin() as connection:
            before = connection.scalar(sa.select(rack.c.places))
            connection.execute(rack.delete())
            connection.execute(rack.insert().values(id=1, names=names, places=places))
            note(connection, "places", names, {"places": before or ""}, {"places": places})

    def begin(self, since: float) -> None:
        """Machines are named as they come, on behalf of whoever speaks now."""
        with self._engine.begin() as connection:
            names = connection.scalar(sa.select(rack.c.names))
            connection.execute(rack.update().values(since=since, begun=time.time(), who=who(), problem=""))
            note(connection, "naming", names or "", {}, {"since": since})

    def end(self, problem: str = "") -> None:
        """They are not any more."""
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(rack)).first()
            if row is not None and row.since is not None:
                connection.execute(rack.update().values(since=None, begun=None, problem=problem))
                note(connection, "naming", row.names, {"since": row.since}, {"problem": problem} if problem else {})
