"""Taking an old disk apart: what stands on it is stopped, every signature that could come alive again removed."""

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from imaged.model.errors import Conflict
from imaged.model.plan import WipeDisk
from imaged.model.size import MIB
from installer.inventory import highest_first
from installer.process import Run
from installer.udev import above

_BLKRRPART = 0x125F  # linux/fs.h
_PART_OF_ARRAY = re.compile(r"md.*\dp\d+")  # goes with its array
_EDGE = MIB  # md 0.90 and ZFS keep their labels at the end of a device, all others near its start


def wipe(step: WipeDisk, run: Run) -> None:
    """Leave the disk without partitions and without anything that udev or the kernel recognises; with ``step.keep``
    that holds for what is outside of the kept partitions, and the table is left alone."""
    disk, name = step.disk, Path(step.disk.path).name
    partitions = {each: number(each) for each in above(name) if number(each)}
    stacked = condemned(name, partitions, step, above)
    stops = tuple(stop(stacked, swaps(Path("/proc/swaps").read_text()), mapped(stacked)))
    for argv in stops:
        run(argv)
    if stops:
        run(("udevadm", "settle"))
    doomed = tuple(each for each in partitions if each in stacked)
    extents = tuple(extent(each) for each in doomed)  # now: udev takes them away once the table is gone
    # Partitions first: wipefs on the whole disk removes the table, and with it the way to reach them.
    paths = (*(f"/dev/{each}" for each in doomed), *(() if step.keep else (disk.path,)))
    if paths:
        run(("wipefs", "--all", "--force", *paths))
    with held(disk.path) as device:
        clear(device, ends(disk.size, extents) if step.keep else edges(disk.size, extents))
        if not step.keep:
            fcntl.ioctl(device, _BLKRRPART)
    run(("udevadm", "settle"))


def condemned(
    name: str, partitions: Mapping[str, int], step: WipeDisk, above: Callable[[str], Iterable[str]]
) -> tuple[str, ...]:
    """All on the disk ``name`` that must go, highest first; ``partitions`` are the numbers of those that it has.

    Raises Conflict when a kept one is not there, or when something stands both on what is kept and on what goes.
    """
    if not step.keep:
        return highest_first(name, above)
    missing = set(step.keep) - set(partitions.values())
    if missing:
        raise Conflict(f"partition {min(missing)} is to be kept and is not there", where=str(step.disk))
    # An MBR's extended partition is no room of its own: its first sector chains the logical ones, kept or not.
    spared = {*step.keep, *(each.number for each in step.disk.partitions if each.is_extended)}
    kept = {device for each, number in partitions.items() if number in spared for device in highest_first(each, above)}
    found: dict[str, None] = {}
    for each, its_number in partitions.items():
        if its_number not in spared:
            found.update(dict.fromkeys((*highest_first(each, above), each)))
    both = kept & set(found)
    if both:
        what = f"{min(both)} stands on a partition that is kept and on one that is not"
        raise Conflict(what, where=str(step.disk), hint="Nothing was written.")
    return highest_first(name, lambda device: (each for each in above(device) if each in found))


def stop(stacked: Iterable[str], active_swaps: frozenset[str], names: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Commands that take ``stacked`` (highest first) apart; ``names`` are device-mapper's, by kernel name."""
    for device in stacked:
        if f"/dev/{device}" in active_swaps or f"/dev/mapper/{names.get(device)}" in active_swaps:
            yield ("swapoff", f"/dev/{device}")
        if device.startswith("dm-"):
            yield ("dmsetup", "remove", "--retry", names[device])
        elif device.startswith("md") and not _PART_OF_ARRAY.fullmatch(device):
            yield ("mdadm", "--stop", f"/dev/{device}")


def swaps(text: str) -> frozenset[str]:
    """Device paths in /proc/swaps."""
    return frozenset(line.split()[0] for line in text.splitlines()[1:] if line.startswith("/dev/"))


def mapped(stacked: Iterable[str]) -> dict[str, str]:
    """The names that device-mapper gave to its devices."""
    names = ((each, Path("/sys/class/block", each, "dm/name")) for each in stacked)
    return {each: path.read_text().strip() for each, path in names if path.exists()}


def number(device: str) -> int:
    """Of a partition; 0 for what is none."""
    place = Path("/sys/class/block", device, "partition")
    return int(place.read_text()) if place.exists() else 0


def extent(partition: str) -> tuple[int, int]:
    """Start and size of a partition in bytes; sysfs counts in 512 bytes for any disk."""
    place = Path("/sys/class/block", partition)
    return int((place / "start").read_text()) * 512, int((place / "size").read_text()) * 512


def edges(size: int, extents: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """First and last MiB of each extent and of the disk itself, as (offset, length), never beyond ``size``."""
    return ends(size, ((0, size), *extents))


def ends(size: int, extents: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """First and last MiB of each extent alone, as (offset, length), never beyond ``size``."""
    found: set[tuple[int, int]] = set()
    for start, length in extents:
        edge = min(_EDGE, length)
        found |= {(start, edge), (start + length - edge, edge)}
    return tuple(sorted((offset, min(length, size - offset)) for offset, length in found if offset < size))


def clear(device: int, places: Iterable[tuple[int, int]]) -> None:
    """Write zeros there and wait until the disk has them."""
    for offset, length in places:
        done = 0
        while done < length:
            done += os.pwrite(device, bytes(length - done), offset + done)
    os.fsync(device)


@contextmanager
def held(path: str) -> Iterator[int]:
    """The whole disk, open for writing, while nobody else may.

    O_EXCL makes the kernel refuse a disk that is mounted or claimed, the lock keeps udev from probing and
    re-reading it half-way (https://systemd.io/BLOCK_DEVICE_LOCKING). Raises Conflict when it is taken.
    """
    try:
        device = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict(f"cannot be had for ourselves: {error.strerror}", where=path) from None
    try:
        fcntl.flock(device, fcntl.LOCK_EX)
        yield device
    finally:
        os.close(device)
