"""The agent's only importer of parted: partition tables, exactly as planned."""

from pathlib import Path

import _ped
import parted

from imaged.model.errors import Conflict, ImagedError
from imaged.model.hardware import partition_path
from imaged.model.layout import Label, Role
from imaged.model.plan import MakeTable, PlannedPartition
from imaged.model.size import MIB
from imaged.model.stack import Filesystem
from installer.process import Run
from installer.wipe import clear, edges, ends, extent, held

PRIMARIES = 4  # entries of an MBR; what has a higher number there is a logical partition
_TYPES = {
    Filesystem.EXT4: "ext4",
    Filesystem.XFS: "xfs",
    Filesystem.BTRFS: "btrfs",
    Filesystem.VFAT: "fat32",
}
# The UAPI Group's discoverable partitions and, for MBR, the Boot Loader Specification and cryptsetup's FAQ.
_TYPES_BY_ROLE = {
    (Role.LUKS, Label.GPT): "ca7d7ccb-63ed-4c53-861c-1742536059cc",
    (Role.LUKS, Label.MSDOS): "e8",
    (Role.XBOOTLDR, Label.GPT): "bc13c2ff-59e6-4262-a352-b275fd6f7172",
    (Role.XBOOTLDR, Label.MSDOS): "ea",
}
_FLAGS = {
    Role.SWAP: (parted.PARTITION_SWAP,),
    Role.RAID: (parted.PARTITION_RAID,),
    Role.PV: (parted.PARTITION_LVM,),
}
_FAULTS = tuple(kind for name, kind in vars(_ped).items() if name.endswith("Exception"))  # they share no base class
_ESP = 18  # PED_PARTITION_ESP (libparted 3.3); pyparted 3.12 was built before it had a name


def make_table(step: MakeTable, run: Run) -> None:
    """Write the table and wait until every partition is there, where it was planned.

    Raises ImagedError when libparted or the kernel does not do as it was told.
    """
    path, kept = step.disk.path, tuple(each for each in step.partitions if each.kept)
    confirm_kept(path, kept)
    refuse_overlap(step)
    new = tuple((each.start, each.size) for each in step.partitions if not each.kept)
    if kept and step.label is Label.MSDOS:
        # The records that chain logical partitions lie between them: those of partitions that go must not be cleared
        # while the chain still leads there.
        write_table(path, step.label, kept)
    with held(path) as device:
        # What an older layout left at these places would be found by udev the moment the partitions appear.
        clear(device, ends(step.disk.size, new) if kept else edges(step.disk.size, new))
    # No lock around this: Debian's libparted runs `udevadm settle` while it commits, and udev would wait for the lock
    # to be released before its queue is empty (seen: two time-outs of 120 s, then success).
    write_table(path, step.label, step.partitions)
    for argv in set_types(path, step.label, step.partitions):
        run(argv)
    # udev re-reads the table when libparted closes the disk; nodes come, go and come again until it has settled.
    run(("udevadm", "settle"))
    nodes = tuple(partition_path(path, each.number) for each in step.partitions)
    run(("udevadm", "wait", "--timeout=60", "--settle", *nodes))
    confirm_kept(path, step.partitions)


def confirm_kept(path: str, partitions: tuple[PlannedPartition, ...]) -> None:
    """Raises Conflict unless the kernel has each of ``partitions`` exactly where it is planned."""
    for each in partitions:
        node = partition_path(path, each.number)
        if not Path("/sys/class/block", Path(node).name).exists():
            raise Conflict("is in the plan and not there", where=node)
        start, size = extent(Path(node).name)
        # The kernel shows two sectors of an MBR's extended partition, so that nobody mistakes it for room.
        if start != each.start or (size != each.size and size > 1024):
            what = f"the kernel sees {size} bytes from {start}, planned {each.size} from {each.start}"
            raise Conflict(what, where=node)


def refuse_overlap(step: MakeTable) -> None:
    """Before the first byte is cleared. Raises Conflict when a new partition lies on a kept one; logical ones may lie
    in their extended one, and libparted sees to it that they do."""
    frames = {each.number for each in step.disk.partitions if each.is_extended}
    for new in step.partitions:
        for kept in step.partitions:
            apart = new.start + new.size <= kept.start or kept.start + kept.size <= new.start
            if kept.kept and kept.number not in frames and not new.kept and not apart:
                what = f"partition {kept.number} is kept, and {new.number} would lie on it"
                raise Conflict(what, where=step.disk.path)


def write_table(path: str, label: Label, partitions: tuple[PlannedPartition, ...]) -> None:
    """Write the partition table of a disk or a plain file: a new one, or where some are kept, the old one without the
    others. Raises ImagedError with libparted's reason; then nothing was written."""
    try:
        device = parted.getDevice(path)
        if any(each.kept for each in partitions):
            disk = _with_kept(device, label, partitions)
        else:
            disk = parted.freshDisk(device, label.value)
            if label is Label.GPT and _bios_only(partitions):
                # Some BIOSes pass over a disk whose protective MBR has no active entry; UEFI ignores it (5.2.3).
                disk.setFlag(parted.DISK_GPT_PMBR_BOOT)
        for planned in sorted((each for each in partitions if not each.kept), key=lambda each: each.number):
            if planned.number > PRIMARIES and label is Label.MSDOS:
                _frame(disk, device, partitions)
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
    return _FLAGS.get(role, ())


def set_types(path: str, label: Label, partitions: tuple[PlannedPartition, ...]) -> tuple[tuple[str, ...], ...]:
    """sfdisk(8) commands for the types that libparted 3.5 has no flag for, and those that the layout asks for.

    The table alone is changed: udev reads it again when sfdisk closes the disk.
    """
    wanted = (
        (each.number, each.type or _TYPES_BY_ROLE.get((each.role, label), "")) for each in partitions if not each.kept
    )
    return tuple(
        ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--part-type", path, str(number),
         kind.lower().removeprefix("0x"))
        for number, kind in wanted if kind
    )  # fmt: skip


def _with_kept(device: parted.Device, label: Label, partitions: tuple[PlannedPartition, ...]) -> parted.Disk:
    """The disk's own table with nothing but what is kept in it. Raises Conflict when that is not as it was planned."""
    disk = parted.newDisk(device)
    if disk.type != label.value:
        raise Conflict(f"the table is {disk.type}, planned was to change a {label.value} one", where=device.path)
    kept = {each.number: sectors(each, device.sectorSize) for each in partitions if each.kept}
    logical = label is Label.MSDOS and any(number > PRIMARIES for number in kept)
    # Highest first: libparted gives logical partitions new numbers when one before them goes.
    for each in sorted(disk.partitions, key=lambda each: -each.number):
        if each.number not in kept and not (logical and each.type & parted.PARTITION_EXTENDED):
            disk.deletePartition(each)
    found = {each.number: (each.geometry.start, each.geometry.end) for each in disk.partitions}
    for number, place in kept.items():
        if found.get(number) != place:
            where = partition_path(device.path, number)
            raise Conflict("is to be kept, and would not stay where it is and have the same number", where=where)
    return disk


def _frame(disk: parted.Disk, device: parted.Device, partitions: tuple[PlannedPartition, ...]) -> None:
    """An extended partition with room for all logical ones. The end of one that is there may move: only its beginning
    is what the logical ones are reckoned from."""
    old = disk.getExtendedPartition()
    last = max(each.start + each.size for each in partitions if each.number > PRIMARIES) // device.sectorSize - 1
    if old is None:
        geometry = parted.Geometry(device=device, start=extended(partitions) // device.sectorSize, end=last)
        partition = parted.Partition(disk=disk, type=parted.PARTITION_EXTENDED, geometry=geometry)
        disk.addPartition(partition, constraint=parted.Constraint(exactGeom=geometry))
    elif old.geometry.end < last and not any(each.number == old.number for each in partitions):
        geometry = parted.Geometry(device=device, start=old.geometry.start, end=last)
        disk.setPartitionGeometry(
            partition=old, constraint=parted.Constraint(exactGeom=geometry), start=geometry.start, end=geometry.end
        )


def extended(partitions: tuple[PlannedPartition, ...]) -> int:
    """Where an extended partition that holds all logical ones begins, in bytes. Pure.

    Each logical partition has a sector in front that chains it to the next. Raises Conflict when there is no room.
    """
    logical = [each for each in partitions if each.number > PRIMARIES]
    begin = min(each.start for each in logical)
    before = (each.start + each.size for each in partitions if each.number <= PRIMARIES and each.start < begin)
    start = max((begin - MIB, *before))
    if start >= begin:
        raise Conflict(f"no room in front of logical partition {logical[0].number} for the record that chains it")
    return start


def _add(disk: parted.Disk, device: parted.Device, label: Label, planned: PlannedPartition, *, active: bool) -> None:
    first, last = sectors(planned, device.sectorSize)
    geometry = parted.Geometry(device=device, start=first, end=last)
    kind = "linux-swap(v1)" if planned.role is Role.SWAP else _TYPES.get(planned.fs) if planned.fs else None
    filesystem = parted.FileSystem(type=kind, geometry=geometry) if kind else None
    logical = label is Label.MSDOS and planned.number > PRIMARIES
    kind_of_entry = parted.PARTITION_LOGICAL if logical else parted.PARTITION_NORMAL
    partition = parted.Partition(disk=disk, type=kind_of_entry, fs=filesystem, geometry=geometry)
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
