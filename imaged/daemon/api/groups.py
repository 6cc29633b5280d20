"""Groups of nodes, and how the own systems of their nodes are set up."""

from typing import Any

from attrs import frozen

from imaged.admin import groups
from imaged.admin.groups import GroupChanges, NewGroup, set_host
from imaged.daemon.api.route import Call
from imaged.model.group import Group
from imaged.model.host import Host
from imaged.model.setup import Setup
from imaged.planning.effects import Effect


@frozen
class GroupShown:
    """A group and the nodes in it. Among the groups of a node the lowest ``priority`` wins."""

    name: str
    priority: int
    setup: Setup
    nodes: tuple[str, ...]


@frozen
class GroupChanged:
    """A group as it is now, and what became different of which nodes."""

    group: GroupShown
    effects: tuple[Effect, ...]


@frozen
class GroupList:
    """In the order in which they are applied: the last one wins."""

    groups: tuple[GroupShown, ...]


@frozen
class Forced:
    """``force``: also what is in use."""

    force: bool = False


def every(call: Call[None, None]) -> GroupList:
    """List groups and the nodes in them."""
    return GroupList(tuple(_shown(call, group) for group in call.desk.groups.all()))


def add(call: Call[None, NewGroup]) -> GroupShown:
    """Define a group."""
    return _shown(call, groups.add(call.desk, call.body))


def one(call: Call[None, None]) -> GroupShown:
    """A group and the nodes in it."""
    return _shown(call, call.desk.groups.get(call.path["name"]))


def change(call: Call[None, GroupChanges]) -> GroupChanged:
    """Change what is said of the nodes in a group, and tell which of them that changes.

    Nothing happens on the nodes: their next install or update carries it there.
    """
    group, effects = groups.change(call.desk, call.path["name"], call.body)
    return GroupChanged(_shown(call, group), effects)


def remove(call: Call[Forced, None]) -> None:
    """Forget a group; with ``force`` also one with nodes in it. The files of its overrides stay."""
    groups.remove(call.desk, (call.path["name"],), force=call.query.force)


def host(call: Call[None, None]) -> Host:
    """What was said of how the own systems of its nodes are set up."""
    return call.desk.hosts.group(call.desk.groups.get(call.path["name"]).name)


def put_host(call: Call[None, Host]) -> Host:
    """Say how the own systems of its nodes are set up, instead of what was said before."""
    return set_host(call.desk, call.path["name"], call.body, group=True, clear=True)


def change_host(call: Call[None, Host]) -> Host:
    """Say more of how the own systems of its nodes are set up: what is not said stays."""
    return set_host(call.desk, call.path["name"], call.body, group=True)


def _shown(call: Call[Any, Any], group: Group) -> GroupShown:
    return GroupShown(group.name, group.priority, group.setup, call.desk.groups.nodes(group.name))
