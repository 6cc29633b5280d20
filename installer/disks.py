"""The agent's only importer of parted: partition tables, exactly as planned."""

from pathlib import Path

import _ped
import parted

from imaged.model.errors import Conflict, ImagedError
from imaged.model.hardware import partition_path
from imaged.model.layout import Label, Role
from imaged.model.plan import MakeTable, PlannedPartition
from imaged.model.stack import Filesystem
from installer.process import Run
from installer.wipe import clear, edges, extent, held

_TYPES = {
    Filesystem.EXT4: "ext4",
    Filesystem.XFS: "xfs",
    Filesystem.BTRFS: "btrfs",
    Filesystem.VFAT: "fat32",
}
_FAULTS = tuple(kind for name, kind in vars(_ped).items() if name.endswith("Exception"))  # they share no base class
_ESP = 18  # PED_PARTITION_ESP (libparted 3.3); pyparted 3.12 was built before it had a name


def make_table(step: MakeTable, run: Run) -> None:
    """Write the table and wait until every partition is there, where it was planned.

    Raises ImagedError when libparted or the kernel does not do as it was told.
    """
    with held(step.disk.path) as device:
        # What an older layout left at these places would be found by udev the moment the partitions appear.
        clear(device, edges(step.disk.size, ((each.start, each.size) for each in step.partitions)))
    # No lock around this: Debian's libparted runs `udevadm settle` while it commits, and udev would wait for the lock
    # to be released before its queue is empty (seen: two time-outs of 120 s, then success).
    write_table(step.disk.path, step.label, step.partitions)
    # udev re-reads the table when libparted closes the disk; nodes come, go and come again until it has settled.
    run(("udevadm", "settle"))
    nodes = tuple(partition_path(step.disk.path, each.number) for each in step.partitions)
    run(("udevadm", "wait", "--timeout=60", "--settle", *nodes))
    for each, node in zip(step.partitions, nodes, strict=True):
        found = extent(Path(node).name)
        if found != (each.start, each.size):
            raise Conflict(f"the kernel sees {found[1]} bytes from {found[0]}, planned {each.size} from {each.start}",
                           where=node)  # fmt: skip


def write_table(path: str, label: Label, partitions: tuple[PlannedPartition, ...]) -> None:
    """Replace the partition table of a disk or a plain file. Raises ImagedError with libparted's reason."""
    try:
        device = parted.getDevice(path)
        disk = parted.freshDisk(device, label.value)
        if label is Label.GPT and _bios_only(partitions):
            # Some BIOSes pass over a disk whose protective MBR has no active entry; UEFI ignores the mark (5.2.3).
            disk.setFlag(parted.DISK_GPT_PMBR_BOOT)
        for planned in partitions:
            _add(disk, device, label, planned, active=planned.number == _active(label, partitions))
        disk.commit()
    except _FAULTS as error:
        raise ImagedError(f"the partition table was not written: {error}", where=path) from None


def sectors(partition: PlannedPartition, sector_size: int) -> tuple[int, int]:
    """First and last sector, both included. Raises Conflict where the plan was made for other sectors."""
    if partition.start % sector_size or partition.size % sector_size:
        raise Conflict(
            f"partition {partition.number} does not start and end with a sector of {sector_size} bytes",
            hint="The plan was made for another disk.",
        )
    first = partition.start // sector_size
    return first, first + partition.size // sector_size - 1


def flags(role: Role, label: Label) -> tuple[int, ...]:
    """libparted's flags that give the partition the type its role needs."""
    if role is Role.ESP:
        return (_ESP,)
    if role is Role.BIOS_GRUB and label is Label.GPT:
        return (parted.PARTITION_BIOS_GRUB,)
    if role is Role.SWAP:
        return (parted.PARTITION_SWAP,)
    return ()


def _add(disk: parted.Disk, device: parted.Device, label: Label, planned: PlannedPartition, *, active: bool) -> None:
    first, last = sectors(planned, device.sectorSize)
    geometry = parted.Geometry(device=device, start=first, end=last)
    kind = "linux-swap(v1)" if planned.role is Role.SWAP else _TYPES.get(planned.fs) if planned.fs else None
    filesystem = parted.FileSystem(type=kind, geometry=geometry) if kind else None
    partition = parted.Partition(disk=disk, type=parted.PARTITION_NORMAL, fs=filesystem, geometry=geometry)
    disk.addPartition(partition, constraint=parted.Constraint(exactGeom=geometry))
    if partition.number != planned.number:
        raise Conflict(f"libparted numbers partition {planned.number} as {partition.number}", where=device.path)
    low_level = partition.getPedPartition()
    for flag in flags(planned.role, label):
        low_level.set_flag(flag, 1)
    if active:
        low_level.set_flag(parted.PARTITION_BOOT, 1)
    if label is Label.GPT and planned.name:
        low_level.set_name(planned.name)


def _active(label: Label, partitions: tuple[PlannedPartition, ...]) -> int:
    """MBR: the one partition that carries the active mark, which old BIOSes want to see; 0 for none."""
    if label is Label.MSDOS:
        for role in (Role.BOOT, Role.ROOT):
            for each in partitions:
                if each.role is role:
                    return each.number
    return 0


def _bios_only(partitions: tuple[PlannedPartition, ...]) -> bool:
    roles = {each.role for each in partitions}
    return Role.BIOS_GRUB in roles and Role.ESP not in roles
