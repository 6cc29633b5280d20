"""Volume groups that stay on a machine under the name of one that a layout makes: lvm knows groups by name. Pure."""

from collections.abc import Iterator, Sequence

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundGroup
from imaged.model.hardware import Inventory, partition_path
from imaged.model.layout import Layout
from imaged.model.stack import Preserve, VolumeGroup
from imaged.planning.keeping import Lost, paths_gone


def refuse_same_names(layout: Layout, inventory: Inventory, lost: Lost) -> None:
    """vgcreate(8) refuses a name that is there, and of two groups with one name lvm activates neither by it.

    Raises CannotPlan naming each group and where it stays.
    """
    gone = paths_gone(lost)
    stays = (_partitions_and_disks(inventory) - gone) | _arrays(inventory, gone)
    faults = [fault for group in layout.lvm for fault in _faults(group, inventory.groups, stays)]
    if faults:
        hint = "Give the layout's group another name, preserve the one that is there, or let its disk be wiped."
        raise CannotPlan("\n  ".join(faults), where=f"layout {layout.name}", hint=hint)


def _faults(wanted: VolumeGroup, found: Sequence[FoundGroup], stays: set[str]) -> Iterator[str]:
    named = [each for each in found if each.name == wanted.vg]
    if wanted.preserve is not Preserve.NEVER:
        if len(named) > 1:
            where = "; ".join(", ".join(each.devices) for each in named)
            yield f"{len(named)} volume groups are called {wanted.vg} ({where}): which one stays?"
        return
    for each in named:
        if left := sorted(stays & set(each.devices)):
            yield f"another volume group {wanted.vg} stays on {', '.join(left)}"


def _partitions_and_disks(inventory: Inventory) -> set[str]:
    """Groups on encrypted devices are seen only where these are open, which they are not before an install."""
    return {disk.path for disk in inventory.disks} | {
        partition_path(disk.path, each.number) for disk in inventory.disks for each in disk.partitions
    }


def _arrays(inventory: Inventory, gone: set[str]) -> set[str]:
    """Arrays that lose no member; the others go, with what stands on them."""
    return {f"/dev/md/{each.name}" for each in inventory.arrays if not gone & set(each.devices)}
