"""Where on a disk each partition lies: the room that the partition table leaves, the sizes, the alignment."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundPartition
from imaged.model.hardware import Disk
from imaged.model.layout import DiskSpec, Label, Partition, Role
from imaged.model.plan import PlannedPartition
from imaged.model.size import MIB, Cap, format_size
from imaged.model.stack import Filesystem
from imaged.planning.gaps import Gap, gaps
from imaged.planning.sizes import Demand, Rules, allocate

_NOTHING: Mapping[str, int] = MappingProxyType({})
_SECTORS = (512, 1024, 2048, 4096)  # what both Linux and libparted can make a table on
_GPT_BACKUP = 33  # LBAs at the end: 32 of entries, 1 header (UEFI 2.10, section 5.3.1); fewer on 4Kn, never more
_MBR_LBAS = 2**32  # start and length of an MBR entry are 32-bit LBAs
_FIRST = MIB  # also behind the GPT (34 LBAs, at most 136 KiB) and the gap where GRUB lies on msdos


def place(
    spec: DiskSpec, disk: Disk, *, needs: Mapping[str, int], memory: int, grain: int = MIB,
    floors: Mapping[str, int] = _NOTHING, kept: Sequence[FoundPartition] = (), named: Mapping[str, int] = _NOTHING,
) -> tuple[PlannedPartition, ...]:  # fmt: skip
    """The partitions of ``spec`` on ``disk``, in order, ``name`` being the id in the layout; bytes throughout.

    ``needs`` maps mount points to the bytes of the image that land on the filesystem there; ``memory`` is the node's,
    ``grain`` the alignment (raised to the disk's physical sector). Partitions that priority left out are missing.
    ``floors`` are the bytes that what stands on a partition needs, by its id. ``kept`` stay where they are, and the
    rest goes into one gap between them; ``named`` are the numbers of those that the layout speaks of, by id.
    Raises CannotPlan before anything is written when the disk is too small (naming the missing bytes) or cannot
    carry such a table.
    """
    where = str(disk)
    _refuse_sectors(disk, where)
    grain = _aligned_up(grain, max(disk.physical_sector, disk.logical_sector))
    room = (_aligned_up(_FIRST, grain), _end(spec.label, disk, where) // grain * grain)
    wanted = tuple(partition for partition in spec.partitions if partition.id not in named)
    demands = tuple(_demand(each, disk, needs, memory, floors.get(each.id, 0)) for each in wanted)
    for demand in demands:
        if demand.max is not None and demand.min > demand.max:
            raise CannotPlan(_too_narrow(demand), where=where, hint=demand.why)
    stay, faults = _stay(spec, kept, named), list[CannotPlan]()
    for gap in gaps(spec.label, disk, kept, room, grain):
        try:
            return (*_placed(wanted, demands, gap, grain, where), *stay)
        except CannotPlan as error:
            faults.append(error)
    raise faults[0]


def _refuse_sectors(disk: Disk, where: str) -> None:
    if disk.logical_sector not in _SECTORS or disk.physical_sector <= 0 or disk.physical_sector % disk.logical_sector:
        raise CannotPlan(
            f"sectors of {disk.logical_sector} bytes ({disk.physical_sector} physical) can carry no partition table",
            where=where,
            hint="Disks from storage arrays come with 520 or 528: sg_format(8) makes them 512 or 4096.",
        )


def _end(label: Label, disk: Disk, where: str) -> int:
    """First byte that no partition may use."""
    if label is Label.GPT:
        return disk.size - _GPT_BACKUP * disk.logical_sector
    limit = _MBR_LBAS * disk.logical_sector
    if disk.size > limit:
        raise CannotPlan(
            f"msdos reaches {format_size(limit)} only, the disk has {format_size(disk.size)}",
            where=where,
            hint="Use label: gpt in the layout.",
        )
    return disk.size


def _demand(partition: Partition, disk: Disk, needs: Mapping[str, int], memory: int, carried: int) -> Demand:
    size = partition.size
    used = needs.get(partition.mount, 0) if partition.mount else 0
    if carried:
        floor, why = carried, "what stands on it needs that"
    else:
        floor, why = floor_of(partition.fs, used, disk.logical_sector, swap=partition.role is Role.SWAP)
    low: int = max(size.min, floor)
    high: int | None = size.max
    if size.cap is Cap.RAM:
        high = max(low, memory if high is None else min(high, memory))
    # Without its partition the content would land on another filesystem, which did not reckon with it.
    priority = min(partition.priority, 0) if used else partition.priority
    # What cannot grow has no part in the weights: 1 and 8 of the others shall mean a ninth and the rest.
    weight = 0 if high == low else size.weight
    return Demand(partition.id, low, high, weight, priority, why if floor >= size.min else "")


def floor_of(fs: Filesystem | None, used: int, sector: int, *, swap: bool = False) -> tuple[int, str]:
    """Least bytes a device with that on it can work with, and why. ``used`` bytes of the image land on it."""
    if fs is None:
        least = 10 * 4096 if swap else 1  # mkswap(8) refuses less than 10 pages
        return max(least, MIB), ""
    least, overhead = _COSTS[fs](used, sector)
    floor = used * 115 // 100 + overhead
    if not used or floor <= least:
        return least, f"the least that {fs.value} works with"
    return floor, f"the image has {format_size(used)} there; with 15 % to spare and what {fs.value} itself takes"


def _ext4(used: int, sector: int) -> tuple[int, int]:
    """A journal (mke2fs: 64 MiB up to 16 GiB, 1/64 of more), 256-byte inodes for each 16 KiB, 5 % for root alone.

    Those 5 % are root's, which is who writes the image; the room they leave later is the 15 %.
    """
    return 16 * MIB, 66 * MIB + used // 25


def _xfs(used: int, sector: int) -> tuple[int, int]:
    """mkfs.xfs since 5.19 refuses less than 300 MB; its log is 64 MiB at least, 1/2048 of large ones."""
    return 300 * MIB, 80 * MIB + used // 50


def _btrfs(used: int, sector: int) -> tuple[int, int]:
    """mkfs.btrfs wants 109 MiB; metadata is written twice, in chunks of up to 256 MiB."""
    return 128 * MIB, 544 * MIB + used // 25


def _f2fs(used: int, sector: int) -> tuple[int, int]:
    """mkfs.f2fs wants some 40 MiB; it keeps 5 to 10 % back for its cleaner (overprovision)."""
    return 64 * MIB, 64 * MIB + used // 10


def _vfat(used: int, sector: int) -> tuple[int, int]:
    """FAT32 has at least 65525 clusters, of one sector or more; some firmware reads nothing smaller."""
    return -(-(65525 * sector + MIB) // MIB) * MIB, MIB + used // 50


_COSTS = {
    Filesystem.EXT4: _ext4, Filesystem.XFS: _xfs, Filesystem.BTRFS: _btrfs, Filesystem.VFAT: _vfat,
    Filesystem.F2FS: _f2fs,
}  # fmt: skip


def _too_narrow(demand: Demand) -> str:
    missing = demand.min - (demand.max or 0)
    return (
        f"{demand.name} must have {format_size(demand.min)} and the layout gives it {format_size(demand.max or 0)} "
        f"at most: {format_size(missing)} are missing ({missing} bytes)"
    )


def _placed(
    wanted: Sequence[Partition], demands: Sequence[Demand], gap: Gap, grain: int, where: str
) -> tuple[PlannedPartition, ...]:
    """In order; each gets the lowest number that is left, as libparted will have it."""
    if gap.record and any(partition.role is Role.ESP for partition in wanted):
        raise CannotPlan("firmware finds no ESP that is a logical partition", where=where)
    try:
        sizes = allocate(demands, max(gap.size - gap.record * len(wanted), 0), Rules(grain=grain))
    except CannotPlan as error:
        raise CannotPlan(f"too small for the layout: {error.what}", where=where, hint=error.hint) from None
    made = [(each, size) for each, size in zip(wanted, sizes, strict=True) if size is not None]
    if len(made) > len(gap.numbers):
        left = f"msdos has {len(gap.numbers)} numbers left for them, beside what stays"
        raise CannotPlan(f"the layout makes {len(made)} partitions and {left}", where=where, hint="GPT has 128.")
    planned: list[PlannedPartition] = []
    start = gap.start
    for (partition, size), number in zip(made, gap.numbers, strict=False):
        start += gap.record
        planned.append(
            PlannedPartition(number, partition.id, partition.role, start, size, partition.fs, partition.type)
        )
        start += size
    return tuple(planned)


def _stay(spec: DiskSpec, kept: Sequence[FoundPartition], named: Mapping[str, int]) -> tuple[PlannedPartition, ...]:
    """What the layout names keeps its id; what it says nothing of is data with the name it has."""
    ids = {number: partition for partition in spec.partitions for id, number in named.items() if partition.id == id}
    return tuple(
        PlannedPartition(
            each.number,
            ids[each.number].id if each.number in ids else each.name,
            ids[each.number].role if each.number in ids else Role.DATA,
            each.start, each.size, ids[each.number].fs if each.number in ids else None, kept=True,
        )
        for each in kept
    )  # fmt: skip


def _aligned_up(amount: int, step: int) -> int:
    return -(-amount // step) * step
