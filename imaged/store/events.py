"""What was changed in the node database: when, by whom, from what to what. Kept in the transaction that changes it."""

import json
import os
import pwd
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from imaged.store.tables import events

_KEPT = 200_000  # events; the oldest go, a thousand at a time
_SWEEP = 1000
_process = ""
_speaker: ContextVar[str] = ContextVar("speaker", default="")


@frozen
class Event:
    """``what`` is such as ``node changed``, ``subject`` its name. ``before`` and ``after`` have what is different.

    ``id`` grows from event to event.
    """

    time: float
    who: str
    what: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    id: int = 0


def note(
    connection: sa.Connection, what: str, subject: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Keep a change, unless nothing is different. Values are JSON's."""
    gone = {key: value for key, value in before.items() if after.get(key) != value}
    new = {key: value for key, value in after.items() if before.get(key) != value}
    if gone or new:
        kept = connection.execute(
            events.insert(),
            {
                "time": time.time(),
                "who": who(),
                "what": what,
                "subject": subject,
                "before": json.dumps(gone),
                "after": json.dumps(new),
            },
        )
        number = kept.inserted_primary_key[0] if kept.inserted_primary_key else 0
        if number % _SWEEP == 0:
            connection.execute(events.delete().where(events.c.id <= number - _KEPT))


def speak_as(name: str) -> None:
    """This process changes things of its own accord: ``name`` is who did it."""
    global _process
    _process = name


@contextmanager
def speaking_as(name: str) -> Iterator[None]:
    """What is changed inside, by this thread or task alone, is done by ``name``: a process serves many."""
    token = _speaker.set(name)
    try:
        yield
    finally:
        _speaker.reset(token)


def who() -> str:
    """Whoever is served, a program that speaks for itself, the person behind sudo(8), else whose process this is."""
    if named := _speaker.get() or _process:
        return named
    if os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


class Events:
    """The events of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def change(self, what: str, subject: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """A file of ours was changed; only what is different is kept, as by ``note``."""
        with self._engine.begin() as connection:
            note(connection, what, subject, before, after)

    def tell(self, what: str, subject: str, told: Mapping[str, Any]) -> None:
        """Something that happened beside the database, and is worth knowing."""
        self.change(what, subject, {}, told)

    def last(self, count: int, subjects: Iterable[str] = (), *, what: str = "") -> tuple[Event, ...]:
        """The latest, oldest first; only those of ``subjects`` where there are any, and of the kind ``what``."""
        query = sa.select(events).order_by(events.c.id.desc()).limit(count)
        wanted = tuple(subjects)
        if wanted:
            query = query.where(events.c.subject.in_(wanted))
        if what:
            query = query.where(events.c.what == what)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return tuple(
            Event(row.time, row.who, row.what, row.subject, json.loads(row.before), json.loads(row.after), row.id)
            for row in reversed(rows)
        )
