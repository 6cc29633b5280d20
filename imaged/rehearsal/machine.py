"""The QEMU command line of a machine, from a frozen description. Pure: no files, no processes. See qemu(1)."""

import hashlib
import re
import uuid
from enum import Enum

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.hardware import Firmware
from imaged.model.net import Mac
from imaged.model.size import GIB, MIB, parse_size
from imaged.qemu.options import Accel, processor, quoted

_SERIAL = re.compile(r"[A-Za-z0-9_.-]{1,20}", re.ASCII)  # NVMe, ATA and virtio-blk: 20 bytes; a comma would be QEMU's
_NAMES = uuid.UUID("6f0b2f1c-2d7c-5a53-8d3e-0a8f6b1b7c11")
_MAX_DISK = 64 * 2**40
_NIC_BOOT, _DISK_BOOT = 1, 2
_MEDIUM = "boot-medium"
_SATA_PORTS = 6  # of q35's own AHCI
CONSOLES = {"x86_64": "ttyS0,115200", "aarch64": "ttyAMA0,115200"}  # processors, and their machine's serial port


class DiskBus(Enum):
    """How a rehearsal's disk is attached."""

    VIRTIO = "virtio"
    SATA = "sata"
    NVME = "nvme"
    SCSI = "scsi"
    USB = "usb"


class Way(Enum):
    """How the machine gets to the boot ramdisk: network boot as the firmware does it first, UEFI's HTTP boot alone, or
    a boot medium as CD or USB stick, with no network boot at all."""

    PXE = "pxe"
    HTTP = "http"
    CD = "cd"
    USB = "usb"


MEDIA = (Way.CD, Way.USB)


class NicModel(Enum):
    """Which card the machine has."""

    VIRTIO = "virtio"
    E1000 = "e1000"
    E1000E = "e1000e"


@frozen
class DiskOption:
    """One empty disk: ``size`` and ``sector`` in bytes; ``serial`` empty: made up from the machine's name."""

    bus: DiskBus
    size: int
    sector: int = 512
    serial: str = ""

    @classmethod
    def parse(cls, text: str) -> "DiskOption":
        """Read ``BUS,SIZE[,sector=512|4096][,serial=TEXT]``. Raises BadInput."""
        words = text.split(",")
        if len(words) < 2:
            raise _bad_disk(text, "a bus and a size are needed")
        bus, options = _word(DiskBus, words[0], text), _options(text, words[2:])
        try:
            size, sector = parse_size(words[1]), int(options.get("sector", "512"))
        except BadInput as error:
            raise _bad_disk(text, error.what) from None
        except ValueError:
            raise _bad_disk(text, f"{options['sector']!r} is not a sector size") from None
        serial = options.get("serial", "")
        if sector not in (512, 4096):
            raise _bad_disk(text, f"sectors have 512 or 4096 bytes, not {sector}")
        if bus is DiskBus.SATA and sector != 512:
            raise _bad_disk(text, "QEMU's SATA disks have sectors of 512 bytes only")
        if not MIB <= size <= _MAX_DISK or size % sector:
            raise _bad_disk(text, f"{words[1]!r} is not 1 MiB to 64 TiB in whole sectors")
        if "serial" in options and not _SERIAL.fullmatch(serial):
            raise _bad_disk(text, f"{serial!r} is not a serial number (1 to 20 letters, digits, '-', '_', '.')")
        return cls(bus, size, sector, serial)


@frozen
class MachineSpec:
    """A machine to rehearse on. ``memory`` in bytes. ``secure_boot``: UEFI that runs what Microsoft has signed.

    ``arch`` is its processor (uname -m): x86_64 or aarch64. ``screen``: with a graphics adapter.
    """

    firmware: Firmware = Firmware.BIOS
    disks: tuple[DiskOption, ...] = (DiskOption(DiskBus.VIRTIO, 8 * GIB),)
    nics: tuple[NicModel, ...] = (NicModel.VIRTIO,)
    memory: int = 2 * GIB
    cpus: int = 2
    way: Way = Way.PXE
    secure_boot: bool = False
    arch: str = "x86_64"
    screen: bool = False

    def __attrs_post_init__(self) -> None:
        if self.arch not in CONSOLES:
            raise BadInput(f"there is no machine for {self.arch!r} here", hint=f"There are {', '.join(CONSOLES)}.")
        if self.arch == "aarch64":
            self._check_arm()
        if self.firmware is Firmware.BIOS and (self.secure_boot or self.way is Way.HTTP):
            what = "a BIOS knows neither Secure Boot nor boot by HTTP"
            raise BadInput(what, where="--firmware bios", hint="--firmware uefi does.")
        if self.way is Way.HTTP and self.nics[0] is not NicModel.VIRTIO:
            raise BadInput("OVMF drives virtio only; other cards boot by an iPXE of their own", where="--boot http")

    def _check_arm(self) -> None:
        if self.firmware is Firmware.BIOS:
            raise BadInput("an ARM machine has no BIOS", where="--firmware bios", hint="--firmware uefi does.")
        if any(disk.bus is DiskBus.SATA for disk in self.disks):
            raise BadInput("QEMU's ARM machine has no SATA ports", where="--disk", hint="Use virtio, nvme or scsi.")


@frozen
class Identity:
    """What the machine says of itself: SMBIOS UUID and serial, one MAC per NIC."""

    name: str
    uuid: str
    serial: str
    macs: tuple[Mac, ...]


@frozen
class Attachments:
    """What on the host the machine is plugged into. Lists run beside those of the spec; all are paths but the taps.

    ``code`` and ``variables`` are UEFI's two flash chips, empty for BIOS. A disk that is pulled has an empty path.
    ``medium`` is a boot medium, or empty; ``medium_first``: somebody picks it in the firmware's menu.
    """

    accel: Accel
    taps: tuple[str, ...]
    disks: tuple[str, ...]
    console: str
    qmp: str
    code: str = ""
    variables: str = ""
    medium: str = ""
    medium_first: bool = False


def must_be_picked(spec: MachineSpec) -> bool:
    """A stick is a hard disk to a BIOS, which starts the first of those and no other (SeaBIOS, boot.c)."""
    return spec.way is Way.USB and spec.firmware is Firmware.BIOS


def medium_last(spec: MachineSpec) -> dict[str, object]:
    """Arguments of QMP's ``qom-set`` that put the medium behind the disks, from the machine's next reset on."""
    return {"path": f"/machine/peripheral/{_MEDIUM}", "property": "bootindex", "value": _DISK_BOOT + len(spec.disks)}


def identity(name: str, nics: int) -> Identity:
    """The same name gives the same machine: a second rehearsal finds what the first one's notes speak of."""
    digest = hashlib.sha256(name.encode()).digest()
    # 52:54 is QEMU's usual beginning; its second-lowest bit says "locally administered" (IEEE 802, section 8.2).
    macs = tuple(Mac.from_bytes(bytes((0x52, 0x54, *digest[:3], number))) for number in range(nics))
    return Identity(name, str(uuid.uuid5(_NAMES, name)), f"R{digest.hex()[:9].upper()}", macs)


def argv(spec: MachineSpec, who: Identity, where: Attachments) -> tuple[str, ...]:
    """The whole command: network first, then the disks in their order; console and QMP as ``where`` says."""
    return (
        f"qemu-system-{spec.arch}",
        "-name", who.name,
        "-nodefaults", "-no-user-config", "-display", "none", "-vga", "std" if spec.screen else "none",
        *processor(where.accel, spec.arch),
        "-smp", str(spec.cpus),
        "-m", str(spec.memory // MIB),
        *_firmware(spec, where),
        "-smbios",
        f"type=1,manufacturer=imaged,product=rehearsal,serial={who.serial},uuid={who.uuid}",
        "-chardev", f"file,id=console,path={quoted(where.console)},append=on",
        "-serial", "chardev:console",
        "-qmp", f"unix:{quoted(where.qmp)},server=on,wait=off",
        "-device", "virtio-rng-pci",
        *_nics(spec, who, where),
        *_disks(spec, who, where),
        *_medium(spec, where),
    )  # fmt: skip


def _firmware(spec: MachineSpec, where: Attachments) -> tuple[str, ...]:
    if spec.firmware is Firmware.BIOS:
        return "-machine", "q35,graphics=off"  # SeaBIOS, iPXE and GRUB then speak to the serial port
    # Without SMM the guest could write the variables behind the firmware's back.
    secure = ("q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")
    machine = secure if spec.secure_boot else ("q35",)
    if spec.arch == "aarch64":
        machine = ("virt,gic-version=max",)
    quiet = ("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n") if spec.way is Way.HTTP else ()
    return (
        "-machine", *machine, *quiet,
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={quoted(where.code)}",
        "-drive", f"if=pflash,unit=1,format=raw,file={quoted(where.variables)}",
        # OVMF would wait for DHCPv6 between a network boot that says "local" and the disk.
        "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n",
    )  # fmt: skip


def _nics(spec: MachineSpec, who: Identity, where: Attachments) -> tuple[str, ...]:
    return tuple(
        word
        for number, (model, mac, tap) in enumerate(zip(spec.nics, who.macs, where.taps, strict=True))
        for word in (
            "-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no",
            "-device", _nic(spec, model, number, mac),
        )
    )  # fmt: skip


def _nic(spec: MachineSpec, model: NicModel, number: int, mac: Mac) -> str:
    device = "virtio-net-pci" if model is NicModel.VIRTIO else model.value
    text = f"{device},netdev=net{number},mac={mac}"
    if spec.way in MEDIA:
        return text + ",romfile="
    if number == 0:
        text += f",bootindex={_NIC_BOOT}"
    # OVMF drives virtio itself: without the card's iPXE, its own PXE is what boots. For Intel's cards it has no
    # driver (edk2 leaves that to the option ROM), so they keep theirs.
    return text + ",romfile=" if spec.firmware is Firmware.UEFI and model is NicModel.VIRTIO else text


def _disks(spec: MachineSpec, who: Identity, where: Attachments) -> tuple[str, ...]:
    buses = {disk.bus for disk in spec.disks}
    words: tuple[str, ...] = ()
    if DiskBus.SCSI in buses:
        words += ("-device", "virtio-scsi-pci,id=scsi")
    if DiskBus.USB in buses:
        words += ("-device", "qemu-xhci,id=usb")
    sata = 0
    for number, (disk, path) in enumerate(zip(spec.disks, where.disks, strict=True)):
        port, sata = sata, sata + (disk.bus is DiskBus.SATA)
        if not path:
            continue
        words += (
            "-drive",
            f"if=none,id=disk{number},file={quoted(path)},format=raw,cache=unsafe,discard=unmap",
            "-device",
            f"{_disk_device(disk.bus, port)},drive=disk{number},serial={disk.serial or f'{who.serial}-{number}'}"
            f",logical_block_size={disk.sector},physical_block_size={disk.sector},bootindex={_DISK_BOOT + number}",
        )
    if sata > _SATA_PORTS:
        raise BadInput(f"{sata} SATA disks, and the machine has {_SATA_PORTS} ports", hint="Use another bus for some.")
    return words


def _medium(spec: MachineSpec, where: Attachments) -> tuple[str, ...]:
    """After the disks, unless somebody picks it: an empty disk starts nothing, an installed one itself."""
    if spec.way not in MEDIA:
        return ()
    drive = ("-drive", f"if=none,id=medium,file={quoted(where.medium)},format=raw,readonly=on")
    order = _NIC_BOOT if where.medium_first else _DISK_BOOT + len(spec.disks)
    device = f"id={_MEDIUM},drive=medium,bootindex={order}"
    if spec.way is Way.CD:
        return (*drive, "-device", "virtio-scsi-pci,id=cd", "-device", f"scsi-cd,bus=cd.0,{device}")
    return (*drive, "-device", "qemu-xhci,id=stick", "-device", f"usb-storage,bus=stick.0,{device}")


def _disk_device(bus: DiskBus, port: int) -> str:
    return {
        DiskBus.VIRTIO: "virtio-blk-pci",
        DiskBus.SATA: f"ide-hd,bus=ide.{port}",
        DiskBus.NVME: "nvme",
        DiskBus.SCSI: "scsi-hd,bus=scsi.0",
        DiskBus.USB: "usb-storage,bus=usb.0",
    }[bus]


def _options(text: str, words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in ("sector", "serial"):
            raise _bad_disk(text, f"{word!r} is not sector=... or serial=...")
        if key in options:
            raise _bad_disk(text, f"{key} is there twice")
        options[key] = value
    return options


def _word(kind: type[DiskBus], word: str, text: str) -> DiskBus:
    try:
        return kind(word)
    except ValueError:
        raise _bad_disk(text, f"{word!r} is not one of {', '.join(bus.value for bus in kind)}") from None


def _bad_disk(text: str, what: str) -> BadInput:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return BadInput(what, where=f"--disk {shown!r}", hint="Write it like virtio,8G or nvme,20G,sector=4096,serial=A1.")
