"""What an update will do, path by path, and in which order: the plan of the node's own side. Pure."""

import re
from typing import Iterable, List, NamedTuple, Optional, Tuple

from installer.node.manifest import Entry

ADD, CHANGE, ATTRIBUTES, DELETE, PROTECTED = "add", "change", "attributes", "delete", "protected"

# The libraries that every program maps, and what starts programs: replaced in one go, so that no two versions of them
# meet for longer than a few renames take.
_VITAL = re.compile(
    rb"(?:ld-[^/]*\.so[^/]*|lib(?:c|m|dl|rt|pthread|resolv|crypt|gcc_s|nss_[a-z]+|systemd|systemd-[a-z0-9.-]+|mount|"
    rb"selinux|pcre2?-?[0-9]*|cap|crypto|pam)(?:[-.][^/]*)?\.so[^/]*|libc-[^/]*)$"
)
_SYSTEMD = (b"usr/lib/systemd/", b"lib/systemd/", b"usr/bin/systemctl", b"bin/systemctl")
_KERNEL = (b"boot/", b"lib/modules/", b"usr/lib/modules/")


class Action(NamedTuple):
    """One path and what becomes of it. ``entry`` is how it shall be, None where it goes; ``source`` is where its
    content is fetched, ``image`` or ``overrides``. ``was`` is the type of what is there now; empty: nothing.
    ``reason`` is for people: the attributes that differ, or why it is left alone."""

    verb: str
    path: bytes
    entry: Optional[Entry] = None
    source: str = "image"
    reason: str = ""
    content: bool = False
    was: str = ""


def ordered(actions: Iterable[Action]) -> List[Action]:
    """The safe order: what is new before what changes, so that nothing points to what is not there yet; deletions last,
    deepest first. What is only protected is left out."""
    doing = [action for action in actions if action.verb != PROTECTED]
    gone = sorted((each for each in doing if each.verb == DELETE), key=lambda each: tree_order(each.path), reverse=True)
    here = sorted(
        (each for each in doing if each.verb != DELETE), key=lambda each: (_rank(each), tree_order(each.path))
    )
    return here + gone


def tree_order(path: bytes) -> Tuple[bytes, ...]:
    """Sorts as the manifest does: depth first, names in byte order, directories before what they hold."""
    return () if path == b"." else tuple(path.split(b"/"))


def _rank(action: Action) -> int:
    entry = action.entry
    assert entry is not None
    if action.verb == ATTRIBUTES:
        return 9
    if entry.kind == "dir":
        return 0
    if entry.links > 1 and not action.content:  # a further name of a file that is put in place before it
        return 8
    if action.verb == ADD:
        if entry.kind != "file":
            return 3
        return 1 if action.path.startswith(_KERNEL) else 2
    if entry.kind != "file":
        return 7
    if is_vital(action.path):
        return 4
    return 5


def is_vital(path: bytes) -> bool:
    """Whether nothing starts without it."""
    return path.startswith(_SYSTEMD) or (b"lib" in path and _VITAL.match(path.rpartition(b"/")[2]) is not None)
