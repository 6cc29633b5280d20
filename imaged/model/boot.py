"""Who asks for a network boot, and what it is told."""

from enum import Enum

from attrs import frozen

from imaged.model.net import Mac


class Arch(Enum):
    """Processor and firmware of a client that network-boots (DHCP option 93, RFC 4578 and IANA's registry)."""

    BIOS = "bios"
    X86_64 = "x86_64-efi"
    ARM64 = "arm64-efi"
    OTHER = "other"


class Chain(Enum):
    """What UEFI machines load: iPXE, Debian's signed shim and GRUB, or one of them by what is known of the machine."""

    AUTO = "auto"
    IPXE = "ipxe"
    GRUB = "grub"


class Stage(Enum):
    """Which program of the boot chain is asking: the firmware's PXE, the firmware's HTTP boot, or iPXE after either."""

    ROM = "rom"
    HTTP = "http"
    IPXE = "ipxe"


@frozen
class BootClient:
    """A machine at one stage of its network boot. ``uuid`` is the SMBIOS UUID of option 97, lower case, or empty."""

    mac: Mac
    arch: Arch
    stage: Stage
    uuid: str = ""


@frozen
class BootOffer:
    """Load this next. ``program`` is a path below the boot directory (by TFTP) or a whole URL."""

    program: str


@frozen
class LocalBoot:
    """No program: the machine goes on to its next boot device."""


# Where mkramdisk puts things below the boot directory and what the daemon serves from there.
LOADERS = {
    Arch.BIOS: "loaders/undionly.kpxe",
    Arch.X86_64: "loaders/snponly.efi",
    Arch.ARM64: "loaders/snponly-arm64.efi",
}
# Signed for Secure Boot; each starts the GRUB beside it (grubx64.efi, grubaa64.efi), and that asks for GRUB_START.
SHIMS = {Arch.X86_64: "loaders/shimx64.efi", Arch.ARM64: "loaders/shimaa64.efi"}
GRUB_START = "grub/grub.cfg"  # generated, like GRUB_NODES/<mac>: no files
GRUB_NODES = "grub/node"
RAMDISK_DIR = "ramdisk"  # ramdisk/<uname -m>/{vmlinuz,initrd.img,ramdisk.json}
MEDIUM_LABEL = "IMAGED"  # of the ISO 9660 filesystem on boot media: no install may choose the disk that has it
