"""mtree(5) manifests on a node: lines passed by unread, and single lines taken apart when they matter.

The format is the server's (``imaged.store.manifest`` writes it): one path a line, depth first, names in byte order.
"""

import base64
import binascii
import re
from typing import Iterable, Iterator, NamedTuple, Optional, Tuple

from installer.node.errors import Failed

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_PLAIN = re.compile(rb"[A-Za-z0-9_./+:,@~%-]*\Z")
_TAG = b"xattr:"
_KINDS = frozenset((b"file", b"dir", b"link", b"char", b"block", b"fifo", b"socket"))
_DEFAULTS = {b"type": b"file", b"uid": b"0", b"gid": b"0", b"nlink": b"1"}


class Entry(NamedTuple):
    """One path of an image, bytes as the kernel has them. Fields that its kind does not have keep their default.

    ``path`` has no leading slash and is ``b"."`` for the root; ``mode`` holds permission bits only, ``time`` is in
    nanoseconds, ``device`` major and minor, ``group`` a number that hard links share, ``xattrs`` (name, value).
    """

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    time: int
    size: int = 0
    sha256: str = ""
    target: bytes = b""
    device: Optional[Tuple[int, int]] = None
    links: int = 1
    group: int = 0
    xattrs: Tuple[Tuple[bytes, bytes], ...] = ()


def lines(file: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that name a path, without their newline; a version's manifest has no others but its head."""
    for line in file:
        if line[:1] == b".":
            yield line.rstrip(b"\n")


def path_of(line: bytes) -> bytes:
    """The path that a line is about, and nothing else of it."""
    name = line.partition(b" ")[0]
    if name == b".":
        return name
    return name[2:] if b"\\" not in name else unescape(name[2:])


def order(path: bytes) -> bytes:
    """A key that sorts paths as manifests have them."""
    return b"" if path == b"." else path.replace(b"/", b"\0")


def parse(line: bytes) -> Entry:
    """The entry that a line says. Raises Failed that shows it."""
    try:
        return _entry(line)
    except (ValueError, KeyError, binascii.Error) as error:
        shown = line[:80].decode("utf-8", "backslashreplace")
        hint = "Fetch it again: imaged updateclient."
        raise Failed("is no line of a manifest: {}".format(error), where=shown, hint=hint) from None


def entries(text: bytes) -> Iterator[Entry]:
    """Every entry of a small manifest."""
    return map(parse, lines(text.splitlines(True)))


def _entry(line: bytes) -> Entry:
    words = line.split(b" ")
    keywords = dict(_DEFAULTS)
    for word in words[1:]:
        key, equals, value = word.partition(b"=")
        if not equals:
            raise ValueError("{!r} is no keyword".format(word))
        keywords[key] = value
    kind = keywords[b"type"]
    if kind not in _KINDS:
        raise ValueError("{!r} is no type".format(kind))
    seconds, _, nanoseconds = keywords[b"time"].partition(b".")
    links = int(keywords[b"nlink"])
    device = None
    if b"device" in keywords:
        _, major, minor = keywords[b"device"].split(b",")
        device = (int(major), int(minor))
    return Entry(
        path=path_of(line),
        kind=kind.decode("ascii"),
        mode=int(keywords[b"mode"], 8),
        uid=int(keywords[b"uid"]),
        gid=int(keywords[b"gid"]),
        time=int(seconds) * 10**9 + int(nanoseconds or b"0"),
        size=int(keywords[b"size"]) if kind == b"file" else 0,
        sha256=keywords[b"sha256digest"].decode("ascii") if kind == b"file" else "",
        target=unescape(keywords[b"link"]) if kind == b"link" else b"",
        device=device,
        links=links,
        group=int(keywords[b"inode"]) if links > 1 else 0,
        xattrs=tuple(_xattr(tag) for tag in keywords.get(b"tags", b"").split(b",") if tag),
    )


def _xattr(tag: bytes) -> Tuple[bytes, bytes]:
    name, colon, value = tag[len(_TAG) :].partition(b":")
    if not tag.startswith(_TAG) or not colon:
        raise ValueError("{!r} is no tag of ours".format(tag))
    return unescape(name), base64.b64decode(value, validate=True)


def unescape(text: bytes) -> bytes:
    r"""``\ooo`` back to bytes."""
    return _ESCAPE.sub(lambda match: bytes((int(match.group(1), 8) & 255,)), text) if b"\\" in text else text
