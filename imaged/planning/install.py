"""The install of one node as a plan: layout, image, hardware and node in, every step out. Nothing is touched here."""

import hashlib
from collections.abc import Iterator
from uuid import UUID

from attrs import frozen

from imaged.model.codec import to_json
from imaged.model.hardware import Disk, Inventory, partition_path
from imaged.model.image import Version
from imaged.model.layout import BootFirmware, DiskSpec, Layout, Partition, Role
from imaged.model.node import Node
from imaged.model.plan import (
    InstallPlan,
    MakeFilesystem,
    MakeSwap,
    MakeTable,
    Mount,
    Phase,
    PlannedPartition,
    Reboot,
    Step,
    SyncOverrides,
    SyncTree,
    Unmount,
    WipeDisk,
)
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, PlannedSwap, System
from imaged.planning.choose import choose
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.order import BOOTLOADER, FIXUPS, apply
from imaged.planning.fixups.target import Target
from imaged.planning.identity import filesystem_uuid, swap_uuid
from imaged.planning.layout import check
from imaged.planning.layout_rules import starts_by_bios, starts_by_uefi
from imaged.planning.place import place


@frozen
class Site:
    """What the server itself adds: its own random UUID, its base URL, and what its subnet tells nodes."""

    uuid: UUID
    server: str
    dns: tuple[str, ...] = ()
    domain: str = ""


@frozen
class _Filled:
    """A disk of the layout, the real disk it fell on, and its partitions with their places."""

    spec: DiskSpec
    disk: Disk
    places: tuple[PlannedPartition, ...]

    def pairs(self) -> Iterator[tuple[Partition, PlannedPartition]]:
        """Each placed partition with what was wanted; those that were dropped for space are gone from both."""
        wanted = {partition.id: partition for partition in self.spec.partitions}
        return ((wanted[place.name], place) for place in self.places)


def plan(node: Node, version: Version, layout: Layout, inventory: Inventory, site: Site) -> InstallPlan:
    """Everything the install of ``version`` on this machine will do. Raises CannotPlan before anything is written."""
    return plan_with_system(node, version, layout, inventory, site)[0]


def plan_with_system(
    node: Node, version: Version, layout: Layout, inventory: Inventory, site: Site
) -> tuple[InstallPlan, System]:
    """The plan, and what it makes of the disks. Raises CannotPlan."""
    check(layout, version.facts, inventory)
    disks = choose(layout, inventory)
    filled = tuple(
        _Filled(spec, disks[spec.id], _place(spec, disks[spec.id], version, inventory)) for spec in layout.disks
    )
    system = _system(node, version, layout, site, filled)
    target = target_of(node, version, system, inventory, site)
    chosen = {disk.path for disk in disks.values()}
    install = InstallPlan(
        node=node.name,
        image=version.ref,
        layout=layout.name,
        phases=_phases(target, version, filled),
        lost=tuple(f"{disk}: {disk.contents or 'nothing recognised on it'}" for disk in disks.values()),
        kept=tuple(str(disk) for disk in inventory.disks if disk.path not in chosen),
    )
    return install, system


def target_of(node: Node, version: Version, system: System, inventory: Inventory, site: Site) -> Target:
    """What fixups may know, at an install and at each update after it."""
    return Target(node, version.facts, inventory, site.uuid, site.server, system, site.dns, site.domain)


def plan_hash(install: InstallPlan) -> str:
    """Short name of exactly this plan: sha256 of its JSON, 16 hex digits."""
    return hashlib.sha256(to_json(install).encode()).hexdigest()[:16]


def _place(spec: DiskSpec, disk: Disk, version: Version, inventory: Inventory) -> tuple[PlannedPartition, ...]:
    """The manifest does not say yet how much lies below each mount point, so the root must hold all of it."""
    needs = {"/": version.bytes} if any(partition.mount == "/" for partition in spec.partitions) else {}
    return place(spec, disk, needs=needs, memory=inventory.memory)


def _system(node: Node, version: Version, layout: Layout, site: Site, filled: tuple[_Filled, ...]) -> System:
    pairs = [(disk, wanted, where) for disk in filled for wanted, where in disk.pairs()]
    formatted = tuple(
        PlannedFilesystem(
            device=partition_path(disk.disk.path, where.number),
            fs=wanted.fs,
            uuid=filesystem_uuid(site.uuid, node.name, wanted.mount or wanted.id, wanted.fs),
            mount=wanted.mount,
            options=wanted.options,
            label=wanted.label,
        )
        for disk, wanted, where in pairs
        if wanted.fs
    )
    swaps = tuple(
        PlannedSwap(partition_path(disk.disk.path, where.number), swap_uuid(site.uuid, node.name, wanted.id))
        for disk, wanted, where in pairs
        if wanted.role is Role.SWAP
    )
    platforms, firmware = version.facts.grub_platforms, layout.boot.firmware
    return System(
        filesystems=tuple(each for each in formatted if each.mount),
        spare=tuple(each for each in formatted if not each.mount),
        swaps=swaps,
        boot_disks=tuple(disk.disk.path for disk in filled if starts_by_bios((disk.spec,))),
        bios="i386-pc" in platforms and firmware is not BootFirmware.UEFI and starts_by_bios(layout.disks),
        uefi="x86_64-efi" in platforms and firmware is not BootFirmware.BIOS and starts_by_uefi(layout.disks),
        boot=layout.boot,
        layout=layout.name,
    )


def _phases(target: Target, version: Version, filled: tuple[_Filled, ...]) -> tuple[Phase, ...]:
    native = sorted(
        (each for each in target.system.filesystems if each.fs is not Filesystem.VFAT), key=lambda e: e.mount
    )
    foreign = sorted((each for each in target.system.filesystems if each.fs is Filesystem.VFAT), key=lambda e: e.mount)
    return (
        Phase("wipe", tuple(WipeDisk(each.disk) for each in filled)),
        Phase("partition", tuple(MakeTable(each.disk, each.spec.label, each.places) for each in filled)),
        Phase(
            "mkfs",
            (*_filesystems(target), *(MakeSwap(each.device, each.uuid) for each in target.system.swaps)),
        ),
        Phase("mount", tuple(map(_mount, native))),
        Phase("transfer", _transfer(version, foreign)),
        Phase("fixups", apply(FIXUPS, target)),
        Phase("bootloader", apply(BOOTLOADER, target)),
        Phase("verify", checks(target)),
        Phase("unmount", (Unmount(),)),
        Phase("reboot", (Reboot(),)),
    )


def _filesystems(target: Target) -> tuple[Step, ...]:
    return tuple(
        MakeFilesystem(
            device=each.device,
            fs=each.fs,
            uuid=each.uuid,
            label=each.label,
            config=target.facts.mke2fs_conf if each.fs is Filesystem.EXT4 else "",
        )
        for each in (*target.system.filesystems, *target.system.spare)
    )


def _mount(each: PlannedFilesystem) -> Mount:
    return Mount(each.device, each.fs, each.mount, each.options)


def _transfer(version: Version, foreign: list[PlannedFilesystem]) -> tuple[Step, ...]:
    """The tree first, without what lies below filesystems that know no owners; then those, mounted over it."""
    below = tuple(f"{each.mount}/*" for each in foreign)
    steps: list[Step] = [SyncTree(version.ref, "/", version.bytes, version.entries, exclude=below)]
    for each in foreign:
        steps.append(_mount(each))
        if each.mount in version.facts.files:  # an image that never had a boot loader installed brings no ESP
            steps.append(SyncTree(version.ref, each.mount, 0, 0, foreign=True))
    return (*steps, *_overrides(below, foreign))


def _overrides(below: tuple[str, ...], foreign: list[PlannedFilesystem]) -> tuple[Step, ...]:
    """Over the whole image and before the fixups, which win: they are what makes this node start."""
    return (SyncOverrides(exclude=below), *(SyncOverrides(each.mount, foreign=True) for each in foreign))
