"""What is to become an image: known by its first bytes and by what lies in it, never by its name. Pure.

Archives are unpacked with the tree as their root (``origins.unpacking``). So the commands here may take names as they
are: ``/etc``, ``../..`` and links lead where a machine with that root would find itself, never out of it.
"""

import re
from collections.abc import Collection, Mapping
from enum import Enum

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.image import ImageFacts
from imaged.planning.build import unfit

HEAD = 1 << 20  # bytes that ``recognize`` wants
TAIL = 1024  # bytes that ``is_ended`` wants
_BLOCK = 512


class Packing(Enum):
    """How a stream is compressed; the value is the program that unpacks it."""

    NONE = "cat"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"


class Kind(Enum):
    """What a file is, once it is uncompressed; the value is for people."""

    TAR = "tar archive"
    SQUASHFS = "squashfs"
    DISK = "disk image"


class Holds(Enum):
    """What lies in a directory; the value is for people."""

    ROOT = "directory"
    OCI = "OCI layout"
    DOCKER = "docker archive"
    NESTED = "one directory"
    FILE = "one file"
    OTHER = "nothing known"


PACKAGES = {
    "bash": "bash", "bzip2": "bzip2", "gzip": "gzip", "rsync": "rsync", "tar": "tar", "unsquashfs": "squashfs-tools",
    "xz": "xz-utils", "zstd": "zstd",
}  # fmt: skip
_PACKINGS = {
    b"\x1f\x8b": Packing.GZIP,
    b"BZh": Packing.BZIP2,
    b"\xfd7zXZ\0": Packing.XZ,
    b"\x28\xb5\x2f\xfd": Packing.ZSTD,
}
# qcow2, vmdk (sparse, text, ESX), vdi, vhdx, vhd, qed; GPT of 512 and 4096 byte sectors; LVM; LUKS; xfs, ext, btrfs.
_DISKS = (
    (0, b"QFI\xfb"), (0, b"KDMV"), (0, b"# Disk DescriptorFile"), (0, b"COWD"), (64, b"\x7f\x10\xda\xbe"),
    (0, b"vhdxfile"), (0, b"conectix"), (0, b"QED\0"), (512, b"EFI PART"), (4096, b"EFI PART"), (512, b"LABELONE"),
    (0, b"LUKS\xba\xbe"), (0, b"XFSB"), (1080, b"\x53\xef"), (65600, b"_BHRfS_M"), (510, b"\x55\xaa"),
)  # fmt: skip
_TAR_OF_IT = "Unpack it into a directory, as root, and import that."
_OTHERS = (
    (32769, b"CD001", "a CD or DVD image (ISO 9660)", "Import the root that is in it (often a squashfs), or a disk."),
    (0, b"070701", "a cpio archive", _TAR_OF_IT),
    (0, b"070702", "a cpio archive", _TAR_OF_IT),
    (0, b"PK\3\4", "a zip archive, which does not keep owners and modes", "Make a tar archive of the tree."),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive, which does not keep owners", "Make a tar archive of the tree."),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4", "Unpack it first: lz4 -d FILE"),
    (0, b"\xed\xab\xee\xdb", "an RPM package", "`imaged buildimage` makes images from packages."),
    (0, b"!<arch>\n", "a Debian package or a library", "`imaged buildimage` makes images from packages."),
    (0, b"MSWIM\0\0\0", "a Windows image (wim)", ""),
)
_HINT = "It can be a tar archive (also gz, bz2, xz, zst), a squashfs, an OCI archive or layout, a disk or a directory."


def packing(head: bytes) -> Packing:
    """How a file is compressed."""
    return next((kind for magic, kind in _PACKINGS.items() if head.startswith(magic)), Packing.NONE)


def recognize(head: bytes) -> Kind:
    """What an uncompressed file is that begins with ``head`` (HEAD bytes or all of it). Raises BadInput."""
    if is_tar(head):
        return Kind.TAR
    if head.startswith(b"hsqs"):
        return Kind.SQUASHFS
    for offset, magic, name, hint in _OTHERS:
        if head[offset:].startswith(magic):
            raise BadInput(f"is {name}", hint=hint)
    if any(head[offset:].startswith(magic) for offset, magic in _DISKS):
        return Kind.DISK
    if not head.strip(b"\0"):
        raise BadInput("is empty" if not head else "begins with nothing but zeros: no archive, no disk", hint=_HINT)
    raise BadInput("is nothing that an image can be made of", hint=_HINT)


def is_tar(head: bytes) -> bool:
    """Whether the first header's checksum is right: tar archives older than POSIX have no magic (tar(5))."""
    field = head[148:156].strip(b" \0")
    if len(head) < _BLOCK or not re.fullmatch(rb"[0-7]{1,7}", field):
        return False
    return sum(head[:148]) + 8 * ord(" ") + sum(head[156:_BLOCK]) == int(field, 8)


def is_ended(tail: bytes) -> bool:
    """Whether a tar archive's last bytes (TAIL of them) are its end mark, two blocks of zeros.

    tar(1) takes one that was cut off between two files for whole.
    """
    return len(tail) == TAIL and not tail.strip(b"\0")


def holds(directories: Collection[str], others: Collection[str]) -> Holds:
    """What a directory is, by the names in it. Links to directories, as /bin often is, are ``others``."""
    names = {*directories, *others}
    if "etc" in directories and names & {"usr", "bin"}:
        return Holds.ROOT
    if "oci-layout" in others and "index.json" in others:
        return Holds.OCI
    if "manifest.json" in others:
        return Holds.DOCKER
    if len(names) == 1:
        return Holds.NESTED if directories else Holds.FILE
    return Holds.OTHER


def faults(facts: ImageFacts, *, init: bool, ssh: bool) -> tuple[str, ...]:
    """Why a machine with this tree would not start, or could not be reached; empty when it would."""
    found = list(unfit(facts))
    if not facts.arch:
        found.append("there is no /bin/sh in it that tells for which processor it is")
    if not init:
        found.append("there is no /sbin/init in it (package: systemd-sysv)")
    if not ssh:
        found.append("there is no ssh server in it (package: openssh-server)")
    return tuple(found)


_SYSTEMIMAGER = "/etc/systemimager/"
# What SystemImager leaves in its images, and what of ours is in its place.
LEGACY: Mapping[str, str] = {
    f"{_SYSTEMIMAGER}autoinstallscript.conf": "SystemImager's disk layout: write it as a layout (docs/layouts.md)",
    f"{_SYSTEMIMAGER}disks-layout.xml": "SystemImager's disk layout: write it as a layout (docs/layouts.md)",
    f"{_SYSTEMIMAGER}updateclient.local.exclude": "paths that updates left alone: protect them (docs/overrides.md)",
    f"{_SYSTEMIMAGER}boot": "SystemImager's boot kernel and ramdisk (UYOK, boel): `imaged mkramdisk` has its own",
    "/etc/systemconfig/systemconfig.conf": "SystemConfigurator's settings: the plan's fixups do that",
}


@frozen
class Unpacker:
    """A program that fills the directory in which it is started, with its own root there.

    ``source`` in ``argv`` is replaced by the place of the file; without it, the file comes as the program's input.
    """

    program: str
    argv: tuple[str, ...]


SOURCE = "{source}"
# Times of directories are set at the end: an archive may come back to one.
_TAR = (
    "--extract", "--file=-", "--absolute-names", "--preserve-permissions", "--same-owner", "--numeric-owner", "--acls",
    "--selinux", "--xattrs", "--xattrs-include=*", "--sparse", "--delay-directory-restore", "--no-unquote",
    "--warning=no-timestamp", "--warning=no-unknown-keyword", "--checkpoint=1000",
)  # fmt: skip


def untar(*, layer: bool = False) -> Unpacker:
    """Everything that makes a file. A ``layer``'s marks for what is gone are not files (OCI image-spec, layer.md)."""
    return Unpacker("tar", (*_TAR, *(("--exclude=.wh.*",) if layer else ())))


def unsquash() -> Unpacker:
    """unsquashfs(1)."""
    options = ("-no-progress", "-strict-errors", "-xattrs", "-force", "-dest", "/")
    return Unpacker("unsquashfs", (*options, SOURCE))


def unpack_argv(kind: Packing) -> tuple[str, ...]:
    """The program that uncompresses its input. Levels above 19 of zstd need more memory than it takes by itself."""
    if kind is Packing.NONE:
        return ("cat",)
    return (kind.value, "-dc", *(("--long=31",) if kind is Packing.ZSTD else ()))


def copy_argv(source: str, into: str) -> tuple[str, ...]:
    """A directory's content, without what is mounted in it. rsync ends with us."""
    what = ("-aHAXSx", "--numeric-ids", "--modify-window=-1", "--info=name0")
    return ("setpriv", "--pdeathsig", "TERM", "rsync", *what, "--", f"{source.rstrip('/')}/", f"{into}/")


_CHECKPOINT = re.compile(r"\S*tar: Read checkpoint (\d+)")


def bytes_read(line: str) -> int | None:
    """How far tar(1) is: bytes of the archive, or None for another line. It counts records of 20 blocks."""
    match = _CHECKPOINT.fullmatch(line)
    return int(match[1]) * 20 * _BLOCK if match else None


_TOLD = re.compile(r"\S*(?:tar|unsquashfs): ")
_LOSS = re.compile(r"(?:Cannot set|Cannot change|[Ff]ailed to write xattr|could not (?:set|write) xattr)")
_HARMLESS = re.compile(r"Removing leading|Exiting with failure status|Error is not recoverable")


def is_loss(line: str) -> bool:
    """Whether a tool says that something of a file could not be set, which by itself fails nothing."""
    return bool(_LOSS.search(line))


def is_trouble(line: str) -> bool:
    """Whether a line tells what is wrong with an archive, rather than how far it is."""
    return bool(line.strip()) and bytes_read(line) is None and not _HARMLESS.search(line)


def without_program(line: str) -> str:
    """``/.imaged-x/tar: Unexpected EOF in archive``, as people know it."""
    return _TOLD.sub("", line, count=1)


def in_short(line: str) -> str:
    """A line that fits a screen: a path may have 4096 bytes, and the fault is at the end."""
    return line if len(line) <= 200 else f"{line[:80]} ... {line[-110:]}"
