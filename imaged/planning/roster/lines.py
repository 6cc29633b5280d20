"""Rosters of one node a line: ethers(5), hosts(5), and comma-separated values with a line of titles."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from imaged.model.errors import BadInput
from imaged.planning.roster.entries import Entry, Roster, address, mac

TITLES = ("name", "macs", "address", "groups", "image", "layout", "console", "uuid")
_LOCAL = re.compile(r"localhost|ip6-|broadcasthost")


def ethers(text: str) -> Roster:
    """``MAC name``."""
    entries = []
    for number, words in _lines(text):
        if len(words) != 2:
            raise BadInput(f"line {number}: an Ethernet address and a name are needed")
        entries.append(Entry(words[1].partition(".")[0].lower(), (mac(words[0], number),)))
    return Roster(tuple(entries))


def hosts(text: str) -> Roster:
    """``ADDRESS name ...``: the first name up to its first dot. IPv6 and this machine's own are passed over."""
    entries, notes = [], []
    for number, words in _lines(text):
        if ":" in words[0] or words[0].startswith("127."):
            continue
        if len(words) < 2 or _LOCAL.match(words[1]):
            notes.append((number, f"{' '.join(words)!r} names no node"))
            continue
        entries.append(Entry(words[1].partition(".")[0].lower(), address=address(words[0], number)))
    return Roster(tuple(entries), notes=tuple(notes))


def values(text: str) -> Roster:
    """Titles in the first line, any of TITLES; several MACs or groups with spaces between."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        titles = [(title or "").strip() for title in reader.fieldnames or ()]
        unknown = [title for title in titles if title not in TITLES]
        if unknown or "name" not in titles:
            what = f"{unknown[0]!r} is no title" if unknown else "there is no title 'name'"
            raise BadInput(f"line 1: {what}", hint=f"Titles are {', '.join(TITLES)}.")
        reader.fieldnames = titles
        return Roster(tuple(entry_of(row, reader.line_num) for row in reader))
    except csv.Error as error:
        raise BadInput(f"line {reader.line_num}: {error}") from None


def write_values(entries: Iterable[Entry]) -> str:
    """The same, of every node."""
    out = io.StringIO()
    writer = csv.DictWriter(out, TITLES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(entry) for entry in entries)
    return out.getvalue()


def plain(entry: Entry) -> dict[str, str]:
    """By TITLES, as text."""
    return {
        "name": entry.name, "macs": " ".join(map(str, entry.macs)), "address": str(entry.address or ""),
        "groups": " ".join(entry.groups), "image": entry.image, "layout": entry.layout, "console": entry.console,
        "uuid": entry.uuid,
    }  # fmt: skip


def entry_of(row: Mapping[str, str | None], number: int) -> Entry:
    """A node from text by TITLES. Raises BadInput with the line."""
    if None in row:
        raise BadInput(f"line {number}: more values than titles")
    said = {key: (value or "").strip() for key, value in row.items()}
    return Entry(
        said.get("name", ""), tuple(mac(word, number) for word in said.get("macs", "").split()),
        address(said["address"], number) if said.get("address") else None, tuple(said.get("groups", "").split()),
        said.get("image", ""), said.get("layout", ""), said.get("console", ""), said.get("uuid", "").lower(),
    )  # fmt: skip


def of_plain(data: Any) -> Roster:
    """The same from a list of mappings, as YAML has it; ``macs`` and ``groups`` may be lists. Raises BadInput."""
    if not isinstance(data, list):
        raise BadInput("expected a list of nodes")
    return Roster(tuple(_of_mapping(each, at) for at, each in enumerate(data, 1)))


def _of_mapping(each: Any, number: int) -> Entry:
    if not isinstance(each, dict) or not isinstance(each.get("name"), str):
        raise BadInput(f"node {number}: expected a mapping with a name")
    unknown = [key for key in each if key not in TITLES]
    if unknown:
        raise BadInput(f"node {each['name']}: {unknown[0]!r} is no key", hint=f"Keys are {', '.join(TITLES)}.")
    try:
        row = {key: " ".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in each.items()}
        return entry_of(row, number)
    except BadInput as error:
        raise BadInput(f"node {each['name']}: {error.what.partition(': ')[2]}", hint=error.hint) from None


def write_yaml(entries: Iterable[Entry]) -> str:
    """The same as YAML; every value is quoted as JSON, which YAML 1.2 takes."""
    lines = []
    for entry in entries:
        said: dict[str, str | list[str]] = {key: value for key, value in plain(entry).items() if value}
        said |= {"macs": list(map(str, entry.macs))} | ({"groups": list(entry.groups)} if entry.groups else {})
        for at, (key, value) in enumerate(said.items()):
            lines.append(f"{'  ' if at else '- '}{key}: {json.dumps(value)}\n")
    return "".join(lines) or "[]\n"


def _lines(text: str) -> list[tuple[int, list[str]]]:
    split = ((number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, words) for number, words in split if words]
