"""Drafts the arrays, encrypted devices and volume groups of a golden client as plain data of a layout. Pure.

Disks that belong together by them (a mirror, a group over two disks) become one entry with a count, whose disks are all
alike; what cannot be said so raises CannotSay.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from imaged.model.capture import Block, GoldenFacts
from imaged.model.size import GIB, MIB
from imaged.planning.imports import devices
from imaged.planning.imports.amounts import shown

_ESPS = ("/boot/efi", "/efi")
_LEVEL = re.compile(r"raid([0-9]{1,2})")
_BUSES = ["nvme", "virtio", "sata", "sas", "mmc", "other"]
_POOL = "-tpool"  # lvm's own layer over a pool's parts, which the pool's volumes lie on
_ALIKE = 95  # percent of the largest that the smallest of several like disks has, as layouts take it


class CannotSay(Exception):
    """The layout language has no words for it."""


@frozen
class Wanted:
    """A filesystem that was captured. ``least`` bytes must fit; ``source`` is mountinfo's, ``btrfs`` a layout's."""

    block: Block
    name: str
    fs: str
    at: str
    least: int
    source: str
    btrfs: Mapping[str, Any] = {}


@frozen
class _Entry:
    """Disks that belong together."""

    id: str
    disks: tuple[Block, ...]
    partitions: list[dict[str, Any]] = field(factory=list)

    def reference(self, partition: str) -> str:
        """Of the partition on each of the disks."""
        return f"{self.id}[*].{partition}" if len(self.disks) > 1 else f"{self.id}.{partition}"


@frozen
class _Draft:
    """What is there so far. ``made`` are references by kernel names. ``thin``: pools are drafted as pools."""

    facts: GoldenFacts
    entries: tuple[_Entry, ...]
    thin: bool = True
    raid: list[dict[str, Any]] = field(factory=list)
    luks: list[dict[str, Any]] = field(factory=list)
    lvm: list[dict[str, Any]] = field(factory=list)
    made: dict[str, str] = field(factory=dict)


def stacked(facts: GoldenFacts, wanted: Sequence[Wanted], *, thin: bool = True) -> dict[str, Any]:
    """The data of a layout with all of ``wanted`` and the client's swap. Without ``thin``, volumes of pools have their
    whole size. Raises CannotSay."""
    swaps = [block for swap in facts.swaps if not swap.is_file and (block := _swap_block(facts, swap.path))]
    entries = _entries(facts, wanted, swaps)
    draft = _Draft(facts, entries, thin)
    esp = next((each for each in wanted if each.at in _ESPS and each.fs == "vfat"), None)
    data: dict[str, Any] = {"version": 1, "disks": [], "raid": draft.raid, "luks": draft.luks, "lvm": draft.lvm}
    _for_firmware(draft, esp, data)
    for block in swaps:
        _put_swap(draft, block)
    for each in wanted:
        if each is not esp:
            _put(draft, each)
    for pool in (each for group in draft.lvm for each in group.get("thin", ())):
        pool["size"]["min"] = shown(pool["size"]["min"])
    for number, entry in enumerate(entries):
        data["disks"].append(_entry(draft, entry, wanted, system=number == 0))
    return {key: value for key, value in data.items() if value != []} | {"boot": {"firmware": "auto"}}


def _swap_block(facts: GoldenFacts, path: str) -> Block | None:
    name = path.removeprefix("/dev/")
    return next((block for block in facts.blocks if name in (block.name, f"mapper/{block.alias}")), None)


def _entries(facts: GoldenFacts, wanted: Sequence[Wanted], swaps: Sequence[Block]) -> tuple[_Entry, ...]:
    """Disks under one filesystem belong together, and so do those of several that share one. That of ``/`` is first."""
    root = next(each.block for each in wanted if each.at == "/")
    sets: list[set[str]] = []
    for block in (root, *(each.block for each in wanted), *swaps):
        disks = {disk.name for disk in _disks(facts, block)}
        touching = [each for each in sets if each & disks]
        merged = disks.union(*touching)
        first = min((sets.index(each) for each in touching), default=len(sets))
        sets = [each for each in sets if each not in touching]
        sets.insert(first, merged)
    named = {block.name: block for block in facts.blocks}
    return tuple(
        _Entry("os" if index == 0 else f"data{index}", tuple(named[name] for name in sorted(names)))
        for index, names in enumerate(sets)
    )


def _parents(facts: GoldenFacts, block: Block) -> Iterator[Block]:
    """What it lies on. The parts of a thin pool or of a mirrored volume are lvm's own: what they lie on counts."""
    for parent in facts.blocks:
        if parent.name in block.parents and parent is not block:
            if block.kind == parent.kind == "lvm":
                yield from _parents(facts, parent)
            else:
                yield parent


def _disks(facts: GoldenFacts, block: Block) -> Iterator[Block]:
    if not block.parents:
        yield block
    for parent in _parents(facts, block):
        yield from _disks(facts, parent)


def _for_firmware(draft: _Draft, esp: Wanted | None, data: dict[str, Any]) -> None:
    """What lets either firmware start it, on each disk of the first entry."""
    system = draft.entries[0]
    system.partitions.append({"id": "bios", "role": "bios_grub"})
    if not esp and draft.facts.firmware != "uefi":
        return
    at = esp.at if esp else "/boot/efi"
    size = max(512 * MIB, -(-esp.block.size // (64 * MIB)) * 64 * MIB if esp else 0)
    part = {"id": "esp", "role": "esp", "size": shown(size), "fs": "vfat", "options": "umask=0077"}
    system.partitions.append(part)
    if len(system.disks) == 1:
        part["mount"] = at
        return
    mirrors = [f"os[{number}].esp" for number in range(1, len(system.disks))]
    data["esp"] = {"mount": at, "primary": "os[0].esp", "mirrors": mirrors}


def _put(draft: _Draft, wanted: Wanted) -> None:
    content: dict[str, Any] = {"fs": wanted.fs, "mount": wanted.at}
    if wanted.btrfs:
        content["btrfs"] = wanted.btrfs
    block = wanted.block
    if block.kind == "lvm":
        group = _group(draft, block, wanted.source)
        _, volume = _volume_name(block, wanted.source)
        size: Any = {"min": shown(wanted.least), "weight": _weight(block, _parents(draft.facts, block))}
        group["lvs"].append({"id": volume, "size": size} | _in_pool(draft, group, block, wanted.least) | content)
        return
    if block.kind in ("part", "disk"):
        entry = _entry_of(draft, block)
        if len(entry.disks) > 1:
            raise CannotSay(f"{wanted.at} is on one of several disks that belong together")
        role = {"/": "root", "/boot": "boot"}.get(wanted.at, "data")
        size = {"min": shown(wanted.least), "weight": _weight(block, entry.disks)}
        fixed = shown(wanted.least) if role == "boot" else size
        entry.partitions.append({"id": wanted.name, "role": role, "size": fixed} | content)
        return
    _device(draft, block, wanted.name, content, shown(wanted.least) if wanted.at == "/boot" else None)


def _put_swap(draft: _Draft, block: Block) -> None:
    most = shown(max(GIB, -(-block.size // (64 * MIB)) * 64 * MIB))
    size = {"min": "256M", "max": most, "weight": 1, "cap": "ram"}
    if block.kind == "lvm":
        group = _group(draft, block, "")
        _, volume = _volume_name(block, "")
        within = _in_pool(draft, group, block, 256 * MIB)
        group["lvs"].append({"id": volume, "size": size, "swap": True, "priority": 10} | within)
        return
    entry = _entry_of(draft, block)
    if not any(part["role"] == "swap" for part in entry.partitions):  # encrypted, or on an array: plain, on each disk
        entry.partitions.append({"id": "swap", "role": "swap", "size": size, "priority": 10})


def _device(draft: _Draft, block: Block, name: str, content: dict[str, Any], fixed: str | None = None) -> str:
    """The id of an array or encrypted device, which is made where it is not there yet."""
    if block.name in draft.made:
        return draft.made[block.name]
    parents = list(_parents(draft.facts, block))
    if level := _LEVEL.fullmatch(block.kind):
        id = f"md-{name}"
        made: dict[str, Any] = {"id": id, "level": int(level[1])}
        made["devices"] = _members(draft, parents, "raid", name, fixed, each_on_one=True)
        draft.raid.append(made | content)
    elif block.kind == "crypt":
        id = f"crypt-{name}"
        made = {"id": id, "devices": _members(draft, parents, "luks", name, fixed, each_on_one=True)}
        draft.luks.append(made | content)
    else:
        raise CannotSay(f"{block.name} is of the kind {block.kind}")
    draft.made[block.name] = id
    return id


def _members(
    draft: _Draft, blocks: Sequence[Block], role: str, name: str, fixed: str | None, *, each_on_one: bool
) -> list[str]:
    """References to what something is made of: partitions alike on every disk of an entry, or devices on them."""
    plain = [block for block in blocks if block.kind in ("part", "disk")]
    found = [_member(draft, block, name) for block in blocks if block not in plain]
    for entry in draft.entries:
        mine = [block for block in plain if _entry_of(draft, block) is entry]
        on = {disk.name for block in mine for disk in _disks(draft.facts, block)}
        if not mine:
            continue
        if on != {disk.name for disk in entry.disks} or (each_on_one and len(mine) != len(on)):
            raise CannotSay(f"{name} has members on some of several disks that belong together")
        size: Any = fixed or {"weight": _weight(mine[0], entry.disks)}
        entry.partitions.append({"id": name, "role": role, "size": size})
        found.append(entry.reference(name))
    if not found:
        raise CannotSay(f"{name} is made of nothing")
    return found


def _member(draft: _Draft, block: Block, name: str) -> str:
    if block.kind == "lvm":
        raise CannotSay(f"{name} lies on a volume")
    return _device(draft, block, name, {})


def _group(draft: _Draft, block: Block, source: str) -> dict[str, Any]:
    """That of a volume, which is made where it is not there yet."""
    vg, _ = _volume_name(block, source)
    group = next((each for each in draft.lvm if each["vg"] == vg), None)
    if group is None:
        members = _members(draft, list(_parents(draft.facts, block)), "pv", _plain(vg), None, each_on_one=False)
        group = {"vg": vg, "devices": members, "lvs": []}
        draft.lvm.append(group)
    return group


def _in_pool(draft: _Draft, group: dict[str, Any], block: Block, least: int) -> dict[str, Any]:
    """What says that a volume lies in a thin pool, which is made where it is not there yet and grows by what each of
    its volumes holds; the volume's own size is virtual. Nothing for other volumes."""
    parents = (each for each in draft.facts.blocks if each.name in block.parents)
    pool = next((each for each in parents if each.alias.endswith(_POOL)), None) if draft.thin else None
    if pool is None:
        return {}
    _, name = _volume_name(evolve(pool, alias=pool.alias.removesuffix(_POOL)), "")
    pools: list[dict[str, Any]] = group.setdefault("thin", [])
    made = next((each for each in pools if each["id"] == name), None)
    if made is None:
        made = {"id": name, "size": {"min": 0, "weight": _weight(pool, _parents(draft.facts, pool))}}
        pools.append(made)
    made["size"]["min"] += least
    return {"size": shown(max(block.size, least)), "pool": name}


def _volume_name(block: Block, source: str) -> tuple[str, str]:
    """Group and volume of ``rhel-root``, from lsblk or else from what is mounted."""
    for name in (f"/dev/mapper/{block.alias}", source):
        parts = devices.canonical(name).split("/")
        if len(parts) == 4 and parts[2] != "mapper":
            return parts[2], parts[3]
    raise CannotSay(f"{block.name} has no name of a volume")


def _plain(text: str) -> str:
    return f"pv-{re.sub(r'[^A-Za-z0-9_-]', '_', text)}"[:36]


def _entry_of(draft: _Draft, block: Block) -> _Entry:
    names = {disk.name for disk in _disks(draft.facts, block)}
    return next(entry for entry in draft.entries if names <= {disk.name for disk in entry.disks})


def _weight(block: Block, of: Iterable[Block]) -> int:
    """Its share of what it lies on, in thousandths."""
    total = max((each.size for each in of), default=0)
    return min(1000, max(1, block.size * 1000 // total)) if total and block.size else 1000


def _entry(draft: _Draft, entry: _Entry, wanted: Sequence[Wanted], *, system: bool) -> dict[str, Any]:
    least = sum(each.least for each in wanted if _entry_of(draft, each.block) is entry) + (GIB if system else 0)
    sizes = [disk.size for disk in entry.disks]
    most = min(sizes)  # of several disks none needs to hold everything: the client's own shall do
    least_size = -(-least // GIB) if least < most else most // GIB
    made: dict[str, Any] = {"id": entry.id}
    match: dict[str, Any] = {"bus": _BUSES, "size": f">={least_size}G", "pick": "smallest" if system else "largest"}
    if len(entry.disks) > 1:
        made["count"] = len(entry.disks)
        if most * 100 < max(sizes) * _ALIKE:
            made["similar"] = "100%"
    return made | {"match": match, "label": "gpt", "partitions": entry.partitions}
