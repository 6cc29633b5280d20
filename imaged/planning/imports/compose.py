"""A consistent foreign layout to the plain data of ours: ids, roles, references, and how disks are chosen. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve, field, frozen

from imaged.model.layout import Label, Role
from imaged.model.size import MIB
from imaged.planning.imports import amounts, devices, filesystems
from imaged.planning.imports.foreign import Amount, Array, Disk, Foreign, Group, Mount, Note, Part
from imaged.planning.imports.resolve import ESP_MOUNTS, members, partitions
from imaged.planning.layout_rules import ID

BUSES = ("nvme", "virtio", "sata", "sas", "mmc", "other")  # every one of disks that stay in a machine
_NO_NAMES = ("", "primary", "logical", "extended", "linux", "linux filesystem", "microsoft basic data")
_MOST_MSDOS = 4


@frozen
class Composed:
    """``lines``: where each part of ``data`` comes from, by the path of its key (``disks[0].partitions[1]``)."""

    data: dict[str, Any] = field(factory=dict)
    notes: list[Note] = field(factory=list)
    lines: dict[str, int] = field(factory=dict)


@frozen
class _Whole:
    """What every part of the work looks up. ``names``: ids and references by device."""

    foreign: Foreign
    mounts: dict[str, Mount]
    kept: frozenset[str]
    names: dict[str, str] = field(factory=dict)
    taken: set[str] = field(factory=set)
    entries: set[str] = field(factory=set)


def compose(foreign: Foreign) -> Composed:
    """Of what ``resolve`` left."""
    mounts = {mount.dev: mount for mount in foreign.mounts}
    whole = _Whole(foreign, mounts, frozenset(_kept(foreign)))
    done = Composed(notes=list(foreign.notes))
    done.data["version"] = 1
    done.data["disks"] = [_disk(disk, index, whole, done) for index, disk in enumerate(foreign.disks)]
    for group in foreign.groups:  # their names are devices', so they come before ids that may be anything
        for volume in group.volumes:
            whole.names[f"/dev/{group.name}/{volume.name}"] = _once(volume.name, whole.taken)
    for array in foreign.arrays:
        whole.names[array.dev] = _once(devices.short(array.dev), whole.taken)
    if foreign.arrays:
        done.data["raid"] = [_array(array, index, whole, done) for index, array in enumerate(foreign.arrays)]
    if foreign.groups:
        done.data["lvm"] = [_group(group, index, whole, done) for index, group in enumerate(foreign.groups)]
    if others := [mount for mount in foreign.mounts if mount.dev not in whole.names]:
        done.data["mounts"] = [_other(mount, index, done) for index, mount in enumerate(others)]
    _esps(done)
    _bios(done, whole)
    done.data["boot"] = {"firmware": "auto"}
    return done


def _kept(foreign: Foreign) -> Iterator[str]:
    """Devices that are not formatted, and all that they lie on."""
    above = members(foreign)
    groups = {f"volume group {group.name}": group for group in foreign.groups}
    kept = {mount.dev for mount in foreign.mounts if mount.keep}
    for name, group in groups.items():
        if kept & {f"/dev/{group.name}/{volume.name}" for volume in group.volumes}:
            kept.add(name)
    for _ in range(2):  # a partition may be in an array, and that in a group
        kept |= {member for member, of in above.items() if of in kept}
    yield from kept


def _disk(disk: Disk, index: int, whole: _Whole, done: Composed) -> dict[str, Any]:
    keeps = any(name in whole.kept for name in _names(disk))
    disk = _without_strangers(disk, whole, done) if keeps else disk
    names, parts, label = _names(disk), disk.parts, disk.label
    entry = _once(devices.short(disk.dev), whole.entries)
    if label is Label.MSDOS and len(parts) > _MOST_MSDOS:
        label = Label.GPT
        many = f"{disk.dev} has {len(parts)} partitions, and MBRs have no logical ones here"
        done.notes.append(Note(disk.line, f"{many}: it gets a GPT"))
    elif label is Label.MSDOS and any(part.number > _MOST_MSDOS for part in parts):
        done.notes.append(Note(disk.line, f"the logical partitions of {disk.dev} become primary ones"))
    ids: set[str] = set()
    made: list[dict[str, Any]] = []
    for part, name in zip(parts, names, strict=True):
        id = _once(_id(part, name, whole), ids)
        whole.names[name] = f"{entry}.{id}"
        made.append({"id": id} | _partition(part, name, whole, done, made, [each.size for each in parts]))
        if keeps and (part.number <= _MOST_MSDOS or label is Label.GPT or name in whole.kept):
            made[-1]["number"] = part.number
        done.lines[f"disks[{index}].partitions[{len(made) - 1}]"] = part.line
    _tell_shares(disk, done)
    found = "next disk" if index else "first disk"
    done.notes.append(
        Note(disk.line, f"{disk.dev} becomes the {found} by its place (pick: first-by-path) that is large enough; "
                        "say in match what it is known by")
    )  # fmt: skip
    spec: dict[str, Any] = {"id": entry, "match": _match(parts), "label": label.value}
    return spec | ({"wipe": "none"} if keeps else {}) | {"partitions": made}


def _names(disk: Disk) -> list[str]:
    return [devices.partition(disk.dev, part.number) for part in disk.parts]


def _without_strangers(disk: Disk, whole: _Whole, done: Composed) -> Disk:
    """Beside what is kept, all that nobody formats stays as well: what a layout does not name is not touched."""
    stay = [
        part for part, name in zip(disk.parts, _names(disk), strict=True)
        if part.role is None and name not in whole.mounts
    ]  # fmt: skip
    for part in stay:
        done.notes.append(Note(part.line, f"partition {part.number} of {disk.dev} is not named here, so it stays"))
    return evolve(disk, parts=tuple(part for part in disk.parts if part not in stay))


def _match(parts: Iterable[Part]) -> dict[str, Any]:
    match: dict[str, Any] = {"bus": list(BUSES)}
    if least := sum(part.size.bytes or 0 for part in parts):
        match["size"] = f">={amounts.shown(least)}"
    return match | {"pick": "first-by-path"}


def _tell_shares(disk: Disk, done: Composed) -> None:
    shares = [part.size.percent for part in disk.parts if part.size.percent is not None]
    if shares:
        done.notes.append(Note(disk.line, f"percentages of {disk.dev} become weights"))
    if shares and sum(shares) < 100 and not any(part.size.rest for part in disk.parts):
        done.notes.append(
            Note(disk.line, f"{100 - sum(shares):g} % of {disk.dev} stayed free; here they are shared out")
        )


def _partition(
    part: Part, name: str, whole: _Whole, done: Composed, before: list[dict[str, Any]], sizes: list[Amount]
) -> dict[str, Any]:
    mount = whole.mounts.get(name)
    content = _content(mount, name, whole, done) if mount and not mount.swap else {}
    role = _role(part, mount, content)
    if role in (Role.ESP, Role.BIOS_GRUB, Role.XBOOTLDR) and role.value in [each["role"] for each in before]:
        done.notes.append(Note(part.line, f"{name} is the second of role {role.value} on its disk: it becomes data"))
        role = Role.DATA
    made: dict[str, Any] = {"role": role.value, "size": amounts.size(part.size, sizes)}
    if role is Role.ESP and "fs" not in content:
        content = {"fs": "vfat", "options": "umask=0077"}
    if mount and mount.swap and (mount.label or mount.mkfs):
        done.notes.append(Note(mount.line, f"label and options of mkswap for {name} are not carried over"))
    if mount and mount.swap and mount.options not in ("", "defaults", "sw"):
        done.notes.append(Note(mount.line, f"options of the swap {name} ({mount.options[:80]}) are not carried over"))
    if part.type and role is Role.DATA:
        made["type"] = part.type
        if "fs" not in content:
            done.notes.append(Note(part.line, f"{name} keeps its type {part.type}; what is in it is not told"))
    if name in whole.kept:
        content["preserve"] = "required"
    return made | content


def _role(part: Part, mount: Mount | None, content: dict[str, Any]) -> Role:
    """What is mounted decides; else the type of the partition."""
    at, fs = content.get("mount", ""), content.get("fs", "")
    if part.role in (Role.RAID, Role.PV, Role.SWAP, Role.BIOS_GRUB):
        return part.role
    if fs in ("vfat", "") and (part.role is Role.ESP or (at in ESP_MOUNTS and fs)):
        return Role.ESP
    if at == "/boot":
        return Role.XBOOTLDR if part.role is Role.XBOOTLDR else Role.BOOT
    return Role.ROOT if at == "/" else Role.DATA


def _content(mount: Mount, name: str, whole: _Whole, done: Composed) -> dict[str, Any]:
    """Filesystem and mount point of a device."""
    took = filesystems.ours(mount.fs)
    if took is None:
        done.notes.append(
            Note(mount.line, f"{mount.fs[:40]!a} on {name} is not made here: it stays without filesystem")
        )
        return {}
    if not took.same:
        done.notes.append(Note(mount.line, f"{mount.fs[:40]} on {name} becomes {took.fs.value}"))
    options, lost = filesystems.options(mount.options, took)
    if lost:
        said = ",".join(lost)[:200]
        done.notes.append(Note(mount.line, f"mount options of {mount.fs[:40]} are not carried over: {said}"))
    if mount.mkfs and not took.same:
        said = " ".join(mount.mkfs)[:200]
        done.notes.append(Note(mount.line, f"options of mkfs.{mount.fs[:40]} are not carried over: {said}"))
    if name in whole.kept:
        done.notes.append(
            Note(mount.line, f"{name} is not formatted: preserve: required, so an install needs it there")
        )
    made: dict[str, Any] = {"fs": took.fs.value}
    made |= {"mount": mount.at} if mount.at else {}
    made |= {"options": options} if options and mount.at else {}
    made |= {"label": mount.label} if mount.label else {}
    return made | ({"mkfs": list(mount.mkfs)} if mount.mkfs and took.same else {})


def _array(array: Array, index: int, whole: _Whole, done: Composed) -> dict[str, Any]:
    done.lines[f"raid[{index}]"] = array.line
    mount = whole.mounts.get(array.dev)
    made: dict[str, Any] = {"id": whole.names[array.dev], "level": array.level}
    made["devices"] = [whole.names[member] for member in array.members]
    made |= {"spares": array.spares} if array.spares else {}
    made |= _content(mount, array.dev, whole, done) if mount else {}
    return made | ({"preserve": "required"} if array.dev in whole.kept else {})


def _group(group: Group, index: int, whole: _Whole, done: Composed) -> dict[str, Any]:
    done.lines[f"lvm[{index}]"] = group.line
    made: dict[str, Any] = {"vg": group.name, "devices": [whole.names[member] for member in group.members]}
    if group.extent:
        made["extent"] = group.extent if group.extent % MIB else amounts.shown(group.extent)
    if f"volume group {group.name}" in whole.kept:
        made["preserve"] = "required"
    volumes = []
    for number, volume in enumerate(group.volumes):
        dev = f"/dev/{group.name}/{volume.name}"
        done.lines[f"lvm[{index}].lvs[{number}]"] = volume.line
        if whole.names[dev] != volume.name:
            renamed = f"volume {volume.name[:80]} of {group.name[:80]} is called {whole.names[dev]} here"
            done.notes.append(Note(volume.line, renamed))
        mount = whole.mounts.get(dev)
        sizes = [each.size for each in group.volumes]
        one: dict[str, Any] = {"id": whole.names[dev], "size": amounts.size(volume.size, sizes)}
        if mount and mount.swap:
            one["swap"] = True
        elif mount:
            one |= _content(mount, dev, whole, done)
        if dev in whole.kept:
            one["preserve"] = "required"
        volumes.append(one)
    return made | {"lvs": volumes}


def _other(mount: Mount, index: int, done: Composed) -> dict[str, Any]:
    done.lines[f"mounts[{index}]"] = mount.line
    options = mount.options.replace(" ", "") or "defaults"
    return {"what": mount.dev, "mount": mount.at, "type": mount.fs, "options": options}


def _esps(done: Composed) -> None:
    """One has a mount point of its own; of several one is mounted, and the others are its copies."""
    found = [
        (f"{disk['id']}.{part['id']}", f"disks[{index}].partitions[{number}]", part)
        for index, disk in enumerate(done.data["disks"])
        for number, part in enumerate(disk["partitions"]) if part["role"] == Role.ESP.value
    ]  # fmt: skip
    if not found:
        return
    name, path, first = next((each for each in found if "mount" in each[2]), found[0])
    at = first.get("mount", "/boot/efi")
    if "mount" not in first:
        done.notes.append(Note(done.lines[path], f"{name} is mounted at {at}, where it was mounted nowhere"))
    if len(found) == 1:
        first["mount"] = at
        return
    for _, _, part in found:
        part.pop("mount", None)
    mirrors = [each for each, _, part in found if part is not first]
    done.data["esp"] = {"mount": at, "primary": name, "mirrors": mirrors}
    done.notes.append(Note(done.lines[path], f"{', '.join(mirrors)} become copies of {name}"))


def _bios(done: Composed, whole: _Whole) -> None:
    """GRUB of a BIOS has no room on a GPT without a partition of its own."""
    disks = done.data["disks"]
    if any(part["role"] == Role.ESP.value for disk in disks for part in disk["partitions"]):
        return
    for index, (disk, was) in enumerate(zip(disks, whole.foreign.disks, strict=True)):
        roles = {part["role"] for part in disk["partitions"]}
        if disk["label"] != Label.GPT.value or "bios_grub" in roles or not roles & {"root", "boot", "raid", "pv"}:
            continue
        id = _once("bios", {part["id"] for part in disk["partitions"]})
        disk["partitions"].insert(0, {"id": id, "role": "bios_grub"})
        moved = {key: line for key, line in done.lines.items() if key.startswith(f"disks[{index}].")}
        for number, line in enumerate(moved.values(), start=1):
            done.lines[f"disks[{index}].partitions[{number}]"] = line
        done.lines[f"disks[{index}].partitions[0]"] = was.line
        needed = "a BIOS boot partition, without which no BIOS starts from a GPT"
        done.notes.append(Note(was.line, f"{was.dev} gets {needed}"))


def _id(part: Part, name: str, whole: _Whole) -> str:
    """The name in the GPT where there is one, else what it is for."""
    if ID.fullmatch(part.name) and part.name.lower() not in _NO_NAMES:
        return part.name
    of = members(whole.foreign).get(name, "")
    mount = whole.mounts.get(name)
    if of:
        return "pv" if of.startswith("volume group") else devices.short(of)
    named = {Role.ESP: "esp", Role.SWAP: "swap", Role.BIOS_GRUB: "bios"}
    if part.role in named:
        return named[part.role]
    if mount and mount.at:
        return "root" if mount.at == "/" else mount.at.strip("/").replace("/", "-")
    return f"p{part.number}"


def _once(text: str, taken: set[str]) -> str:
    """A valid id near ``text`` that is not taken, and is from now on."""
    base = re.sub(r"[^A-Za-z0-9_-]", "_", text).lstrip("_-")[:36] or "x"
    id, number = base, 1
    while id in taken:
        number += 1
        id = f"{base[:32]}-{number}"
    taken.add(id)
    return id


def unmounted_root(foreign: Foreign) -> bool:
    """Whether nothing of this is mounted at ``/``."""
    there = partitions(foreign)
    return not there or not any(mount.at == "/" for mount in foreign.mounts)
