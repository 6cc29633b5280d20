"""Rosters as `imaged export` writes them and reads them again: comma-separated values, and YAML. All that was said of
nodes and groups is in them; what a node has from its groups is said of the groups."""

import csv
import io
import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from imaged.model.errors import BadInput
from imaged.model.group import DEFAULT_PRIORITY, Group
from imaged.model.setup import Setup, variable
from imaged.planning import defining
from imaged.planning.roster.entries import Entry, Roster, address, image, mac

T = TypeVar("T")
_SETUP = ("image", "layout", "console", "variables")
NODE_KEYS = ("name", "macs", "address", "groups", *_SETUP[:3], "uuid", "variables")
GROUP_KEYS = ("name", "priority", *_SETUP, "first")
TITLES = (*NODE_KEYS, "priority", "first")  # of both: a group's row is named @gpu


def values(text: str) -> Roster:
    """Titles in the first line, any of TITLES; several MACs, groups or variables (``rack=7``, quoted as for a shell)
    with spaces between."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    entries, groups = [], []
    try:
        titles = [(title or "").strip() for title in reader.fieldnames or ()]
        unknown = [title for title in titles if title not in TITLES]
        if unknown or "name" not in titles:
            what = f"{unknown[0]!r} is no title" if unknown else "there is no title 'name'"
            raise BadInput(f"line 1: {what}", hint=f"Titles are {', '.join(TITLES)}.")
        reader.fieldnames = titles
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row:
                raise BadInput(f"{where}: more values than titles")
            said = {key: value.strip() for key, value in row.items() if value and value.strip()}
            if said.get("name", "").startswith("@"):
                groups.append(_group({**said, "name": said["name"][1:]}, where))
            else:
                entries.append(_entry(said, where))
    except csv.Error as error:
        raise BadInput(f"line {reader.line_num}: {error}") from None
    return Roster(tuple(entries), tuple(groups))


def write_values(roster: Roster) -> str:
    """The same, groups first."""
    out = io.StringIO()
    writer = csv.DictWriter(out, TITLES, lineterminator="\n")
    writer.writeheader()
    for group in roster.groups:
        writer.writerow({key: _cell(value) for key, value in _group_plain(group).items()} | {"name": f"@{group.name}"})
    writer.writerows({key: _cell(value) for key, value in _entry_plain(entry).items()} for entry in roster.entries)
    return out.getvalue()


def of_plain(data: Any) -> Roster:
    """The same from plain data, as YAML has it: ``groups`` and ``nodes``, or a list of nodes. Raises BadInput."""
    whole = {"nodes": data} if isinstance(data, list) else data
    if not isinstance(whole, dict) or not all(isinstance(each, list) for each in whole.values()):
        raise BadInput("expected a list of nodes, or lists of groups and nodes")
    unknown = [key for key in whole if key not in ("groups", "nodes")]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is no key", hint="Keys are groups and nodes.")
    return Roster(
        tuple(_of_mapping(each, "node", at, NODE_KEYS, _entry) for at, each in enumerate(whole.get("nodes", ()), 1)),
        tuple(_of_mapping(each, "group", at, GROUP_KEYS, _group) for at, each in enumerate(whole.get("groups", ()), 1)),
    )


def write_yaml(roster: Roster) -> str:
    """The same as YAML; every value is written as JSON, which YAML 1.2 takes."""
    return _listed("groups", map(_group_plain, roster.groups)) + _listed("nodes", map(_entry_plain, roster.entries))


def _listed(title: str, items: Any) -> str:
    lines = [
        f"{'  ' if at else '- '}{key}: {json.dumps(value, ensure_ascii=False)}\n"
        for plain in items
        for at, (key, value) in enumerate((key, value) for key, value in plain.items() if value not in ("", [], {}))
    ]
    return f"{title}:\n{''.join(lines)}" if lines else f"{title}: []\n"


def _entry_plain(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name, "macs": list(map(str, entry.macs)), "address": str(entry.address or ""),
        "groups": list(entry.groups), **_setup_plain(entry.setup), "uuid": entry.uuid,
    }  # fmt: skip


def _group_plain(group: Group) -> dict[str, Any]:
    return {"name": group.name, "priority": group.priority, **_setup_plain(group.setup), "first": group.setup.first}


def _setup_plain(setup: Setup) -> dict[str, Any]:
    return {
        "image": str(setup.image), "layout": setup.layout, "console": setup.console, "variables": setup.variables
    }  # fmt: skip


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return shlex.join(f"{key}={text}" for key, text in value.items())
    return " ".join(value) if isinstance(value, list) else str(value)


def _of_mapping(each: Any, kind: str, at: int, keys: tuple[str, ...], make: Callable[[Mapping[str, Any], str], T]) -> T:
    if not isinstance(each, dict) or not isinstance(each.get("name"), str):
        raise BadInput(f"{kind} {at}: expected a mapping with a name")
    where = f"{kind} {each['name']}"
    unknown = [key for key in each if key not in keys]
    if unknown:
        raise BadInput(f"{where}: {unknown[0]!r} is no key", hint=f"Keys are {', '.join(keys)}.")
    return make(each, where)


def _entry(said: Mapping[str, Any], where: str) -> Entry:
    _refuse(said, NODE_KEYS, where, "a node")
    return Entry(
        _word(said, "name", where), tuple(mac(word, where) for word in _words(said, "macs", where)),
        address(str(said["address"]), where) if said.get("address") else None, tuple(_words(said, "groups", where)),
        _setup(said, where), _word(said, "uuid", where).lower(),
    )  # fmt: skip


def _group(said: Mapping[str, Any], where: str) -> Group:
    _refuse(said, GROUP_KEYS, where, "a group")
    text = _word(said, "priority", where) or str(DEFAULT_PRIORITY)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput(f"{where}: {text!r} is no priority")
    return Group(_word(said, "name", where), int(text), _setup(said, where))


def _refuse(said: Mapping[str, Any], keys: tuple[str, ...], where: str, what: str) -> None:
    for key in said:
        if key not in keys:
            raise BadInput(f"{where}: {what} has no {key}")


def _setup(said: Mapping[str, Any], where: str) -> Setup:
    pairs = said.get("variables") or {}
    if isinstance(pairs, str):
        try:
            words = [word.partition("=") for word in shlex.split(pairs)]
        except ValueError as error:
            raise BadInput(f"{where}: {pairs!r} are no variables: {error}") from None
        pairs = {name: text for name, _, text in words}
    if not isinstance(pairs, dict):
        raise BadInput(f"{where}: expected a mapping of variables")
    try:
        variables = dict(variable(name, _word(pairs, name, where)) for name in pairs)
    except BadInput as error:
        raise BadInput(f"{where}: {error.what.removeprefix(f'{where}: ')}", hint=error.hint) from None
    layout, console = _word(said, "layout", where), _word(said, "console", where)
    first = defining.first(_word(said, "first", where))
    return Setup(image(_word(said, "image", where), where), layout, console, variables, first)


def _words(said: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = said.get(key)
    if isinstance(value, list):
        return [_word({key: each}, key, where) for each in value]
    return _word(said, key, where).split()


def _word(said: Mapping[str, Any], key: str, where: str) -> str:
    """A text, or a number that somebody wrote without quotes."""
    value = said.get(key)
    if value is None:
        return ""
    if type(value) not in (str, int):
        raise BadInput(f"{where}: {key} is not a text: {value!r}"[:200])
    return str(value)
