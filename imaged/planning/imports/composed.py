"""What composing a layout works on: what is there to look up, and what has been made of it so far. Values only."""

import re
from typing import Any

from attrs import field, frozen

from imaged.planning.imports.foreign import Foreign, Mount, Note


@frozen
class Composed:
    """``lines``: where each part of ``data`` comes from, by the path of its key (``disks[0].partitions[1]``)."""

    data: dict[str, Any] = field(factory=dict)
    notes: list[Note] = field(factory=list)
    lines: dict[str, int] = field(factory=dict)


@frozen
class Whole:
    """What every part of the work looks up. ``names``: ids and references by device."""

    foreign: Foreign
    mounts: dict[str, Mount]
    kept: frozenset[str]
    names: dict[str, str] = field(factory=dict)
    taken: set[str] = field(factory=set)
    entries: set[str] = field(factory=set)


def once(text: str, taken: set[str]) -> str:
    """A valid id near ``text`` that is not taken, and is from now on."""
    base = re.sub(r"[^A-Za-z0-9_-]", "_", text).lstrip("_-")[:36] or "x"
    id, number = base, 1
    while id in taken:
        number += 1
        id = f"{base[:32]}-{number}"
    taken.add(id)
    return id
