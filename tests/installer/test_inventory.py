"""Recorded udev properties become disks and NICs; see tests/data/inventories."""

import json
from pathlib import Path
from typing import Any

import pytest

from imaged.model.codec import from_plain
from imaged.model.hardware import Bus, Disk, Nic
from imaged.model.net import Mac
from installer.inventory import BlockDevice, NetDevice, bus, contents, disk, mounted, nic

RECORDED = Path(__file__).parents[1] / "data/inventories"


def load(path: Path) -> tuple[BlockDevice, Any]:
    data = json.loads(path.read_text())
    return BlockDevice(**{**data["device"], "partitions": tuple(data["device"]["partitions"])}), data["expected"]


@pytest.mark.parametrize("path", sorted(RECORDED.glob("disk-*.json")), ids=lambda path: path.stem)
def test_recorded_disks(path: Path) -> None:
    device, expected = load(path)
    assert disk(device) == from_plain(expected, Disk)


def test_every_bus_was_recorded() -> None:
    assert {load(path)[1]["bus"] for path in RECORDED.glob("disk-*.json")} == {each.value for each in Bus} - {"other"}


@pytest.mark.parametrize("path", sorted(RECORDED.glob("nic-*.json")), ids=lambda path: path.stem)
def test_recorded_nics(path: Path) -> None:
    data = json.loads(path.read_text())
    expected = from_plain(data["expected"], Nic) if data["expected"] else None
    assert nic(NetDevice(**data["device"])) == expected


SIZE = {"size": "8388608"}


@pytest.mark.parametrize(
    ("name", "properties", "attributes"),
    [
        ("loop0", {}, SIZE),
        ("ram3", {}, SIZE),
        ("zram0", {}, SIZE),
        ("dm-0", {}, SIZE),
        ("md127", {}, SIZE),
        ("sr0", {"ID_TYPE": "cd"}, SIZE),
        ("fd0", {}, SIZE),
        ("nbd0", {}, SIZE),
        ("mmcblk0boot0", {}, SIZE),
        ("mmcblk0rpmb", {}, SIZE),
        ("nvme0c0n1", {}, SIZE),
        ("nvme0n1", {}, {**SIZE, "hidden": "1"}),
        ("sda", {"ID_TYPE": "floppy", "ID_BUS": "usb"}, SIZE),
        ("sda", {"ID_TYPE": "disk"}, {"size": "0"}),  # a card reader without a card
        ("sda", {"ID_TYPE": "disk"}, {}),
    ],
)
def test_never_a_disk(name: str, properties: dict[str, str], attributes: dict[str, str]) -> None:
    assert disk(BlockDevice(name, properties, attributes)) is None


def test_why_it_must_not_be_touched_is_kept() -> None:
    found = disk(BlockDevice("sda", {}, {**SIZE, "ro": "1"}), "mounted on /media")
    assert found == Disk("/dev/sda", 2**32, read_only=True, in_use="mounted on /media")


PCI = "/devices/pci0000:00/0000:00:1f.2"


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("sda", {"ID_BUS": "ata", "DEVPATH": f"{PCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda"}, Bus.SATA),
        ("sda", {"ID_BUS": "ata", "DEVPATH": f"{PCI}/usb2/2-1/2-1:1.0/host6/block/sda"}, Bus.USB),  # UAS bridge
        (
            "sda",
            {"ID_BUS": "ata", "DEVPATH": f"{PCI}/host0/port-0:0/end_device-0:0/block/sda"},
            Bus.SATA,
        ),  # on a SAS HBA
        ("sda", {"ID_BUS": "scsi", "DEVPATH": f"{PCI}/host0/port-0:0/end_device-0:0/block/sda"}, Bus.SAS),
        ("sda", {"ID_BUS": "scsi", "ID_PATH": "pci-0000:02:00.0-sas-phy0-lun-0"}, Bus.SAS),
        ("sda", {"ID_BUS": "scsi", "DEVPATH": f"{PCI}/host0/target0:2:0/0:2:0:0/block/sda"}, Bus.OTHER),  # RAID volume
        ("sda", {"ID_BUS": "scsi", "DEVPATH": f"{PCI}/virtio3/host0/target0:0:0/block/sda"}, Bus.VIRTIO),
        ("xvda", {"DEVPATH": "/devices/vbd-768/block/xvda"}, Bus.OTHER),
    ],
)
def test_bus(name: str, properties: dict[str, str], expected: Bus) -> None:
    assert bus(name, properties) is expected


@pytest.mark.parametrize(
    ("properties", "partitions", "expected"),
    [
        ({}, (), ""),
        ({"ID_FS_TYPE": "LVM2_member"}, (), "LVM2_member without partitions"),
        ({"ID_PART_TABLE_TYPE": "gpt"}, (), "gpt, no partitions"),
        ({"ID_PART_TABLE_TYPE": "dos"}, ({"PARTN": "1"},), "msdos, 1 partition: unknown"),
        (
            {"ID_PART_TABLE_TYPE": "gpt"},
            (
                {"PARTN": "10", "ID_FS_TYPE": "swap"},
                {"PARTN": "2", "ID_FS_TYPE": "linux_raid_member"},
                {"PARTN": "1", "ID_FS_TYPE": "vfat"},
            ),
            "gpt, 3 partitions: vfat, linux_raid_member, swap",
        ),
    ],
)
def test_contents(properties: dict[str, str], partitions: tuple[dict[str, str], ...], expected: str) -> None:
    assert contents(properties, partitions) == expected


NIC = NetDevice(
    "eno1", {"ID_PATH": "pci-0000:01:00.0"}, {"address": "0c:c4:7a:00:00:01", "type": "1"}, "0c:c4:7a:00:00:02", "ixgbe"
)


def test_a_port_of_a_bond_keeps_its_own_address() -> None:
    assert nic(NIC) == Nic("eno1", Mac("0c:c4:7a:00:00:02"), "ixgbe", by_path="pci-0000:01:00.0")


@pytest.mark.parametrize(
    ("attributes", "permanent", "expected"),
    [
        ({"carrier": "1", "speed": "25000"}, "", Nic("eno1", Mac("0c:c4:7a:00:00:01"), "ixgbe", True, 25000)),
        ({"carrier": "0", "speed": "-1"}, "00:00:00:00:00:00", Nic("eno1", Mac("0c:c4:7a:00:00:01"), "ixgbe")),
        ({"speed": ""}, "", Nic("eno1", Mac("0c:c4:7a:00:00:01"), "ixgbe")),
    ],
)
def test_link(attributes: dict[str, str], permanent: str, expected: Nic) -> None:
    assert nic(NetDevice("eno1", {}, {**NIC.attributes, **attributes}, permanent, "ixgbe")) == expected


@pytest.mark.parametrize(
    "device",
    [
        NetDevice("bond0", {}, NIC.attributes, "", ""),
        NetDevice("wlp1s0", {"DEVTYPE": "wlan"}, NIC.attributes, "", "iwlwifi"),
        NetDevice("ib0", {}, {"address": "80:00:02:08:fe:80", "type": "32"}, "", "mlx5_core"),
        NetDevice("eno1", {}, {"address": "", "type": "1"}, "", "e1000e"),
        NetDevice("eno1", {}, {"address": "01:00:5e:00:00:01", "type": "1"}, "", "broken"),
    ],
)
def test_never_a_nic(device: NetDevice) -> None:
    assert nic(device) is None


def test_mounted() -> None:
    text = (
        "25 1 8:3 / / rw,relatime shared:1 - ext4 /dev/sda3 rw\n"
        "26 25 0:30 /sub /data\\040disk rw - btrfs /dev/sdb1 rw,subvol=/sub\n"
        "27 25 8:3 /var /mnt rw - ext4 /dev/sda3 rw\n"
        "28 25 0:5 / /proc rw - proc proc rw\n"
        "broken line\n"
    )
    found = mounted(text)
    assert found["8:3"] == "/"
    assert found["/dev/sdb1"] == "/data disk"
    assert "proc" not in found
