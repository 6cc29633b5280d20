"""A node's disks as its install planned them: kept with the node, so that an update knows them without asking again."""

from enum import Enum

from attrs import frozen

from imaged.model.layout import Boot
from imaged.model.stack import Filesystem, OtherMount, Unlock


class RootOn(Enum):
    """What lies between the disks and the root filesystem."""

    ARRAY = "array"
    CRYPT = "crypt"
    VOLUME = "volume"


@frozen
class PlannedFilesystem:
    """A filesystem with the identity chosen for it and the place where the node mounts it.

    ``device`` is its path in /dev at the install: of a partition that is good for one boot only, so what lasts goes by
    ``uuid``.
    """

    device: str
    fs: Filesystem
    uuid: str
    mount: str
    options: str = ""
    label: str = ""
    subvolume: str = ""


@frozen
class PlannedArray:
    """A Linux md array: mdadm.conf(5) gets a line for it. ``uuid`` as mdadm writes it."""

    device: str
    uuid: str
    level: int
    metadata: str


@frozen
class PlannedCrypt:
    """An encrypted device: crypttab(5) gets a line for it. ``uuid`` is that of the LUKS header."""

    name: str
    device: str
    uuid: str
    unlock: tuple[Unlock, ...] = (Unlock.PASSPHRASE,)


@frozen
class PlannedSwap:
    """A swap area with the identity chosen for it; ``device`` as of a filesystem, or the path of a file on the node
    (``file``)."""

    device: str
    uuid: str
    file: bool = False


@frozen
class System:
    """What was made of a layout on one machine. ``boot_disks`` get a BIOS boot loader; ``bios`` and ``uefi`` say which
    start.

    ``groups`` are volume groups; ``esp_mirrors`` devices that hold copies of the ESP; ``root_on`` says what the
    initramfs must start before it finds the root filesystem.
    ``spare`` filesystems are made and mounted nowhere. ``layout`` names the layout that it came from; its file may have
    changed since, the disks have not.
    """

    filesystems: tuple[PlannedFilesystem, ...]
    spare: tuple[PlannedFilesystem, ...] = ()
    swaps: tuple[PlannedSwap, ...] = ()
    arrays: tuple[PlannedArray, ...] = ()
    crypts: tuple[PlannedCrypt, ...] = ()
    groups: tuple[str, ...] = ()
    mounts: tuple[OtherMount, ...] = ()
    esp_mirrors: tuple[str, ...] = ()
    root_on: tuple[RootOn, ...] = ()
    boot_disks: tuple[str, ...] = ()
    bios: bool = True
    uefi: bool = True
    boot: Boot = Boot()
    layout: str = ""

    def at(self, mount: str) -> PlannedFilesystem | None:
        """The filesystem mounted exactly there."""
        return next((filesystem for filesystem in self.filesystems if filesystem.mount == mount), None)

    @property
    def root(self) -> PlannedFilesystem:
        """The root filesystem; a layout that passed its checks has one."""
        return next(filesystem for filesystem in self.filesystems if filesystem.mount == "/")

    @property
    def esp(self) -> PlannedFilesystem | None:
        """The EFI system partition, where it is mounted."""
        return self.at("/boot/efi") or self.at("/efi") or self.at("/boot")
