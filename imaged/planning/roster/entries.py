"""What a roster says: nodes, groups, and what of a file could not be carried over. Several files are put together."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

from attrs import evolve, frozen

from imaged.model.errors import BadInput, Conflict
from imaged.model.group import DEFAULT_PRIORITY
from imaged.model.net import Mac


@frozen
class Entry:
    """A node. What a file does not say is empty."""

    name: str
    macs: tuple[Mac, ...] = ()
    address: IPv4Address | None = None
    groups: tuple[str, ...] = ()
    image: str = ""
    layout: str = ""
    console: str = ""
    uuid: str = ""


@frozen
class Roster:
    """``groups`` are priorities by name. ``notes`` are (line, sentence without its full stop); line 0: none."""

    entries: tuple[Entry, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    notes: tuple[tuple[int, str], ...] = ()


def merged(rosters: Iterable[Roster]) -> Roster:
    """All that several files say of each node. Raises Conflict where they say two things, naming the node."""
    entries: dict[str, Entry] = {}
    groups: dict[str, int] = {}
    notes: list[tuple[int, str]] = []
    for roster in rosters:
        for entry in roster.entries:
            entries[entry.name] = _both(entries[entry.name], entry) if entry.name in entries else entry
        for name, priority in roster.groups:
            if groups.get(name, DEFAULT_PRIORITY) == DEFAULT_PRIORITY:
                groups[name] = priority
        notes += roster.notes
    _refuse_shared(entries.values())
    named = {group: DEFAULT_PRIORITY for entry in entries.values() for group in entry.groups}
    return Roster(tuple(entries.values()), tuple((named | groups).items()), tuple(notes))


def _both(one: Entry, other: Entry) -> Entry:
    changes: dict[str, Any] = {
        "macs": tuple(dict.fromkeys((*one.macs, *other.macs))),
        "groups": tuple(dict.fromkeys((*one.groups, *other.groups))),
    }
    for key in ("address", "image", "layout", "console", "uuid"):
        first, second = getattr(one, key), getattr(other, key)
        if first and second and first != second:
            raise Conflict(f"has the {key} {first}, and {second} elsewhere", where=one.name)
        changes[key] = first or second
    return evolve(one, **changes)


def _refuse_shared(entries: Iterable[Entry]) -> None:
    owners: dict[object, str] = {}
    for entry in entries:
        for mark in (*entry.macs, *((entry.address,) if entry.address else ()), *((entry.uuid,) if entry.uuid else ())):
            if owners.setdefault(mark, entry.name) != entry.name:
                raise Conflict(f"{mark} belongs to {owners[mark]} already", where=entry.name)


def address(text: str, line: int) -> IPv4Address:
    """Raises BadInput with the line."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise BadInput(f"line {line}: {text!r} is not an IPv4 address") from None


def mac(text: str, line: int) -> Mac:
    """ethers(5) leaves out leading zeros. Raises BadInput with the line."""
    parts = text.split(":")
    padded = ":".join(part.zfill(2) for part in parts) if len(parts) == 6 else text
    try:
        return Mac.parse(padded)
    except BadInput as error:
        raise BadInput(f"line {line}: {error.what}") from None
