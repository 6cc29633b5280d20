"""The shortest way through HTTP, for what every machine of a rack asks at once: its boot script.

Twisted's web server takes 0.1 ms for a request before and after anything is done for it: objects for the request and
its headers, a resource, an answer header by header. Here a request that came whole, alone and plain is matched and
answered in one piece. Whatever is anything else, and all that comes after it on its connection, Twisted reads.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from twisted.web.http import HTTPChannel, datetimeToString

# RFC 9112, section 3. A loader's own request is some 150 bytes.
_PLAIN: Final = re.compile(rb"GET (/[!-~]{1,1000}) HTTP/1\.1\r\n((?:[A-Za-z-]{1,40}: ?[ -~]{0,400}\r\n){1,20})\r\n")
_NOT_PLAIN: Final = re.compile(rb"^(?:content-length|transfer-encoding|expect|upgrade|range|if-)", re.I | re.M)
_HOST: Final = re.compile(rb"^host:", re.I | re.M)
_CLOSE: Final = re.compile(rb"^connection:.*close", re.I | re.M)
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%b\r\n%b"

Answer = Callable[[bytes], bytes | None]


class QuickChannel(HTTPChannel):
    """``site.quick`` has the text for a target (``/ipxe/52:54:...?uuid=``), or None: that is Twisted's to answer."""

    site: Any
    transport: Any
    _quick = True  # as long as Twisted has read nothing of this connection

    def dataReceived(self, data: bytes) -> None:
        """Called by the transport."""
        if self._quick:
            if self._answered(data):
                return
            self._quick = False
        super().dataReceived(data)

    def _answered(self, data: bytes) -> bool:
        if not data.startswith(self.site.quick_prefix):
            return False
        found = _PLAIN.fullmatch(data)
        if found is None or _NOT_PLAIN.search(found[2]) or not _HOST.search(found[2]):
            return False
        body = self.site.quick(found[1])
        if body is None:
            return False
        self.resetTimeout()
        last = _CLOSE.search(found[2])
        end = b"Connection: close\r\n" if last else b""
        write = getattr(self.transport, "write_at_once", self.transport.write)
        write(_ANSWER % (datetimeToString(), len(body), end, body))
        if last:
            self._quick, self.persistent = False, 0  # what else may come is dropped
            self.loseConnection()
        return True
