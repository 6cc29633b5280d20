"""Groups of nodes: defined and forgotten; and how the own system of a node, or of a group's nodes, is set up."""

from collections.abc import Sequence

from attrs import evolve, field, frozen

from imaged.admin.desk import Desk
from imaged.admin.nodes import refuse_unknown
from imaged.model.errors import BadInput
from imaged.model.group import DEFAULT_PRIORITY, Group, group_name
from imaged.model.host import Host
from imaged.model.names import WORD
from imaged.model.setup import UNSAID, Setup, variable
from imaged.planning import defining
from imaged.planning.defining import SetupChanges
from imaged.planning.effects import Effect, effects, told

_HIGHEST = 1_000_000


@frozen
class NewGroup:
    """A group that is to be. Among the groups of a node the lowest ``priority`` wins."""

    name: str = field(metadata={"limits": {"pattern": f"^{WORD}$"}})
    priority: int = field(default=DEFAULT_PRIORITY, metadata={"limits": {"minimum": 0, "maximum": _HIGHEST}})
    host: Host = Host()
    setup: Setup = UNSAID


@frozen
class GroupChanges(SetupChanges):
    """What becomes different of a group; None: stays. ``first``: the boot action that new nodes in it begin with;
    empty: is no longer said."""

    priority: int | None = None
    first: str | None = field(default=None, metadata={"limits": {"enum": ["", *defining.FIRST, None]}})


def add(desk: Desk, new: NewGroup) -> Group:
    """Define a group. Raises BadInput, NotFound for an image or layout, Conflict when there is one of that name."""
    group, host = checked(Group(new.name, new.priority, new.setup)), defining.host(new.host)
    refuse_unknown(desk, group.setup.image, group.setup.layout, ())
    desk.groups.add(group)
    desk.hosts.put_group(group.name, host)
    return group


def change(desk: Desk, name: str, changes: GroupChanges) -> tuple[Group, tuple[Effect, ...]]:
    """The group as it is then, and what that changes of which nodes. Raises BadInput, NotFound."""
    if changes == GroupChanges():
        raise BadInput("nothing to change")
    old = desk.groups.get(name)
    priority = old.priority if changes.priority is None else changes.priority
    setup = defining.setup(old.setup, changes)
    setup = setup if changes.first is None else evolve(setup, first=changes.first)
    new = checked(Group(name, priority, setup))
    refuse_unknown(desk, changes.image, changes.layout, ())
    inside = desk.groups.nodes(name)
    before = _told(desk, inside)
    desk.groups.change(new)
    return new, effects(before, _told(desk, inside))


def remove(desk: Desk, names: Sequence[str], *, force: bool = False) -> tuple[Effect, ...]:
    """Forget groups, and what that changes of which nodes; the files of their overrides stay. All of them, or none.

    Raises NotFound, and Conflict for one with nodes in it unless ``force``.
    """
    inside = sorted({node for name in names for node in desk.groups.nodes(name)})
    before = _told(desk, inside)
    desk.groups.remove(*names, force=force)
    return effects(before, _told(desk, inside))


def _told(desk: Desk, names: Sequence[str]) -> dict[str, dict[str, str]]:
    return {node.name: told(node) for node in desk.nodes.named(names)}


def checked(group: Group) -> Group:
    """The same. Raises BadInput where it is no group."""
    if not 0 <= group.priority <= _HIGHEST:
        raise BadInput(f"{group.priority} is not within 0 to {_HIGHEST}", where="priority")
    defining.console(group.setup.console)
    defining.first(group.setup.first)
    for name, text in group.setup.variables.items():
        variable(name, text)
    group_name(group.name)
    return group


def set_host(desk: Desk, name: str, said: Host, *, group: bool = False, clear: bool = False) -> Host:
    """What holds from now on for a node or a group of that name: what is not said stays, unless ``clear``.

    Raises BadInput, NotFound.
    """
    defining.host(said)
    if group:
        desk.groups.get(name)
    else:
        desk.nodes.get(name)
    known = desk.hosts.group(name) if group else desk.hosts.node(name)
    host = said.over(Host() if clear else known)
    if host != known:
        (desk.hosts.put_group if group else desk.hosts.put_node)(name, host)
    return host
