"""Makes a foreign layout consistent: every name means something, nothing is used twice, what cannot be made is gone."""

from collections.abc import Callable, Iterable

from attrs import evolve

from imaged.model.layout import Role
from imaged.planning.capacity import least_members
from imaged.planning.content_rules import path_faults
from imaged.planning.imports import devices, filesystems
from imaged.planning.imports.foreign import Array, Disk, Foreign, Group, Mount, Note, Part

ESP_MOUNTS = ("/boot/efi", "/efi")


def resolve(foreign: Foreign) -> Foreign:
    """All passes, from the bottom up."""
    passes: tuple[Callable[[Foreign], Foreign], ...] = (
        _disks_once, _names, _arrays, _groups, _known_mounts, _off_arrays, _roles,
    )  # fmt: skip
    for each in passes:
        foreign = each(foreign)
    return foreign


def partitions(foreign: Foreign) -> dict[str, Part]:
    """By name of the device."""
    return {devices.partition(disk.dev, part.number): part for disk in foreign.disks for part in disk.parts}


def volumes(foreign: Foreign) -> dict[str, Group]:
    """The group of each volume, by name of the volume's device."""
    return {f"/dev/{group.name}/{volume.name}": group for group in foreign.groups for volume in group.volumes}


def members(foreign: Foreign) -> dict[str, str]:
    """What each member of something is part of."""
    found = {member: array.dev for array in foreign.arrays for member in array.members}
    return found | {member: f"volume group {group.name}" for group in foreign.groups for member in group.members}


def _disks_once(foreign: Foreign) -> Foreign:
    """First disks first: entries take disks in their order."""
    disks: dict[str, Disk] = {}
    for disk in sorted(foreign.disks, key=lambda each: (len(each.dev), each.dev)):
        if disk.dev in disks:
            foreign = foreign.noting(disk.line, f"{disk.dev} is there already: left out here")
            continue
        parts: dict[int, Part] = {}
        for part in disk.parts:
            if part.number in parts:
                foreign = foreign.noting(part.line, f"partition {part.number} is there already: left out here")
            parts.setdefault(part.number, part)
        disks[disk.dev] = evolve(disk, parts=tuple(parts.values()))
        if not parts:
            foreign = foreign.noting(disk.line, f"{disk.dev} has no partitions: left out")
    return evolve(foreign, disks=tuple(disk for disk in disks.values() if disk.parts))


def _names(foreign: Foreign) -> Foreign:
    """SystemImager writes ``/dev/nvme0n11`` for ``/dev/nvme0n1p1``."""
    real = {f"{disk.dev}{part.number}": devices.partition(disk.dev, part.number)
            for disk in foreign.disks for part in disk.parts}  # fmt: skip

    def named(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(real.get(devices.canonical(name), devices.canonical(name)) for name in names))

    return evolve(
        foreign,
        arrays=tuple(evolve(each, members=named(each.members)) for each in foreign.arrays),
        groups=tuple(evolve(each, members=named(each.members)) for each in foreign.groups),
        mounts=tuple(evolve(each, dev=real.get(each.dev, each.dev)) for each in foreign.mounts),
    )


def _arrays(foreign: Foreign) -> Foreign:
    known, used, arrays = partitions(foreign), set[str](), dict[str, Array]()
    for array in foreign.arrays:
        foreign, found = _found(foreign, array.line, array.dev, array.members, known, used)
        spares = min(array.spares, len(found))
        active, needed = len(found) - spares, least_members(array.level)
        if needed is None or active < max(1, needed) or array.dev in arrays or (spares and array.level == 0):
            why = "it is there already" if array.dev in arrays else f"level {array.level} of {active} devices"
            foreign = foreign.noting(array.line, f"{array.dev} cannot be made ({why}): left out with all that is on it")
            continue
        used.update(found)
        arrays[array.dev] = evolve(array, members=found, spares=spares)
    return evolve(foreign, arrays=tuple(arrays.values()))


def _groups(foreign: Foreign) -> Foreign:
    known = {**partitions(foreign), **{array.dev: array for array in foreign.arrays}}
    used, groups = {member for array in foreign.arrays for member in array.members}, dict[str, Group]()
    for group in foreign.groups:
        foreign, found = _found(foreign, group.line, f"volume group {group.name}", group.members, known, used)
        once = {volume.name: volume for volume in reversed(group.volumes)}
        for volume in group.volumes:
            if once[volume.name] is not volume:
                foreign = foreign.noting(volume.line, f"volume {volume.name} is there already: left out here")
        if not found or group.name in groups:
            why = "it is there already" if group.name in groups else "no device is part of it"
            foreign = foreign.noting(group.line, f"volume group {group.name} cannot be made ({why}): left out")
            continue
        used.update(found)
        groups[group.name] = evolve(
            group, members=found, volumes=tuple(volume for volume in group.volumes if once[volume.name] is volume)
        )
    return evolve(foreign, groups=tuple(groups.values()))


def _found(
    foreign: Foreign, line: int, of: str, names: Iterable[str], known: Iterable[str], used: set[str]
) -> tuple[Foreign, tuple[str, ...]]:
    """Those of ``names`` that are there, and nobody else's."""
    found: list[str] = []
    for name in names:
        if name not in known:
            foreign = foreign.noting(line, f"{name[:80]}, a member of {of}, is no partition here: left out")
        elif name in used:
            foreign = foreign.noting(line, f"{name} is part of something else already, not of {of}")
        else:
            found.append(name)
    return foreign, tuple(found)


def _known_mounts(foreign: Foreign) -> Foreign:
    """Mounts of what is there, each device and each mount point once; what is on no disk is told by ``_elsewhere``."""
    consumed = members(foreign)
    there = {*partitions(foreign), *(array.dev for array in foreign.arrays), *volumes(foreign)}
    kept: list[Mount] = []
    for mount in foreign.mounts:
        what = f"{mount.dev[:80]} ({mount.fs}{' at ' if mount.at else ''}{mount.at[:80]})"
        if filesystems.kernels_own(mount.fs):
            foreign = foreign.noting(mount.line, f"{what} is left to the running system, which mounts it by itself")
        elif mount.dev in there and mount.dev in consumed:
            foreign = foreign.noting(mount.line, f"{what} is part of {consumed[mount.dev]}: left out")
        elif mount.dev in there and any(each.dev == mount.dev for each in kept):
            foreign = foreign.noting(mount.line, f"{mount.dev} carries something already: left out here")
        elif mount.at and any(each.at == mount.at for each in kept):
            foreign = foreign.noting(mount.line, f"something is mounted at {mount.at[:80]} already: left out here")
        elif mount.dev in there:
            foreign, mount = _mounted(foreign, mount)
            kept.append(mount)
        elif fault := _elsewhere(mount):
            foreign = foreign.noting(mount.line, f"{what} is left out: {fault}")
        else:
            kept.append(mount)
    return evolve(foreign, mounts=tuple(kept))


def _mounted(foreign: Foreign, mount: Mount) -> tuple[Foreign, Mount]:
    faults = [*path_faults(mount.at)] if mount.at else []
    if not faults:
        return foreign, mount
    return foreign.noting(mount.line, f"{mount.dev} is not mounted: {faults[0][:200]}"), evolve(mount, at="")


def _elsewhere(mount: Mount) -> str:
    """Why what is on no disk of the layout cannot be a line of fstab; empty where it can."""
    if filesystems.on_media(mount.fs, mount.dev):
        return "it is a drive for media"
    if mount.swap:
        return "its size is not told (a swap file goes under 'swap')"
    if mount.dev.startswith(("/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")):
        return "no partition, array or volume here is called so"
    if not mount.at.startswith("/") or mount.at == "/":
        return "it is mounted nowhere"
    return ""


def _off_arrays(foreign: Foreign) -> Foreign:
    """Swap and the ESP on an array: the kernel swaps to several partitions at once, firmware reads no arrays."""
    mounts = {mount.dev: mount for mount in foreign.mounts}
    for array in foreign.arrays:
        mount = mounts.get(array.dev)
        esp = mount is not None and mount.at in ESP_MOUNTS
        if mount is None or not (mount.swap or esp):
            continue
        what = "an EFI system partition, which firmware cannot read there" if esp else "swap, which no array does here"
        several = "its members become one each, and the first is mounted" if esp else "each of its members is swap"
        foreign = foreign.noting(array.line, f"{array.dev} carries {what}: {several}")
        made = tuple(
            evolve(mount, dev=member, at=mount.at if esp and index == 0 else "")
            for index, member in enumerate(array.members)
        )
        foreign = evolve(
            foreign,
            arrays=tuple(each for each in foreign.arrays if each is not array),
            mounts=(*(each for each in foreign.mounts if each is not mount), *made),
            disks=_with_role(foreign.disks, array.members, Role.ESP if esp else Role.SWAP),
        )
    return foreign


def _roles(foreign: Foreign) -> Foreign:
    """Members have the role that says so, others have not."""
    in_arrays = [member for array in foreign.arrays for member in array.members]
    in_groups = [member for group in foreign.groups for member in group.members]
    mounts = {mount.dev: mount for mount in foreign.mounts}
    notes: list[Note] = []

    def role(dev: str, part: Part) -> Role | None:
        if dev in in_arrays:
            return Role.RAID
        if dev in in_groups:
            return Role.PV
        mount = mounts.get(dev)
        if part.role in (Role.RAID, Role.PV, Role.LUKS):
            if mount is None:
                notes.append(Note(part.line, f"{dev} is for {part.role.value}, and part of nothing here: left empty"))
            return None
        if mount and mount.swap:
            return Role.SWAP
        if mount and part.role in (Role.SWAP, Role.BIOS_GRUB):
            notes.append(
                Note(part.line, f"{dev} has the type of {part.role.value}, and carries {mount.fs}: that counts")
            )
            return None
        return part.role

    disks = tuple(
        evolve(disk, parts=tuple(
            evolve(part, role=role(devices.partition(disk.dev, part.number), part)) for part in disk.parts
        ))
        for disk in foreign.disks
    )  # fmt: skip
    return evolve(foreign, disks=disks, notes=(*foreign.notes, *notes))


def _with_role(disks: Iterable[Disk], names: Iterable[str], role: Role) -> tuple[Disk, ...]:
    wanted = set(names)
    return tuple(
        evolve(disk, parts=tuple(
            evolve(part, role=role) if devices.partition(disk.dev, part.number) in wanted else part
            for part in disk.parts
        ))
        for disk in disks
    )  # fmt: skip
