"""Follows the database for those who listen: what any process writes there, the daemon's listeners hear in order.

The database is the queue: a listener that is slow, or comes back, reads on from its own place.
"""

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from attrs import define, evolve, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from imaged.planning.following import Bookmark, Place
from imaged.store.events import Event
from imaged.store.news import Reader, Told

_LOOK: Final = 0.5  # seconds between two looks while somebody listens
_BATCH: Final = 1000  # of each kind that are read at once, and so all that is ever held for a listener

InThread = Callable[..., "Deferred[Any]"]


@frozen
class News:
    """One event or report, and the place from which a listener that has heard it goes on."""

    place: str
    item: Event | Told


Hear = Callable[[tuple[News, ...]], object]


@define(eq=False)
class _Listener:
    hear: Hear
    place: Bookmark
    reports: bool
    version: object = None  # of the database when everything was read
    busy: bool = False


class Feed:
    """``subscribe`` to it. ``in_thread`` calls a function in a thread; tests call it at once."""

    _log = Logger()

    def __init__(self, engine: sa.Engine, reactor: Any, in_thread: InThread | None = None) -> None:
        self._reader = Reader(engine)
        self._reactor = reactor
        self._in_thread = in_thread or (lambda *args: deferToThreadPool(reactor, reactor.getThreadPool(), *args))
        self._listeners: set[_Listener] = set()
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self._failing = False

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    def now(self) -> str:
        """The place of what is to come: a page that shows how things stand goes on from the place before it looked."""
        return str(self._newest())

    def subscribe(self, hear: Hear, after: str = "", *, reports: bool = True) -> Callable[[], None]:
        """Call ``hear`` with what is new, oldest first, until the function that is returned is called.

        ``after`` is a place to go on from; empty: now. What ``hear`` returns is waited for before it is called again
        if it is a Deferred; if it raises it is not called any more. Without ``reports`` it hears events only.
        Raises BadInput for a place that is none.
        """
        newest = self._newest()
        place = _not_beyond(Bookmark.parse(after), newest) if after else newest
        listener = _Listener(hear, place, reports)
        self._listeners.add(listener)
        if not self._loop.running:
            self._loop.start(_LOOK, now=False)
        return partial(self._leave, listener)

    def stop(self) -> None:
        """Nobody is told anything any more."""
        for listener in tuple(self._listeners):
            self._leave(listener)

    def _leave(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._loop.running:
            self._loop.stop()

    async def _look(self) -> None:
        """Once a period; again at once while a listener that keeps up has not heard everything."""
        try:
            again = True
            while again:
                waiting = [each for each in self._listeners if not each.busy]
                asked = frozenset((each.place, each.reports, each.version) for each in waiting)
                version, found = await self._in_thread(self._read, asked)
                self._failing = False
                again = False
                for listener in waiting:
                    read = found.get((listener.place, listener.reports))
                    if read and listener in self._listeners:
                        news, after, whole = read
                        listener.version = version if whole else None
                        Deferred.fromCoroutine(self._tell(listener, news, after))
                        again = again or not (whole or listener.busy)
        except sa.exc.SQLAlchemyError as error:
            if not self._failing:  # once, not twice a second
                self._failing = True
                self._log.error("the feed cannot read the database: {error}", error=error)

    async def _tell(self, listener: _Listener, news: tuple[News, ...], after: Bookmark) -> None:
        listener.busy = True
        try:
            if news:
                await maybeDeferred(listener.hear, news)
            listener.place = after
        except Exception:
            if listener in self._listeners:  # else it has left, and its work was cut short
                self._log.failure("a listener of the feed is dropped")
                self._leave(listener)
        finally:
            listener.busy = False

    def _read(self, asked: Iterable[tuple[Bookmark, bool, object]]) -> tuple[object, dict[Any, Any]]:
        """In a thread. What is new after each place that is not up to date: news, the next place, whether all."""
        try:
            version = self._reader.version()
            return version, {
                (place, reports): self._after(place, reports) for place, reports, known in asked if known != version
            }
        except sa.exc.SQLAlchemyError:
            self._reader.close()
            raise

    def _after(self, place: Bookmark, with_reports: bool) -> tuple[tuple[News, ...], Bookmark, bool]:
        ordered = self._reader.ordered
        events = self._reader.events(place.events.last, place.events.wanted, _BATCH)
        reports = self._reader.reports(place.reports.last, place.reports.wanted, _BATCH) if with_reports else ()
        after = Bookmark(
            place.events.after([each.id for each in events], ordered=ordered),
            place.reports.after([each.id for each in reports], ordered=ordered),
        )
        if not (events or reports):
            after = _not_beyond(after, self._newest())
        whole = max(len(events), len(reports)) < _BATCH
        return _in_order(place, events, reports), after, whole

    def _newest(self) -> Bookmark:
        return Bookmark(*map(Place, self._reader.newest()))


def _in_order(place: Bookmark, *kinds: Iterable[Event | Told]) -> tuple[News, ...]:
    """By time, each kind in its own order, each with the place after it."""
    news = []
    for item in heapq.merge(*kinds, key=lambda each: each.time):
        kind = "events" if isinstance(item, Event) else "reports"
        last = max(getattr(place, kind).last, item.id)
        place = evolve(place, **{kind: Place(last)})
        news.append(News(str(place), item))
    return tuple(news)


def _not_beyond(place: Bookmark, newest: Bookmark) -> Bookmark:
    """A database that was restored, or one of a release that numbered rows anew, is behind those who followed it."""
    return Bookmark(
        *(
            mine if mine.last <= theirs.last else theirs
            for mine, theirs in ((place.events, newest.events), (place.reports, newest.reports))
        )
    )
