"""What must hold in a disk entry of a layout and in its partitions: each rule yields ``path: what is wrong``."""

import re
from collections.abc import Iterable, Iterator, Sequence

from imaged.model.layout import DiskSpec, Label, Partition, Role
from imaged.model.match import Match
from imaged.model.size import MIB, TIB, SizeSpec, format_size
from imaged.model.stack import Filesystem, Preserve
from imaged.planning.layout_draft import DiskDraft, repeated
from imaged.planning.layout_spellings import ANY_NUMBER

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,35}")  # a GPT name is 36 UTF-16 units (UEFI 2.10, table 5.6)
BARE = (Role.BIOS_GRUB, Role.SWAP, Role.RAID, Role.PV, Role.LUKS)  # roles without filesystem and mount point
_ONCE = (Role.BIOS_GRUB, Role.ESP, Role.XBOOTLDR, Role.BOOT, Role.ROOT)
_DROPPABLE = (Role.SWAP, Role.DATA)
_MOST = {Label.GPT: 128, Label.MSDOS: 4}
_LAST_LOGICAL = 60  # MBR: logical partitions count from 5; libparted and the kernel stop about there
_GPT_TYPE = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MBR_TYPE = re.compile(r"(0x)?[0-9A-Fa-f]{1,2}")
_LARGEST = 2**20 * TIB


def starts_by_bios(disks: Iterable[DiskSpec]) -> bool:
    """Whether GRUB finds room: behind the MBR of the disk with the system, or in a BIOS boot partition on GPT."""
    return any(_starts_by_bios(disk.label, {partition.role for partition in disk.partitions}) for disk in disks)


def starts_by_uefi(disks: Iterable[DiskSpec]) -> bool:
    """Whether there is an EFI system partition."""
    return any(partition.role is Role.ESP for disk in disks for partition in disk.partitions)


def _starts_by_bios(label: Label, roles: set[Role]) -> bool:
    if label is Label.GPT:
        return Role.BIOS_GRUB in roles
    return bool(roles & {Role.ROOT, Role.BOOT, Role.RAID, Role.PV, Role.LUKS})


def disk_faults(draft: DiskDraft) -> Iterator[str]:
    """Of an entry, its alternatives and its partitions together."""
    if draft.spec:
        if not ID.fullmatch(draft.spec.id):
            yield f"{draft.at}.id: {draft.spec.id!r} must be 1 to 36 letters, digits, '-' or '_'"
        if draft.complete and not draft.spec.partitions:
            yield f"{draft.at}.partitions: there must be at least one"
        if draft.complete and not draft.spec.match:
            yield f"{draft.at}.match: there must be at least one (leave the key out for any disk)"
        yield from _table_faults(draft.at, draft.spec.label, draft.partitions)
        yield from _count_faults(draft.at, draft.spec)
    for at, match in draft.matches:
        yield from _match_faults(at, match)
    yield from repeated((f"{at}.id", partition.id) for at, partition in draft.partitions)
    for role in _ONCE:
        first = ""
        for at, partition in draft.partitions:
            if partition.role is role and not partition.when:  # of two with conditions only one may be there
                if first:
                    yield f"{at}.role: {role.value} is there already ({first})"
                first = first or at


def _count_faults(at: str, spec: DiskSpec) -> Iterator[str]:
    count = spec.count
    if count.min < 0:
        yield f"{at}.count.min: {count.min} is less than none"
    if not 1 <= count.max <= ANY_NUMBER:
        yield f"{at}.count.max: {count.max} is not within 1 to {ANY_NUMBER}"
    elif count.min > count.max:
        yield f"{at}.count: min {count.min} is above max {count.max}"
    if not 0 <= spec.similar <= 100:
        yield f"{at}.similar: {spec.similar:g} is not within 0 to 100 percent"


def _table_faults(at: str, label: Label, partitions: Sequence[tuple[str, Partition]]) -> Iterator[str]:
    made = [each for _, each in partitions if not each.when]
    # Beside logical partitions that stay others can be made; which numbers are left, the disk tells.
    beside = label is Label.MSDOS and any(each.number > _MOST[label] for each in made)
    most = _LAST_LOGICAL if beside else _MOST[label]
    if len(made) > most:
        yield f"{at}.partitions: {len(made)} are too many, {label.value} holds {most}"
    for path, partition in partitions:
        yield from _entry_faults(path, label, partition)
    numbered = ((f"{path}.number", str(each.number)) for path, each in partitions if each.number and not each.when)
    yield from repeated(numbered)


def _entry_faults(at: str, label: Label, partition: Partition) -> Iterator[str]:
    """What the kind of table allows for one partition."""
    kept, number = partition.preserve is not Preserve.NEVER, partition.number
    most = _LAST_LOGICAL if label is Label.MSDOS and kept else _MOST[label]
    if not 0 <= number <= most:
        yield f"{at}.number: {number} is not within 1 to {most}"
    if label is Label.MSDOS and partition.role is Role.BIOS_GRUB:
        yield f"{at}.role: bios_grub is for GPT only; on msdos GRUB lies behind the MBR"
    if label is Label.MSDOS and kept and not number:
        yield f"{at}.number: the key 'number' is missing (on msdos a preserved partition is known by nothing else)"
    if partition.type and label is Label.GPT and not _GPT_TYPE.fullmatch(partition.type):
        yield f"{at}.type: {partition.type!r} is not a UUID, as types of GPT are"
    if partition.type and label is Label.MSDOS and not _MBR_TYPE.fullmatch(partition.type):
        yield f"{at}.type: {partition.type!r} is not a type of msdos (two hexadecimal digits, such as 83)"


def _match_faults(at: str, match: Match) -> Iterator[str]:
    if match.sector not in (None, 512, 4096):
        yield f"{at}.sector: {match.sector} is neither 512 nor 4096"
    for pattern in match.path:
        if pattern.startswith("/dev/") and not pattern.startswith("/dev/disk/by-path/"):
            yield (
                f"{at}.path: {pattern!r} is the kernel's name, which changes from boot to boot; "
                "use the name below /dev/disk/by-path, such as pci-0000:00:1f.2-ata-1"
            )
    for key in ("model", "vendor", "serial", "wwn", "path"):
        if "" in getattr(match, key):
            yield f"{at}.{key}: is empty"


def partition_faults(at: str, partition: Partition) -> Iterator[str]:
    """Of one partition; what it carries is judged by ``content_rules``."""
    role, fs, mount = partition.role, partition.fs, partition.mount
    if not ID.fullmatch(partition.id):
        yield f"{at}.id: {partition.id!r} must be 1 to 36 letters, digits, '-' or '_'"
    yield from size_faults(f"{at}.size", partition.size)
    if partition.size.max is not None and partition.size.max < MIB:
        yield f"{at}.size.max: {format_size(partition.size.max)} is too little (partitions are whole MiB)"
    if role in BARE:
        unwanted = [key for key in ("fs", "mount", "options", "label", "mkfs", "btrfs") if getattr(partition, key)]
        yield from (f"{at}.{key}: a partition of role {role.value} has none" for key in unwanted)
    elif fs is None and role is not Role.DATA:
        yield f"{at}.fs: the key 'fs' is missing (role {role.value} needs a filesystem)"
    if role is Role.ESP and fs not in (None, Filesystem.VFAT):
        yield f"{at}.fs: firmware reads vfat only"
    if role not in BARE:
        yield from _pair_faults(at, role, mount)
    if partition.priority > 0 and role not in _DROPPABLE:
        yield f"{at}.priority: role {role.value} cannot be left out, so it must not be above 0"


def _pair_faults(at: str, role: Role, mount: str) -> Iterator[str]:
    """Roles and mount points that go together: /boot may also be on an XBOOTLDR partition or the ESP itself."""
    if (role is Role.ROOT) != (mount == "/"):
        yield f"{at}.mount: role root and the mount point / go together"
    if role in (Role.BOOT, Role.XBOOTLDR) and mount != "/boot":
        yield f"{at}.mount: role {role.value} and the mount point /boot go together"
    if mount == "/boot" and role not in (Role.BOOT, Role.XBOOTLDR, Role.ESP):
        yield f"{at}.mount: role boot and the mount point /boot go together"


def size_faults(at: str, size: SizeSpec) -> Iterator[str]:
    """Of the size of a partition, volume, pool or swap file."""
    for key, amount in (("min", size.min), ("max", size.max)):
        if amount is not None and amount > _LARGEST:
            yield f"{at}.{key}: {format_size(amount)} is more than any disk has"
    if size.max is not None and size.min > size.max:
        yield f"{at}: min {format_size(size.min)} is above max {format_size(size.max)}"
    if not 0 <= size.weight <= 1_000_000:
        yield f"{at}.weight: {size.weight} is not within 0 to 1000000"
