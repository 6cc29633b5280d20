"""Writes in groups, by a thread: many machines share one flush of the disk, and the reactor waits for none."""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")
InThread = Callable[..., "Deferred[Any]"]

_WINDOW: Final = 0.005  # seconds between the beginnings of two writes: who comes meanwhile goes with the next one


class GroupCommit(Generic[T]):
    """``write`` stores a group and is called in a thread, by one at a time; ``done`` then hears of it in the reactor,
    with a Failure if it was not stored. ``in_thread`` calls a function in a thread; tests call it at once."""

    _log = Logger()

    def __init__(
        self,
        write: Callable[[list[T]], None],
        done: Callable[[list[T], Failure | None], None],
        reactor: Any,
        in_thread: InThread,
    ) -> None:
        self._write, self._done, self._reactor, self._in_thread = write, done, reactor, in_thread
        self._waiting: list[T] = []
        self._due: float | None = None  # when the waiting ones are to be written
        self._last = float("-inf")
        self._busy = False
        self._call: Any = None
        self._stopping: Deferred[None] | None = None

    def put(self, item: T, within: float = 0.0) -> None:
        """Write it with the next group, which begins in so many seconds at the latest."""
        self._waiting.append(item)
        due = max(self._reactor.seconds() + within, self._last + _WINDOW)
        if self._due is None or due < self._due:
            self._due = due
            self._schedule()

    def stop(self) -> "Deferred[None]":
        """Write what waits, at once; fires when ``done`` has heard of everything."""
        stopped: Deferred[None] = Deferred()
        self._stopping = stopped
        if not self._busy:
            self._go_on()
        return stopped

    def _schedule(self) -> None:
        if self._busy or self._due is None:
            return
        if self._call is not None:
            self._call.cancel()
        self._call = self._reactor.callLater(max(0.0, self._due - self._reactor.seconds()), self._begin)

    def _begin(self) -> None:
        items, self._waiting, self._due, self._call = self._waiting, [], None, None
        self._busy, self._last = True, self._reactor.seconds()
        self._in_thread(self._write, items).addBoth(self._ended, items)

    def _ended(self, result: object, items: list[T]) -> None:
        self._busy = False
        try:
            self._done(items, result if isinstance(result, Failure) else None)
        except Exception:
            self._log.failure("what was written was not told")
        self._go_on()

    def _go_on(self) -> None:
        if self._stopping is None:
            self._schedule()
        elif self._waiting:
            if self._call is not None:
                self._call.cancel()
            self._begin()
        else:
            self._stopping.callback(None)
            self._stopping = None
