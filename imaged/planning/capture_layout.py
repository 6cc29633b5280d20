"""Drafts a disk layout from the disks of a golden client: generic, for disks of other sizes and other makers. Pure.

Arrays, encrypted devices and volume groups are drafted by ``capture_stack``, subvolumes by ``capture_btrfs``. What a
layout cannot say of them becomes plain partitions and directories, and a comment says so.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from imaged.model.capture import Block, GoldenFacts
from imaged.model.errors import BadInput
from imaged.model.size import GIB, MIB, format_size
from imaged.planning import layout
from imaged.planning.capture import CapturePlan, Kept
from imaged.planning.capture_btrfs import of_one, subvolumes
from imaged.planning.capture_stack import CannotSay, Wanted, stacked
from imaged.planning.content_rules import SUBVOLUME
from imaged.planning.imports.amounts import shown
from imaged.planning.layout_text import item_lines, layout_text

_FS = {"ext4": "ext4", "ext3": "ext4", "ext2": "ext4", "xfs": "xfs", "btrfs": "btrfs", "vfat": "vfat", "msdos": "vfat"}
_NO_DISKS = ("zram", "ram", "loop", "nbd", "sr", "fd")
_ESPS = ("/boot/efi", "/efi")
_MOUNT = re.compile(r"/|(/[A-Za-z0-9._+@:-]+)+")  # what a layout can say
_MATCH = "bus: [nvme, virtio, sata, sas, mmc, other]"
_LEAST = 256 * MIB
_ROOM = 115  # percent of what is used, as planning.sizes takes


@frozen
class _Part:
    """``size`` is the golden client's own, 0 where it could not tell; ``held`` what must fit, both in bytes. ``btrfs``
    as a layout has it."""

    kept: Kept
    fs: str
    size: int
    held: int
    disks: tuple[str, ...]
    block: Block | None = None
    btrfs: Mapping[str, Any] = {}


def draft(
    facts: GoldenFacts, plan: CapturePlan, image: str, held: Mapping[str, int], *, uefi: bool = False
) -> str:  # fmt: skip
    """The text of a layout file, with comments for people. ``planning.layout.read`` takes it.

    ``held`` is what the image holds below each mount point, in bytes; where it is missing, what the client uses counts.
    ``uefi``: the image can start by UEFI, by whatever the client itself has started.
    """
    if uefi:
        facts = evolve(facts, firmware="uefi")
    parts = list(_parts(facts, plan, held))
    disks = {
        block.name: block
        for block in facts.blocks
        if block.kind == "disk" and block.size and not block.parents and not block.name.startswith(_NO_DISKS)
    }
    first_line = (
        f"Drafted from the disks of {facts.hostname or 'a golden client'} when {image} was captured. "
        "Every key: docs/layouts.md."
    )
    notes = list(_notes(facts, plan, disks))
    if stack := _stack_names(facts):
        for thin in (True, False):
            if said := _stacked(facts, parts, image, thin=thin):
                return layout_text(said, [first_line, *notes, *_stack_notes(stack, facts, thin=thin)])
        notes.append(f"A layout cannot say its {', '.join(stack)}: what lay there is plain partitions here.")
    root = next(part for part in parts if part.kept.at == "/")
    first = [part for part in parts if _with_root(part, root)]
    rest = [part for part in parts if part not in first]
    lines = [
        f"# {first_line}",
        *(f"# {note}" for note in notes),
        "version: 1",
        "disks:",
        *_disk("os", first, facts, system=True, others=bool(rest)),
    ]
    grouped: dict[tuple[str, ...], list[_Part]] = {}
    for part in rest:
        grouped.setdefault(part.disks, []).append(part)
    for number, group in enumerate(grouped.values(), start=1):
        lines += _disk(f"data{number}", group, facts, system=False, others=True)
    return "\n".join([*lines, "boot: {firmware: auto}"]) + "\n"


def _parts(facts: GoldenFacts, plan: CapturePlan, held: Mapping[str, int]) -> Iterator[_Part]:
    """Kept filesystems, each once."""
    numbers = {mount.at: mount.device for mount in facts.mounts}
    sources: dict[str, None] = {}
    sayable = [kept for kept in plan.kept if _MOUNT.fullmatch(kept.at)]
    for kept in sayable:
        if kept.is_nested or (kept.fstype == "btrfs" and kept.source in sources):
            continue
        sources.setdefault(kept.source)
        together = of_one(sayable, kept) if kept.fstype == "btrfs" else [kept]
        content = sum(held.get(each.at, 0) for each in together) if kept.at in held else kept.used
        block = _block(facts, numbers.get(kept.at, ""), kept.source)
        size = block.size if block else facts.space[kept.at].size if kept.at in facts.space else 0
        disks = tuple(sorted(set(_below(facts, block)))) if block else ()
        btrfs = subvolumes(facts, together) if kept.fstype == "btrfs" else {}
        yield _Part(kept, _FS.get(kept.fstype, "ext4"), size, content, disks, block, btrfs)


def _block(facts: GoldenFacts, number: str, source: str) -> Block | None:
    """btrfs has device numbers of its own, so there the source's name must do."""
    name = source.rpartition("/")[2]
    return next((each for each in facts.blocks if each.number == number or each.name == name), None)


def _below(facts: GoldenFacts, block: Block) -> Iterator[str]:
    """The whole disks that a device lies on."""
    if not block.parents:
        yield block.name
    for parent in block.parents:
        for each in facts.blocks:
            if each.name == parent and each is not block:
                yield from _below(facts, each)


def _with_root(part: _Part, root: _Part) -> bool:
    at = part.kept.at
    return (
        not part.disks or not root.disks or bool(set(part.disks) & set(root.disks)) or at in ("/boot", *_ESPS, "/usr")
    )


def _notes(facts: GoldenFacts, plan: CapturePlan, disks: dict[str, Block]) -> Iterator[str]:
    for disk in disks.values():
        shown = ", ".join(part for part in (disk.model, disk.table, f"{format_size(disk.size)}") if part)
        yield f"It had /dev/{disk.name} ({shown})."
    for kept in plan.kept:
        if not _MOUNT.fullmatch(kept.at):
            yield f"{kept.at!a} is a filesystem there; a layout cannot say that name."
        if kept.volume and not SUBVOLUME.fullmatch(kept.volume):
            yield f"{kept.volume!a} is a subvolume there; a layout cannot say that name."


def _stack_names(facts: GoldenFacts) -> list[str]:
    """What there is besides partitions."""
    kinds = {block.kind for block in facts.blocks}
    found = {
        "RAID": any(kind.startswith("raid") or kind in ("md", "linear") for kind in kinds),
        "LUKS": "crypt" in kinds,
        "LVM": "lvm" in kinds or "dm" in kinds,
    }
    return [name for name, there in found.items() if there]


def _stack_notes(stack: Sequence[str], facts: GoldenFacts, *, thin: bool) -> Iterator[str]:
    yield f"Its {', '.join(stack)} is drafted as it was there; members take what the rest of their disk leaves."
    if "LUKS" in stack:
        yield "Each node gets a key of its own, which the server keeps."
    if not thin and any(block.alias.endswith(("-tpool", "_tdata")) for block in facts.blocks):
        yield "Its thin volumes are drafted as ones that have their whole size."


def _stacked(facts: GoldenFacts, parts: Sequence[_Part], image: str, *, thin: bool) -> dict[str, Any] | None:
    """The layout with all that lies on partitions; None where one cannot say it."""
    wanted = []
    for part in parts:
        if part.block is None:
            return None
        at = part.kept.at
        size = max(GIB // 2, _rounded(part.size), _least(part)) if at == "/boot" else _least(part)
        wanted.append(Wanted(part.block, _name(at), part.fs, at, size, part.kept.source, part.btrfs))
    try:
        data = stacked(facts, wanted, thin=thin)
        layout.read(data, image)
    except (CannotSay, BadInput):
        return None
    return data


def _disk(name: str, parts: Sequence[_Part], facts: GoldenFacts, *, system: bool, others: bool) -> Iterator[str]:
    rows = list(_system_rows(parts, facts)) if system else []
    total = sum(part.size for part in parts) or 1
    rows += [_row(part, total) for part in parts if part.kept.at not in _ESPS or part.fs != "vfat"]
    least = sum(_least(part) for part in parts) + (GIB if system else 0)
    yield f"  - id: {name}"
    if others:
        yield "    # More than one disk: say here which is which, by size, bus, model or path."
    pick = "smallest" if system else "largest"
    yield f'    match: {{{_MATCH}, size: ">={-(-least // GIB)}G", pick: {pick}}}'
    yield "    label: gpt"
    yield "    partitions:"
    for row in rows:
        yield from item_lines(row, "      ")


def _system_rows(parts: Sequence[_Part], facts: GoldenFacts) -> Iterator[dict[str, Any]]:
    """What makes it start by either firmware, and swap."""
    yield {"id": "bios", "role": "bios_grub"}
    esp = next((part for part in parts if part.kept.at in _ESPS and part.fs == "vfat"), None)
    if esp or facts.firmware == "uefi":
        size = shown(max(512 * MIB, _rounded(esp.size) if esp else 0))
        at = esp.kept.at if esp else "/boot/efi"
        yield {"id": "esp", "role": "esp", "size": size, "fs": "vfat", "mount": at, "options": "umask=0077"}
    swap = sum(each.size for each in facts.swaps)
    if swap:
        most = {"min": "256M", "max": shown(max(_rounded(swap), GIB)), "weight": 1, "cap": "ram"}
        yield {"id": "swap", "role": "swap", "size": most, "priority": 10}


def _row(part: _Part, total: int) -> dict[str, Any]:
    at = part.kept.at
    role = {"/": "root", "/boot": "boot"}.get(at, "esp" if at == "/boot/efi" else "data")
    weight = max(1, part.size * 1000 // total) if part.size else 1000
    size: Any = {"min": shown(_least(part)), "weight": weight}
    if role == "boot":
        size = shown(max(GIB // 2, _rounded(part.size), _least(part)))
    row = {"id": _name(at), "role": role, "size": size, "fs": part.fs, "mount": at}
    return row | ({"btrfs": part.btrfs} if part.btrfs else {})


def _name(at: str) -> str:
    name = {"/": "root"}.get(at, at.strip("/").replace("/", "-"))
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)[:36]
    return name if name[:1].isalnum() else f"d{name}"[:36]


def _least(part: _Part) -> int:
    least = 512 * MIB if part.fs == "xfs" else _LEAST
    return max(least, _rounded(part.held * _ROOM // 100))


def _rounded(size: int) -> int:
    """Up to 64 MiB, so that people read round numbers."""
    return -(-size // (64 * MIB)) * 64 * MIB
