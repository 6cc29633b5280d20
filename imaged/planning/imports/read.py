"""Text of another program's layout to ours: whose it is, what it says, and what of that our own rules let stand."""

import re
from collections.abc import Callable
from copy import deepcopy
from enum import Enum
from typing import Any

from imaged.model.errors import BadInput
from imaged.planning import layout
from imaged.planning.imports import oscar, sfdisk, systemimager
from imaged.planning.imports.compose import compose, unmounted_root
from imaged.planning.imports.composed import Composed
from imaged.planning.imports.foreign import Foreign, Imported, Note
from imaged.planning.imports.resolve import resolve

LARGEST = 1 << 20  # characters; the layouts of a whole cluster have less
_SFDISK = re.compile(r"^\s*(label:|unit:|# *partition table of|\S+ *: *start=)", re.MULTILINE)
_DROPPABLE = re.compile(
    r"((?:disks\[\d+\]\.partitions|raid|lvm\[\d+\]\.lvs)\[\d+\])\.(label|options|mkfs|type)\b.*?: (.*)"
    r"|(mounts)\[(\d+)\].*?: (.*)"
)
_STEP = re.compile(r"([a-z]+)(?:\[(\d+)\])?\.?")
_ROUNDS = 200  # each takes one thing away


class Source(Enum):
    """Whose layout it is."""

    AUTO = "auto"
    SYSTEMIMAGER = "systemimager"
    SFDISK = "sfdisk"
    OSCAR = "oscar"


_READERS: dict[Source, Callable[[str], Foreign]] = {
    Source.SYSTEMIMAGER: systemimager.read, Source.SFDISK: sfdisk.read, Source.OSCAR: oscar.read,
}  # fmt: skip


def import_layout(text: str, source: Source = Source.AUTO, name: str = "imported") -> Imported:
    """The layout ``name`` that ``text`` describes, as ``planning.layout.read`` takes it, and what it is not.

    Raises BadInput where nothing usable is left: another format, no disks, nothing mounted at ``/``.
    """
    if len(text) > LARGEST:
        raise BadInput(f"{len(text)} characters are too many for a disk layout")
    source = guessed(text) if source is Source.AUTO else source
    foreign = resolve(_READERS[source](text))
    if not foreign.disks:
        raise BadInput(f"no disk with partitions is in it, read as {source.value}", hint=_told(foreign.notes))
    if unmounted_root(foreign):
        raise BadInput(f"nothing is mounted at /, read as {source.value}", hint=_told(foreign.notes))
    return _judged(compose(foreign), name)


def guessed(text: str) -> Source:
    """By its first sign; what has none is OSCAR's, which is a plain table."""
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return Source.SYSTEMIMAGER
    return Source.SFDISK if _SFDISK.search(text) else Source.OSCAR


def _judged(composed: Composed, name: str) -> Imported:
    """Our own rules judge labels, options and the like: what they refuse goes, with their words as a note."""
    data, notes = deepcopy(composed.data), list(composed.notes)
    for _ in range(_ROUNDS):
        try:
            layout.read(data, name)
        except BadInput as error:
            faults = error.what.split("\n  ")
            found = next((match for fault in faults if (match := _DROPPABLE.fullmatch(fault))), None)
            if found is None:
                raise BadInput(f"what is in it makes no layout: {error.what}", hint=_told(notes)) from None
            notes.append(_dropped(data, found, composed.lines))
            continue
        return Imported(data, tuple(sorted(dict.fromkeys(notes), key=lambda note: note.line)))
    raise BadInput("too much in it is not known here", hint=_told(notes))


def _dropped(data: dict[str, Any], found: re.Match[str], lines: dict[str, int]) -> Note:
    """Takes the one thing away. A mount of no disk goes whole, and those after it move up, in ``lines`` as well."""
    path, key, why, listed, number, whole_why = found.groups()
    if listed:
        index = int(number)
        gone = data["mounts"].pop(index)
        line = lines.pop(f"mounts[{index}]", 0)
        for later in range(index, len(data["mounts"])):
            lines[f"mounts[{later}]"] = lines.pop(f"mounts[{later + 1}]", 0)
        if not data["mounts"]:
            del data["mounts"]
        return Note(line, f"{gone['what'][:80]} at {gone['mount'][:80]} is left out: {whole_why[:200]}")
    del _at(data, path)[key]
    return Note(lines.get(path, 0), f"the key {key!r} is left out: {why[:200]}")


def _at(data: dict[str, Any], path: str) -> dict[str, Any]:
    value: Any = data
    for key, index in _STEP.findall(path):
        value = value[key][int(index)] if index else value[key]
    assert isinstance(value, dict)
    return value


def _told(notes: tuple[Note, ...] | list[Note]) -> str:
    return "\n  ".join(str(note) for note in sorted(notes, key=lambda note: note.line)[:20])
