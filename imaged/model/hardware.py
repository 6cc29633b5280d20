"""What the agent found in a machine: its inventory, as it crosses the wire and is stored."""

from enum import Enum

from attrs import frozen

from imaged.model.found import FoundArray, FoundGroup, FoundPartition
from imaged.model.net import Mac
from imaged.model.size import format_size


class Firmware(Enum):
    """How the machine started, which decides what can boot it again."""

    BIOS = "bios"
    UEFI = "uefi"


class Bus(Enum):
    """How a disk is attached, in the words of layouts."""

    NVME = "nvme"
    SATA = "sata"
    SAS = "sas"
    VIRTIO = "virtio"
    USB = "usb"
    MMC = "mmc"
    OTHER = "other"


@frozen
class Disk:
    """One whole disk. Sizes in bytes; ``path`` is the kernel's name (``/dev/nvme0n1``), good for this boot only.

    ``in_use`` is empty, or says why the disk must not be touched (``mounted on /run/media``, ``boot medium``).
    ``table`` is ``gpt``, ``dos`` or empty (blkid's PTTYPE).
    """

    path: str
    size: int
    logical_sector: int = 512
    physical_sector: int = 512
    bus: Bus = Bus.OTHER
    rotational: bool = False
    removable: bool = False
    read_only: bool = False
    model: str = ""
    vendor: str = ""
    serial: str = ""
    wwn: str = ""
    by_path: str = ""
    in_use: str = ""
    contents: str = ""
    table: str = ""
    partitions: tuple[FoundPartition, ...] = ()

    def __str__(self) -> str:
        label = " ".join(part for part in (self.model, f"serial {self.serial}" if self.serial else "") if part)
        return f"{self.path} ({label or self.bus.value}, {format_size(self.size)})"


@frozen
class Nic:
    """One network interface. ``mac`` is the permanent address, ``speed`` in Mbit/s (None: not known, no link)."""

    name: str
    mac: Mac
    driver: str = ""
    link: bool = False
    speed: int | None = None
    by_path: str = ""


@frozen
class Smbios:
    """DMI type 1 to 3 strings (SMBIOS 3.x, section 7); empty where the firmware gives none."""

    vendor: str = ""
    product: str = ""
    serial: str = ""
    uuid: str = ""
    board: str = ""
    bios_version: str = ""


@frozen
class Inventory:
    """Everything a plan may depend on. ``memory`` in bytes; ``arch`` as ``uname -m`` says it.

    ``efi_bits``: how wide the words of the UEFI firmware are, whatever the processor's. Some Atoms have 32.
    """

    arch: str
    firmware: Firmware
    memory: int
    cpus: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    cpu_model: str = ""
    secure_boot: bool = False
    smbios: Smbios = Smbios()
    boot_mac: Mac | None = None
    arrays: tuple[FoundArray, ...] = ()
    groups: tuple[FoundGroup, ...] = ()
    tpm2: bool = False
    efi_bits: int = 64


def partition_path(disk: str, number: int) -> str:
    """``/dev/sda1``, but ``/dev/nvme0n1p1``: the kernel puts a ``p`` after a name that ends in a digit."""
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"
