"""OSCAR's and SystemInstaller's ``.disk`` files (mksidisk(1)): ``device size type mount options [bootable]`` by line.

``*`` is what is left, ``-`` no size; ``raid1 /dev/md0 /dev/sda1 /dev/sdb1 [spare]`` makes an array, whose own line then
gives the size of each member; ``units=``, ``label_type=`` and ``boot_...=`` hold for all.
"""

import re
from collections.abc import Iterable, Iterator

from attrs import field, frozen

from imaged.model.layout import Label, Role
from imaged.planning.capacity import least_members
from imaged.planning.imports import devices
from imaged.planning.imports.amounts import PERCENT, amount
from imaged.planning.imports.foreign import REST, Amount, Array, Disk, Foreign, Mount, Note, Part

_GLOBAL = re.compile(r"\s*([A-Za-z_]+)\s*=\s*(\S*)\s*")
_RAID = re.compile(r"raid([0-9]{1,2})", re.IGNORECASE)


@frozen
class _Row:
    """A line of the table. ``size`` None: it has none."""

    line: int
    dev: str
    size: Amount | None
    fs: str
    at: str
    options: str


@frozen
class _Table:
    rows: list[_Row] = field(factory=list)
    arrays: list[Array] = field(factory=list)
    settings: dict[str, str] = field(factory=dict)
    notes: list[Note] = field(factory=list)


def read(text: str) -> Foreign:
    """What cannot be read is left out, and noted."""
    table = _Table()
    lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1)]
    for number, line in lines:
        if found := _GLOBAL.fullmatch(line):
            _set(table, number, found[1].lower(), found[2])
    for number, line in lines:
        if line and not _GLOBAL.fullmatch(line):
            _line(table, number, line.split())
    return Foreign(
        disks=tuple(_disks(table)),
        arrays=tuple(table.arrays),
        mounts=tuple(_mounts(table)),
        notes=tuple(table.notes),
    )


def _set(table: _Table, line: int, key: str, value: str) -> None:
    if key == "units" and (value.upper() in PERCENT or amount("1", value)):
        table.settings["units"] = value
    elif key == "label_type" and value in ("msdos", "gpt"):
        table.settings["label_type"] = value
    else:
        table.notes.append(Note(line, f"{key[:40]}={value[:80]} is not carried over"))


def _line(table: _Table, line: int, words: list[str]) -> None:
    if found := _RAID.fullmatch(words[0]):
        members = tuple(words[2:])
        spares = max(0, len(members) - 2) if found[1] == "1" else 0
        if least_members(int(found[1])) is None or not members:
            table.notes.append(Note(line, f"{' '.join(words)[:80]!a} is no array: left out"))
        else:
            if spares:
                table.notes.append(Note(line, f"{spares} of its {len(members)} members are taken for spares"))
            table.arrays.append(Array(line, devices.canonical(words[1]), int(found[1]), members, spares))
        return
    if len(words) < 3:
        table.notes.append(Note(line, f"{' '.join(words)[:80]!a} cannot be read: left out"))
        return
    unit = "%" if words[1].endswith("%") else table.settings.get("units", "MB")
    size = amount(words[1].removesuffix("%"), unit)
    if size is None and words[1] != "-":
        table.notes.append(Note(line, f"the size {words[1][:40]!a} cannot be read: the line is left out"))
        return
    at = words[3] if len(words) > 3 and words[2] != "swap" else ""
    if len(words) > 6:
        table.notes.append(Note(line, f"{' '.join(words[6:])[:80]!a} at its end is not known"))
    options = words[4] if len(words) > 4 and words[4] != "bootable" else ""
    table.rows.append(_Row(line, devices.canonical(words[0]), size, words[2], at, options))


def _disks(table: _Table) -> Iterator[Disk]:
    """Disks by the first line that names them, partitions by their numbers."""
    label = Label.GPT if table.settings.get("label_type") == "gpt" else Label.MSDOS
    found: dict[str, list[Part]] = {}
    for disk, part in _parts(table):
        found.setdefault(disk, []).append(part)
    for dev, parts in found.items():
        ordered = sorted(parts, key=lambda part: part.number)
        yield Disk(min(part.line for part in parts), dev, label, tuple(_each_once(ordered, table.notes)))


def _each_once(parts: Iterable[Part], notes: list[Note]) -> Iterator[Part]:
    seen: set[int] = set()
    for part in parts:
        if part.number in seen:
            notes.append(Note(part.line, f"partition {part.number} is there twice: left out here"))
        else:
            yield part
        seen.add(part.number)


def _parts(table: _Table) -> Iterator[tuple[str, Part]]:
    sizes = {row.dev: row for row in table.rows}
    for array in table.arrays:
        row = sizes.get(array.dev)
        for member in array.members:
            if place := devices.split(member):
                size = row.size if row and row.size else REST
                yield place[0], Part(row.line if row else array.line, place[1], size, Role.RAID)
    members = {member for array in table.arrays for member in array.members}
    for row in table.rows:
        place = devices.split(row.dev)
        if not place or not row.size or row.dev in members or row.dev.startswith("/dev/md"):
            continue
        if row.fs.lower() == "extended":
            continue
        if row.fs.lower() == "prep":
            table.notes.append(Note(row.line, "PowerPC's boot partition (PReP): left out"))
            continue
        yield place[0], Part(row.line, place[1], row.size, Role.SWAP if row.fs == "swap" else None)


def _mounts(table: _Table) -> Iterator[Mount]:
    for row in table.rows:
        if row.fs.lower() in ("extended", "prep"):
            continue
        yield Mount(row.line, row.dev, "" if row.fs == "swap" else row.at, row.fs, row.options)
