"""The disk layout somebody wants: which disks, what partitions, how large. Not yet on any machine.

Sizes follow systemd-repart's model (repart.d(5)): min, max, weight, priority.
"""

from enum import Enum

from attrs import field, frozen

from imaged.model.hardware import Bus
from imaged.model.size import Bytes, SizeBounds


class Label(Enum):
    """Partition table type, by libparted's names."""

    GPT = "gpt"
    MSDOS = "msdos"


class Role(Enum):
    """What a partition is for; decides its type and flags."""

    BIOS_GRUB = "bios_grub"
    ESP = "esp"
    BOOT = "boot"
    ROOT = "root"
    SWAP = "swap"
    DATA = "data"


class Filesystem(Enum):
    """Filesystems that a layout may ask for."""

    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    VFAT = "vfat"


class Pick(Enum):
    """Which of several disks that match."""

    SMALLEST = "smallest"
    LARGEST = "largest"
    FIRST_BY_PATH = "first-by-path"


class BootFirmware(Enum):
    """Which firmware the installed disk must start under. ``auto``: every one the layout has room for."""

    AUTO = "auto"
    BIOS = "bios"
    UEFI = "uefi"


@frozen
class Match:
    """Conditions on a disk; all must hold. A tuple lists values of which one must, empty: any.

    Texts are shell globs, read without regard to case: ``model`` and ``vendor`` on udev's ID_MODEL and ID_VENDOR
    (a blank and ``_`` are the same), ``serial`` on ID_SERIAL_SHORT, ``wwn`` on ID_WWN, ``path`` on ID_PATH.
    ``sector`` is the logical sector size in bytes.
    """

    bus: tuple[Bus, ...] = ()
    rotational: bool | None = None
    removable: bool = False
    size: SizeBounds | None = None
    model: tuple[str, ...] = ()
    vendor: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()
    wwn: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    sector: int | None = None
    pick: Pick | None = None


class Cap(Enum):
    """What else limits a size: ``ram`` is the memory of the node."""

    RAM = "ram"


@frozen
class SizeSpec:
    """Wanted size in bytes (repart.d(5)). ``cap`` lowers ``max``, never below ``min``; ``weight`` 0: min."""

    min: Bytes = Bytes(0)
    max: Bytes | None = None
    weight: int = 1000
    cap: Cap | None = None


@frozen
class Partition:
    """One wanted partition. ``fs`` and ``mount`` are empty for those that carry neither.

    ``id`` is also the partition's name in a GPT. Where space is short, those of the numerically highest ``priority``
    above 0 are left out first.
    """

    id: str
    role: Role
    size: SizeSpec
    priority: int = 0
    fs: Filesystem | None = None
    mount: str = ""
    options: str = ""
    label: str = ""


@frozen
class DiskSpec:
    """One disk to choose and fill. ``match`` lists alternatives in order of preference."""

    id: str
    partitions: tuple[Partition, ...]
    match: tuple[Match, ...] = (Match(),)
    label: Label = Label.GPT


@frozen
class Boot:
    """How the result starts. ``console`` is the kernel's notation (``ttyS0,115200``), empty: as the image has it."""

    firmware: BootFirmware = BootFirmware.AUTO
    console: str = ""


@frozen
class Layout:
    """A whole layout, checked: see ``planning.layout.read``."""

    name: str
    disks: tuple[DiskSpec, ...]
    boot: Boot = field(default=Boot())
