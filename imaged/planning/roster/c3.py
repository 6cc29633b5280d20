"""Clusters in C3's c3.conf: each is a group of nodes. It knows no MACs: another file has to tell them."""

import re
from collections.abc import Iterator

from imaged.model.errors import BadInput
from imaged.model.group import Group, group_name
from imaged.planning.roster.entries import Entry, Roster

_CLUSTER = re.compile(r"cluster\s+(\S+)\s*\{([^}]*)\}", re.DOTALL)
_RANGE = re.compile(r"(.*?)\[(\d+)-(\d+)\](.*)")
_EXCLUDED = re.compile(r"exclude\s+(?:(\d+)|\[(\d+)-(\d+)\])")
_MOST = 100_000


def c3(text: str) -> Roster:
    """The first line of a cluster is its head; ``exclude`` takes nodes out of the range before it, ``dead`` names one
    that is not there now. Clusters that are reached through another head (``:head``) are told, not taken."""
    plain = re.sub(r"#[^\n]*", "", text)
    entries: dict[str, Entry] = {}
    groups, notes = [], []
    end = 0
    for found in _CLUSTER.finditer(plain):
        number = plain.count("\n", 0, found.start()) + 1
        if plain[end : found.start()].strip():
            raise BadInput(f"line {number}: expected `cluster NAME {{ ... }}`")
        end = found.end()
        name = group_name(found[1].lower())
        lines = [line for line in _lines(found[2], plain.count("\n", 0, found.start(2)) + 1) if line[1]]
        if not lines:
            raise BadInput(f"line {number}: cluster {found[1]} has no head")
        head, *lines = lines
        if head[1].startswith(":"):
            notes.append((head[0], f"cluster {found[1]} is reached through {head[1][1:]}, and is not here"))
            continue
        groups.append(Group(name))
        members, told = _members(lines)
        notes += told
        for node in members:
            entries[node] = Entry(node, groups=(*(entries[node].groups if node in entries else ()), name))
    if plain[end:].strip():
        raise BadInput(f"line {plain.count(chr(10), 0, end) + 1}: expected `cluster NAME {{ ... }}`")
    return Roster(tuple(entries.values()), tuple(groups), tuple(notes))


def _lines(block: str, first: int) -> Iterator[tuple[int, str]]:
    yield from ((first + at, line.strip()) for at, line in enumerate(block.splitlines() or [""]))


def _members(lines: list[tuple[int, str]]) -> tuple[list[str], list[tuple[int, str]]]:
    members: list[str] = []
    notes: list[tuple[int, str]] = []
    latest: dict[int, str] = {}
    for number, line in lines:
        out = _EXCLUDED.fullmatch(line)
        if out:
            low, high = int(out[1] or out[2]), int(out[1] or out[3])
            gone = {name for at, name in latest.items() if low <= at <= high}
            members = [name for name in members if name not in gone]
        elif line.startswith("dead "):
            notes.append((number, f"{line[5:].strip()} is marked as dead, and is taken all the same"))
            latest = expanded(line[5:].strip(), number)
            members += latest.values()
        else:
            latest = expanded(line, number)
            members += latest.values()
    return list(dict.fromkeys(members)), notes


def expanded(text: str, number: int) -> dict[int, str]:
    """By their numbers in the range; zeros stay as they are."""
    if not re.fullmatch(r"[A-Za-z0-9._\[\]-]+", text):
        raise BadInput(f"line {number}: {text!r} is no node")
    match = _RANGE.fullmatch(text)
    if not match:
        return {-1: text.partition(".")[0].lower()}
    low, high, width = int(match[2]), int(match[3]), len(match[2]) if match[2].startswith("0") else 0
    if high < low or high - low > _MOST:
        raise BadInput(f"line {number}: {text!r} is no range")
    return {at: f"{match[1]}{at:0{width}}{match[4]}".partition(".")[0].lower() for at in range(low, high + 1)}
