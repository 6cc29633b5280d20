"""mtree(5) manifests: text <-> entries. Pure.

One line per path, ``./path keyword=value ...``, depth first from ``.``, names in byte order. What a keyword means is
mtree(5)'s, with two uses that need saying, both chosen because libarchive (bsdtar) reads them without a complaint:

- ``nlink`` above 1 comes with ``inode``, a number that the hard links of one file share and nobody else has.
  It counts from 1 in the order of the manifest: a filesystem's own numbers would not survive a copy.
- extended attributes are ``tags``, ``xattr:NAME:BASE64`` joined with commas. ACLs and file capabilities are extended
  attributes to Linux (acl(5), capabilities(7)), so this holds them too. A keyword of their own makes bsdtar warn.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from enum import Enum

from attrs import frozen

from imaged.model.errors import BadInput

_HEADER = "#mtree\n/set type=file uid=0 gid=0 nlink=1\n"
_TAG = "xattr:"


class Kind(Enum):
    """Type of a path, in mtree(5)'s words."""

    FILE = "file"
    DIRECTORY = "dir"
    LINK = "link"
    CHARACTER = "char"
    BLOCK = "block"
    FIFO = "fifo"
    SOCKET = "socket"


@frozen
class Entry:
    """One path of an image. Fields that its kind does not have keep their default.

    ``path`` has no leading slash and is ``.`` for the root; ``path`` and ``target`` decode bytes as os.fsdecode does.
    ``mode`` holds the permission bits only (07777), ``size`` bytes, ``time`` nanoseconds since the epoch,
    ``device`` major and minor, ``group`` the number that hard links share (0: one link only).
    """

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    time: int
    size: int = 0
    sha256: str = ""
    target: str = ""
    device: tuple[int, int] | None = None
    links: int = 1
    group: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()


def format_manifest(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of a manifest, each with its newline."""
    yield _HEADER
    for entry in entries:
        yield _line(entry)


def parse_manifest(text: str, *, where: str = "") -> Iterator[Entry]:
    """Entries of a manifest as ``format_manifest`` writes it. Raises BadInput that names the line."""
    defaults: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        first, *words = line.split(" ")
        try:
            if first == "/set":
                defaults |= _keywords(words)
            else:
                yield _entry(first, defaults | _keywords(words))
        except (ValueError, KeyError, binascii.Error) as error:
            fault = f"the keyword {error} is missing" if isinstance(error, KeyError) else str(error)
            raise BadInput(f"line {number}: {fault}", where=where, hint="The manifest is damaged.") from None


def _line(entry: Entry) -> str:
    words = [entry.path if entry.path == "." else f"./{_escape(entry.path)}"]
    if entry.kind is not Kind.FILE:
        words.append(f"type={entry.kind.value}")
    words.append(f"mode={entry.mode:04o}")
    words += [f"{key}={value}" for key, value in (("uid", entry.uid), ("gid", entry.gid)) if value]
    seconds, nanoseconds = divmod(entry.time, 10**9)
    words.append(f"time={seconds}.{nanoseconds:09d}")
    if entry.kind is Kind.FILE:
        words += [f"size={entry.size}", f"sha256digest={entry.sha256}"]
    if entry.links > 1:
        words += [f"nlink={entry.links}", f"inode={entry.group}"]
    if entry.kind is Kind.LINK:
        words.append(f"link={_escape(entry.target)}")
    if entry.device is not None:
        words.append("device=native,{},{}".format(*entry.device))
    if entry.xattrs:
        pairs = (f"{_TAG}{_escape(name, also=':,')}:{base64.b64encode(value).decode()}" for name, value in entry.xattrs)
        words.append(f"tags={','.join(pairs)}")
    return " ".join(words) + "\n"


def _keywords(words: list[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in _KEYWORDS:
            raise ValueError(f"{word!r} is no keyword of ours")
        pairs[key] = value
    return pairs


_KEYWORDS = frozenset(
    ("type", "mode", "uid", "gid", "time", "size", "sha256digest", "nlink", "inode", "link", "device", "tags")
)


def _entry(name: str, words: dict[str, str]) -> Entry:
    if name != "." and not name.startswith("./"):
        raise ValueError(f"{name!r} does not begin with ./")
    kind = Kind(words["type"])
    seconds, _, nanoseconds = words["time"].partition(".")
    device = tuple(int(part) for part in words["device"].split(",")[1:]) if "device" in words else None
    if device is not None and len(device) != 2:
        raise ValueError(f"{words['device']!r} is no device")
    links = int(words["nlink"])
    return Entry(
        path=name if name == "." else _unescape(name[2:]),
        kind=kind,
        mode=int(words["mode"], 8),
        uid=int(words["uid"]),
        gid=int(words["gid"]),
        time=int(seconds) * 10**9 + int(nanoseconds or "0"),
        size=int(words["size"]) if kind is Kind.FILE else 0,
        sha256=words["sha256digest"] if kind is Kind.FILE else "",
        target=_unescape(words["link"]) if kind is Kind.LINK else "",
        device=(device[0], device[1]) if device else None,
        links=links,
        group=int(words["inode"]) if links > 1 else 0,
        xattrs=tuple(_xattr(tag) for tag in words.get("tags", "").split(",") if tag),
    )


def _xattr(tag: str) -> tuple[str, bytes]:
    name, colon, value = tag.removeprefix(_TAG).partition(":")
    if not tag.startswith(_TAG) or not colon:
        raise ValueError(f"{tag!r} is no tag of ours")
    return _unescape(name), base64.b64decode(value, validate=True)


def _escape(text: str, *, also: str = "") -> str:
    r"""Bytes that would break a line apart, and all that are not ASCII, as ``\ooo`` (vis(3), VIS_OCTAL)."""
    if _PLAIN.fullmatch(text) and not also:
        return text
    unsafe = b"\\#*?[]=" + also.encode()
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in unsafe else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text.encode("ascii"))
    return raw.decode("utf-8", "surrogateescape")


_PLAIN = re.compile(r"[A-Za-z0-9_./+:,@~%-]*")
