"""Server-sent events of pages that are open: once a second each is told what is different, by one round for all."""

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.http import Request

from imaged.daemon.pages.answering import Front, Live
from imaged.web.sheet import Sheet

_TURN: Final = 1.0  # seconds between two looks
_BEAT: Final = 15  # turns between comments: proxies close what is silent for a minute
_RETRY: Final = 2000  # milliseconds after which a browser that lost us comes back
_MOST: Final = 500  # pages at once
_GONE: Final = b"event: gone\ndata:\n\n"

InThread = Callable[..., "Deferred[Any]"]


class Streams:
    """All pages that are open. ``in_thread`` calls a function in a thread."""

    _log = Logger()

    def __init__(self, front: Front, clock: Any, in_thread: InThread, now: Callable[[], float]) -> None:
        self._front = front
        self._in_thread = in_thread
        self._now = now
        self._open: set[_Stream] = set()
        self._clock = clock
        self._going = False
        self._failing = False

    def begin(self, request: Request, live: Live) -> None:
        """Follow a page until its reader goes away. One more than there is room for is told to come again later."""
        stream = _Stream(request, live)
        request.write(f"retry: {_RETRY}\n\n".encode())
        if len(self._open) >= _MOST:
            request.finish()
            return
        self._open.add(stream)
        request.registerProducer(stream, True)
        request.notifyFinish().addBoth(lambda _: self._leave(stream))
        Deferred.fromCoroutine(self._serve(stream) if self._going else self._go())

    def _leave(self, stream: "_Stream") -> None:
        self._open.discard(stream)
        stream.gone = True

    async def _go(self) -> None:
        """As long as anybody looks."""
        self._going = True
        while self._open:
            await self._turn()
            await deferLater(self._clock, _TURN)
        self._going = False

    async def _turn(self) -> None:
        try:
            number = (await self._in_thread(self._front.board.look, self._now())).number
            self._failing = False
        except Exception:
            if not self._failing:  # once, not once a second
                self._failing = True
                self._log.failure("open pages cannot be told of changes")
            return
        for stream in tuple(self._open):
            stream.turns += 1
            if stream.turns % _BEAT == 0 or stream.number != number or stream.live.restless:
                stream.number = number
                await self._serve(stream)

    async def _serve(self, stream: "_Stream") -> None:
        """One message, if there is anything to say and its reader takes it."""
        if stream.busy or stream.full or stream.gone:
            stream.number = -1
            return
        stream.busy = True
        try:
            message = await self._in_thread(self._front.turn, stream.live, stream.sheet)
        except Exception:
            self._log.failure("an open page cannot be told of changes")
            message = _GONE
        finally:
            stream.busy = False
        if stream.gone:
            return
        if message is None or message is _GONE:
            stream.request.write(_GONE)
            stream.request.unregisterProducer()
            stream.request.finish()
        elif message or stream.turns % _BEAT == 0:
            stream.request.write(message or b":\n\n")


class _Stream:
    """One of them. An IPushProducer."""

    def __init__(self, request: Request, live: Live) -> None:
        self.request = request
        self.live = live
        self.sheet = Sheet()
        self.number = -1
        self.turns = 0
        self.busy = False
        self.full = False
        self.gone = False

    def pauseProducing(self) -> None:
        """Called by Twisted: the reader is slow. What changes meanwhile it is told at once, later."""
        self.full = True

    def resumeProducing(self) -> None:
        """Called by Twisted: it takes more."""
        self.full = False

    def stopProducing(self) -> None:
        """Called by Twisted: it went away."""
        self.gone = True
