"""The difference of two manifests as lines, made in one pass over both and in flat memory. Pure.

``=N`` copy N lines of the old manifest, ``-N`` skip N of them, ``+LINE`` a new line. What comes out is the new manifest
whatever went in; that both are in the manifest's order (depth first, names in byte order) makes it small.
"""

import re
from collections.abc import Iterable, Iterator

_ESCAPED = re.compile(rb"\\([0-7]{3})")
_Key = tuple[int, bytes]
_END: _Key = (2, b"")


def delta(old: Iterable[bytes], new: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that turn ``old`` into ``new``. All lines end with a newline, those of the result too."""
    olds, news = iter(old), iter(new)
    mine, theirs = next(olds, None), next(news, None)
    copied = skipped = 0
    while mine is not None or theirs is not None:
        if mine == theirs:
            if skipped:
                yield b"-%d\n" % skipped
                skipped = 0
            copied += 1
            mine, theirs = next(olds, None), next(news, None)
            continue
        if copied:
            yield b"=%d\n" % copied
            copied = 0
        before, after = _key(mine), _key(theirs)
        if before <= after:
            skipped += 1
            mine = next(olds, None)
        if after <= before:
            assert theirs is not None  # _END is the greatest key, and both at their end are equal lines
            yield b"+" + theirs
            theirs = next(news, None)
    if skipped:
        yield b"-%d\n" % skipped
    if copied:
        yield b"=%d\n" % copied


def _key(line: bytes | None) -> _Key:
    """Where a line belongs: the head of the manifest, then paths with ``/`` before every other byte."""
    if line is None:
        return _END
    if not line.startswith(b"."):
        return 0, line
    path = line.partition(b" ")[0]
    if b"\\" in path:
        path = _ESCAPED.sub(lambda found: bytes((int(found[1], 8),)), path)
    return 1, path.replace(b"/", b"\0")
