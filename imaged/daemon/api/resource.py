"""The API on Twisted's web server: requests go to threads, where they are answered; streams stay with the reactor."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from imaged.daemon.api import peer
from imaged.daemon.api.answering import Answer, Office
from imaged.daemon.api.stream import EventStream
from imaged.daemon.asked import Asked, read
from imaged.daemon.feed import Feed
from imaged.model.access import Role

_THREADS = 8


class ApiResource(Resource):
    """All paths of the API. ``roles`` are those of local users, see ``planning.access``.

    ``threads`` are people's own: however long their requests take, nodes do not wait for them. ``clock`` is the reactor
    outside tests.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self, office: Office, roles: Mapping[str, Role], feed: Feed, reactor: Any, clock: Any = None
    ) -> None:  # fmt: skip
        super().__init__()
        self._office = office
        self._roles = roles
        self._feed = feed
        self._reactor = reactor
        self._clock = clock or reactor
        self.threads = ThreadPool(0, _THREADS, "api")

    def start(self) -> None:
        """Answer; what came before has waited."""
        self.threads.start()

    def stop(self) -> None:
        """Wait for what is being answered."""
        self.threads.stop()

    def render(self, request: Request) -> int:
        """Called by Twisted when the whole request is there."""
        work = Deferred.fromCoroutine(self._serve(request))
        request.notifyFinish().addErrback(lambda _: work.cancel())
        work.addErrback(self._broken, request)
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        asked = self._asked(request)
        answer = await self._answer(asked)
        request.setResponseCode(answer.status)
        request.setHeader("Cache-Control", "private, no-cache")
        request.setHeader("X-Content-Type-Options", "nosniff")
        for name, text in answer.headers.items():
            request.setHeader(name, text)
        if answer.stream:
            EventStream(request, self._clock, partial(self._still, asked)).start(self._feed, answer.stream)
            return
        if answer.status not in (204, 304):
            request.setHeader("Content-Length", str(len(answer.body)))
            request.write(answer.body)
        request.finish()

    async def _still(self, asked: Asked) -> bool:
        """Whether what was answered once would be answered again: a token may be gone."""
        return (await self._answer(asked)).stream is not None

    async def _answer(self, asked: Asked) -> Answer:
        found: Answer = await deferToThreadPool(self._reactor, self.threads, self._office.answer, asked)
        return found

    def _asked(self, request: Request) -> Asked:
        local = peer.socket_of(request)
        return evolve(
            read(request), peer=partial(peer.caller, *peer.credentials(local), self._roles) if local else None
        )

    def _broken(self, failure: Any, request: Request) -> None:
        """The caller went away, or the answer could not be sent."""
        if not cast(Any, request)._disconnected:
            self._log.failure("an answer could not be sent", failure)
