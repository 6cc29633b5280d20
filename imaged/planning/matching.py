"""Whether one disk meets the conditions of a layout, and in which order disks come. Pure."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from imaged.model.hardware import Disk
from imaged.model.match import Match

_NOT_DISKS = ("/dev/loop", "/dev/ram", "/dev/zram", "/dev/sr", "/dev/fd", "/dev/nbd", "/dev/dm-", "/dev/md")
_EMMC_PARTS = re.compile(r"/dev/mmcblk[0-9]+(boot[0-9]+|rpmb|gp[0-9]+)")  # the kernel shows them as disks


def unusable(disk: Disk) -> str:
    """Why no layout may ever have this disk; empty when one may."""
    if disk.path.startswith(_NOT_DISKS) or _EMMC_PARTS.fullmatch(disk.path):
        return "is not a disk of its own"
    if disk.size <= 0:
        return "has no medium"
    if disk.read_only:
        return "is read-only"
    return f"is in use ({disk.in_use})" if disk.in_use else ""


def mismatches(match: Match, disk: Disk) -> Iterator[str]:
    """Every condition of ``match`` that ``disk`` does not meet, in words."""
    if match.bus and disk.bus not in match.bus:
        yield f"bus is {disk.bus.value}, not {' or '.join(bus.value for bus in match.bus)}"
    if match.rotational is not None and disk.rotational is not match.rotational:
        yield "is rotational" if disk.rotational else "is not rotational"
    if disk.removable is not match.removable:
        yield "is removable" if disk.removable else "is not removable"
    if match.size and not match.size.holds(disk.size):
        yield f"size is not {match.size}"
    if match.sector not in (None, disk.logical_sector):
        yield f"sector is {disk.logical_sector}, not {match.sector}"
    for key, patterns, found in _texts(match, disk):
        if patterns and not any(_fits(pattern, found) for pattern in patterns):
            yield f"{key} is {found!r}, not {' or '.join(map(repr, patterns))}"


def natural(path: str) -> tuple[tuple[int, str], ...]:
    """``ata-2`` before ``ata-10``: digits count as the numbers they are."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", path))


def in_order(disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """By place in the machine; those without one behind, by identity. The kernel's names change from boot to boot."""
    return tuple(sorted(disks, key=lambda disk: (not disk.by_path, natural(disk.by_path), *_identity(disk))))


def _identity(disk: Disk) -> tuple[str, str, tuple[tuple[int, str], ...]]:
    return disk.wwn, disk.serial, natural(disk.path)


def _texts(match: Match, disk: Disk) -> Iterator[tuple[str, Sequence[str], str]]:
    yield "model", [_blanks(pattern) for pattern in match.model], _blanks(disk.model)
    yield "vendor", [_blanks(pattern) for pattern in match.vendor], _blanks(disk.vendor)
    yield "serial", match.serial, disk.serial
    yield "wwn", match.wwn, disk.wwn
    yield "path", [pattern.removeprefix("/dev/disk/by-path/") for pattern in match.path], disk.by_path


def _blanks(text: str) -> str:
    """udev's ID_MODEL has ``_`` where the disk's own text has a blank; people write either."""
    return text.replace("_", " ").strip()


def _fits(pattern: str, text: str) -> bool:
    return fnmatchcase(text.lower(), pattern.lower())
