"""A node's disks as its install planned them: kept with the node, so that an update knows them without asking again."""

from attrs import frozen

from imaged.model.layout import Boot
from imaged.model.stack import Filesystem


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


@frozen
class PlannedSwap:
    """A swap area with the identity chosen for it; ``device`` as of a filesystem."""

    device: str
    uuid: str


@frozen
class System:
    """What was made of a layout on one machine. ``boot_disks`` get a BIOS boot loader; ``bios`` and ``uefi`` say which
    start.

    ``spare`` filesystems are made and mounted nowhere. ``layout`` names the layout that it came from; its file may have
    changed since, the disks have not.
    """

    filesystems: tuple[PlannedFilesystem, ...]
    spare: tuple[PlannedFilesystem, ...] = ()
    swaps: tuple[PlannedSwap, ...] = ()
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
