"""Names of block devices as older kernels and lvm spell them: taken apart and put together."""

import re

_WITH_P = re.compile(r"(/dev/(?:[a-z]+/)?[a-z]+[0-9]+(?:[a-z][0-9]+)*)p([0-9]{1,3})")  # c0d0p1, nvme0n1p1, mmcblk0p1
_BARE = re.compile(r"(/dev/(?:[a-z]+/)?[a-z]+)([0-9]{1,3})")
_ARRAY = re.compile(r"/dev/md/?([0-9]{1,4})")
_MAPPED = re.compile(r"/dev/mapper/((?:[^-]|--)+)-((?:[^-]|--)+)")


def partition(disk: str, number: int) -> str:
    """``/dev/sda1``, but ``/dev/cciss/c0d0p1``: the kernel puts a ``p`` after a name that ends in a digit."""
    return f"{disk}p{number}" if disk[-1:].isdigit() else f"{disk}{number}"


def split(device: str) -> tuple[str, int] | None:
    """Disk and number of a partition's name; None for anything else."""
    found = _WITH_P.fullmatch(device) or _BARE.fullmatch(device)
    return (found[1], int(found[2])) if found else None


def canonical(device: str) -> str:
    """One spelling for each array and volume: ``/dev/md0``, ``/dev/VG/LV``."""
    if array := _ARRAY.fullmatch(device):
        return f"/dev/md{array[1]}"
    if mapped := _MAPPED.fullmatch(device):
        return f"/dev/{mapped[1].replace('--', '-')}/{mapped[2].replace('--', '-')}"
    return device


def short(device: str) -> str:
    """``sda`` of ``/dev/sda``, ``c0d0`` of ``/dev/cciss/c0d0``, in letters and digits only."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", device.rpartition("/")[2]).lstrip("_-")[:30] or "disk"
