"""What the sectors of real disks allow: those of an array must be alike, and a BIOS reads small ones only. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Disk, Firmware
from imaged.model.layout import Layout
from imaged.planning.layout_rules import starts_by_bios
from imaged.planning.references import parse_reference

_BIOS = 512


def refuse_mixed_sectors(layout: Layout, chosen: Mapping[str, tuple[Disk, ...]]) -> None:
    """An array of 512 and 4096 byte sectors has those of 4096, and what was made with smaller ones cannot be read from
    it any more (md(4), XFS); a member that is replaced changes it. Raises CannotPlan naming the array and the disks."""
    for index, array in enumerate(layout.raid):
        disks = {disk.path: disk for disk in _below(array.devices, layout, chosen)}
        if len({disk.logical_sector for disk in disks.values()}) > 1:
            sizes = [f"{disk}: sectors of {disk.logical_sector} bytes" for disk in disks.values()]
            raise CannotPlan(
                "its disks have sectors of different sizes",
                where=f"layout {layout.name}: raid[{index}] ({array.id})",
                hint="\n  ".join([*sizes, "Add sector: 512 or sector: 4096 to the match of its disks."]),
            )


def refuse_bios_on_large_sectors(layout: Layout, chosen: Mapping[str, tuple[Disk, ...]], firmware: Firmware) -> None:
    """The BIOS loads a boot sector of 512 bytes and counts in such (INT 13h): none starts a disk with larger ones.
    Raises CannotPlan naming the disks where there is no other to start from."""
    starting = [disk for spec in layout.disks if starts_by_bios((spec,)) for disk in chosen[spec.id]]
    if firmware is Firmware.BIOS and starting and all(disk.logical_sector > _BIOS for disk in starting):
        raise CannotPlan(
            f"no BIOS starts from sectors of {starting[0].logical_sector} bytes",
            where=", ".join(map(str, starting)),
            hint="Start the machine by UEFI, or give the match of its system disk sector: 512.",
        )


def _below(devices: Iterable[str], layout: Layout, chosen: Mapping[str, tuple[Disk, ...]]) -> Iterator[Disk]:
    """The disks of ``devices``; a layout that was read has no cycles."""
    for reference in map(parse_reference, devices):
        if reference.disk:
            disks = chosen[reference.disk]
            yield from disks if reference.index is None else disks[reference.index : reference.index + 1]
            continue
        below = {each.id: each.devices for each in layout.raid} | {each.id: each.devices for each in layout.luks}
        below |= {volume.id: group.devices for group in layout.lvm for volume in group.lvs}
        yield from _below(below.get(reference.part, ()), layout, chosen)
