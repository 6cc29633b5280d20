"""What a request's query and headers say, read into values."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.web.http import Request

from imaged.daemon.site import body_of
from imaged.model.access import Caller
from imaged.model.errors import BadInput
from imaged.model.machine import Label
from imaged.planning.rules import label_of


@frozen
class Asked:
    """A whole request, for those who answer in a thread. ``path`` as it was sent; headers by their names in lower case.

    ``too_large``: the body was dropped. ``address`` is the other side's; ``peer`` says who it is that came by the local
    socket, in a thread: it may have to ask a directory service.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    too_large: bool = False
    address: str = ""
    peer: Callable[[], Caller | None] | None = None

    def header(self, name: str) -> str:
        """Empty where it was not sent."""
        return self.headers.get(name, "")


def read(request: Request) -> Asked:
    """All of it but ``peer``."""
    path, _, query = request.uri.partition(b"?")
    body, too_large = body_of(request)
    return Asked(
        method=as_text(request.method),
        path=as_text(path),
        query=as_text(query),
        headers={
            as_text(name).lower(): ", ".join(map(as_text, texts))
            for name, texts in request.requestHeaders.getAllRawHeaders()
        },
        body=body,
        too_large=too_large,
        address=str(getattr(request.getClientAddress(), "host", "")),
    )


def as_text(data: bytes) -> str:
    """Of a request line or a header: each byte is a character."""
    return data.decode("latin-1")


@frozen
class Arguments:
    """As much of a request as a boot script depends on."""

    args: dict[bytes, list[bytes]]


def argument(request: Any, name: str) -> str:
    """Of the query, empty where it is not given."""
    value: bytes = request.args.get(name.encode(), [b""])[0]
    return value.decode("utf-8", "replace")


def label(request: Any) -> Label | None:
    """What the boot script ``ask.ipxe`` sends, each in hexadecimal. None: it was not asked."""
    if b"vendor" not in request.args:
        return None
    texts = (argument(request, name) for name in ("vendor", "product", "serial", "asset"))
    return label_of(*(_unhexed(text) for text in texts))


def _unhexed(text: str) -> str:
    try:
        return bytes.fromhex(text).decode("utf-8", "replace")
    except ValueError:
        return ""


def number(text: str) -> int | None:
    """Of a version; None when it is not given. Raises BadInput."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise BadInput(f"{text[:40]!r} is not the number of a version", where="to")
    return int(text)


def takes_gzip(header: str) -> bool:
    """RFC 9110, section 12.5.3: ``q=0`` means not at all."""
    for each in header.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() == "gzip":
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False
