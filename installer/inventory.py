"""PURE: udev's properties and sysfs attributes become Disk and Nic values."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen

from imaged.model.hardware import Bus, Disk, Nic
from imaged.model.net import Mac
from installer.found import TABLES, decoded, partition

_NEVER = re.compile(
    r"(loop|ram|zram|dm-|md|sr|fd|nbd|mtdblock|drbd|rbd|bcache)\d|mmcblk\d+(boot|rpmb|gp)|nvme\d+c\d+n\d"
)
_NO_DISK = ("cd", "floppy", "tape")
_TABLES = {"dos": "msdos"}  # udev's word, ours
_SECTOR = 512  # sysfs counts in these whatever the disk's sectors are (Documentation/ABI/stable/sysfs-block)


@frozen
class BlockDevice:
    """A whole disk as udev and sysfs show it. ``attributes`` are paths below its sysfs directory."""

    name: str
    properties: Mapping[str, str]
    attributes: Mapping[str, str]
    partitions: tuple[Mapping[str, str], ...] = ()


@frozen
class NetDevice:
    """An interface as udev and sysfs show it. ``permanent`` is what the driver says the burnt-in address is."""

    name: str
    properties: Mapping[str, str]
    attributes: Mapping[str, str]
    permanent: str = ""
    driver: str = ""


def disk(device: BlockDevice, in_use: str = "") -> Disk | None:
    """The disk, or None for what can never be installed on: loops, ram, stacked, optical, empty card readers."""
    udev, attribute = device.properties, device.attributes
    size = _number(attribute, "size") * _SECTOR
    if _NEVER.match(device.name) or udev.get("ID_TYPE") in _NO_DISK or attribute.get("hidden") == "1" or not size:
        return None
    return Disk(
        path=f"/dev/{device.name}",
        size=size,
        logical_sector=_number(attribute, "queue/logical_block_size") or _SECTOR,
        physical_sector=_number(attribute, "queue/physical_block_size") or _SECTOR,
        bus=bus(device.name, udev),
        rotational=attribute.get("queue/rotational") == "1",
        removable=attribute.get("removable") == "1",
        read_only=attribute.get("ro") == "1",
        model=_said(udev, "ID_MODEL") or udev.get("ID_NAME", ""),
        vendor=_said(udev, "ID_VENDOR"),
        serial=_serial(udev, attribute),
        wwn=udev.get("ID_WWN_WITH_EXTENSION") or udev.get("ID_WWN", ""),
        by_path=udev.get("ID_PATH", ""),
        in_use=in_use,
        contents=contents(udev, device.partitions),
        table=_table(udev),
        partitions=tuple(sorted(filter(None, map(partition, device.partitions)), key=lambda each: each.number)),
    )


def bus(name: str, udev: Mapping[str, str]) -> Bus:
    """How the disk hangs on the machine. The kernel's device path outranks ID_BUS: a SATA disk behind a USB bridge
    says ``ata``, one on virtio-scsi says ``scsi``."""
    path = udev.get("DEVPATH", "")
    if re.search(r"/usb\d+/", path):
        return Bus.USB
    if name.startswith("nvme"):
        return Bus.NVME
    if name.startswith("mmcblk"):
        return Bus.MMC
    if udev.get("ID_BUS") == "ata" or "/ata" in path:
        return Bus.SATA
    if name.startswith("vd") or re.search(r"/virtio\d+/", path):
        return Bus.VIRTIO
    if "/end_device-" in path or "-sas-" in udev.get("ID_PATH", ""):
        return Bus.SAS
    return Bus.OTHER


def contents(udev: Mapping[str, str], partitions: Sequence[Mapping[str, str]]) -> str:
    """For people: ``gpt, 3 partitions: vfat, ext4, swap``, ``xfs without partitions``, or nothing."""
    table, whole = udev.get("ID_PART_TABLE_TYPE", ""), udev.get("ID_FS_TYPE", "")
    if not table:
        return f"{whole} without partitions" if whole else ""
    count = len(partitions)
    if not count:
        return f"{_TABLES.get(table, table)}, no partitions"
    ordered = sorted(partitions, key=lambda each: _number(each, "PARTN"))
    kinds = ", ".join(each.get("ID_FS_TYPE") or "unknown" for each in ordered)
    return f"{_TABLES.get(table, table)}, {count} partition{'s' if count > 1 else ''}: {kinds}"


def nic(device: NetDevice) -> Nic | None:
    """The NIC, or None for what has no hardware of its own, is wireless or has no Ethernet address."""
    wireless = device.properties.get("DEVTYPE") in ("wlan", "wwan")
    if not device.driver or wireless or device.attributes.get("type") != "1":  # ARPHRD_ETHER
        return None
    address = device.permanent if device.permanent.strip("0:") else device.attributes.get("address", "")
    if not re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", address) or int(address[:2], 16) & 1:
        return None
    speed = _number(device.attributes, "speed")
    return Nic(
        name=device.name,
        mac=Mac.parse(address),
        driver=device.driver,
        link=device.attributes.get("carrier") == "1",
        speed=speed if speed > 0 else None,
        by_path=device.properties.get("ID_PATH", ""),
    )


def mounted(mountinfo: str) -> dict[str, str]:
    """Device number (``8:1``) or device path to mount point, from ``/proc/self/mountinfo`` (proc(5)).

    Both, because btrfs mounts carry an anonymous number.
    """
    found: dict[str, str] = {}
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) < 10 or "-" not in fields:
            continue
        point = octal(fields[4])
        found.setdefault(fields[2], point)
        source = fields[fields.index("-") + 2]
        if source.startswith("/dev/"):
            found.setdefault(octal(source), point)
    return found


def highest_first(name: str, above: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """Everything that is stacked on a block device, each before what it stands on: the order to take it apart."""
    found: list[str] = []

    def visit(device: str) -> None:
        for upper in above(device):
            if upper not in found:
                visit(upper)
                found.append(upper)

    visit(name)
    return tuple(found)


def octal(text: str) -> str:
    """``/proc/self/mountinfo`` writes blanks and backslashes as ``\\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _said(udev: Mapping[str, str], key: str) -> str:
    """The encoded form keeps the spaces that the plain one turns into underscores."""
    said = decoded(udev.get(f"{key}_ENC", "")) or udev.get(key, "").replace("_", " ")
    return " ".join(said.split())


def _table(udev: Mapping[str, str]) -> str:
    table = udev.get("ID_PART_TABLE_TYPE", "")
    return table if table in TABLES else ""


def _serial(udev: Mapping[str, str], attributes: Mapping[str, str]) -> str:
    """SAS disks: ID_SERIAL_SHORT is the WWN there, ID_SCSI_SERIAL is what the label shows."""
    for key in ("ID_SCSI_SERIAL", "ID_SERIAL_SHORT"):
        if udev.get(key):
            return udev[key].strip()
    return (attributes.get("serial") or udev.get("ID_SERIAL") or "").strip()


def _number(attributes: Mapping[str, str], key: str) -> int:
    try:
        return int(attributes.get(key, "0"))
    except ValueError:  # speed reads as nothing while the interface is down
        return 0
