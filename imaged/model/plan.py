"""Plans: what will be done to a machine, as plain data. Printed, stored, hashed, sent; then carried out as it stands.

Every step says all that it needs. Paths of disks and of their partitions are as the inventory named them; the agent
proves that the disk behind a path is still the one with that size and serial before the first write.
"""

import hashlib

from attrs import frozen

from imaged.model.codec import declare_steps
from imaged.model.hardware import Disk
from imaged.model.layout import Label, Role
from imaged.model.stack import Filesystem
from imaged.model.uefi import InstallGrub, MirrorEsp, SetBootEntries


@frozen
class PlannedPartition:
    """``start`` and ``size`` in bytes, both multiples of the grain; ``number`` counts from 1.

    ``kept``: it is there already, exactly so, and stays with all that is in it. ``type`` overrides the role's own.
    """

    number: int
    name: str
    role: Role
    start: int
    size: int
    fs: Filesystem | None = None
    type: str = ""
    kept: bool = False


@frozen
class WipeDisk:
    """Stop whatever sits on the disk and remove every old signature (wipefs(8)), partitions first.

    With ``keep`` (numbers of partitions) the table stays, and so does everything in these and on top of them.
    """

    disk: Disk
    keep: tuple[int, ...] = ()


@frozen
class MakeTable:
    """Write a new partition table, or change the one there where some partitions are ``kept``; then wait until udev has
    made the partitions' nodes."""

    disk: Disk
    label: Label
    partitions: tuple[PlannedPartition, ...]


@frozen
class MakeFilesystem:
    """mkfs on a device with a chosen identity. ``uuid`` is a UUID, for vfat the volume id ``XXXX-XXXX``. ``config`` is
    the image's own ``mke2fs.conf``: features follow it, not the ramdisk. ``arguments`` are the layout's, as typed."""

    device: str
    fs: Filesystem
    uuid: str
    label: str = ""
    config: str = ""
    arguments: tuple[str, ...] = ()


@frozen
class MakeSwap:
    """mkswap with a chosen UUID."""

    device: str
    uuid: str


@frozen
class MakeArray:
    """mdadm(8) --create with a chosen UUID (as mdadm writes it: four groups). ``device`` is /dev/md/NAME."""

    device: str
    level: int
    metadata: str
    uuid: str
    members: tuple[str, ...]
    spares: tuple[str, ...] = ()


@frozen
class StartArray:
    """Assemble an array that is there and stays. Fails when it is not that one."""

    device: str
    uuid: str


@frozen
class MakeCrypt:
    """cryptsetup(8) luksFormat (LUKS2) with a chosen UUID, then open it as /dev/mapper/``name``.

    The key comes from the server and is in no plan; with ``tpm2`` it is also sealed in the machine's TPM
    (systemd-cryptenroll(1)), with ``keyfile`` also kept in that file of the node.
    """

    device: str
    name: str
    uuid: str
    tpm2: bool = False
    keyfile: str = ""


@frozen
class OpenCrypt:
    """Open a LUKS device that is there and stays, with the key that the server has; ``keyfile`` as of a new one."""

    device: str
    name: str
    uuid: str
    keyfile: str = ""


@frozen
class MakeGroup:
    """pvcreate and vgcreate (lvm(8)); ``extent`` in bytes."""

    group: str
    members: tuple[str, ...]
    extent: int


@frozen
class StartGroup:
    """Activate a volume group that is there and stays. ``remove`` are volumes of it that are made anew."""

    group: str
    uuid: str
    remove: tuple[str, ...] = ()


@frozen
class MakeVolume:
    """lvcreate: ``size`` in bytes. With ``pool`` it is a thin volume of that size; ``thin``: it is a pool itself, with
    ``metadata`` bytes of metadata (0: as lvm chooses)."""

    group: str
    name: str
    size: int
    pool: str = ""
    thin: bool = False
    metadata: int = 0


@frozen
class PlannedSubvolume:
    """A btrfs subvolume, ``path`` from the top of its filesystem; ``nodatacow`` is chattr(1) +C."""

    path: str
    nodatacow: bool = False


@frozen
class MakeSubvolumes:
    """Subvolumes of a fresh btrfs, parents first, and the one that is mounted by default (empty: the top)."""

    device: str
    subvolumes: tuple[PlannedSubvolume, ...]
    default: str = ""


@frozen
class MakeSwapFile:
    """A swap file of ``size`` bytes in the target, mode 0600, without holes, without copy-on-write on btrfs."""

    path: str
    size: int
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

    ``bytes`` and ``entries`` are what the image holds, for progress. ``exclude`` are anchored rsync patterns. ``rules``
    are the site's own, as rsync's filter rules (``- P``, ``+ P``), and come after them.
    """

    image: str
    at: str
    bytes: int
    entries: int
    exclude: tuple[str, ...] = ()
    foreign: bool = False
    rules: tuple[str, ...] = ()


@frozen
class SyncOverrides:
    """Lay the overrides rendered for this node over what is below ``at``; nothing is deleted. ``foreign`` and
    ``exclude`` as in SyncTree."""

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
class CopyFile:
    """Copy a file of the target byte for byte: beside ``path``, onto the disk, then to its name. Nothing where the two
    are the same."""

    source: str
    path: str
    reason: str = ""


@frozen
class MoveFile:
    """Give a file of the target another name, in the place of what has that, once the disk has all of it; nothing where
    ``source`` is not there."""

    source: str
    path: str
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
class RestoreIdentity:
    """Write back what the server keeps of the node's identity: its ssh host keys. The plan never holds any of it."""


@frozen
class RunInTarget:
    """Run the image's own program in its own tree (chroot with /dev, /proc, /sys, /run). Non-zero fails the install."""

    argv: tuple[str, ...]
    stdin: str = ""
    timeout: int = 900
    reason: str = ""


@frozen
class RunScript:
    """Run a script of the site: in the ramdisk, or (``in_target``) as RunInTarget runs a program. Non-zero fails the
    install. ``name`` is its file's. ``content`` is the text rendered for this node, with secrets in it perhaps: it is
    shown to nobody and kept nowhere. ``variables`` are added to the environment. ``timeout`` in seconds."""

    name: str
    content: str
    variables: dict[str, str] = {}
    in_target: bool = False
    timeout: int = 3600

    @property
    def digest(self) -> str:
        """What may be told of the content: sha256 in 64 hex digits."""
        return hashlib.sha256(self.content.encode()).hexdigest()


@frozen
class CheckFile:
    """Fail unless the path exists in the target, is not empty, and has that mode (octal text; empty: any). It must hold
    ``contains`` and none of ``lacks``. ``reason`` says what would go wrong."""

    path: str
    mode: str = ""
    contains: str = ""
    lacks: tuple[str, ...] = ()
    reason: str = ""


@frozen
class CheckInitrd:
    """Fail unless an initramfs has one of each of ``modules``, by what the image's ``lister`` prints, or that kernel
    has it built in (modules.builtin). ``reason`` says what would go wrong."""

    path: str
    kernel: str
    lister: str
    modules: tuple[tuple[str, ...], ...]
    reason: str = ""


@frozen
class CheckDevice:
    """Fail unless blkid finds this UUID on this device. ``reason`` says what would go wrong."""

    device: str
    uuid: str
    reason: str = ""


@frozen
class Unmount:
    """Flush and unmount everything below the target root, deepest first."""


@frozen
class Reboot:
    """Leave the ramdisk. The last step of an install."""


DiskStep = (
    WipeDisk | MakeTable | MakeFilesystem | MakeSwap | MakeArray | StartArray | MakeCrypt | OpenCrypt | MakeGroup
    | StartGroup | MakeVolume | MakeSubvolumes | SetBootEntries
)  # fmt: skip
Step = (
    WipeDisk | MakeTable | MakeFilesystem | MakeSwap | MakeArray | StartArray | MakeCrypt | OpenCrypt | MakeGroup
    | StartGroup | MakeVolume | MakeSubvolumes | MakeSwapFile | InstallGrub | MirrorEsp | Mount | SyncTree
    | SyncOverrides | WriteFile | CopyFile | MoveFile | RestoreIdentity | RemovePath | MakeLink | KeepSecret
    | RunInTarget | RunScript | CheckFile | CheckInitrd | CheckDevice | SetBootEntries | Unmount | Reboot
)  # fmt: skip
declare_steps(Step, "a plan")


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
