"""PURE: what is on a disk, from what lsblk(8) and blkid(8) say, and which root filesystem on it is meant."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from imaged.model.errors import BadInput, ImagedError, NotFound
from imaged.model.size import format_size

MOUNTABLE = {"ext2", "ext3", "ext4", "xfs", "btrfs"}  # that a root may be on
ESP, XBOOTLDR = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "bc13c2ff-59e6-4262-a352-b275fd6f7172"
_WINDOWS = {"ntfs", "BitLocker", "ReFS"}
_MEMBERS = {"LVM2_member": "LVM", "linux_raid_member": "RAID"}  # what is on them is listed by itself
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_DEVICE = re.compile(r"(?:/dev/)?(?:[shv]d[a-z]+|xvd[a-z]+|(?:nvme\d+n|mmcblk|loop)\d+p)(\d+)")
_OS_FILES = ("etc/os-release", "etc/redhat-release", "etc/debian_version", "etc/SuSE-release", "etc/alpine-release")
_INITS = ("sbin/init", "init", "usr/sbin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd")


@frozen
class Volume:
    """A whole disk, partition, logical volume or RAID array.

    ``name`` is what people call it: the number of a partition, ``vg/lv``, ``md127``, ``disk``. ``size`` in bytes;
    ``fs`` as blkid calls it, empty when nothing is recognized.
    """

    name: str
    device: str
    size: int
    fs: str = ""
    uuid: str = ""
    label: str = ""
    number: str = ""
    partuuid: str = ""
    partlabel: str = ""
    parttype: str = ""

    def __str__(self) -> str:
        words = (
            self.fs or "nothing that is known",
            format_size(self.size),
            f"LABEL={self.label}" if self.label else "",
        )
        kind = "partition " if self.number else ""
        return f"{kind}{self.name}: {', '.join(word for word in words if word)}"


@frozen
class Root:
    """A root filesystem. ``subvolume`` of btrfs, empty: the default one; ``system``: what it says it is."""

    volume: Volume
    subvolume: str = ""
    system: str = ""

    @property
    def name(self) -> str:
        """What ``--partition`` takes."""
        return f"{self.volume.name}:{self.subvolume}" if self.subvolume else self.volume.name

    def __str__(self) -> str:
        return f"{self.name}: {self.system or 'a system without a name'} ({self.volume})"


@frozen
class Block:
    """A line of lsblk's: ``kind`` is disk, part, lvm, raid1 and so on; ``size`` in bytes."""

    device: str
    kind: str
    size: int


LSBLK = ("lsblk", "--json", "--list", "--bytes", "--paths", "--output", "NAME,TYPE,SIZE")


def blocks(lsblk: str) -> tuple[Block, ...]:
    """What LSBLK printed, each device once: an array stands under all of its members."""
    found: dict[str, Block] = {}
    for each in json.loads(lsblk or '{"blockdevices": []}')["blockdevices"]:
        found.setdefault(each["name"], Block(each["name"], each["type"], int(each["size"] or 0)))
    return tuple(found.values())


def properties(blkid: str) -> dict[str, str]:
    """What ``blkid -p -o udev`` printed, decoded."""
    pairs = (line.partition("=") for line in blkid.splitlines())
    return {key: _decoded(value) for key, _, value in pairs}


def volume(block: Block, said: Mapping[str, str]) -> Volume:
    """The device with what blkid found on it."""
    number = said.get("ID_PART_ENTRY_NUMBER", "") if block.kind == "part" else ""
    return Volume(
        name=number or name_of(block),
        device=block.device,
        size=block.size,
        fs=said.get("ID_FS_TYPE", ""),
        uuid=said.get("ID_FS_UUID_ENC", ""),
        label=said.get("ID_FS_LABEL_ENC", ""),
        number=number,
        partuuid=said.get("ID_PART_ENTRY_UUID", ""),
        partlabel=said.get("ID_PART_ENTRY_NAME", ""),
        parttype=said.get("ID_PART_ENTRY_TYPE", ""),
    )


def name_of(block: Block) -> str:
    """``vg/lv``, ``md127``, ``disk``."""
    base = block.device.rpartition("/")[2]
    if block.kind == "lvm":
        # device-mapper parts the two with a dash and doubles those that belong to the names (lvm(8)).
        group, _, logical = base.replace("--", "\0").partition("-")
        return f"{group}/{logical}".replace("\0", "-")
    return "disk" if block.kind in ("disk", "loop") else base


def is_root(names: Iterable[str]) -> bool:
    """Whether a filesystem on which these of ROOT_SIGNS exist is a root: it says what it is, or how it starts.

    A link counts as it is: with /usr on a filesystem of its own, most of these lead to nothing yet.
    """
    found = set(names)
    system, starts = found & set(_OS_FILES), found & set(_INITS)
    return bool("etc/fstab" in found and (system or starts)) or bool(system and starts)


ROOT_SIGNS = ("etc/fstab", *_OS_FILES, *_INITS)


def system_name(os_release: str) -> str:
    """PRETTY_NAME of os-release(5)."""
    match = re.search(r"^PRETTY_NAME=(['\"]?)(.*?)\1\s*$", os_release, re.MULTILINE)
    return match[2] if match else ""


def choose(roots: Sequence[Root], wanted: str, volumes: Sequence[Volume], notes: Sequence[str]) -> Root:
    """The root that is meant. Raises NotFound that tells all that was found, or BadInput that lists several roots."""
    if not roots:
        raise nothing_found(volumes, notes)
    fitting = [root for root in roots if wanted in _names(root) or _number(wanted) == root.volume.number != ""]
    if wanted and not fitting:
        raise NotFound(f"there is no root filesystem on {wanted}", hint="\n  ".join(("Roots are on", *map(str, roots))))
    candidates = fitting if wanted else list(roots)
    if len(candidates) > 1:
        raise BadInput(
            "there are several root filesystems",
            hint="\n  ".join((f"Choose one with --partition, for example --partition {candidates[0].name}.",
                              *map(str, candidates))),
        )  # fmt: skip
    return candidates[0]


def nothing_found(volumes: Sequence[Volume], notes: Sequence[str]) -> ImagedError:
    """Why there is no root: the likely reason first, then everything that is there."""
    kinds = {volume.fs for volume in volumes}
    found = "\n  ".join(("Found:", *map(str, volumes), *notes)) if volumes else "\n  ".join(("It is empty.", *notes))
    if "crypto_LUKS" in kinds:
        return BadInput("it is encrypted (LUKS)", hint=f"Decrypt it first.\n  {found}")
    if kinds & _WINDOWS:
        return BadInput("this is a Windows disk", hint=f"Images are of Linux systems.\n  {found}")
    if "zfs_member" in kinds:
        return BadInput("its root is on ZFS, which is not read", hint=f"Copy it with tar instead.\n  {found}")
    return NotFound("there is no root filesystem (one with /etc/fstab and a system)", hint=found)


def worth_telling(volumes: Iterable[Volume]) -> tuple[Volume, ...]:
    """Without those that are only made of others, unless nothing was made of them."""
    return tuple(each for each in volumes if each.fs or each.number)


def _names(root: Root) -> set[str]:
    volume = root.volume
    found = {root.name, volume.name, volume.device, volume.uuid, volume.label, volume.partuuid, volume.partlabel}
    found |= {f"/dev/{volume.name}", f"UUID={volume.uuid}", f"LABEL={volume.label}", f"PARTUUID={volume.partuuid}"}
    return found - {""}


def _number(wanted: str) -> str:
    """The disk is one: whatever it was called where it came from, its partitions keep their numbers."""
    match = _DEVICE.fullmatch(wanted)
    return match[1] if match else ""


def _decoded(text: str) -> str:
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return raw.encode("latin-1").decode(errors="replace")
    except UnicodeEncodeError:
        return raw
