"""What was written to the database since: events and reports by their numbers, and whether there was anything."""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from imaged.model.codec import from_json
from imaged.model.report import Report
from imaged.store.events import Event
from imaged.store.tables import events, reports


@frozen
class Told:
    """A report of a node; ``time`` is the server's, in seconds since the epoch."""

    id: int
    time: float
    node: str
    report: Report


class Reader:
    """Reads what is new. One thread at a time; ``close`` gives the connection back that it watches by."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._watch: sa.Connection | None = None
        # SQLite has one writer at a time: numbers are in the order of commits.
        self.ordered = engine.dialect.name == "sqlite"

    def version(self) -> object:
        """Equal to the last one only if nobody has written since (https://sqlite.org/pragma.html#pragma_data_version).

        Elsewhere than in SQLite never equal.
        """
        if not self.ordered:
            return object()
        if self._watch is None:
            self._watch = self._engine.connect()
        number = self._watch.exec_driver_sql("PRAGMA data_version").scalar()
        self._watch.rollback()
        return id(self._watch), number

    def newest(self) -> tuple[int, int]:
        """The highest numbers of an event and of a report."""
        event, report = (sa.select(sa.func.max(table.c.id)) for table in (events, reports))
        with self._engine.connect() as connection:
            return connection.scalar(event) or 0, connection.scalar(report) or 0

    def events(self, after: int, also: Collection[int], limit: int) -> tuple[Event, ...]:
        """Events above number ``after`` and those numbered ``also``, in their order."""
        return tuple(
            Event(row.time, row.who, row.what, row.subject, json.loads(row.before), json.loads(row.after), row.id)
            for row in self._above(events, after, also, limit)
        )

    def reports(self, after: int, also: Collection[int], limit: int) -> tuple[Told, ...]:
        """Reports above number ``after`` and those numbered ``also``, in their order."""
        return tuple(
            Told(row.id, row.time, row.node, from_json(row.report, Report))
            for row in self._above(reports, after, also, limit)
        )

    def close(self) -> None:
        """The next question opens it again."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _above(self, table: sa.Table, after: int, also: Collection[int], limit: int) -> list[Any]:
        above = table.c.id > after
        wanted = sa.or_(above, table.c.id.in_(also)) if also else above
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(table).where(wanted).order_by(table.c.id).limit(limit)))
