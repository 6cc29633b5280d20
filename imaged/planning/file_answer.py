"""How much of a file a GET gets: all, a part, or nothing since nothing has changed. RFC 9110, sections 13 and 14."""

import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from attrs import frozen

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.ASCII)
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@frozen
class Described:
    """A file as it was when it was opened: ``changed`` in nanoseconds since the epoch."""

    size: int
    changed: int

    @property
    def tag(self) -> str:
        """Of these very bytes: whoever replaces a file of ours gives it another time."""
        return f'"{self.changed:x}-{self.size:x}"'

    @property
    def date(self) -> str:
        """As HTTP writes it."""
        return formatdate(self.changed // 10**9, usegmt=True)


@frozen
class Part:
    """``length`` bytes from ``start``, with ``status``."""

    status: HTTPStatus
    start: int = 0
    length: int = 0


_UNCHANGED: Final = Part(HTTPStatus.NOT_MODIFIED)
_REFUSED: Final = Part(HTTPStatus.PRECONDITION_FAILED)


def answer(file: Described, asked: Mapping[str, str]) -> Part:
    """``asked``: the request's headers by their names in lower case. The order is that of section 13.2.2."""
    whole = Part(HTTPStatus.OK, 0, file.size)
    if "if-match" in asked:
        if not _matches(file, asked["if-match"], weakly=False):
            return _REFUSED
    elif "if-unmodified-since" in asked and _is_newer(file, asked["if-unmodified-since"]):
        return _REFUSED
    if "if-none-match" in asked:
        if _matches(file, asked["if-none-match"], weakly=True):
            return _UNCHANGED
    elif "if-modified-since" in asked and _is_newer(file, asked["if-modified-since"]) is False:
        return _UNCHANGED
    # A client that has other bytes than these gets all, instead of a part that does not fit.
    if "if-range" in asked and asked["if-range"].strip() not in (file.tag, file.date):
        return whole
    return _part(file.size, asked.get("range", "")) or whole


def _part(size: int, asked: str) -> Part | None:
    """None: it is to be ignored, as anything but one range may be (14.2). Many ranges of one file are an attack."""
    found = _RANGE.fullmatch(asked)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return None
    else:
        start, end = max(0, size - int(last)), size - 1
    if start > end:
        return Part(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    return Part(HTTPStatus.PARTIAL_CONTENT, start, end - start + 1)


def _matches(file: Described, tags: str, *, weakly: bool) -> bool:
    found = _TAG.findall(tags)
    return tags.strip() == "*" or any((tag.removeprefix("W/") if weakly else tag) == file.tag for tag in found)


def _is_newer(file: Described, date: str) -> bool | None:
    """Than ``date``, in whole seconds as HTTP has them. None: that is no date, and to be ignored."""
    try:
        return file.changed // 10**9 > parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
