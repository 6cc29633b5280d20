"""Disks as people are told of them."""

import pytest

from imaged.model.hardware import Bus, Disk, partition_path
from imaged.model.size import GIB


@pytest.mark.parametrize(
    ("disk", "number", "expected"),
    [
        ("/dev/sda", 1, "/dev/sda1"),
        ("/dev/vda", 12, "/dev/vda12"),
        ("/dev/nvme0n1", 1, "/dev/nvme0n1p1"),
        ("/dev/mmcblk0", 2, "/dev/mmcblk0p2"),
    ],
)
def test_names_of_partitions(disk: str, number: int, expected: str) -> None:
    assert partition_path(disk, number) == expected


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (Disk("/dev/sda", 20 * GIB, model="M", serial="S"), "/dev/sda (M serial S, 20 GiB)"),
        (Disk("/dev/sda", 20 * GIB, model="M"), "/dev/sda (M, 20 GiB)"),
        (Disk("/dev/vda", 20 * GIB, bus=Bus.VIRTIO), "/dev/vda (virtio, 20 GiB)"),
    ],
)
def test_a_disk_names_itself(disk: Disk, expected: str) -> None:
    assert str(disk) == expected
