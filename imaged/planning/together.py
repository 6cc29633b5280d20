"""What conditions leave of a layout on one machine must still go together: alternatives are not both there. Pure."""

from collections.abc import Hashable, Iterator
from typing import TypeVar

from imaged.model.errors import CannotPlan
from imaged.model.layout import Layout, Role
from imaged.model.stack import Content
from imaged.planning.references import Reference, parse_reference

_ONCE = (Role.BIOS_GRUB, Role.ESP, Role.XBOOTLDR, Role.BOOT, Role.ROOT)

T = TypeVar("T", bound=Hashable)


def refuse_both(whole: Layout, layout: Layout) -> None:
    """``layout`` is ``whole`` without what its conditions leave out. Raises CannotPlan naming all that is there twice,
    and a root that went with its condition."""
    mounts = list(_mounts(layout))
    faults = [f"{mount!r} is mounted twice" for mount in _repeated(mounts)]
    if "/" in _mounts(whole) and "/" not in mounts:
        faults.append("nothing is mounted at /")
    faults += [f"{device} is part of two things" for device in _shared(layout)]
    faults += [f"the swap file {file} is made twice" for file in _repeated([each.file for each in layout.swap])]
    for disk in layout.disks:
        roles = [partition.role for partition in disk.partitions if partition.role in _ONCE]
        faults += [f"{disk.id} has two partitions of role {role.value}" for role in _repeated(roles)]
    if faults:
        raise CannotPlan(
            "\n  ".join(faults),
            where=f"layout {layout.name}",
            hint="These are the conditions (`when`) of the layout on this machine: of alternatives one must hold.",
        )


def _repeated(items: list[T]) -> list[T]:
    return [each for each in dict.fromkeys(items) if items.count(each) > 1]


def _contents(layout: Layout) -> Iterator[Content]:
    for disk in layout.disks:
        yield from disk.partitions
    yield from layout.raid
    yield from layout.luks
    for group in layout.lvm:
        yield from group.lvs


def _mounts(layout: Layout) -> Iterator[str]:
    """A subvolume takes the mount point of its filesystem."""
    for content in _contents(layout):
        subvolumes = [each.mount for each in (content.btrfs.subvolumes if content.btrfs else ()) if each.mount]
        yield from subvolumes
        if content.mount and content.mount not in subvolumes:
            yield content.mount
    yield from (each.mount for each in layout.mounts)
    if layout.esp:
        yield layout.esp.mount


def _shared(layout: Layout) -> list[str]:
    texts = [text for array in layout.raid for text in array.devices]
    texts += [text for crypt in layout.luks for text in crypt.devices]
    texts += [text for group in layout.lvm for text in group.devices]
    used = [parse_reference(text) for text in texts]
    return [str(one) for number, one in enumerate(used) if any(_overlap(one, other) for other in used[:number])]


def _overlap(one: Reference, other: Reference) -> bool:
    if (one.disk, one.part) != (other.disk, other.part):
        return False
    return one.every or other.every or (one.index or 0) == (other.index or 0)
