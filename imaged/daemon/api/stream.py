"""Server-sent events (HTML standard, section 9.2): what the feed tells, to one listener for as long as it listens."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.web.http import Request

from imaged.daemon.api.route import Stream
from imaged.daemon.feed import Feed, News
from imaged.model.codec import to_json
from imaged.store.events import Event

_BEAT: Final = 15  # seconds between comments: proxies close what is silent for a minute
_RETRY: Final = 3000  # milliseconds after which a browser that lost us comes back


class EventStream:
    """An IPushProducer. Sends to ``request`` until it goes away. ``admitted``: whether its caller still may listen."""

    def __init__(self, request: Request, clock: Any, admitted: Callable[[], Awaitable[bool]]) -> None:
        self._request = request
        self._admitted = admitted
        self._room: Deferred[None] | None = None  # fires when a listener that was slow takes more
        self._leave: Callable[[], None] = lambda: None
        self._heart = LoopingCall(self._beat)
        self._heart.clock = clock

    def start(self, feed: Feed, wanted: Stream) -> None:
        """Begin. Raises BadInput for a place that is none; nothing has been sent then."""
        self._leave = feed.subscribe(self._hear, wanted.after, reports=wanted.reports)
        self._request.notifyFinish().addBoth(lambda _: self._end())
        self._request.write(f"retry: {_RETRY}\n\n".encode())
        self._request.registerProducer(self, True)
        self._heart.start(_BEAT, now=False)

    def _hear(self, news: tuple[News, ...]) -> Deferred[None] | None:
        self._request.write(b"".join(map(written, news)))
        return self._room

    async def _beat(self) -> None:
        if await self._admitted():
            self._request.write(b":\n\n")
        elif self._heart.running:  # else it went away meanwhile
            self._request.unregisterProducer()
            self._request.finish()

    def _end(self) -> None:
        self._leave()
        if self._heart.running:
            self._heart.stop()
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """Called by Twisted: the listener is slow."""
        if self._room is None:
            self._room = Deferred()

    def resumeProducing(self) -> None:
        """Called by Twisted: it takes more."""
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        """Called by Twisted: it went away."""


def written(news: News) -> bytes:
    """One message; its id is where a listener that lost us goes on."""
    kind = "event" if isinstance(news.item, Event) else "report"
    return f"id: {news.place}\nevent: {kind}\ndata: {to_json(news.item)}\n\n".encode()
