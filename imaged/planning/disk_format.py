"""PURE: what format a disk image is in, by its first bytes, and whether it stands alone.

QEMU itself must never guess: a guest that wrote a qcow2 header to its raw disk would choose which files of the host are
read (docs/system/qemu-block-drivers, "format probing"). Every format but raw can name other files; those are refused.
"""

import re
import struct
from enum import Enum

from attrs import frozen

from imaged.model.errors import BadInput

HEAD = 1 << 20  # bytes that ``recognize`` wants; vmdk's descriptor is in them
_SECTOR = 512
_CONVERT = "Make a qcow2 of it: qemu-img convert -O qcow2 {} disk.qcow2"
# Others' magic words: offset, bytes, what it is, what QEMU calls it (empty: it is no disk).
_OTHERS = (
    (0, b"# Disk DescriptorFile", "a vmdk in several files", "-f vmdk"),
    (0, b"COWD", "an ESX vmdk", "-f vmdk"),
    (64, b"\x7f\x10\xda\xbe", "a VirtualBox disk (vdi)", "-f vdi"),
    (0, b"vhdxfile", "a Hyper-V disk (vhdx)", "-f vhdx"),
    (0, b"conectix", "a Virtual PC disk (vhd)", "-f vpc"),
    (0, b"QED\0", "a QED disk", "-f qed"),
    (0, b"\x1f\x8b", "compressed (gzip)", ""),
    (0, b"BZh", "compressed (bzip2)", ""),
    (0, b"\xfd7zXZ\0", "compressed (xz)", ""),
    (0, b"\x28\xb5\x2f\xfd", "compressed (zstd)", ""),
)
_KNOWN_FEATURES = 0b11111  # dirty, corrupt, external data file, compression type, extended L2 entries
_CORRUPT, _DATA_FILE = 0b10, 0b100


class DiskFormat(Enum):
    """As QEMU's block drivers are called."""

    RAW = "raw"
    QCOW2 = "qcow2"
    VMDK = "vmdk"


@frozen
class DiskImage:
    """A disk in one file. ``size`` is the disk's own, in bytes, whole sectors."""

    format: DiskFormat
    size: int


def recognize(head: bytes, length: int) -> DiskImage:
    """What the file of ``length`` bytes that begins with ``head`` (HEAD bytes or all of it) is.

    Raises BadInput for what has to be converted, decrypted or joined with other files first.
    """
    if head.startswith(b"QFI\xfb"):
        return _qcow2(head)
    if head.startswith(b"KDMV"):
        return _vmdk(head)
    if head.startswith(b"LUKS\xba\xbe"):
        raise BadInput("is encrypted (LUKS)", hint="Decrypt it first.")
    for offset, magic, name, option in _OTHERS:
        if head[offset:].startswith(magic):
            raise BadInput(f"is {name}", hint=_CONVERT.format(f"{option} FILE") if option else "Unpack it first.")
    if length < _SECTOR:
        raise BadInput(f"is no disk: it has {length} bytes")
    return DiskImage(DiskFormat.RAW, _whole_sectors(length))


def _qcow2(head: bytes) -> DiskImage:
    """docs/interop/qcow2.rst of QEMU, "Header"."""
    if len(head) < 104:
        raise BadInput("is a qcow2 that ends within its header")
    version, backing, _, _, size, crypt = struct.unpack_from(">IQIIQI", head, 4)
    if version not in (2, 3):
        raise BadInput(f"is a qcow image of version {version}", hint=_CONVERT.format("-f qcow FILE"))
    features = struct.unpack_from(">Q", head, 72)[0] if version == 3 else 0
    if backing:
        raise BadInput(
            "is a qcow2 that holds only what differs from another file (its backing file)",
            hint="Make one file of both, where that one is: qemu-img convert -O qcow2 FILE disk.qcow2",
        )
    if features & _DATA_FILE:
        raise BadInput("is a qcow2 whose data is in another file", hint=_CONVERT.format("FILE"))
    if crypt:
        raise BadInput("is an encrypted qcow2", hint="Decrypt it first: qemu-img convert, with --object secret.")
    if features & _CORRUPT:
        raise BadInput("is marked as corrupt", hint="Repair a copy of it: qemu-img check -r all FILE")
    if features & ~_KNOWN_FEATURES:
        raise BadInput(f"is a qcow2 with features that are not known ({features:#x})")
    return DiskImage(DiskFormat.QCOW2, _whole_sectors(size))


def _vmdk(head: bytes) -> DiskImage:
    """Virtual Disk Format 5.0, "Hosted Sparse Extent Header" and "Text Descriptor"."""
    if len(head) < _SECTOR:
        raise BadInput("is a vmdk that ends within its header")
    version, _, capacity, _, begin, sectors = struct.unpack_from("<IIQQQQ", head, 4)
    descriptor = head[begin * _SECTOR : (begin + sectors) * _SECTOR] if begin else b""
    kind = re.search(rb'^\s*createType\s*=\s*"([^"]*)"', descriptor, re.MULTILINE)
    alone = kind is not None and kind[1] in (b"monolithicSparse", b"streamOptimized")
    parent = re.search(rb"^\s*parentCID\s*=\s*([0-9a-fA-F]+)", descriptor, re.MULTILINE)
    if version not in (1, 2, 3) or not capacity or not alone or (parent and parent[1].lower() != b"ffffffff"):
        raise BadInput("is a vmdk that needs other files", hint=_CONVERT.format("-f vmdk FILE"))
    return DiskImage(DiskFormat.VMDK, capacity * _SECTOR)


def _whole_sectors(size: int) -> int:
    if not size:
        raise BadInput("is a disk of no size")
    return size + -size % _SECTOR
