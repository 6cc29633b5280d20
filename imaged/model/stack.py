"""What a layout wants on top of partitions: filesystems, arrays, encrypted devices, volume groups, swap files.

``devices`` are references: ``os.pv`` (a partition of the one disk ``os``), ``os[0].b`` and ``os[*].b`` (of the first,
of each), or the id of an array, an encrypted device or a volume. ``when`` is an expression of ``planning.when``.
"""

from enum import Enum

from attrs import frozen

from imaged.model.size import Bytes, SizeSpec


class Filesystem(Enum):
    """Filesystems that a layout may ask for. Swap is none: partitions have a role for it, volumes ``swap: true``."""

    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    VFAT = "vfat"
    F2FS = "f2fs"


class Preserve(Enum):
    """Whether what is there already stays. ``required``: no install without it; ``if-present``: made where missing."""

    NEVER = "never"
    IF_PRESENT = "if-present"
    REQUIRED = "required"


@frozen
class Subvolume:
    """A btrfs subvolume (btrfs-subvolume(8)); ``path`` from the top of the filesystem, ``mount`` on the node."""

    path: str
    mount: str = ""
    options: str = ""
    nodatacow: bool = False
    when: str = ""


@frozen
class Btrfs:
    """Subvolumes, and which one ``mount`` without a subvolume gets; empty: the top."""

    default: str = ""
    subvolumes: tuple[Subvolume, ...] = ()


@frozen(kw_only=True)
class Content:
    """What is made on a device and where it is mounted. ``mkfs`` are more arguments for mkfs, as they are typed."""

    fs: Filesystem | None = None
    mount: str = ""
    options: str = ""
    label: str = ""
    mkfs: tuple[str, ...] = ()
    btrfs: Btrfs | None = None
    preserve: Preserve = Preserve.NEVER
    when: str = ""


@frozen
class LevelFor:
    """The RAID level for ``least`` to ``most`` members (None: any number above)."""

    level: int
    least: int = 1
    most: int | None = None


@frozen
class Array(Content):
    """A Linux md array, ``/dev/md/NAME``. ``metadata`` is 1.0, 1.1 or 1.2 (md(4)); 1.0 where firmware must read it."""

    id: str
    devices: tuple[str, ...]
    level: tuple[LevelFor, ...]
    name: str = ""
    metadata: str = "1.2"
    spares: int = 0


class KeyFrom(Enum):
    """Where the key of an encrypted device comes from. ``server``: made at the install, kept there."""

    SERVER = "server"


class Unlock(Enum):
    """How the node opens it at boot, in order. ``passphrase`` asks for the key that the server keeps."""

    TPM2 = "tpm2"
    KEYFILE = "keyfile"
    PASSPHRASE = "passphrase"


@frozen
class Crypt(Content):
    """A LUKS2 device, ``/dev/mapper/NAME``, on exactly one other."""

    id: str
    devices: tuple[str, ...]
    name: str = ""
    key: KeyFrom = KeyFrom.SERVER
    unlock: tuple[Unlock, ...] = (Unlock.PASSPHRASE,)


@frozen
class ThinPool:
    """A thin pool (lvmthin(7)); ``metadata`` bytes, 0: as lvm chooses."""

    id: str
    size: SizeSpec
    metadata: Bytes = Bytes(0)


@frozen
class Volume(Content):
    """A logical volume, ``/dev/VG/ID``. ``pool`` is the id of a thin pool, where its size is virtual (``size.min``).

    ``swap``: it holds swap space, and no filesystem.
    """

    id: str
    size: SizeSpec = SizeSpec()
    priority: int = 0
    pool: str = ""
    swap: bool = False


@frozen
class VolumeGroup:
    """A volume group. ``reserve`` is what stays free, in percent; ``extent`` in bytes."""

    vg: str
    devices: tuple[str, ...] = ()
    lvs: tuple[Volume, ...] = ()
    thin: tuple[ThinPool, ...] = ()
    extent: Bytes = Bytes(4 * 2**20)
    reserve: float = 0.0
    preserve: Preserve = Preserve.NEVER
    when: str = ""


@frozen
class SwapFile:
    """A file to swap to, on the filesystem that holds ``file``."""

    file: str
    size: SizeSpec
    when: str = ""


@frozen
class OtherMount:
    """A line of fstab(5) for what is on no disk: nfs, tmpfs, bind mounts."""

    what: str
    mount: str
    type: str
    options: str = "defaults"
    when: str = ""
