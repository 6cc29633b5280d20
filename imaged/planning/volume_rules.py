"""What LVM and the device mapper ask of volume groups, volumes, pools and their names (lvm(8), lvmthin(7))."""

import re
from collections.abc import Iterator

from imaged.model.size import GIB, KIB, MIB, format_size
from imaged.model.stack import ThinPool, Volume, VolumeGroup
from imaged.planning.layout_draft import Draft, GroupDraft, repeated
from imaged.planning.layout_rules import size_faults

_NAME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*")
_REFERABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MAPPED = re.compile(r"[A-Za-z0-9_+.-]+")
_LONGEST = 127  # DM_NAME_LEN, linux/dm-ioctl.h
_LVMS_OWN = (
    "_cdata", "_cmeta", "_corig", "_imeta", "_iorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata",
    "_tmeta", "_vdata", "_vorigin",
)  # fmt: skip
_IN_DEV = re.compile(
    r"(block|bus|char|cpu|disk|dri|fd|full|input|log|mapper|md|mem|mqueue|net|null|port|ptmx|pts|random|shm|snd|"
    r"stderr|stdin|stdout|tty.*|urandom|usb|zero|[hsv]d[a-z].*|nvme[0-9].*|md[0-9].*|dm-.*|loop.*|sr[0-9]+)"
)  # vgcreate makes the directory /dev/VG
_MOST_METADATA = 16 * GIB - 192 * MIB  # lvmthin(7): 15.81 GiB
_STAYS = ("/", "/boot", "/usr", "/var")


def group_faults(draft: GroupDraft) -> Iterator[str]:
    """Of a volume group and what is in it."""
    at, group = draft.at, draft.group
    if group:
        yield from _group_faults(at, group)
    for path, volume in draft.lvs:
        yield from _volume_faults(path, volume, [pool.id for _, pool in draft.thin], group.vg if group else "")
    for path, pool in draft.thin:
        yield from _pool_faults(path, pool)


def _group_faults(at: str, group: VolumeGroup) -> Iterator[str]:
    if not _NAME.fullmatch(group.vg) or group.vg in (".", ".."):
        yield f"{at}.vg: {group.vg!r} must be letters, digits and + _ . - (no '-' before it)"
    elif _IN_DEV.fullmatch(group.vg):
        yield f"{at}.vg: {group.vg!r} is in /dev already"
    if not 0 <= group.reserve < 100:
        yield f"{at}.reserve: {group.reserve:g} is not within 0 to less than 100 percent"
    if not 4 * KIB <= group.extent <= 16 * GIB or group.extent & (group.extent - 1):
        yield f"{at}.extent: {format_size(group.extent)} is not a power of two from 4 KiB to 16 GiB"


def _volume_faults(at: str, volume: Volume, pools: list[str], vg: str) -> Iterator[str]:
    yield from _name_faults(f"{at}.id", volume.id)
    yield from size_faults(f"{at}.size", volume.size)
    if volume.pool and volume.pool not in pools:
        has = f"it has {', '.join(pools)}" if pools else "it has none"
        yield f"{at}.pool: {vg} has no thin pool {volume.pool!r} ({has})"
    if volume.pool and not volume.size.min:
        yield f"{at}.size: a volume in a pool needs a size of its own (it is virtual)"
    if volume.priority > 0 and volume.mount in _STAYS:
        yield f"{at}.priority: what is mounted at {volume.mount} cannot be left out, so it must not be above 0"


def _pool_faults(at: str, pool: ThinPool) -> Iterator[str]:
    yield from _name_faults(f"{at}.id", pool.id)
    yield from size_faults(f"{at}.size", pool.size)
    if pool.metadata and not 2 * MIB <= pool.metadata <= _MOST_METADATA:
        yield f"{at}.metadata: {format_size(pool.metadata)} is not within 2 MiB to 15.8 GiB"


def _name_faults(at: str, name: str) -> Iterator[str]:
    if not _REFERABLE.fullmatch(name):
        path = " (it is the name alone, without that of the group)" if "/" in name else ""
        yield f"{at}: {name!r} must be letters, digits, '-' or '_', a letter or digit first{path}"
    elif name.startswith(("snapshot", "pvmove")) or any(own in name for own in _LVMS_OWN):
        yield f"{at}: {name!r} is a name that lvm keeps for itself"


def name_faults(draft: Draft) -> Iterator[str]:
    """Of names below /dev/md and /dev/mapper, and of ids: arrays, encrypted devices, volumes and pools share them."""
    yield from repeated((f"{disk.at}.id", disk.spec.id) for disk in draft.disks if disk.spec)
    groups = [group for group in draft.lvm if group.group]
    yield from repeated((f"{group.at}.vg", group.group.vg) for group in groups if group.group)
    ids = [(at, each.id) for at, each in draft.raid] + [(at, each.id) for at, each in draft.luks]
    for group in groups:
        ids += [(at, each.id) for at, each in group.lvs] + [(at, each.id) for at, each in group.thin]
    yield from repeated((f"{at}.id", id) for at, id in ids)
    yield from repeated((f"{at}.{'name' if each.name else 'id'}", each.name or each.id) for at, each in draft.raid)
    yield from _mapper_faults(draft)


def _mapper_faults(draft: Draft) -> Iterator[str]:
    """``vg-0/root`` is ``vg--0-root`` below /dev/mapper: a '-' within a name counts twice."""
    names = [(f"{at}.{'name' if each.name else 'id'}", each.name or each.id) for at, each in draft.luks]
    for at, name in names:
        if not _MAPPED.fullmatch(name) or name in (".", "..", "control"):
            yield f"{at}: {name!r} must be letters, digits and + _ . - (and not 'control')"
    for group in draft.lvm:
        vg = group.group.vg if group.group else ""
        names += [(f"{at}.id", mapped(vg, each.id)) for at, each in group.lvs]
        names += [(f"{at}.id", mapped(vg, each.id)) for at, each in group.thin]
    for at, name in names:
        if len(name) > _LONGEST:
            yield f"{at}: /dev/mapper/{name} is longer than the {_LONGEST} bytes that the kernel keeps"
    yield from repeated((at, f"/dev/mapper/{name}") for at, name in names)


def mapped(vg: str, volume: str) -> str:
    """The name of a volume below /dev/mapper."""
    return f"{vg.replace('-', '--')}-{volume.replace('-', '--')}"
