"""Posts events to other programs as they happen, in their order, each until it is taken. The feed is the queue.

By urllib in a thread for each post: it speaks TLS with what Python brings, and a receiver that hangs holds up nobody.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from imaged import __version__
from imaged.daemon.feed import Feed, News
from imaged.model.settings import Webhook
from imaged.planning import webhooks as planning
from imaged.planning.webhooks import Verdict
from imaged.store.bookmarks import Bookmarks
from imaged.store.events import Event

_TIMEOUT: Final = 15.0  # seconds of silence
_MANY: Final = 100  # events that nobody wanted, after which the place is kept all the same

Post = Callable[[str, bytes, Mapping[str, str]], "Deferred[int]"]


class Webhooks:
    """All receivers. ``clock`` gives seconds since the epoch.

    ``post`` answers with an HTTP status, or fails by OSError.
    """

    def __init__(
        self,
        hooks: tuple[Webhook, ...],
        server: str,
        feed: Feed,
        bookmarks: Bookmarks,
        reactor: Any,
        clock: Callable[[], float],
        post: Post | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter({"posted": 0, "failed": 0, "given up": 0} if hooks else {})
        send = post or (lambda *what: _in_thread(reactor, *what))
        self._feed = feed
        self._receivers = [_Receiver(hook, server, bookmarks, reactor, clock, send, self.counts) for hook in hooks]

    @property
    def waiting(self) -> int:
        """Receivers that are to be tried again."""
        return sum(receiver.tries > 0 for receiver in self._receivers)

    def start(self) -> None:
        """Go on from where each receiver was, or begin now."""
        for receiver in self._receivers:
            receiver.follow(self._feed)

    def stop(self) -> None:
        """What was not taken is posted after the next start."""
        for receiver in self._receivers:
            receiver.stop()


class _Receiver:
    _log = Logger()

    def __init__(
        self,
        hook: Webhook,
        server: str,
        bookmarks: Bookmarks,
        reactor: Any,
        clock: Callable[[], float],
        post: Post,
        counts: Counter[str],
    ) -> None:
        self.tries = 0  # of the event that is not taken
        self._hook = hook
        self._server = server
        self._bookmarks = bookmarks
        self._reactor = reactor
        self._clock = clock
        self._post = post
        self._counts = counts
        # By what it wants and where: another URL, or other events, begin anew.
        self._name = "webhook " + hashlib.sha256("\0".join((hook.url, *hook.events)).encode()).hexdigest()[:16]
        self._passed = 0
        self._leave: Callable[[], None] = lambda: None
        self._work: Deferred[None] | None = None

    def follow(self, feed: Feed) -> None:
        place = self._bookmarks.get(self._name) or feed.now()
        self._bookmarks.put(self._name, place)
        self._leave = feed.subscribe(self._hear, place, reports=False)

    def stop(self) -> None:
        self._leave()
        if self._work:
            self._work.cancel()

    def _hear(self, news: tuple[News, ...]) -> "Deferred[None]":
        self._work = Deferred.fromCoroutine(self._deliver(news))
        return self._work

    async def _deliver(self, news: tuple[News, ...]) -> None:
        for each in news:
            event = each.item
            if not isinstance(event, Event):
                continue
            self._passed += 1
            if planning.wanted(self._hook.events, event.what, event.after):
                await self._until_taken(event)
                self._passed = _MANY
            if self._passed >= _MANY:
                self._passed = 0
                self._keep(each.place)

    def _keep(self, place: str) -> None:
        try:
            self._bookmarks.put(self._name, place)
        except SQLAlchemyError as error:  # some events will be posted twice after a restart: no reason to stop now
            self._log.error("webhook {url}: {error}", url=self._shown, error=error)

    async def _until_taken(self, event: Event) -> None:
        body = _body(event, self._server)
        headers = self._headers(event, body)
        while self._clock() - event.time <= planning.OLDEST:
            said, verdict = await self._try(body, headers)
            if verdict is Verdict.DONE:
                self._counts["posted"] += 1
                if self.tries:
                    self._log.info("webhook {url}: takes events again", url=self._shown)
                self.tries = 0
                return
            self._counts["failed"] += 1
            if verdict is Verdict.NEVER:
                self._log.warn("webhook {url}: refused event {id}: {said}", url=self._shown, id=event.id, said=said)
                break
            self.tries += 1
            if self.tries == 1:  # once, not at every attempt
                self._log.error("webhook {url}: {said}; it is tried again for a day", url=self._shown, said=said)
            await deferLater(self._reactor, planning.pause(self.tries))
        self._counts["given up"] += 1

    async def _try(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Verdict]:
        try:
            status = await self._post(self._hook.url, body, headers)
        except OSError as error:  # urllib's own errors are its children
            return str(getattr(error, "reason", error)) or type(error).__name__, Verdict.AGAIN
        return f"answered {status}", planning.verdict(status)

    def _headers(self, event: Event, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"imaged/{__version__}",
            "Imaged-Event": event.what,
            "Imaged-Delivery": str(event.id),
        }
        if self._hook.secret:
            headers["Imaged-Signature"] = planning.signature(self._hook.secret, body)
        return headers

    @property
    def _shown(self) -> str:
        """Without what may be a secret: receivers have theirs in the path or the query."""
        return "/".join(self._hook.url.split("/", 3)[:3])


def _body(event: Event, server: str) -> bytes:
    plain = {"id": event.id, "time": event.time, "server": server, "who": event.who, "what": event.what}
    return json.dumps({**plain, "subject": event.subject, "before": event.before, "after": event.after}).encode()


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Called by urllib: None makes it an HTTPError."""


_OPENER: Final = build_opener(_NoRedirect)


def _send(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Blocks. Raises OSError."""
    request = Request(url, data=body, headers=dict(headers), method="POST")
    try:
        with _OPENER.open(request, timeout=_TIMEOUT) as answer:
            status: int = answer.status
            return status
    except HTTPError as error:
        with error:
            return error.code
    except HTTPException as error:
        raise OSError(f"no HTTP: {error}") from None


def _in_thread(reactor: Any, url: str, body: bytes, headers: Mapping[str, str]) -> "Deferred[int]":
    """In a thread of its own, which does not keep the daemon from ending."""
    done: Deferred[int] = Deferred()

    def act() -> None:
        try:
            status = _send(url, body, headers)
        except Exception as error:
            reactor.callFromThread(_unless_cancelled, done.errback, error)
        else:
            reactor.callFromThread(_unless_cancelled, done.callback, status)

    def _unless_cancelled(fire: Callable[[Any], None], value: Any) -> None:
        if not done.called:
            fire(value)

    threading.Thread(target=act, name="webhook", daemon=True).start()
    return done
