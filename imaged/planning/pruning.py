"""A layout without what its ``when`` conditions leave out on one machine. Pure."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from attrs import evolve

from imaged.model.hardware import Disk, Inventory
from imaged.model.layout import Layout
from imaged.model.stack import Content
from imaged.planning.when import Facts, holds, parse


class _Conditional(Protocol):
    @property
    def when(self) -> str: ...


T = TypeVar("T", bound=_Conditional)
C = TypeVar("C", bound=Content)


def facts_of(inventory: Inventory, disks: Mapping[str, tuple[Disk, ...]]) -> Facts:
    """What conditions may ask; sizes are those of the smallest disk of an entry, in bytes."""
    return Facts(
        firmware=inventory.firmware.value,
        arch=inventory.arch,
        ram=inventory.memory,
        counts={id: len(chosen) for id, chosen in disks.items()},
        sizes={id: min(disk.size for disk in chosen) for id, chosen in disks.items() if chosen},
    )


def prune(layout: Layout, facts: Facts) -> Layout:
    """``layout`` with only what holds under ``facts``."""

    def true(items: Iterable[T]) -> tuple[T, ...]:
        return tuple(each for each in items if not each.when or holds(parse(each.when), facts))

    def subvolumes(items: Iterable[C]) -> tuple[C, ...]:
        return tuple(
            evolve(each, btrfs=evolve(each.btrfs, subvolumes=true(each.btrfs.subvolumes))) if each.btrfs else each
            for each in items
        )

    return evolve(
        layout,
        disks=tuple(evolve(disk, partitions=subvolumes(true(disk.partitions))) for disk in layout.disks),
        raid=subvolumes(true(layout.raid)),
        luks=subvolumes(true(layout.luks)),
        lvm=tuple(evolve(group, lvs=subvolumes(true(group.lvs))) for group in true(layout.lvm)),
        swap=true(layout.swap),
        mounts=true(layout.mounts),
    )
