"""The web server under every route: how long and how large a request may be, and which API a path belongs to."""

from typing import Any, Final

from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Request as SiteRequest
from twisted.web.server import Site

from imaged.daemon.quick import Answer, QuickChannel
from imaged.model.errors import BadInput, CannotPlan, Conflict, Denied, ImagedError, Nobody, NotFound

LARGEST = 4 * 2**20  # bytes of a request's body: the inventory of a machine with 200 disks has 100 KB
_REQUEST_TIMEOUT = 60  # seconds in which a request must be whole


class _Request(SiteRequest):
    """Drops a body that is too large as it comes: no stranger fills our disk. The request is then told so."""

    too_large = False

    def gotLength(self, length: int | None) -> None:
        """Called by Twisted before the body."""
        self.too_large = length is not None and length > LARGEST
        super().gotLength(0 if self.too_large else length)

    def handleContentChunk(self, data: bytes) -> None:
        """Called by Twisted for each piece."""
        assert self.content is not None
        if self.too_large or self.content.tell() + len(data) > LARGEST:
            self.too_large = True
        else:
            super().handleContentChunk(data)


class QuietSite(Site):
    """No line per request: a rack's progress reports would bury what matters. What is refused is logged."""

    noisy = False
    requestFactory = _Request
    protocol = QuickChannel  # type: ignore[assignment]  # Twisted's own would look for HTTP/2 as well

    def __init__(self, resource: Resource, reactor: Any, quick: Answer | None = None, prefix: str = "/") -> None:
        """``quick`` is asked first for what begins with ``prefix``; see ``QuickChannel``."""
        self.quick, self.quick_prefix = quick or (lambda target: None), f"GET {prefix}".encode()
        super().__init__(resource, timeout=_REQUEST_TIMEOUT, reactor=reactor, parsePOSTFormSubmission=False)

    def log(self, request: Any) -> None:
        """Called by Twisted after each request."""


_STATUS: Final[tuple[tuple[type[ImagedError], int], ...]] = (
    (BadInput, 400),
    (Nobody, 401),
    (Denied, 403),
    (NotFound, 404),
    (CannotPlan, 409),
    (Conflict, 409),
    (ImagedError, 500),
)


def status_of(error: ImagedError) -> int:
    """How HTTP says it (RFC 9110, section 15)."""
    return next(code for kind, code in _STATUS if isinstance(error, kind))


def body_of(request: Request) -> tuple[bytes, bool]:
    """The body, which Twisted keeps in memory or in a temporary file by its size; and whether there was more than we
    take: then it is not all there."""
    assert request.content is not None  # set before a request is rendered
    data = request.content.read(LARGEST + 1)
    return data, len(data) > LARGEST or getattr(request, "too_large", False)


class Fork(Resource):
    """Below /v1, what ``nodes`` know goes there and all else to ``people``; elsewhere, all else to ``pages``.

    ``of_nodes`` is how what they know begins: ``/ipxe``, ``/v1/claim``.
    """

    isLeaf = True

    def __init__(self, nodes: Resource, people: Resource, pages: Resource, of_nodes: frozenset[str]) -> None:
        super().__init__()
        self._nodes, self._people, self._pages, self._of_nodes = nodes, people, pages, of_nodes

    def render(self, request: Request) -> Any:
        """Called by Twisted."""
        parts = request.path.decode("latin-1").split("/")
        begins = "/".join(parts[: 3 if parts[1:2] == ["v1"] else 2])
        if begins in self._of_nodes:
            return self._nodes.render(request)
        return (self._people if parts[1:2] == ["v1"] else self._pages).render(request)
