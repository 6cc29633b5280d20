"""The web page on Twisted's web server: requests are answered in threads, streams stay with the reactor."""

import time
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from imaged.daemon.asked import read
from imaged.daemon.pages.answering import Front, Reply
from imaged.daemon.pages.live import Streams


class PageResource(Resource):
    """All paths of the page. ``threads`` is a pool that somebody else starts and stops."""

    isLeaf = True
    _log = Logger()

    def __init__(self, front: Front, reactor: Any, threads: ThreadPool) -> None:
        super().__init__()
        self._front = front
        self._in_thread = lambda *call: deferToThreadPool(reactor, threads, *call)
        self._streams = Streams(front, reactor, self._in_thread, time.time)

    def render(self, request: Request) -> int:
        """Called by Twisted when the whole request is there."""
        work = Deferred.fromCoroutine(self._serve(request))
        request.notifyFinish().addErrback(lambda _: work.cancel())
        work.addErrback(self._broken, request)
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        reply: Reply = await self._in_thread(self._front.answer, read(request))
        request.setResponseCode(reply.status)
        for name, text in reply.headers:
            request.responseHeaders.addRawHeader(name, text)
        if reply.live:
            self._streams.begin(request, reply.live)
            return
        request.setHeader("Content-Length", str(len(reply.body)))
        request.write(reply.body)
        request.finish()

    def _broken(self, failure: Any, request: Request) -> None:
        """The reader went away, or there is no answer: the database cannot be read, for one."""
        if cast(Any, request)._disconnected:
            return
        self._log.failure("a page could not be sent", failure)
        if not request.startedWriting:
            request.setResponseCode(500)
            request.setHeader("Content-Type", "text/plain")
            request.write(b"imaged cannot answer: the daemon's log has more.\n")
        request.finish()
