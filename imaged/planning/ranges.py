"""Ranges of names, ``node[001-064]``, as ClusterShell reads them. Pure."""

import math
import re
from collections.abc import Sequence

from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeUtils import GroupResolver, GroupResolverError, GroupSource

from imaged.model.errors import BadInput

_MOST = 100_000  # names in one range: ClusterShell keeps each of them, and takes seconds for so many
_BETWEEN = re.compile(r"[,!&^](?![^\[]*\])")  # what stands between ranges, not within brackets
_INSIDE = re.compile(r"\[([^\]]*)\]")
_SPAN = re.compile(r"\s*(\d+)-(\d+)", re.ASCII)


def unfolded(ranges: str) -> tuple[str, ...]:
    """The names in ``node[001-064]!node017``, in their order, whether or not there are such nodes. Raises BadInput."""
    refuse_huge((ranges,))
    try:
        return tuple(str(name) for name in NodeSet(ranges, resolver=GroupResolver(GroupSource("none"))))
    except (NodeSetException, GroupResolverError) as error:
        raise BadInput(str(error), where=ranges, hint="Write names like node[001-064].") from None


def refuse_huge(ranges: Sequence[str]) -> None:
    """Raises BadInput for more names than anybody means."""
    if sum(_count(piece) for each in ranges for piece in _BETWEEN.split(each)) > _MOST:
        raise BadInput(f"these are more than {_MOST} names", hint="Write a smaller range.")


def _count(piece: str) -> int:
    """How many names one range has; at least so many as ClusterShell makes of it."""
    return math.prod(sum(_length(each) for each in inside.split(",")) for inside in _INSIDE.findall(piece))


def _length(span: str) -> int:
    found = _SPAN.match(span)
    if not found:
        return 1
    first, last = found.groups()
    return abs(int(last) - int(first)) + 1 if len(first) < 20 and len(last) < 20 else _MOST + 1
