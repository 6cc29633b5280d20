"""Differences of manifests: ``=N`` copies N lines of the old one, ``-N`` passes over N, ``+LINE`` is a new one."""

import array
import itertools
from typing import IO, Iterable

from installer.node.stamps import Stamps

_MANY = 10000  # lines that are copied at once


class Misfit(Exception):
    """A difference that does not fit the old manifest: the whole new one is needed."""


def apply(delta: Iterable[bytes], old: IO[bytes], new: IO[bytes], proven: Stamps) -> Stamps:
    """Write the new manifest; the stamps of lines that both have go along, new lines are not proven.

    Raises Misfit.
    """
    stamps = array.array("Q")
    at = 0
    for line in delta:
        sign, rest = line[:1], line[1:]
        if sign == b"+":
            new.write(rest)
            stamps.extend((0, 0))
            continue
        count = _count(sign, rest)
        if sign == b"=":
            stamps.extend(proven.values[2 * at : 2 * (at + count)])
        at += count
        while count:
            kept = list(itertools.islice(old, min(count, _MANY)))
            if not kept:
                raise Misfit("the old manifest has fewer lines")
            if sign == b"=":
                new.writelines(kept)
            count -= len(kept)
    return Stamps(stamps)


def _count(sign: bytes, rest: bytes) -> int:
    try:
        count = int(rest)
    except ValueError:
        count = -1
    if sign not in (b"=", b"-") or count < 0:
        raise Misfit("{!r} is no line of a difference".format(sign + rest[:40]))
    return count
