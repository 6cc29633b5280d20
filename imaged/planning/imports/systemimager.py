"""SystemImager's layouts: autoinstallscript.conf of 3 and 4 (autoinstallscript.conf(5)), disks-layout.xml of 5.

Both are one XML, with ``<raid name=..>`` in the older and ``<raid><raid_disk name=..></raid>`` in the newer.
"""

from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, frozen

from imaged.model.errors import BadInput
from imaged.model.layout import Label, Role
from imaged.planning.imports import devices, typecodes
from imaged.planning.imports.amounts import amount, lvm_amount
from imaged.planning.imports.foreign import Array, Disk, Foreign, Group, Mount, Note, Part, Volume
from imaged.planning.imports.xmltree import Element, parse

_LABELS = {"msdos": Label.MSDOS, "gpt": Label.GPT, "convert": Label.GPT}
_FLAGS = {
    "raid": Role.RAID, "lvm": Role.PV, "swap": Role.SWAP, "esp": Role.ESP, "bios_grub": Role.BIOS_GRUB,
}  # fmt: skip
_SAID_OTHERWISE = ("", "-", "boot", "root", "lba")  # what kind of table, role and loader make of a partition anyway
_LEVELS = {"stripe": 0, "mirror": 1} | {
    f"{prefix}{level}": level for prefix in ("", "raid") for level in (0, 1, 4, 5, 6, 10)
}
_KNOWN = {
    "disk": ("dev", "label_type", "unit_of_measurement"),
    "part": ("num", "size", "p_type", "id", "p_name", "flags", "raid_dev", "lvm_group"),
    "raid": ("name", "raid_level", "raid_devices", "spare_devices", "devices", "lvm_group", "persistence"),
    "lvm_group": ("name", "max_log_vols", "max_phys_vols", "phys_extent_size"),
    "lv": ("name", "size"),
    "fsinfo": (
        "line", "comment", "real_dev", "mount_dev", "mp", "fs", "mkfs_opts", "options", "dump", "pass", "format",
    ),
}  # fmt: skip


def read(text: str) -> Foreign:
    """Raises BadInput for what is no XML, or another's."""
    root = parse(text)
    if root.name != "config":
        raise BadInput(f"line {root.line}: it is a <{root.name}>, and SystemImager's is a <config>")
    raids = [*_raids(root)]
    groups = [each for lvm in _named(root, "lvm") for each in _named(lvm, "lvm_group")]
    members = tuple(_members(root))
    notes: list[Note] = []
    foreign = Foreign(
        disks=tuple(disk for each in _named(root, "disk") if (disk := _disk(each, notes))),
        arrays=tuple(array for each in raids if (array := _array(each, members, notes))),
        groups=tuple(group for each in groups if (group := _group(each, raids, members, notes))),
        mounts=tuple(mount for each in _in_order(_named(root, "fsinfo")) if (mount := _mount(each, notes))),
    )
    notes += _rest(root)
    return evolve(foreign, notes=tuple(notes))


@frozen
class _Member:
    """A partition and what it says that it is part of."""

    dev: str
    array: str
    group: str


def _named(element: Element, name: str) -> Iterator[Element]:
    yield from (each for each in element.children if each.name == name)


def _raids(root: Element) -> Iterator[Element]:
    for each in _named(root, "raid"):
        yield from _named(each, "raid_disk")
        if each.attributes.get("name"):
            yield each


def _members(root: Element) -> Iterator[_Member]:
    for disk in _named(root, "disk"):
        for part in _named(disk, "part"):
            if number := _number(part.attributes.get("num", "")):
                dev = devices.partition(disk.attributes.get("dev", ""), number)
                array = devices.canonical(part.attributes.get("raid_dev", ""))
                yield _Member(dev, array, part.attributes.get("lvm_group", ""))


def _disk(element: Element, notes: list[Note]) -> Disk | None:
    dev, kind = element.attributes.get("dev", ""), element.attributes.get("label_type", "msdos").lower()
    notes += _unknown(element, "disk")
    if kind == "none":
        notes.append(Note(element.line, f"{dev} was left as it is there; it is no part of the layout"))
        return None
    if not dev.startswith("/dev/") or kind not in _LABELS:
        notes.append(Note(element.line, f"a disk {dev!a} with label_type {kind!a} is not known: left out"))
        return None
    unit = element.attributes.get("unit_of_measurement", "MB")
    made = (_part(each, unit, notes) for each in _named(element, "part"))
    return Disk(element.line, dev, _LABELS[kind], tuple(part for part in made if part))


def _part(element: Element, unit: str, notes: list[Note]) -> Part | None:
    given, line = element.attributes, element.line
    notes += _unknown(element, "part")
    if given.get("p_type") == "extended":
        return None
    number, wanted = _number(given.get("num", "")), amount(given.get("size", ""), unit)
    code = typecodes.mbr(given.get("id", ""))
    if not number or wanted is None:
        size = f"{given.get('size', '')} {unit}".strip()
        notes.append(Note(line, f"partition {given.get('num', '')!a} of size {size!a} cannot be read: left out"))
        return None
    if code == typecodes.PREP:
        notes.append(Note(line, f"partition {number} is PowerPC's boot partition (PReP): left out"))
        return None
    flags = [flag.strip().lower() for flag in given.get("flags", "").split(",")]
    roles = [role for role in (*map(_FLAGS.get, flags), typecodes.MBR.get(code)) if role]
    for flag in flags:
        if flag not in _FLAGS and flag not in _SAID_OTHERWISE:
            notes.append(Note(line, f"the flag {flag!a} of partition {number} is not carried over"))
    role = Role.RAID if given.get("raid_dev") else Role.PV if given.get("lvm_group") else next(iter(roles), None)
    name = given.get("p_name", "")
    plain = role is not None or code in typecodes.PLAIN_MBR
    return Part(line, number, wanted, role, "" if name == "-" else name, "" if plain else code)


def _array(element: Element, members: Sequence[_Member], notes: list[Note]) -> Array | None:
    given, line = element.attributes, element.line
    notes += _unknown(element, "raid")
    dev = devices.canonical(given.get("name", ""))
    level = _LEVELS.get(given.get("raid_level", "").lower())
    if level is None:
        said = given.get("raid_level", "")
        what = f"{dev} has level {said[:40]!a}, which layouts do not know"
        notes.append(Note(line, f"{what}: left out with all that is on it"))
        return None
    if given.get("persistence", "yes") == "no":
        notes.append(Note(line, f"{dev} had no superblock; arrays have one here"))
    devs = tuple(given.get("devices", "").split()) or tuple(each.dev for each in members if each.array == dev)
    spares = _number(given.get("spare_devices", "")) or 0
    active = _number(given.get("raid_devices", ""))
    if active and active + spares != len(devs):
        notes.append(Note(line, f"{dev} asks for {active} devices and {spares} spares, and has {len(devs)} in all"))
    return Array(line, dev, level, devs, spares)


def _group(element: Element, raids: list[Element], members: Sequence[_Member], notes: list[Note]) -> Group | None:
    given, line = element.attributes, element.line
    name = given.get("name", "")
    notes += _unknown(element, "lvm_group")
    for key in ("max_log_vols", "max_phys_vols"):
        if _number(given.get(key, "")):
            notes.append(Note(line, f"{key} of volume group {name} is not carried over"))
    on_raid = [each.attributes.get("name", "") for each in raids if each.attributes.get("lvm_group") == name]
    devs = (*(each.dev for each in members if each.group == name), *map(devices.canonical, on_raid))
    extent = lvm_amount(given.get("phys_extent_size", "")) if given.get("phys_extent_size") else None
    made = (_volume(each, name, notes) for each in _named(element, "lv"))
    volumes = tuple(volume for volume in made if volume)
    return Group(line, name, devs, volumes, (extent.bytes or 0) if extent else 0)


def _volume(element: Element, group: str, notes: list[Note]) -> Volume | None:
    given, line = element.attributes, element.line
    wanted = lvm_amount(given.get("size", ""))
    notes += _unknown(element, "lv")
    if not given.get("name") or wanted is None:
        what = f"volume {given.get('name', '')!a} of {group}, size {given.get('size', '')!a}"
        notes.append(Note(line, f"{what}, cannot be read: left out"))
        return None
    return Volume(line, given["name"], wanted)


def _mount(element: Element, notes: list[Note]) -> Mount | None:
    given, line = element.attributes, element.line
    notes += _unknown(element, "fsinfo")
    if "real_dev" not in given and "mp" not in given:
        notes.append(Note(line, "a comment of fstab is not carried over"))
        return None
    named, label = given.get("mount_dev", ""), ""
    if named.startswith("LABEL="):
        label = named.removeprefix("LABEL=").strip('"')
    elif named.startswith(("UUID=", "PARTUUID=")):
        notes.append(Note(line, f"{named} is not carried over: the plan gives each filesystem its UUID"))
    at, fs = given.get("mp", ""), given.get("fs", "")
    swap = fs == "swap"
    return Mount(
        line=line,
        dev=devices.canonical(given.get("real_dev", "")),
        at="" if swap or at in ("none", "-") else at,
        fs=fs,
        options=given.get("options", ""),
        label=label,
        mkfs=tuple(given.get("mkfs_opts", "").split()),
        keep=given.get("format", "yes").lower() == "no",
    )


def _in_order(lines: Iterable[Element]) -> list[Element]:
    """As fstab has them; what has no number comes last."""
    return sorted(lines, key=lambda each: _number(each.attributes.get("line", "")) or 10**9)


def _rest(root: Element) -> Iterator[Note]:
    known = ("disk", "raid", "lvm", "fsinfo", "boel")
    for each in root.children:
        if each.name == "bootloader":
            yield from _loader(each)
        elif each.name not in known:
            yield Note(each.line, f"<{each.name[:40]}> is not known: left out")
    if any(_number(each.attributes.get("dump", "")) for each in _named(root, "fsinfo")):
        first = next(each for each in _named(root, "fsinfo") if _number(each.attributes.get("dump", "")))
        yield Note(first.line, "dump and pass, here and below, are not carried over: the plan writes them")


def _loader(element: Element) -> Iterator[Note]:
    flavor = element.attributes.get("flavor", "")
    if flavor.lower() not in ("grub", "grub2"):
        yield Note(element.line, f"the boot loader {flavor!a} is not installed: it is the image's GRUB here")
    said = [key for key in ("default_entry", "timeout") if key in element.attributes]
    if said:
        yield Note(element.line, f"{' and '.join(said)} of the boot loader are the image's own here: not carried over")


def _unknown(element: Element, kind: str) -> Iterator[Note]:
    for key in element.attributes:
        if key not in _KNOWN[kind]:
            said = f"{key[:40]}={element.attributes[key][:80]!a}"
            yield Note(element.line, f"{said} of <{element.name}> is not carried over")


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
