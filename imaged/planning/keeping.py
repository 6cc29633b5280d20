"""What stays of what is on the disks already: preserved partitions, arrays and groups found again, strangers refused.

Nothing is kept by chance and nothing unknown goes by chance: a volume group or array on a chosen disk that the layout
does not name ends the plan, unless the layout says ``wipe_unknown: true``.
"""

from collections.abc import Iterable, Iterator, Sequence

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundArray, FoundGroup, FoundPartition, FoundVolume
from imaged.model.hardware import Disk, Inventory, partition_path
from imaged.model.layout import DiskSpec, Layout, Partition, Wipe
from imaged.model.stack import Array, Content, Preserve, VolumeGroup

Lost = Sequence[tuple[Disk, tuple[int, ...]]]  # the chosen disks, with the numbers of the partitions that stay on each

_LUKS = "crypto_LUKS"
_ARRAYS = "/dev/md/"


def kept_partition(wanted: Partition, disk: Disk) -> FoundPartition | None:
    """The partition of ``disk`` that ``wanted`` preserves; None: it is to be made. Raises CannotPlan.

    It is known by its number where the layout gives one, else by its name in the GPT, which is the layout's id.
    """
    if wanted.preserve is Preserve.NEVER:
        return None
    known = f"number {wanted.number}" if wanted.number else f"name {wanted.id!r}"
    fitting = [each for each in disk.partitions if _is(wanted, each)]
    if len(fitting) > 1:
        raise CannotPlan(f"{len(fitting)} partitions have the {known}: which one stays?", where=str(disk))
    if fitting:
        _refuse_other_content(wanted, fitting[0].holds, f"{partition_path(disk.path, fitting[0].number)}")
        return fitting[0]
    if wanted.preserve is Preserve.REQUIRED:
        raise CannotPlan(f"the layout preserves {wanted.id!r}, and no partition has the {known}", where=str(disk))
    return None


def kept_array(wanted: Array, inventory: Inventory) -> FoundArray | None:
    """The array that ``wanted`` preserves, by its name. Raises CannotPlan."""
    if wanted.preserve is Preserve.NEVER:
        return None
    name = wanted.name or wanted.id
    found = next((each for each in inventory.arrays if each.name == name), None)
    if found is None:
        if wanted.preserve is Preserve.REQUIRED:
            raise CannotPlan(
                "the layout preserves it, and the machine has no array of that name", where=f"array {name}"
            )
        return None
    _refuse_other_content(wanted, found.holds, f"array {name}")
    return found


def kept_group(wanted: VolumeGroup, inventory: Inventory) -> FoundGroup | None:
    """The volume group that ``wanted`` preserves. Raises CannotPlan, also for what it must hold and does not."""
    if wanted.preserve is Preserve.NEVER:
        return None
    found = next((each for each in inventory.groups if each.name == wanted.vg), None)
    if found is None:
        if wanted.preserve is Preserve.REQUIRED or not wanted.devices:
            what = "the layout preserves it, and the machine has none such"
            raise CannotPlan(what, where=f"volume group {wanted.vg}")
        return None
    there = {each.name: each for each in found.volumes}
    for volume in wanted.lvs:
        if volume.preserve is Preserve.NEVER:
            continue
        if volume.id not in there and volume.preserve is Preserve.REQUIRED:
            what = f"the layout preserves it, and {wanted.vg} has none such"
            raise CannotPlan(what, where=f"volume {volume.id}")
        if volume.id in there:
            _refuse_unseen(there[volume.id], wanted.vg)
            _refuse_other_content(volume, there[volume.id].holds, f"/dev/{wanted.vg}/{volume.id}")
    for pool in wanted.thin:
        if pool.id in there and not there[pool.id].is_pool:
            raise CannotPlan("the layout has a thin pool there, and it is none", where=f"/dev/{wanted.vg}/{pool.id}")
    return found


def kept_numbers(spec: DiskSpec, disk: Disk, kept: Iterable[FoundPartition]) -> tuple[int, ...]:
    """Numbers of the partitions that stay on ``disk``; with ``wipe: none`` all that the layout does not make anew."""
    numbers = {each.number for each in kept}
    if spec.wipe is Wipe.NONE:
        remade = {
            found.number for wanted in spec.partitions for found in disk.partitions
            if wanted.preserve is Preserve.NEVER and _is(wanted, found)
        }  # fmt: skip
        numbers |= {each.number for each in disk.partitions} - remade
    return tuple(sorted(numbers))


def refuse_strangers(layout: Layout, inventory: Inventory, lost: Lost) -> None:
    """``lost`` are the chosen disks with the numbers of what stays on each. Raises CannotPlan naming every stranger,
    and whatever would lose a part although the layout preserves it."""
    gone = paths_gone(lost)
    faults = [*_strangers(layout, inventory, gone), *_torn(layout, inventory, gone)]
    if faults:
        hint = "Name it in the layout, or say `wipe_unknown: true` there if it may go."
        raise CannotPlan("\n  ".join(faults), where=f"layout {layout.name}", hint=hint)


def _strangers(layout: Layout, inventory: Inventory, gone: set[str]) -> Iterator[str]:
    if layout.wipe_unknown:
        return
    groups = {each.vg for each in layout.lvm}
    arrays = {each.name or each.id for each in layout.raid}
    for group in inventory.groups:
        if group.name not in groups and gone & set(group.devices):
            yield f"the volume group {group.name} on {_listed(gone, group.devices)} is not in the layout"
    for array in inventory.arrays:
        if array.name not in arrays and gone & set(array.devices):
            name = array.name or array.uuid  # md 0.90 has no names
            yield f"the array {name} on {_listed(gone, array.devices)} is not in the layout"


def _torn(layout: Layout, inventory: Inventory, gone: set[str]) -> Iterator[str]:
    groups = {each.vg for each in layout.lvm if each.preserve is not Preserve.NEVER}
    arrays = {each.name or each.id for each in layout.raid if each.preserve is not Preserve.NEVER}
    for group in inventory.groups:
        if group.name in groups and gone & set(group.devices):
            yield f"{group.name} is preserved, and {_listed(gone, group.devices)} would be wiped"
        below = [
            each for each in group.devices if each.startswith(_ARRAYS) and each.removeprefix(_ARRAYS) not in arrays
        ]
        if group.name in groups and below:  # nobody would start it, and the group would not be found
            yield f"{group.name} is preserved, and {', '.join(below)} that it lies on is not"
    for array in inventory.arrays:
        if array.name in arrays and gone & set(array.devices):
            yield f"the array {array.name} is preserved, and a disk of it would be wiped"


def _listed(gone: set[str], devices: Iterable[str]) -> str:
    return ", ".join(sorted(gone & set(devices)))


def paths_gone(lost: Lost) -> set[str]:
    """Paths of the disks and partitions that are not there any more afterwards."""
    gone = {disk.path for disk, keeps in lost if not keeps}
    for disk, keeps in lost:
        gone |= {partition_path(disk.path, each.number) for each in disk.partitions if each.number not in keeps}
    return gone


def _is(wanted: Partition, found: FoundPartition) -> bool:
    return found.number == wanted.number if wanted.number else found.name == wanted.id


def _refuse_unseen(volume: FoundVolume, group: str) -> None:
    """Of such a volume nobody can say what it is before all is wiped: to look means to run its pool, which writes."""
    if volume.is_thin or volume.layout.startswith("cache"):
        kind = "thin" if volume.is_thin else "cached"
        hint = "Preserve the group and leave the volume out of the layout: it stays. An override of yours can mount it."
        raise CannotPlan(f"a {kind} volume cannot be preserved by name", where=f"/dev/{group}/{volume.name}", hint=hint)


def _refuse_other_content(wanted: Content, holds: str, where: str) -> None:
    if wanted.fs is not None and holds != wanted.fs.value:
        raise CannotPlan(f"is preserved as {wanted.fs.value} and holds {holds or 'nothing that is known'}", where=where)
