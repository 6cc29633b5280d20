"""Dumps of ``sfdisk -d`` (sfdisk(8)), old and new spelling, several disks one after another.

A dump has partitions and their types, and not what is in them: filesystems and mount points are guessed from types,
names and places, and every guess is a note.
"""

import re
from collections.abc import Iterator, Sequence

from attrs import evolve, field, frozen

from imaged.model.layout import Label, Role
from imaged.model.size import GIB, MIB, format_size
from imaged.planning.imports import devices, typecodes
from imaged.planning.imports.foreign import REST, Amount, Array, Disk, Foreign, Group, Mount, Note, Part, Volume

_HEADER = re.compile(r"([a-z-]+):\s*(\S.*)?")
_COMMENT = re.compile(r"#.*partition table of (\S+)")
_ROW = re.compile(r"(\S+)\s*:\s*(start=.*)")
_NAMES = ("boot", "home", "var", "usr", "srv", "opt", "tmp", "data", "scratch")
_BOOT = (64 * MIB, 4 * GIB)  # bytes: sizes that a /boot has


@frozen
class _Row:
    """A partition of a dump; sizes in bytes. ``attributes`` are the words without a value, such as ``bootable``."""

    line: int
    dev: str
    start: int
    size: int
    code: str
    name: str
    attributes: tuple[str, ...]


@frozen
class _Dump:
    """One disk. ``end`` is where it ends, 0: not told."""

    line: int
    settings: dict[str, str] = field(factory=dict)
    rows: list[_Row] = field(factory=list)

    @property
    def label(self) -> Label:
        return Label.GPT if self.settings.get("label") == "gpt" else Label.MSDOS

    @property
    def sector(self) -> int:
        return _number(self.settings.get("sector-size", "")) or 512

    @property
    def end(self) -> int:
        return (_number(self.settings.get("last-lba", "")) or 0) * self.sector


_Plain = tuple[str, Part, _Row]  # of a partition without a role: its device, what it becomes, its line


def read(text: str) -> Foreign:
    """What cannot be read is left out, and noted."""
    notes: list[Note] = []
    dumps = [dump for dump in _dumps(text, notes) if dump.rows]
    foreign = Foreign(disks=tuple(_disk(dump, notes) for dump in dumps))
    foreign = _with_arrays(foreign, notes)
    foreign = _with_groups(foreign, notes)
    foreign = evolve(foreign, mounts=tuple(_mounts(foreign, dumps, notes)))
    return evolve(foreign, notes=(*foreign.notes, *notes))


def _dumps(text: str, notes: list[Note]) -> Iterator[_Dump]:
    dump = _Dump(1)
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        comment = _COMMENT.match(line)
        if row := _ROW.fullmatch(line):
            _add(dump, number, row[1], row[2], notes)
        elif comment or (line.startswith(("label:", "unit:")) and dump.rows):
            yield dump
            dump = _Dump(number, {"device": comment[1]} if comment else {})
        if (header := _HEADER.fullmatch(line)) and not row:
            dump.settings[header[1]] = (header[2] or "").strip()
        elif line and not row and not line.startswith("#"):
            notes.append(Note(number, f"{line[:80]!a} cannot be read: left out"))
    yield dump


def _add(dump: _Dump, line: int, dev: str, rest: str, notes: list[Note]) -> None:
    """``start=2048, size=1048576, type=83, name="a", bootable``; before 2.26 ``Id=83``."""
    values: dict[str, str] = {}
    words: list[str] = []
    for each in re.findall(r'[A-Za-z-]+\s*=\s*(?:"[^"]*"|[^,\s]*)|[A-Za-z]+', rest):
        key, equals, value = each.partition("=")
        if equals:
            values[key.strip().lower()] = value.strip().strip('"')
        else:
            words.append(key)
    start, size = _number(values.get("start", "")), _number(values.get("size", ""))
    code = values.get("type", values.get("id", ""))
    if start is None or size is None:
        notes.append(Note(line, f"the partition {dev[:40]!a} has no start or size: left out"))
    elif size:  # old dumps list four partitions, whether there are so many or not
        sector = dump.sector
        name = values.get("name", "")
        dump.rows.append(_Row(line, dev, start * sector, size * sector, code, name, tuple(words)))
        if values.get("attrs"):
            notes.append(Note(line, f"the attributes {values['attrs'][:80]!a} are not carried over"))


def _disk(dump: _Dump, notes: list[Note]) -> Disk:
    last = max(dump.rows, key=lambda row: row.start + row.size if not _extended(row, dump.label) else 0)
    parts = []
    dev = _device(dump)
    for index, row in enumerate(dump.rows, start=1):
        place = devices.split(row.dev)
        number = place[1] if place else index
        if _extended(row, dump.label):
            continue
        code = row.code.upper() if dump.label is Label.GPT else typecodes.mbr(row.code)
        if code == typecodes.PREP:
            notes.append(Note(row.line, f"partition {number} is PowerPC's boot partition (PReP): left out"))
            continue
        role = typecodes.GPT.get(code) if dump.label is Label.GPT else typecodes.MBR.get(code)
        if role is Role.LUKS:
            notes.append(Note(row.line, f"partition {number} was encrypted; the dump tells no more"))
            role = None
        grows = row is last and role not in (Role.ESP, Role.BIOS_GRUB) and _at_end(row, dump)
        if grows:
            notes.append(Note(row.line, f"partition {number} was the last: it takes what is left of the disk here"))
        own = "" if role or dump.label is Label.GPT or code in typecodes.PLAIN_MBR else code
        parts.append(Part(row.line, number, REST if grows else Amount(row.size), role, row.name, own))
    return Disk(dump.line, dev, dump.label, tuple(parts))


def _device(dump: _Dump) -> str:
    if dev := dump.settings.get("device", ""):
        return dev
    place = devices.split(dump.rows[0].dev)
    return place[0] if place else "/dev/sda"


def _extended(row: _Row, label: Label) -> bool:
    return label is Label.MSDOS and typecodes.mbr(row.code) in typecodes.EXTENDED


def _at_end(row: _Row, dump: _Dump) -> bool:
    """An MBR does not say where the disk ends; a GPT does."""
    return not dump.end or row.start + row.size > dump.end * 95 // 100


def _with_arrays(foreign: Foreign, notes: list[Note]) -> Foreign:
    """Partitions for RAID of one number on several disks, taken for mirrors."""
    found: dict[int, list[tuple[str, Part]]] = {}
    for disk in foreign.disks:
        for part in disk.parts:
            if part.role is Role.RAID:
                found.setdefault(part.number, []).append((disk.dev, part))
    arrays: list[Array] = []
    for number, members in sorted(found.items()):
        line = members[0][1].line
        if len(members) > 1:
            dev = f"/dev/md{len(arrays)}"
            arrays.append(Array(line, dev, 1, tuple(devices.partition(disk, part.number) for disk, part in members)))
            notes.append(Note(line, f"guessed: partitions {number} of {len(members)} disks are one RAID 1, {dev}"))
        else:
            notes.append(Note(line, f"partition {number} is part of an array of which no more is told"))
    alone = {each[0][1].line for each in found.values() if len(each) == 1}
    disks = tuple(
        evolve(disk, parts=tuple(evolve(part, role=None) if part.line in alone else part for part in disk.parts))
        for disk in foreign.disks
    )
    return evolve(foreign, disks=disks, arrays=tuple(arrays))


def _with_groups(foreign: Foreign, notes: list[Note]) -> Foreign:
    members = [(disk, part) for disk in foreign.disks for part in disk.parts if part.role is Role.PV]
    if not members:
        return foreign
    line = members[0][1].line
    notes.append(Note(line, "guessed: one volume group, vg0; the dump does not tell names, volumes and their sizes"))
    names = tuple(devices.partition(disk.dev, part.number) for disk, part in members)
    return evolve(foreign, groups=(Group(line, "vg0", names, (Volume(line, "lv0", REST),)),))


def _mounts(foreign: Foreign, dumps: Sequence[_Dump], notes: list[Note]) -> Iterator[Mount]:
    rows = {row.line: row for dump in dumps for row in dump.rows}
    plain = [
        (devices.partition(disk.dev, part.number), part, rows[part.line])
        for disk in foreign.disks for part in disk.parts if part.role is None and not part.type
    ]  # fmt: skip
    known: dict[str, Mount] = {}
    for dev, part, row in plain:
        at = typecodes.MOUNTS.get(row.code.upper(), "") or _by_name(row.name)
        if at and at not in known:
            known[at] = Mount(part.line, dev, at, "ext4")
    left = [each for each in plain if each[0] not in {mount.dev for mount in known.values()}]
    if "/" not in known and (root := _root(foreign, left, rows)):
        known["/"] = root
    if "/boot" not in known and (boot := _boot(foreign, left, rows, known)):
        known["/boot"] = boot
    yield from _esps(foreign)
    for mount in known.values():
        notes.append(Note(mount.line, f"guessed: {mount.dev} is mounted at {mount.at}, with ext4"))
        yield mount
    used = {mount.dev for mount in known.values()}
    for dev, part, row in plain:
        if dev not in used:
            notes.append(Note(part.line, f"what is in {dev} ({format_size(row.size)}) is not told: no filesystem here"))


def _by_name(name: str) -> str:
    word = name.lower().strip("/").removesuffix("fs")
    return "/" if word in ("root", "rootpart") else f"/{word}" if word in _NAMES else ""


def _root(foreign: Foreign, left: list[_Plain], rows: dict[int, _Row]) -> Mount | None:
    """The largest plain partition, else the volume, else the array with the largest members."""
    large = [each for each in left if each[2].size >= GIB]
    if large:
        dev, part, _ = max(large, key=lambda each: each[2].size)
        return Mount(part.line, dev, "/", "ext4")
    if foreign.groups:
        return Mount(foreign.groups[0].line, f"/dev/{foreign.groups[0].name}/lv0", "/", "ext4")
    if foreign.arrays:
        array = max(foreign.arrays, key=lambda each: rows[each.line].size)
        return Mount(array.line, array.dev, "/", "ext4")
    return None


def _boot(foreign: Foreign, left: list[_Plain], rows: dict[int, _Row], known: dict[str, Mount]) -> Mount | None:
    """A small partition or array before all others."""
    used = {mount.dev for mount in known.values()}
    first = [(dev, row) for dev, _, row in left[:1]] or [(each.dev, rows[each.line]) for each in foreign.arrays[:1]]
    for dev, row in first:
        if dev not in used and _BOOT[0] <= row.size <= _BOOT[1]:
            return Mount(row.line, dev, "/boot", "ext4")
    return None


def _esps(foreign: Foreign) -> Iterator[Mount]:
    for disk in foreign.disks:
        for part in disk.parts:
            if part.role is Role.ESP:
                yield Mount(part.line, devices.partition(disk.dev, part.number), "/boot/efi", "vfat", "umask=0077")
                return


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
