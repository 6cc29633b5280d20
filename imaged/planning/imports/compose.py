"""A consistent foreign layout to the plain data of ours: ids, roles, references, and how disks are chosen. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve

from imaged.model.layout import Label, Role
from imaged.planning.imports import amounts, devices
from imaged.planning.imports.compose_boot import give_room_to_bios, settle_esps
from imaged.planning.imports.compose_stack import array_entry, content_of, group_entry, mount_entry
from imaged.planning.imports.composed import Composed, Whole, once
from imaged.planning.imports.foreign import Amount, Disk, Foreign, Mount, Note, Part
from imaged.planning.imports.resolve import ESP_MOUNTS, members, partitions
from imaged.planning.layout_rules import ID

BUSES = ("nvme", "virtio", "sata", "sas", "mmc", "other")  # every one of disks that stay in a machine
_NO_NAMES = ("", "primary", "logical", "extended", "linux", "linux filesystem", "microsoft basic data")
_MOST_MSDOS = 4


def compose(foreign: Foreign) -> Composed:
    """Of what ``resolve`` left."""
    mounts = {mount.dev: mount for mount in foreign.mounts}
    whole = Whole(foreign, mounts, frozenset(_kept(foreign)))
    done = Composed(notes=list(foreign.notes))
    done.data["version"] = 1
    done.data["disks"] = [_disk(disk, index, whole, done) for index, disk in enumerate(foreign.disks)]
    for group in foreign.groups:  # their names are devices', so they come before ids that may be anything
        for volume in group.volumes:
            whole.names[f"/dev/{group.name}/{volume.name}"] = once(volume.name, whole.taken)
    for array in foreign.arrays:
        whole.names[array.dev] = once(devices.short(array.dev), whole.taken)
    if foreign.arrays:
        done.data["raid"] = [array_entry(array, index, whole, done) for index, array in enumerate(foreign.arrays)]
    if foreign.groups:
        done.data["lvm"] = [group_entry(group, index, whole, done) for index, group in enumerate(foreign.groups)]
    if others := [mount for mount in foreign.mounts if mount.dev not in whole.names]:
        done.data["mounts"] = [mount_entry(mount, index, done) for index, mount in enumerate(others)]
    settle_esps(done)
    give_room_to_bios(done, whole)
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


def _disk(disk: Disk, index: int, whole: Whole, done: Composed) -> dict[str, Any]:
    keeps = any(name in whole.kept for name in _names(disk))
    disk = _without_strangers(disk, whole, done) if keeps else disk
    names, parts, label = _names(disk), disk.parts, disk.label
    entry = once(devices.short(disk.dev), whole.entries)
    stays = any(part.number > _MOST_MSDOS and name in whole.kept for part, name in zip(parts, names, strict=True))
    if label is Label.MSDOS and len(parts) > _MOST_MSDOS and not stays:
        label = Label.GPT
        many = f"{disk.dev} has {len(parts)} partitions, and MBRs have no logical ones here"
        done.notes.append(Note(disk.line, f"{many}: it gets a GPT"))
    elif label is Label.MSDOS and any(part.number > _MOST_MSDOS for part in parts) and not stays:
        done.notes.append(Note(disk.line, f"the logical partitions of {disk.dev} become primary ones"))
    ids: set[str] = set()
    made: list[dict[str, Any]] = []
    for part, name in zip(parts, names, strict=True):
        id = once(_id(part, name, whole), ids)
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


def _without_strangers(disk: Disk, whole: Whole, done: Composed) -> Disk:
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
    part: Part, name: str, whole: Whole, done: Composed, before: list[dict[str, Any]], sizes: list[Amount]
) -> dict[str, Any]:
    mount = whole.mounts.get(name)
    content = content_of(mount, name, whole, done) if mount and not mount.swap else {}
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


def _id(part: Part, name: str, whole: Whole) -> str:
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


def unmounted_root(foreign: Foreign) -> bool:
    """Whether nothing of this is mounted at ``/``."""
    there = partitions(foreign)
    return not there or not any(mount.at == "/" for mount in foreign.mounts)
