"""The HTTP CONNECT that an rsync client sends through RSYNC_PROXY, and our answers to it. Bytes and values only.

rsync(1), environment variable RSYNC_PROXY; ``establish_proxy_connection`` in rsync's socket.c; RFC 9110 section 9.3.6;
Basic credentials by RFC 7617. The client sends nothing more until it has read an answer, one line at a time.
"""

import base64
import binascii
import re
from typing import Final

from attrs import field, frozen

from imaged.model.errors import MalformedPacket

LONGEST_HEAD: Final = 4096

_METHOD: Final = b"CONNECT "
_PLAIN: Final = b"@RSYNCD:"
_REQUEST: Final = re.compile(rb"CONNECT [^ /]{1,255}:[0-9]{1,5} HTTP/1\.[01]")
_END: Final = re.compile(rb"\r?\n\r?\n")
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")


@frozen
class Connect:
    """Who asks, and by what secret. The target host and port of the request are of no use to us."""

    user: str
    password: str = field(repr=False)


def read(received: bytes) -> Connect | bytes | None:
    """What the first bytes of a connection amount to: a Connect, the refusal to send, or None: wait for more."""
    if received.startswith(_PLAIN):
        return _plain_refusal("this server is for nodes of imaged; set RSYNC_PROXY=<node>:<secret>@<server>:<port>")
    try:
        head = _head(received)
        return None if head is None else _connect(head)
    except MalformedPacket as error:
        return answer(400, str(error))


def answer(code: int, text: str) -> bytes:
    """A status line, which is all that rsync looks at: it goes on for 2xx and prints the line for anything else."""
    return f"HTTP/1.0 {code} {_printable(text)}\r\n\r\n".encode("ascii")


def _head(received: bytes) -> bytes | None:
    """The request without its empty line, or None if that has not come yet.

    Bytes after it are refused: they would be lost when the connection is handed on.
    """
    if not received.startswith(_METHOD[: len(received)]) and not _PLAIN.startswith(received):
        raise MalformedPacket("this is no CONNECT of rsync")
    end = _END.search(received)
    if end is None:
        if len(received) > LONGEST_HEAD:
            raise MalformedPacket("the request does not end")
        return None
    if end.end() > LONGEST_HEAD or end.end() < len(received):
        raise MalformedPacket("the request is too long")
    return received[: end.start()]


def _connect(head: bytes) -> Connect | bytes:
    first, *headers = re.split(rb"\r?\n", head)
    if _REQUEST.fullmatch(first) is None:
        raise MalformedPacket("this is no CONNECT host:port")
    for header in headers:
        name, _, value = header.partition(b":")
        if name.lower() == b"proxy-authorization":
            return _credentials(value.strip())
    return answer(407, "who are you? set RSYNC_PROXY=<node>:<secret>@<server>:<port>")


def _credentials(value: bytes) -> Connect:
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        raise MalformedPacket("the credentials are not Basic")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise MalformedPacket("the credentials are not base64 of UTF-8") from None
    if not (user and colon):
        raise MalformedPacket("the credentials lack a name or a secret")
    return Connect(user, password)


def _plain_refusal(text: str) -> bytes:
    """What makes a client that came without a proxy print ``text``: a greeting of protocol 32, then an error line."""
    return f"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n@ERROR: {_printable(text)}\n".encode("ascii")


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text)[:200]
