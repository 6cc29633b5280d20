"""Which real disks an array lies on, and that their sectors are alike. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Disk
from imaged.model.layout import Layout
from imaged.planning.references import parse_reference


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
