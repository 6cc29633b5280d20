"""Connections of HTTP: files whose bytes never come into Python, by sendfile(2), turn by turn; short answers at once.

Twisted's transport has a buffer for what is written to it; ours has a file behind that buffer. A client that does not
read costs a descriptor and is not looked at again until the kernel has room for more, or gives it up.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from twisted.internet import main, tcp
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from imaged.planning.file_answer import Described, Part, answer

_TURN: Final = 2**21  # bytes for one client before all others have theirs
_READ: Final = 2**18  # bytes at a time where there is no sendfile
_PATIENCE: Final = 300_000  # milliseconds in which a client must have taken something (tcp(7))
_CONDITIONS: Final = (
    "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"
)  # fmt: skip
_HEADERS: Final = tuple((name, name.encode()) for name in _CONDITIONS)
_log = Logger()


class _Sending:
    """A part of a file on its way as the body of a response; an IPushProducer. Owns ``descriptor``."""

    def __init__(self, request: Any, descriptor: int, part: Part) -> None:
        self._request = request
        self._descriptor = descriptor
        self._at, self._end = part.start, part.start + part.length

    def send(self, connection: int) -> bool:
        """As much as the socket ``connection`` takes, within a turn; whether that was all. Raises OSError."""
        until = min(self._at + _TURN, self._end)
        with suppress(BlockingIOError):
            while self._at < until:  # it may take more at once: what another turn costs is saved
                sent = os.sendfile(connection, self._descriptor, self._at, until - self._at)
                if not sent:
                    raise EOFError("the file has become shorter while it was sent")
                self._at += sent
                self._request.sentLength += sent  # as its ``write`` does
        return self._at == self._end

    def finish(self) -> None:
        """All was sent."""
        self.close()
        self._request.unregisterProducer()
        self._request.finish()

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def pauseProducing(self) -> None:
        """Called by Twisted when its buffer is full, which is none of ours: the socket says when it takes more."""

    def resumeProducing(self) -> None:
        """Called by Twisted; see ``pauseProducing``."""

    def stopProducing(self) -> None:
        """Called by Twisted: the client has gone."""
        self.close()


class _Reading(_Sending):
    """The same through Python, where the transport is not ours."""

    _paused = False

    def pauseProducing(self) -> None:
        """Called by Twisted when its buffer is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Called by Twisted when its buffer is empty."""
        self._paused = False
        while not self._paused and self._descriptor >= 0:
            piece = os.pread(self._descriptor, min(_READ, self._end - self._at), self._at)
            if not piece:
                self._request.channel.transport.abortConnection()  # and ``stopProducing`` is called
                return
            self._at += len(piece)
            self._request.write(piece)
            if self._at == self._end:
                self.finish()


class Connection(tcp.Server):
    """A connection that can have a file behind what was written to it."""

    _sending: _Sending | None = None

    def send_file(self, sending: _Sending) -> None:
        """After what was written; nothing else is written until it has finished."""
        self.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PATIENCE)
        self._sending = sending
        self.startWriting()

    def write_at_once(self, data: bytes) -> None:
        """As ``write``; what the socket takes now waits for no turn of the reactor."""
        sent = 0
        if self.connected and not (self.dataBuffer or self._tempDataLen or self._sending or self.disconnecting):
            with suppress(OSError):  # a full socket; or one that is gone, which the reactor is to find
                sent = self.socket.send(data)
        if sent < len(data):
            self.write(data[sent:])

    def doWrite(self) -> Any:
        """Called by the reactor when the socket takes more."""
        sending = self._sending
        if sending is None:
            return super().doWrite()
        if self.dataBuffer or self._tempDataLen:  # the headers
            gone = super().doWrite()
            if gone is not None or self.dataBuffer or self._tempDataLen:
                return gone
            self.startWriting()
        try:
            if not sending.send(self.fileno()):
                return None
        except (OSError, EOFError) as error:
            if not isinstance(error, ConnectionError | TimeoutError):
                _log.error("a file could not be sent: {error}", error=error)
            return main.CONNECTION_LOST
        self._sending = None
        self.stopWriting()
        sending.finish()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor."""
        sending, self._sending = self._sending, None
        super().connectionLost(reason)
        if sending:
            sending.close()


class _Port(tcp.Port):
    transport = Connection


def listen(reactor: Any, port: int, site: Any, backlog: int = 50, interface: str = "") -> tcp.Port:
    """As ``reactor.listenTCP``, with connections that can send files. Raises CannotListenError."""
    listening = _Port(port, site, backlog, interface, reactor)
    listening.startListening()
    return listening


class FileBody(Resource):
    """What a request asks for of an open file: all, a part, its headers. The descriptor is closed in any case.

    ``kind`` is the media type, ``coding`` how the file is packed (``gzip``).
    """

    isLeaf = True

    def __init__(self, descriptor: int, kind: str, coding: str = "") -> None:
        super().__init__()
        self._descriptor, self._kind, self._coding = descriptor, kind, coding

    def render(self, request: Any) -> Any:
        """Called by Twisted."""
        found = os.fstat(self._descriptor)
        file = Described(found.st_size, found.st_mtime_ns)
        said = request.requestHeaders.getRawHeaders
        asked = {name: said(raw, (b"",))[0].decode("latin-1") for name, raw in _HEADERS if said(raw)}
        part = answer(file, asked)
        _say(request, file, part, self._kind, self._coding)
        if request.method == b"HEAD" or not part.length:
            os.close(self._descriptor)
            request.finish()
            return NOT_DONE_YET
        send_file: Callable[[_Sending], None] | None = getattr(request.channel.transport, "send_file", None)
        if send_file is None:
            reading = _Reading(request, self._descriptor, part)
            request.registerProducer(reading, True)
            reading.resumeProducing()
            return NOT_DONE_YET
        sending = _Sending(request, self._descriptor, part)
        request.registerProducer(sending, True)
        request.write(b"")  # the headers
        send_file(sending)
        return NOT_DONE_YET


def _say(request: Any, file: Described, part: Part, kind: str, coding: str) -> None:
    request.setResponseCode(part.status.value)
    say = request.responseHeaders.setRawHeaders
    say(b"ETag", [file.tag.encode()])
    say(b"Last-Modified", [file.date.encode()])
    say(b"Accept-Ranges", [b"bytes"])
    if part.status == 304:
        return
    say(b"Content-Length", [b"%d" % part.length])
    if part.status == 416:
        say(b"Content-Range", [b"bytes */%d" % file.size])
        return
    say(b"Content-Type", [kind.encode()])
    if coding:
        say(b"Content-Encoding", [coding.encode()])
    if part.status == 206:
        last = part.start + part.length - 1
        say(b"Content-Range", [b"bytes %d-%d/%d" % (part.start, last, file.size)])
