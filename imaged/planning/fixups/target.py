"""What a fixup may know: the image's facts, the node, and the disks as they will be or were planned."""

from uuid import UUID

from attrs import frozen

from imaged.model.hardware import Disk, Firmware, Inventory, partition_path
from imaged.model.host import Host
from imaged.model.image import ImageFacts
from imaged.model.node import Node
from imaged.model.system import System
from imaged.planning.identity import machine_id


@frozen
class Target:
    """One node's system as it shall be.

    ``server`` is the base URL at which the installed system reports; ``dns`` and ``domain`` come from its subnet,
    ``host`` is what was said of this node or its groups.
    """

    node: Node
    facts: ImageFacts
    inventory: Inventory
    site: UUID
    server: str
    system: System
    dns: tuple[str, ...] = ()
    domain: str = ""
    host: Host = Host()
    generation: int = 0

    @property
    def machine_id(self) -> str:
        """The node's own: the same at every install, until it shall become another (``generation``)."""
        return machine_id(self.site, self.node.name, self.generation)

    @property
    def console(self) -> str:
        """The serial console in the kernel's notation: the node's own, else the layout's, else none."""
        return self.node.console or self.system.boot.console

    def stable_name(self, path: str) -> str:
        """A disk of the inventory by where it is plugged in: its name in /dev is good for one boot only."""
        disk = next(disk for disk in self.inventory.disks if disk.path == path)
        return f"/dev/disk/by-path/{disk.by_path}" if disk.by_path else path

    def stable_partition(self, path: str) -> str:
        """The same of a partition (udev's 60-persistent-storage.rules)."""
        disk = self.disk_of(path)
        name = self.stable_name(disk.path) if disk else path
        return f"{name}-part{_number(disk, path)}" if disk and name != disk.path else path

    def disk_of(self, path: str) -> Disk | None:
        """The disk that a partition is on; None for what is no partition of one."""
        return next((disk for disk in self.inventory.disks if _number(disk, path)), None)

    def by_uuid(self, path: str) -> str:
        """A device by the filesystem that the install made on it, as mount(8) takes it."""
        return next((f"UUID={each.uuid}" for each in self.system.spare if each.device == path), path)

    @property
    def starts_by_uefi(self) -> bool:
        """Whether this machine itself, now, runs UEFI firmware."""
        return self.inventory.firmware is Firmware.UEFI


def _number(disk: Disk, path: str) -> int:
    number = path.removeprefix(disk.path).lstrip("p")
    return int(number) if number.isdecimal() and partition_path(disk.path, int(number)) == path else 0
