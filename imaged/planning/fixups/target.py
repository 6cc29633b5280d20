"""What a fixup may know: the image's facts, the node, and the disks as they will be."""

from uuid import UUID

from attrs import frozen

from imaged.model.hardware import Firmware, Inventory, partition_path
from imaged.model.image import ImageFacts
from imaged.model.layout import Boot, Filesystem
from imaged.model.node import Node


@frozen
class PlannedFilesystem:
    """A filesystem with the identity chosen for it and the place where the node mounts it."""

    disk: str
    number: int
    fs: Filesystem
    uuid: str
    mount: str
    options: str = ""
    label: str = ""

    @property
    def device(self) -> str:
        """The partition's node in /dev on the machine as it is now."""
        return partition_path(self.disk, self.number)


@frozen
class PlannedSwap:
    """A swap area with the identity chosen for it."""

    disk: str
    number: int
    uuid: str


@frozen
class Target:
    """One node's system as it shall be. ``boot_disks`` get a BIOS boot loader; ``bios`` and ``uefi`` say which start.

    ``spare`` filesystems are made and mounted nowhere. ``server`` is the base URL at which the installed system
    reports; ``dns`` and ``domain`` come from its subnet.
    """

    node: Node
    facts: ImageFacts
    inventory: Inventory
    site: UUID
    server: str
    filesystems: tuple[PlannedFilesystem, ...]
    spare: tuple[PlannedFilesystem, ...] = ()
    swaps: tuple[PlannedSwap, ...] = ()
    boot_disks: tuple[str, ...] = ()
    bios: bool = True
    uefi: bool = True
    boot: Boot = Boot()
    dns: tuple[str, ...] = ()
    domain: str = ""

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

    @property
    def console(self) -> str:
        """The serial console in the kernel's notation: the node's own, else the layout's, else none."""
        return self.node.console or self.boot.console

    @property
    def starts_by_uefi(self) -> bool:
        """Whether this machine itself, now, runs UEFI firmware."""
        return self.inventory.firmware is Firmware.UEFI
