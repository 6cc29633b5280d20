"""Headers of disk images, as qemu-img writes them and as somebody who wants our files would."""

import struct

import pytest

from imaged.model.errors import BadInput
from imaged.planning.disk_format import DiskFormat, DiskImage, recognize

SIZE = 10 << 20


def qcow2(version: int = 3, *, backing: int = 0, crypt: int = 0, features: int = 0, size: int = SIZE) -> bytes:
    head = struct.pack(">4sIQIIQI", b"QFI\xfb", version, backing, 9 if backing else 0, 16, size, crypt)
    return head.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(1000)


def vmdk(descriptor: str, *, version: int = 1, capacity: int = SIZE // 512) -> bytes:
    head = struct.pack("<4sIIQQQQ", b"KDMV", version, 3, capacity, 128, 1, 20)
    return head.ljust(512, b"\0") + descriptor.encode().ljust(20 * 512, b"\0")


ALONE = '# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType="monolithicSparse"\n'


@pytest.mark.parametrize(
    ("head", "length", "expected"),
    [
        (bytes(4096), 4096, DiskImage(DiskFormat.RAW, 4096)),
        (bytes(4096), 4097, DiskImage(DiskFormat.RAW, 4608)),
        (bytes(510) + b"\x55\xaa" + b"QFI\xfb", 1 << 20, DiskImage(DiskFormat.RAW, 1 << 20)),
        (qcow2(), 5, DiskImage(DiskFormat.QCOW2, SIZE)),
        (qcow2(2), 5, DiskImage(DiskFormat.QCOW2, SIZE)),
        (qcow2(features=1), 5, DiskImage(DiskFormat.QCOW2, SIZE)),
        (vmdk(ALONE), 5, DiskImage(DiskFormat.VMDK, SIZE)),
        (vmdk(ALONE.replace("monolithicSparse", "streamOptimized"), version=3), 5, DiskImage(DiskFormat.VMDK, SIZE)),
    ],
)
def test_what_stands_alone_is_read(head: bytes, length: int, expected: DiskImage) -> None:
    assert recognize(head, length) == expected


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "is no disk: it has 0 bytes"),
        (bytes(100), "is no disk: it has 100 bytes"),
        (b"QFI\xfb\0\0", "is a qcow2 that ends within its header"),
        (qcow2(1), "is a qcow image of version 1"),
        (qcow2(size=0), "is a disk of no size"),
        (qcow2(backing=256), "is a qcow2 that holds only what differs from another file (its backing file)"),
        (qcow2(2, backing=256), "is a qcow2 that holds only what differs from another file (its backing file)"),
        (qcow2(features=0b100), "is a qcow2 whose data is in another file"),
        (qcow2(features=0b10), "is marked as corrupt"),
        (qcow2(features=1 << 40), "is a qcow2 with features that are not known (0x10000000000)"),
        (qcow2(crypt=2), "is an encrypted qcow2"),
        (vmdk(ALONE)[:100], "is a vmdk that ends within its header"),
        (vmdk(ALONE, capacity=0), "is a vmdk that needs other files"),
        (vmdk(ALONE.replace("ffffffff", "12345678")), "is a vmdk that needs other files"),
        (vmdk(ALONE.replace("monolithicSparse", "monolithicFlat")), "is a vmdk that needs other files"),
        (vmdk(""), "is a vmdk that needs other files"),
        (ALONE.encode(), "is a vmdk in several files"),
        (b"LUKS\xba\xbe".ljust(4096), "is encrypted (LUKS)"),
        (b"vhdxfile".ljust(4096), "is a Hyper-V disk (vhdx)"),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(4096), "is a VirtualBox disk (vdi)"),
        (b"\x1f\x8b".ljust(4096), "is compressed (gzip)"),
        (b"\x28\xb5\x2f\xfd".ljust(4096), "is compressed (zstd)"),
    ],
)
def test_what_needs_more_than_itself_is_refused(head: bytes, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        recognize(head, len(head))
    assert caught.value.what == reason
