"""Taking an old disk apart: what stands on it is stopped, every signature that could come alive again removed."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imaged.model.errors import Conflict
from imaged.model.hardware import Disk
from imaged.model.size import MIB
from installer.inventory import highest_first
from installer.process import Run
from installer.udev import above

_BLKRRPART = 0x125F  # linux/fs.h
_EDGE = MIB  # md 0.90 and ZFS keep their labels at the end of a device, all others near its start


def wipe(disk: Disk, run: Run) -> None:
    """Leave ``disk`` without anything that udev or the kernel recognises, and without partitions."""
    name = Path(disk.path).name
    stacked = highest_first(name, above)
    for argv in stop(stacked, swaps(Path("/proc/swaps").read_text()), mapped(stacked)):
        run(argv)
    partitions = tuple(each for each in stacked if Path("/sys/class/block", each, "partition").exists())
    run(("udevadm", "settle"))
    extents = tuple(extent(each) for each in partitions)  # now: udev takes them away once the table is gone
    # Partitions first: wipefs on the whole disk removes the table, and with it the way to reach them.
    run(("wipefs", "--all", "--force", *(f"/dev/{each}" for each in partitions), disk.path))
    with held(disk.path) as device:
        clear(device, edges(disk.size, extents))
        fcntl.ioctl(device, _BLKRRPART)
    run(("udevadm", "settle"))


def stop(stacked: Iterable[str], active_swaps: frozenset[str], names: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Commands that take ``stacked`` (highest first) apart; ``names`` are device-mapper's, by kernel name."""
    for device in stacked:
        if f"/dev/{device}" in active_swaps or f"/dev/mapper/{names.get(device)}" in active_swaps:
            yield ("swapoff", f"/dev/{device}")
        if device.startswith("dm-"):
            yield ("dmsetup", "remove", "--retry", names[device])
        elif device.startswith("md"):
            yield ("mdadm", "--stop", f"/dev/{device}")


def swaps(text: str) -> frozenset[str]:
    """Device paths in /proc/swaps."""
    return frozenset(line.split()[0] for line in text.splitlines()[1:] if line.startswith("/dev/"))


def mapped(stacked: Iterable[str]) -> dict[str, str]:
    """The names that device-mapper gave to its devices."""
    names = ((each, Path("/sys/class/block", each, "dm/name")) for each in stacked)
    return {each: path.read_text().strip() for each, path in names if path.exists()}


def extent(partition: str) -> tuple[int, int]:
    """Start and size of a partition in bytes; sysfs counts in 512 bytes for any disk."""
    place = Path("/sys/class/block", partition)
    return int((place / "start").read_text()) * 512, int((place / "size").read_text()) * 512


def edges(size: int, extents: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """First and last MiB of each extent and of the disk itself, as (offset, length), never beyond ``size``."""
    found: set[tuple[int, int]] = set()
    for start, length in ((0, size), *extents):
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
