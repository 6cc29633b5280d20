"""From differences to actions: what an update does with each path that is not as it should be, and why. Pure."""

from typing import Callable, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Set, Tuple

from installer.node.actions import ADD, ATTRIBUTES, CHANGE, DELETE, PROTECTED, Action
from installer.node.compare import OVERRIDE
from installer.node.kernels import belongs
from installer.node.manifest import Entry

_CONTENT = frozenset(("missing", "type", "size", "sha256", "content"))
_REMAKE = frozenset(("link", "device"))
_LINKS = frozenset(("nlink", "links", "group"))


class Found(NamedTuple):
    """A path that differs: how it shall be (None: not at all), whose it is, in which attributes it differs, and the
    type of what is there (empty: nothing)."""

    path: bytes
    entry: Optional[Entry]
    owner: str
    what: FrozenSet[str]
    was: str


class Rules(NamedTuple):
    """What holds an action back. ``protected`` gives the reason for a path, or nothing."""

    protected: Callable[[bytes], str]
    fixups: Callable[[bytes], bool]
    merged: FrozenSet[bytes]
    kernels: Tuple[str, ...]
    delete: bool = True
    directory: bytes = b""


def decide(differences: Iterable[Found], rules: Rules) -> List[Action]:
    """One action for each difference, protected ones among them so that people see what was left alone."""
    actions = [_action(each, rules) for each in differences if _within(each.path, rules.directory)]
    replaced = {
        each.path for each in actions
        if each.verb == CHANGE and each.was == "dir" and each.entry is not None and each.entry.kind != "dir"
    }  # fmt: skip
    if not replaced:
        return actions
    return [each for each in actions if each.verb != DELETE or not _below(each.path, replaced)]


def _action(each: Found, rules: Rules) -> Action:
    what = ",".join(sorted(each.what))
    source = "overrides" if each.owner == OVERRIDE else "image"
    kept = _kept(each, rules)
    if kept:
        return Action(PROTECTED, each.path, each.entry, source, kept, False, each.was)
    if each.entry is None:
        return Action(DELETE, each.path, None, source, "not in the image", False, each.was)
    if not each.was:
        return Action(ADD, each.path, each.entry, source, what, each.entry.kind == "file", "")
    if each.path in rules.merged and each.was == "file" and each.entry.kind == "file":
        return Action(ATTRIBUTES, each.path, each.entry, source, "merged by name", False, each.was)
    if "type" in each.what or each.what & _REMAKE:
        return Action(CHANGE, each.path, each.entry, source, what, each.entry.kind == "file", each.was)
    if each.entry.kind == "file" and each.what & (_CONTENT | _LINKS):
        return Action(CHANGE, each.path, each.entry, source, what, True, each.was)
    if each.entry.kind != "dir" and each.what & _LINKS:
        return Action(CHANGE, each.path, each.entry, source, what, False, each.was)
    return Action(ATTRIBUTES, each.path, each.entry, source, what, False, each.was)


def _kept(each: Found, rules: Rules) -> str:
    """Why the path is left alone; empty: it is not."""
    reason = rules.protected(each.path) if each.owner != OVERRIDE else ""
    if reason:
        return reason
    if rules.fixups(each.path):
        return "a fixup writes it"
    if each.entry is not None:
        return ""
    if not rules.delete:
        return "--no-delete"
    for version in rules.kernels:
        if belongs(each.path, version):
            return "kernel {} must stay bootable".format(version)
    return ""


def _within(path: bytes, directory: bytes) -> bool:
    return not directory or path == directory or path.startswith(directory + b"/")


def _below(path: bytes, directories: Set[bytes]) -> bool:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        if path in directories:
            return True
    return False


class Linked(NamedTuple):
    """``actions`` with whole groups of hard links, and for each group that keeps its inode the name it has it under."""

    actions: List[Action]
    leaders: Dict[Tuple[str, int], bytes]


def with_links(actions: List[Action], members: Iterable[Tuple[str, Entry]]) -> Linked:
    """A new inode for one name is one for all: give every other name of its group to the new one too.

    ``members`` are (source, entry) of the touched groups, in the order of the manifest. The first name of a group takes
    the content, the others become links of it.
    """
    at = {each.path: index for index, each in enumerate(actions)}
    result = list(actions)
    leaders: Dict[Tuple[str, int], bytes] = {}
    led: Set[Tuple[str, int]] = set()
    for source, entry in members:
        index = at.get(entry.path)
        action = result[index] if index is not None else None
        if action is not None and action.verb == PROTECTED:
            continue
        group = (source, entry.group)
        if group not in led:
            led.add(group)
            if action is None or action.verb == ATTRIBUTES:
                leaders[group] = entry.path
            elif index is not None and entry.kind == "file":
                result[index] = action._replace(content=True)
            continue
        if index is None or action is None:
            result.append(Action(CHANGE, entry.path, entry, source, "links", False, entry.kind))
        elif action.verb == ATTRIBUTES:
            result[index] = action._replace(verb=CHANGE, content=False)
        else:
            result[index] = action._replace(content=False)
    return Linked(result, leaders)


def counted(actions: Iterable[Action]) -> Dict[str, int]:
    """How many of each verb; attributes count as changes."""
    counts = {ADD: 0, CHANGE: 0, DELETE: 0, PROTECTED: 0}
    for each in actions:
        counts[CHANGE if each.verb == ATTRIBUTES else each.verb] += 1
    return counts
