"""The disk layout somebody wants: which disks, what partitions, what on top of them. Not yet on any machine.

Sizes follow systemd-repart's model (repart.d(5)): min, max, weight, priority.
"""

from enum import Enum

from attrs import field, frozen

from imaged.model.match import Match
from imaged.model.size import SizeSpec
from imaged.model.stack import Array, Content, Crypt, OtherMount, SwapFile, VolumeGroup


class Label(Enum):
    """Partition table type, by libparted's names."""

    GPT = "gpt"
    MSDOS = "msdos"


class Role(Enum):
    """What a partition is for; decides its type and flags. ``raid``, ``pv`` and ``luks`` carry something else."""

    BIOS_GRUB = "bios_grub"
    ESP = "esp"
    XBOOTLDR = "xbootldr"
    BOOT = "boot"
    ROOT = "root"
    SWAP = "swap"
    RAID = "raid"
    PV = "pv"
    LUKS = "luks"
    DATA = "data"


class BootFirmware(Enum):
    """Which firmware the installed disk must start under. ``auto``: every one the layout has room for."""

    AUTO = "auto"
    BIOS = "bios"
    UEFI = "uefi"


@frozen
class Partition(Content):
    """One wanted partition. ``fs`` and ``mount`` are empty for those that carry neither.

    ``id`` is also the partition's name in a GPT. Where space is short, those of the numerically highest ``priority``
    above 0 are left out first. ``type`` is a GPT type UUID or an MBR type in hexadecimal, empty: the role's own.
    ``number`` is the partition's place in the table, 0: the next one; a preserved one on MBR is known by it.
    """

    id: str
    role: Role
    size: SizeSpec
    priority: int = 0
    type: str = ""
    number: int = 0


@frozen
class Count:
    """How many disks an entry takes: all that match, at least ``min`` and at most ``max``."""

    min: int = 1
    max: int = 1


class Wipe(Enum):
    """What becomes of the rest of a disk. ``none``: its table and partitions that the layout does not name stay."""

    ALL = "all"
    NONE = "none"


@frozen
class DiskSpec:
    """Disks to choose and fill, all alike. ``match`` lists alternatives in order of preference.

    ``similar`` is how far the sizes of several may differ, in percent.
    """

    id: str
    partitions: tuple[Partition, ...]
    match: tuple[Match, ...] = (Match(),)
    label: Label = Label.GPT
    count: Count = Count()
    similar: float = 5.0
    wipe: Wipe = Wipe.ALL


class BootOrder(Enum):
    """What UEFI tries first once the node is installed. ``network-first`` writes no entry of ours before it."""

    NETWORK_FIRST = "network-first"
    DISK_FIRST = "disk-first"


@frozen
class Boot:
    """How the result starts. ``console`` is the kernel's notation (``ttyS0,115200``), empty: as the image has it.

    ``removable_path``: the loader is also where firmware looks without an entry (UEFI 2.10, 3.5.1.1).
    """

    firmware: BootFirmware = BootFirmware.AUTO
    order: BootOrder = BootOrder.NETWORK_FIRST
    removable_path: bool = True
    console: str = ""


@frozen
class Esp:
    """Where several disks have an EFI system partition: which is mounted, which are copies (``os[1].esp``)."""

    mount: str
    primary: str
    mirrors: tuple[str, ...] = ()


@frozen
class Layout:
    """A whole layout, checked: see ``planning.layout.read``.

    ``wipe_unknown``: volume groups and arrays on the chosen disks that the layout does not name may go.
    """

    name: str
    disks: tuple[DiskSpec, ...]
    raid: tuple[Array, ...] = ()
    luks: tuple[Crypt, ...] = ()
    lvm: tuple[VolumeGroup, ...] = ()
    swap: tuple[SwapFile, ...] = ()
    mounts: tuple[OtherMount, ...] = ()
    esp: Esp | None = None
    boot: Boot = field(default=Boot())
    wipe_unknown: bool = False
