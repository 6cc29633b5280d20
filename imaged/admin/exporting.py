"""Nodes as files of other programs."""

from collections.abc import Sequence

from imaged.admin import ranges
from imaged.admin.desk import Desk
from imaged.model.errors import NotFound
from imaged.planning.naming import FORMS, Named, write
from imaged.planning.roster.entries import Entry, Roster
from imaged.planning.roster.ours import write_values, write_yaml

_WHOLE = {"csv": write_values, "yaml": write_yaml}
EVERY_FORM = (*FORMS, *_WHOLE)


def text(desk: Desk, form: str, nodes: str) -> tuple[str, int]:
    """The file, and how many nodes are in it. Raises BadInput, NotFound for a form that is none."""
    if form not in EVERY_FORM:
        raise NotFound(f"{form[:40]!r} is no form of a file", hint=f"There are {', '.join(EVERY_FORM)}.")
    wanted = ranges.named(desk, (nodes,))
    if form in _WHOLE:
        return _WHOLE[form](roster(desk, [node.name for node in wanted], every=nodes == "@*")), len(wanted)
    return write(form, [Named(node.name, node.macs, node.address) for node in wanted], desk.settings), len(wanted)


def roster(desk: Desk, names: Sequence[str], *, every: bool = False) -> Roster:
    """These nodes and their groups (``every``: all groups), of which an import would make the same again.

    Raises NotFound.
    """
    definitions = desk.nodes.definitions(names)
    entries = (Entry(each.name, each.macs, each.address, each.groups, each.setup, each.uuid) for each in definitions)
    spoken = {name for each in definitions for name in each.groups}
    return Roster(tuple(entries), tuple(group for group in desk.groups.all() if every or group.name in spoken))
