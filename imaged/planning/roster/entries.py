"""What a roster says: nodes, groups, and what of a file could not be carried over. Several files are put together."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import TypeVar

from attrs import frozen

from imaged.model.errors import BadInput, Conflict
from imaged.model.group import DEFAULT_PRIORITY, Group
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.net import Mac
from imaged.model.setup import UNSAID, Setup

T = TypeVar("T")


@frozen
class Entry:
    """A node. What a file does not say is empty."""

    name: str
    macs: tuple[Mac, ...] = ()
    address: IPv4Address | None = None
    groups: tuple[str, ...] = ()
    setup: Setup = UNSAID
    uuid: str = ""


@frozen
class Roster:
    """``notes`` are (line, sentence without its full stop); line 0: none."""

    entries: tuple[Entry, ...] = ()
    groups: tuple[Group, ...] = ()
    notes: tuple[tuple[int, str], ...] = ()


def merged(rosters: Iterable[Roster]) -> Roster:
    """All that several files say of each node and group. Raises Conflict where they say two things, naming the culprit.

    A group that only nodes speak of is one with nothing said of it.
    """
    entries: dict[str, Entry] = {}
    groups: dict[str, Group] = {}
    notes: list[tuple[int, str]] = []
    for roster in rosters:
        for entry in roster.entries:
            entries[entry.name] = _both(entries[entry.name], entry) if entry.name in entries else entry
        for group in roster.groups:
            groups[group.name] = _both_groups(groups[group.name], group) if group.name in groups else group
        notes += roster.notes
    _refuse_shared(entries.values())
    named = {name: Group(name) for entry in entries.values() for name in entry.groups}
    return Roster(tuple(entries.values()), tuple((named | groups).values()), tuple(notes))


def _both(one: Entry, other: Entry) -> Entry:
    return Entry(
        one.name,
        tuple(dict.fromkeys((*one.macs, *other.macs))),
        _either(one.address, other.address, "address", one.name),
        tuple(dict.fromkeys((*one.groups, *other.groups))),
        _both_setups(one.setup, other.setup, one.name),
        _either(one.uuid, other.uuid, "uuid", one.name),
    )


def _both_groups(one: Group, other: Group) -> Group:
    """The usual priority is what files without any say."""
    priority = other.priority if one.priority == DEFAULT_PRIORITY else one.priority
    return Group(one.name, priority, _both_setups(one.setup, other.setup, f"group {one.name}"))


def _both_setups(one: Setup, other: Setup, where: str) -> Setup:
    for key in ("image", "layout", "console", "first"):
        _either(getattr(one, key), getattr(other, key), key, where)
    for name in one.variables.keys() & other.variables.keys():
        _either(one.variables[name], other.variables[name], f"variable {name}", where)
    return one.over(other)


def _either(one: T, other: T, what: str, where: str) -> T:
    if one and other and one != other:
        raise Conflict(f"has the {what} {one}, and {other} elsewhere", where=where)
    return one or other


def _refuse_shared(entries: Iterable[Entry]) -> None:
    owners: dict[object, str] = {}
    for entry in entries:
        for mark in (*entry.macs, *((entry.address,) if entry.address else ()), *((entry.uuid,) if entry.uuid else ())):
            if owners.setdefault(mark, entry.name) != entry.name:
                raise Conflict(f"{mark} belongs to {owners[mark]} already", where=entry.name)


def address(text: str, where: str) -> IPv4Address:
    """Raises BadInput with ``where``, such as ``line 7``."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise BadInput(f"{where}: {text!r} is not an IPv4 address") from None


def image(text: str, where: str) -> ImageRef:
    """Empty: none. Raises BadInput with ``where``."""
    try:
        return ImageRef.parse(text) if text else NO_IMAGE
    except BadInput as error:
        raise BadInput(f"{where}: {error.what}", hint=error.hint) from None


def mac(text: str, where: str) -> Mac:
    """ethers(5) leaves out leading zeros. Raises BadInput with ``where``."""
    parts = text.split(":")
    padded = ":".join(part.zfill(2) for part in parts) if len(parts) == 6 else text
    try:
        return Mac.parse(padded)
    except BadInput as error:
        raise BadInput(f"{where}: {error.what}") from None
