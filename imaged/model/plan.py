"""Plans: what will be done to a machine, as plain data. Printed, stored, hashed, sent; then carried out as it stands.

Every step says all that it needs. Paths of disks and of their partitions are as the inventory named them; the agent
proves that the disk behind a path is still the one with that size and serial before the first write.
"""

from attrs import frozen

from imaged.model.hardware import Disk
from imaged.model.layout import Label, Role
from imaged.model.stack import Filesystem


@frozen
class PlannedPartition:
    """``start`` and ``size`` in bytes, both multiples of the grain; ``number`` counts from 1."""

    number: int
    name: str
    role: Role
    start: int
    size: int
    fs: Filesystem | None = None


@frozen
class WipeDisk:
    """Stop whatever sits on the disk and remove every old signature (wipefs(8)), partitions first."""

    disk: Disk


@frozen
class MakeTable:
    """Write a new partition table and wait until udev has made the partitions' nodes."""

    disk: Disk
    label: Label
    partitions: tuple[PlannedPartition, ...]


@frozen
class MakeFilesystem:
    """mkfs on a device with a chosen identity. ``uuid`` is a UUID, for vfat the volume id ``XXXX-XXXX``.

    ``config`` is the image's own ``mke2fs.conf``: features follow the image, not the ramdisk.
    """

    device: str
    fs: Filesystem
    uuid: str
    label: str = ""
    config: str = ""


@frozen
class MakeSwap:
    """mkswap with a chosen UUID."""

    device: str
    uuid: str


@frozen
class Mount:
    """Mount a device below the target root; ``at`` is the path on the node (``/``, ``/boot/efi``)."""

    device: str
    fs: Filesystem
    at: str
    options: str = ""


@frozen
class SyncTree:
    """Pull the image's tree below ``at`` with rsync. ``foreign``: a filesystem without owners and modes (vfat).

    ``bytes`` and ``entries`` are what the image holds, for progress. ``exclude`` are anchored rsync patterns.
    """

    image: str
    at: str
    bytes: int
    entries: int
    exclude: tuple[str, ...] = ()
    foreign: bool = False


@frozen
class SyncOverrides:
    """Lay the overrides rendered for this node over what is below ``at``; nothing is deleted.

    ``foreign`` and ``exclude`` as in SyncTree.
    """

    at: str = "/"
    exclude: tuple[str, ...] = ()
    foreign: bool = False


@frozen
class WriteFile:
    """Write a file of the node, creating missing directories (0755). ``mode`` in octal text (``0644``)."""

    path: str
    content: str
    mode: str = "0644"
    reason: str = ""


@frozen
class RemovePath:
    """Remove a file, or every file that an anchored glob names; nothing there is fine."""

    path: str
    reason: str = ""


@frozen
class MakeLink:
    """A symbolic link, replacing what was there."""

    path: str
    target: str
    reason: str = ""


@frozen
class KeepSecret:
    """Write the secret by which the node proves itself later, mode 0600. The plan never holds the secret itself."""

    path: str


@frozen
class RunInTarget:
    """Run the image's own program in its own tree (chroot with /dev, /proc, /sys, /run). Non-zero fails the install."""

    argv: tuple[str, ...]
    stdin: str = ""
    timeout: int = 900
    reason: str = ""


@frozen
class CheckFile:
    """Fail unless the path exists in the target, is not empty, and has that mode (octal text; empty: any)."""

    path: str
    mode: str = ""
    contains: str = ""


@frozen
class CheckDevice:
    """Fail unless blkid finds this UUID on this device."""

    device: str
    uuid: str


@frozen
class Unmount:
    """Flush and unmount everything below the target root, deepest first."""


@frozen
class Reboot:
    """Leave the ramdisk. The last step of an install."""


DiskStep = WipeDisk | MakeTable | MakeFilesystem | MakeSwap
TreeStep = SyncTree | SyncOverrides | WriteFile | RemovePath | MakeLink | KeepSecret | RunInTarget | CheckFile
Step = (
    WipeDisk | MakeTable | MakeFilesystem | MakeSwap | Mount | SyncTree | SyncOverrides | WriteFile | RemovePath
    | MakeLink | KeepSecret | RunInTarget | CheckFile | CheckDevice | Unmount | Reboot
)  # fmt: skip


@frozen
class Phase:
    """Steps that are reported as one: ``partition``, ``transfer``, ``fixups``..."""

    name: str
    steps: tuple[Step, ...]


@frozen
class InstallPlan:
    """Everything an install of one node will do. ``lost`` and ``kept`` tell people what becomes of each disk."""

    node: str
    image: str
    layout: str
    phases: tuple[Phase, ...]
    lost: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
