"""The agent's only importer of pyudev: reads the devices; what they mean is decided in ``inventory``."""

import array
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pyudev

from imaged.model.hardware import Disk, Inventory, Nic
from imaged.model.net import Mac
from installer import dmi, inventory
from installer.inventory import BlockDevice, NetDevice

_BLOCK = (
    "size", "ro", "removable", "hidden", "serial", "queue/logical_block_size", "queue/physical_block_size",
    "queue/rotational",
)  # fmt: skip
_NET = ("address", "type", "carrier", "speed")
_SIOCETHTOOL, _ETHTOOL_GPERMADDR, _ADDRESS_ROOM = 0x8946, 0x20, 32  # linux/sockios.h, linux/ethtool.h


def take(boot_mac: Mac | None) -> Inventory:
    """Everything a plan may depend on, but for what lies on the disks in arrays and groups."""
    return Inventory(
        arch=os.uname().machine,
        firmware=dmi.firmware(),
        memory=dmi.memory(),
        cpus=dmi.cpus(),
        cpu_model=dmi.cpu_model(),
        disks=disks(),
        nics=nics(),
        secure_boot=dmi.secure_boot(),
        smbios=dmi.smbios(),
        boot_mac=boot_mac,
        tpm2=dmi.tpm2(),
        efi_bits=dmi.efi_bits(),
    )


def disks() -> tuple[Disk, ...]:
    """All disks that something could be installed on, by path."""
    mounts = inventory.mounted(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    found = (
        inventory.disk(device, in_use(device.name, mounts) or inventory.boot_medium(device.properties))
        for device in block_devices()
    )
    return tuple(sorted((disk for disk in found if disk), key=lambda disk: (len(disk.path), disk.path)))


def nics() -> tuple[Nic, ...]:
    """All NICs with hardware of their own, by name."""
    found = (inventory.nic(device) for device in net_devices())
    return tuple(sorted((nic for nic in found if nic), key=lambda nic: nic.name))


def block_devices() -> Iterator[BlockDevice]:
    """Every whole disk that udev knows."""
    context = pyudev.Context()
    for device in context.list_devices(subsystem="block", DEVTYPE="disk"):
        yield BlockDevice(
            name=device.sys_name,
            properties=dict(device.properties),
            attributes=_attributes(device, _BLOCK),
            partitions=tuple(
                dict(part.properties)
                for part in context.list_devices(subsystem="block", parent=device)
                if part.device_type == "partition"
            ),
        )


def holding(kind: str) -> tuple[str, ...]:
    """Paths of disks and partitions with that content (udev's ID_FS_TYPE)."""
    devices = pyudev.Context().list_devices(subsystem="block", ID_FS_TYPE=kind)
    return tuple(sorted(str(device.device_node) for device in devices))


def net_devices() -> Iterator[NetDevice]:
    """Every interface that udev knows; an SR-IOV virtual function is none of the machine's own."""
    for device in pyudev.Context().list_devices(subsystem="net"):
        hardware = Path(device.sys_path, "device")
        if (hardware / "physfn").exists():
            continue
        driver = hardware / "driver"
        yield NetDevice(
            name=device.sys_name,
            properties=dict(device.properties),
            attributes=_attributes(device, _NET),
            permanent=_permanent_address(device.sys_name),
            driver=driver.resolve().name if driver.exists() else "",
        )


def in_use(name: str, mounts: dict[str, str]) -> str:
    """Why the disk must not be touched: it, a partition of it or something stacked on them is mounted."""
    for device in (name, *inventory.highest_first(name, above)):
        number = read(Path("/sys/class/block", device, "dev"))
        point = mounts.get(number) or mounts.get(f"/dev/{device}")
        if point:
            return f"mounted on {point}"
    return ""


def above(name: str) -> tuple[str, ...]:
    """What stands directly on a block device: its partitions, and what md and device-mapper have built on it."""
    place = Path("/sys/class/block", name).resolve()
    return (*(each.parent.name for each in place.glob("*/partition")), *(each.name for each in place.glob("holders/*")))


def _attributes(device: pyudev.Device, names: tuple[str, ...]) -> dict[str, str]:
    found = {name: read(Path(device.sys_path, name)) for name in names}
    if not found.get("serial"):
        found["serial"] = read(Path(device.sys_path, "device/serial"))
    return {name: value for name, value in found.items() if value}


def _permanent_address(name: str) -> str:
    """ethtool's ETHTOOL_GPERMADDR: sysfs shows the current address, which a bond or a driver may have replaced."""
    buffer = array.array("B", struct.pack("II", _ETHTOOL_GPERMADDR, _ADDRESS_ROOM) + bytes(_ADDRESS_ROOM))
    request = struct.pack("16sP", name.encode()[:15], buffer.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            fcntl.ioctl(channel, _SIOCETHTOOL, request.ljust(40, b"\0"))
        except OSError:
            return ""
    size = struct.unpack_from("II", buffer)[1]
    return bytes(buffer[8 : 8 + size]).hex(":") if size == 6 else ""


def read(path: Path) -> str:
    """A file of sysfs, without its newline; empty where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # carrier and speed answer EINVAL while the interface is down
        return ""
