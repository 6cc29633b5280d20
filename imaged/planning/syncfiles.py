"""``syncfiles``: which files a site lists for whom, which users go, what is sent, what an answer means. Pure."""

import base64
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from imaged.model.codec import from_plain
from imaged.model.errors import BadInput
from imaged.model.syncfile import Item, Ran, Synced, SyncFile
from imaged.planning.answers import last_json
from imaged.planning.fixups.identity import MERGED

LIST: Final = "syncfiles.yaml"  # in the state directory
PEOPLE: Final = "1000-59999"  # ids of people, as adduser(8) and useradd(8) give them
SAME: Final = "same"
_NEW: Final = frozenset(("add", "change", "merge"))  # what takes the content
_LAYER = re.compile(r"all|(?:image|group|node)/[a-z0-9][a-z0-9._-]*")
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?")
_MODE = re.compile(r"[0-7]{3,4}")
_IDS = re.compile(r"(\d{1,10})-(\d{1,10})")
_SECOND = {
    "/etc/shadow": "/etc/passwd", "/etc/subuid": "/etc/passwd", "/etc/subgid": "/etc/passwd",
    "/etc/gshadow": "/etc/group",
}  # fmt: skip
_DONE = {"add": "added", "change": "changed", "attributes": "owner, mode", "merge": "merged", "failed": "FAILED"}

Lists = Mapping[str, tuple[SyncFile, ...]]


def read(data: Any, where: str) -> Lists:
    """The lists by layer (``all``, ``image/compute``, ``group/gpu``, ``node/n1``) of a YAML file. Raises BadInput."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise BadInput("is not a mapping of layers to lists of files", where=where, hint=_HINT)
    for layer in data:
        if not _LAYER.fullmatch(layer):
            raise BadInput(f"{layer!r} is no layer", where=where, hint=_HINT)
    return {layer: tuple(_entry(each, f"{where}: {layer}") for each in files or ()) for layer, files in data.items()}


_HINT = "Its keys are all, image/NAME, group/NAME and node/NAME, each with a list of files."


def _entry(data: Any, where: str) -> SyncFile:
    each = SyncFile(data) if isinstance(data, str) else from_plain(data, SyncFile, where=where)
    for path in (each.path, each.source or each.path):
        check_path(path, where)
    faults = (
        (each.owner and not _OWNER.fullmatch(each.owner), f"{each.owner!r} is not USER or USER:GROUP"),
        (each.mode and not _MODE.fullmatch(each.mode), f"{each.mode!r} is no mode, such as 0640"),
        ("\n" in each.then, "a command is one line"),
        (each.ids and each.path not in ("/etc/passwd", "/etc/group"), "ids are for /etc/passwd and /etc/group"),
        (each.ids not in ("", "all") and not _IDS.fullmatch(each.ids), f"{each.ids!r} is not FIRST-LAST, nor all"),
        (each.path in MERGED and (each.owner or each.mode), "files of users keep the owner and mode that they have"),
    )
    for wrong, what in faults:
        if wrong:
            raise BadInput(what, where=f"{where}: {each.path}")
    return each


def check_path(path: str, where: str) -> None:
    """Raises BadInput for what is not the absolute path of a file."""
    if not path.startswith("/") or path.endswith("/") or {"..", "."} & set(path.split("/")) or not path.isprintable():
        raise BadInput(f"{path!r} is not the absolute path of a file", where=where)


def chosen(lists: Lists, layers: Iterable[str], only: Sequence[str] = ()) -> tuple[SyncFile, ...]:
    """The files of a node with these layers, the last layer wins; by path. Of ``only`` what is in no list is the same
    path here. What goes with another file comes with it: that one says whose lines are taken."""
    found = {each.path: each for layer in layers for each in lists.get(layer, ())}
    paths = dict.fromkeys(only or found)
    paths |= dict.fromkeys(_SECOND[path] for path in paths if path in _SECOND)
    return tuple(found.get(path) or SyncFile(path) for path in sorted(paths))


def own_paths(files: Iterable[SyncFile]) -> tuple[str, ...]:
    """Those that an update must leave as they are; users and groups it merges anyway."""
    return tuple(each.path for each in files if each.path not in MERGED)


def people(files: Sequence[SyncFile], contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """``contents`` by path, those of users and groups with only the lines that are wanted: a server's own daemons have
    no business on nodes, where their numbers are others'."""
    names: dict[str, set[bytes]] = {}
    found = dict(contents)
    for each in files:
        if each.path in ("/etc/passwd", "/etc/group"):
            lines = _within(contents[each.path], each.ids or PEOPLE)
            names[each.path] = {line.partition(b":")[0] for line in lines}
            found[each.path] = b"".join(line + b"\n" for line in lines)
    for path, first in _SECOND.items():
        if path in found:
            lines = [line for line in contents[path].splitlines() if line.partition(b":")[0] in names[first]]
            found[path] = b"".join(line + b"\n" for line in lines)
    return found


def _within(text: bytes, ids: str) -> list[bytes]:
    """Lines whose third field is a number in ``ids``; the compatibility entries of NIS (+, -) are nobody."""
    match = _IDS.fullmatch(ids)
    least, most = (int(match[1]), int(match[2])) if match else (0, 2**32)
    found = []
    for line in text.splitlines():
        fields = line.split(b":")
        if len(fields) > 2 and fields[2].isdigit() and least <= int(fields[2]) <= most:
            found.append(line)
    return found


def question(items: Iterable[Item], contents: Collection[str], then: str = "") -> bytes:
    """What the agent's ``syncfiles`` reads: all items, and the contents of those paths."""
    files = [
        {
            "path": each.path, "sha256": each.sha256, "owner": each.owner, "group": each.group, "mode": each.mode,
            "merge": each.merge, "then": each.then,
            "content": base64.b64encode(each.content).decode() if each.path in contents else None,
        }
        for each in items
    ]  # fmt: skip
    return json.dumps({"files": files, "then": then}).encode()


def answer(output: str) -> Synced:
    """Raises BadInput for what is none."""
    return from_plain(last_json(output), Synced, where="answer")


def wanting(items: Sequence[Item], found: Synced, *, look: bool) -> tuple[tuple[Item, ...], frozenset[str]]:
    """What a second question is about after a first without contents, and whose contents go with it.

    For a ``look`` only those of users and groups do: what a merge would change, only they tell. All of these go
    where one does: a name's fate is decided by all of its files.
    """
    actions = {each.path: each.action for each in found.files}
    merges = any(actions.get(each.path) == "merge" for each in items if each.merge)
    todo = tuple(each for each in items if (merges if each.merge else actions.get(each.path) != SAME))
    sent = (each.path for each in todo if each.merge or (not look and actions.get(each.path) in _NEW))
    return todo, frozenset(sent)


def differs(found: Synced) -> bool:
    """Whether something is, or was, to be done."""
    return any(each.action != SAME for each in found.files)


def failed(found: Synced) -> bool:
    """Whether something could not be done."""
    return any(each.action == "failed" for each in found.files) or any(each.code for each in found.ran)


def report(found: Synced, *, look: bool) -> tuple[str, ...]:
    """For people, a line each; none where everything is in step. ``look``: nothing was done yet."""
    words = {**_DONE, "add": "add", "change": "change", "merge": "merge"} if look else _DONE
    files = (
        f"{words.get(each.action, each.action)} {each.path}{f': {each.message}' if each.message else ''}"
        for each in found.files
        if each.action != SAME
    )
    ran = (line for each in found.ran for line in _ended(each))
    return (*files, *found.said, *ran)


def _ended(each: Ran) -> tuple[str, ...]:
    if not each.code:
        return (f"ran {each.command}",)
    return (f"FAILED {each.command}: ended with {each.code}", *(f"  {line}" for line in each.message.splitlines()))
