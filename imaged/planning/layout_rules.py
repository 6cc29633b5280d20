"""What must hold in every disk layout, whatever the machine: each rule yields its faults with the path of the key."""

import re
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from imaged.model.layout import Boot, BootFirmware, DiskSpec, Label, Match, Partition, Role
from imaged.model.size import MIB, TIB, format_size
from imaged.model.stack import Filesystem

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,35}")  # a GPT name is 36 UTF-16 units (UEFI 2.10, table 5.6)
_MOUNT = re.compile(r"/|(/[A-Za-z0-9._+@:-]+)+")
_OPTIONS = re.compile(r"[!-~]*")
_CONSOLE = re.compile(r"[A-Za-z][A-Za-z0-9]*(,[0-9]+[noe]?[78]?r?)?")  # kernel-parameters.txt, console=
_KERNELS_OWN = ("/proc", "/sys", "/dev", "/run")
_LABEL_BYTES = {
    Filesystem.EXT4: 16, Filesystem.XFS: 12, Filesystem.BTRFS: 255, Filesystem.VFAT: 11, Filesystem.F2FS: 255,
}  # fmt: skip
_BARE = (Role.BIOS_GRUB, Role.SWAP)  # roles without filesystem and mount point
_ONCE = (Role.BIOS_GRUB, Role.ESP, Role.BOOT, Role.ROOT)
_DROPPABLE = (Role.SWAP, Role.DATA)
_MOST = {Label.GPT: 128, Label.MSDOS: 4}
_LARGEST = 2**20 * TIB


@frozen
class Draft:
    """A disk of a layout as far as it could be read. ``complete``: nothing of it was left out for a fault."""

    at: str
    spec: DiskSpec | None
    partitions: tuple[tuple[str, Partition], ...]
    matches: tuple[tuple[str, Match], ...]
    complete: bool


def starts_by_bios(disks: Iterable[DiskSpec]) -> bool:
    """Whether GRUB finds room: behind the MBR of the disk with the system, or in a BIOS boot partition on GPT."""
    return any(_starts_by_bios(disk.label, {partition.role for partition in disk.partitions}) for disk in disks)


def starts_by_uefi(disks: Iterable[DiskSpec]) -> bool:
    """Whether there is an EFI system partition."""
    return any(partition.role is Role.ESP for disk in disks for partition in disk.partitions)


def _starts_by_bios(label: Label, roles: set[Role]) -> bool:
    return bool(roles & {Role.ROOT, Role.BOOT}) if label is Label.MSDOS else Role.BIOS_GRUB in roles


def faults_of(drafts: Sequence[Draft], boot: Boot) -> Iterator[str]:
    """Every broken rule as ``path: what is wrong``."""
    for draft in drafts:
        yield from _disk_faults(draft)
        for at, partition in draft.partitions:
            yield from _partition_faults(at, partition)
            yield from _size_faults(f"{at}.size", partition)
    yield from _repeated((f"{draft.at}.id", draft.spec.id) for draft in drafts if draft.spec)
    everything = [pair for draft in drafts for pair in draft.partitions]
    yield from _repeated((f"{at}.mount", partition.mount) for at, partition in everything if partition.mount)
    yield from _repeated((f"{at}.label", partition.label) for at, partition in everything if partition.label)
    if boot.console and not _CONSOLE.fullmatch(boot.console):
        yield f"boot.console: {boot.console!r} is not a console of the kernel (write it like ttyS0,115200)"
    if all(draft.complete for draft in drafts):
        yield from _system_faults(drafts, boot)


def _system_faults(drafts: Sequence[Draft], boot: Boot) -> Iterator[str]:
    """What only the whole layout shows."""
    specs = tuple(draft.spec for draft in drafts if draft.spec)
    if not any(partition.mount == "/" for spec in specs for partition in spec.partitions):
        yield "disks: no partition is mounted at /"
    bios, uefi = starts_by_bios(specs), starts_by_uefi(specs)
    if boot.firmware is BootFirmware.BIOS and not bios:
        yield "boot.firmware: bios needs a partition of role bios_grub on GPT"
    if boot.firmware is BootFirmware.UEFI and not uefi:
        yield "boot.firmware: uefi needs a partition of role esp"
    if boot.firmware is BootFirmware.AUTO and not (bios or uefi):
        yield "disks: no firmware can start this: it has neither a partition of role esp nor one of role bios_grub"


def _disk_faults(draft: Draft) -> Iterator[str]:
    if draft.spec:
        if not _ID.fullmatch(draft.spec.id):
            yield f"{draft.at}.id: {draft.spec.id!r} must be 1 to 36 letters, digits, '-' or '_'"
        if draft.complete and not draft.spec.partitions:
            yield f"{draft.at}.partitions: there must be at least one"
        if draft.complete and not draft.spec.match:
            yield f"{draft.at}.match: there must be at least one (leave the key out for any disk)"
        yield from _table_faults(draft.at, draft.spec.label, draft.partitions)
    for at, match in draft.matches:
        yield from _match_faults(at, match)
    yield from _repeated((f"{at}.id", partition.id) for at, partition in draft.partitions)
    for role in _ONCE:
        of_role = [at for at, partition in draft.partitions if partition.role is role]
        yield from (f"{at}.role: {role.value} is there already ({of_role[0]})" for at in of_role[1:])


def _table_faults(at: str, label: Label, partitions: Sequence[tuple[str, Partition]]) -> Iterator[str]:
    if len(partitions) > _MOST[label]:
        yield f"{at}.partitions: {len(partitions)} are too many, {label.value} holds {_MOST[label]}"
    if label is Label.MSDOS:
        for path, partition in partitions:
            if partition.role is Role.BIOS_GRUB:
                yield f"{path}.role: bios_grub is for GPT only; on msdos GRUB lies behind the MBR"


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


def _partition_faults(at: str, partition: Partition) -> Iterator[str]:
    role, fs, mount = partition.role, partition.fs, partition.mount
    if not _ID.fullmatch(partition.id):
        yield f"{at}.id: {partition.id!r} must be 1 to 36 letters, digits, '-' or '_'"
    if role in _BARE:
        unwanted = [key for key in ("fs", "mount", "options", "label") if getattr(partition, key)]
        yield from (f"{at}.{key}: a partition of role {role.value} has none" for key in unwanted)
        return
    if mount:
        yield from (f"{at}.mount: {fault}" for fault in _mount_faults(mount))
    if fs is None and role is not Role.DATA:
        yield f"{at}.fs: the key 'fs' is missing (role {role.value} needs a filesystem)"
    elif fs is None:
        yield from (f"{at}.{key}: needs fs" for key in ("mount", "options", "label") if getattr(partition, key))
    yield from _role_faults(at, partition)
    if not _OPTIONS.fullmatch(partition.options):
        yield f"{at}.options: {partition.options!r} must be one word of mount options, separated by commas"
    if partition.options and not mount:
        yield f"{at}.options: needs mount"
    if partition.label and fs:
        yield from (f"{at}.label: {fault}" for fault in _label_faults(partition.label, fs))


def _role_faults(at: str, partition: Partition) -> Iterator[str]:
    role, fs, mount = partition.role, partition.fs, partition.mount
    if fs is Filesystem.VFAT and mount in ("/", "/usr", "/var", "/home"):
        yield f"{at}.fs: vfat keeps no owners and modes, {mount} needs them"
    if role is Role.ESP:
        if fs not in (None, Filesystem.VFAT):
            yield f"{at}.fs: firmware reads vfat only"
        if not mount:
            yield f"{at}.mount: the key 'mount' is missing (usually /boot/efi)"
    for needed, path in ((Role.ROOT, "/"), (Role.BOOT, "/boot")):
        if (role is needed) != (mount == path) and not (role is Role.ESP and path == "/boot"):
            yield f"{at}.mount: role {needed.value} and the mount point {path} go together"
    if partition.priority > 0 and role not in _DROPPABLE:
        yield f"{at}.priority: role {role.value} cannot be left out, so it must not be above 0"


def _mount_faults(mount: str) -> Iterator[str]:
    if not mount.startswith("/"):
        yield f"{mount!r} must begin with /"
    elif not _MOUNT.fullmatch(mount) or any(part in (".", "..") for part in mount.split("/")):
        yield f"{mount!r} must be a plain path of letters, digits and . _ + @ : - (no '..', no '/' at its end)"
    elif any(mount == own or mount.startswith(own + "/") for own in _KERNELS_OWN):
        yield f"{mount!r} belongs to the running system, not to a disk"


def _label_faults(label: str, fs: Filesystem) -> Iterator[str]:
    if not label.isprintable() or "/" in label:
        yield f"{label!r} must be printable, without '/'"
    elif fs is Filesystem.VFAT and not re.fullmatch(r"[A-Z0-9 _-]+", label):
        yield f"{label!r} must be capital letters, digits, blanks, '_' or '-' on vfat"
    if len(label.encode()) > _LABEL_BYTES[fs]:
        yield f"{label!r} is longer than the {_LABEL_BYTES[fs]} bytes that {fs.value} keeps"


def _size_faults(at: str, partition: Partition) -> Iterator[str]:
    size = partition.size
    for key, amount in (("min", size.min), ("max", size.max)):
        if amount is not None and amount > _LARGEST:
            yield f"{at}.{key}: {format_size(amount)} is more than any disk has"
    if size.max is not None and size.max < MIB:
        yield f"{at}.max: {format_size(size.max)} is too little (partitions are whole MiB)"
    if size.max is not None and size.min > size.max:
        yield f"{at}: min {format_size(size.min)} is above max {format_size(size.max)}"
    if not 0 <= size.weight <= 1_000_000:
        yield f"{at}.weight: {size.weight} is not within 0 to 1000000"


def _repeated(named: Iterable[tuple[str, str]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for at, name in named:
        if name in first:
            yield f"{at}: {name!r} is there already ({first[name]})"
        first.setdefault(name, at)
