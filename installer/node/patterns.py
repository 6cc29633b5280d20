"""Anchored path patterns, as plans write them, compiled to one regular expression. Pure.

``*`` and ``?`` stop at ``/``, ``**`` does not and ``**/`` is also no directory at all, ``[a-z]`` is one of a set,
``[!a-z]`` one that is not in it. A pattern covers what it names and everything below it; one that ends with ``/`` only
what is below.
"""

import re
from typing import Callable, Iterable, Optional

_TOKEN = re.compile(rb"\A\*\*/|/\*\*/|\*\*|\*|\?|\[[!^]?\]?(?:\\.|[^]\\])*\]|\\.|[^*?[\\/]+|.", re.DOTALL)
_MEMBER = re.compile(rb"(\\.|.)(?:-(\\.|.))?", re.DOTALL)


def matcher(patterns: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether a path (bytes, without a leading slash) is covered by any of them."""
    which = chooser(patterns)
    return lambda path: which(path) is not None


def chooser(patterns: Iterable[str]) -> Callable[[bytes], Optional[int]]:
    """The number of the first pattern that covers a path, None for none."""
    forms = [b"(" + _expression(each.encode("utf-8", "surrogateescape")) + b")" for each in patterns]
    if not forms:
        return lambda path: None
    match = re.compile(b"(?:" + b"|".join(forms) + rb")\Z", re.DOTALL).match

    def which(path: bytes) -> Optional[int]:
        found = match(path)
        return found.lastindex - 1 if found is not None and found.lastindex else None

    return which


def _expression(pattern: bytes) -> bytes:
    """Without capturing groups, so that a group's number is its pattern's."""
    below = pattern.endswith(b"/")
    parts = _TOKEN.findall(pattern.strip(b"/"))
    return b"".join(map(_part, parts)) + (b"/.+" if below else b"(?:/.*)?")


def _part(token: bytes) -> bytes:
    if token == b"**/":
        return b"(?:.*/)?"
    if token == b"/**/":
        return b"/(?:.*/)?"
    if token == b"**":
        return b".*"
    if token == b"*":
        return b"[^/]*"
    if token == b"?":
        return b"[^/]"
    if token[:1] == b"[" and len(token) > 2 and token not in (b"[!]", b"[^]"):
        return _set(token[1:-1])
    if token[:1] == b"\\" and len(token) == 2:
        return re.escape(token[1:])
    return re.escape(token)


def _set(inner: bytes) -> bytes:
    """People write these: a range that runs backwards has no members, instead of being a fault on every node."""
    negated = inner[:1] in (b"!", b"^")
    pairs = [(one[-1:], (other or one)[-1:]) for one, other in _MEMBER.findall(inner[1:] if negated else inner)]
    ranges = b"".join(re.escape(low) + b"-" + re.escape(high) for low, high in pairs if low <= high)
    if not ranges:
        return b"[^/]" if negated else b"(?!)"
    return b"(?!/)[" + (b"^" if negated else b"") + ranges + b"]"
