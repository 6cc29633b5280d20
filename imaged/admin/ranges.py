"""Names of many nodes as ranges, and back: ``node[001-064]!node17,@rack1``. ClusterShell's grammar."""

import re
from collections.abc import Collection, Mapping, Sequence

from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeUtils import GroupResolver, GroupResolverError, GroupSource

from imaged.admin.desk import Desk
from imaged.model.errors import BadInput, NotFound
from imaged.model.node import Node
from imaged.planning.ranges import refuse_huge

EVERYONE = "@*"
_GRAMMAR = "Write nodes like node01, node[01-64,100]!node17, or @group."


def named(desk: Desk, ranges: Sequence[str]) -> tuple[Node, ...]:
    """The nodes that ``node[001-064,100]``, ``@rack1``, ``@*!node05`` and the like mean, in that order.

    ``@*`` are all nodes. Raises BadInput, NotFound for a group or a node that is not defined.
    """
    return desk.nodes.named(names(desk, ranges))


def names(desk: Desk, ranges: Sequence[str]) -> tuple[str, ...]:
    """Their names alone, whether or not there are such nodes. Raises BadInput, NotFound for a group."""
    refuse_huge(ranges)
    grouped = any("@" in each for each in ranges)  # else nobody has to read who is in which
    groups, everyone = desk.groups, desk.nodes.names() if grouped else ()
    if tuple(ranges) == (EVERYONE,):
        return everyone  # thousands of them need not be folded and unfolded
    known = {group: ",".join(inside) for group, inside in groups.members().items()} if grouped else {}
    resolver = GroupResolver(GroupSource("imaged", known, ",".join(everyone)), illegal_chars=set())
    for name in re.findall(r"@([a-z0-9][a-z0-9._-]*)", ",".join(ranges)):
        groups.get(name)  # ClusterShell takes a group that there is not for an empty one
    try:
        found = [str(name) for each in ranges for name in NodeSet(each, resolver=resolver)]
    except (NodeSetException, GroupResolverError) as error:
        raise BadInput(str(error), hint=_GRAMMAR) from None
    return tuple(dict.fromkeys(found))


def among(text: str, groups: Mapping[str, Sequence[str]], everyone: Collection[str]) -> frozenset[str]:
    """As ``named``, of nodes and groups that somebody knows already; those that are not there are passed over.

    Raises BadInput, and NotFound for a group.
    """
    refuse_huge((text,))
    for name in re.findall(r"@([a-z0-9][a-z0-9._-]*)", text):
        if name not in groups:
            raise NotFound(f"no group {name!r}")
    known = {name: ",".join(inside) for name, inside in groups.items()} if "@" in text else {}
    source = GroupSource("imaged", known, ",".join(everyone) if "@*" in text else "")
    try:
        return frozenset(map(str, NodeSet(text, resolver=GroupResolver(source, illegal_chars=set())))) & set(everyone)
    except (NodeSetException, GroupResolverError) as error:
        raise BadInput(str(error), hint=_GRAMMAR) from None


def folded(names: Sequence[str]) -> str:
    """``node[01-03,07]``."""
    return str(NodeSet.fromlist(list(names)))
