"""Whether there is room for what comes: a version of an image more, logs, the database."""

from collections.abc import Iterator, Sequence

from attrs import frozen

from imaged.model.size import GIB, MIB, format_size
from imaged.planning.doctor.finding import Finding, Voice

_SAY = Voice("space")
_LEAST = 256 * MIB  # with less, commits, logs and rendered overrides begin to fail
_FEW_INODES = 10_000
_ROOM = "`imaged pruneimage -n` shows which versions could go."


@frozen
class Volume:
    """A filesystem and what of ours lies on it. ``inodes`` 0: it has no limit of them (btrfs)."""

    path: str
    holds: tuple[str, ...]
    size: int
    free: int
    inodes: int = 0
    free_inodes: int = 0
    read_only: bool = False


def findings(volumes: Sequence[Volume], largest: int, entries: int) -> Iterator[Finding]:
    """``largest`` and ``entries`` are bytes and files of the largest version that there is."""
    for volume in volumes:
        held = ", ".join(volume.holds)
        if volume.read_only:
            yield _SAY.error(f"is read-only ({held})", volume.path, "See `mount` and `dmesg`.")
            continue
        faults = list(_faults(volume, largest, entries))
        yield from faults
        if not faults:
            free = f"{format_size(volume.free)} of {format_size(volume.size)} free"
            yield _SAY.ok(f"{free} ({held})", volume.path)


def _faults(volume: Volume, largest: int, entries: int) -> Iterator[Finding]:
    images = "images" in volume.holds
    free = f"{format_size(volume.free)} are free ({', '.join(volume.holds)})"
    if volume.free < _LEAST:
        yield _SAY.error(f"only {free}", volume.path, _ROOM)
    elif images and volume.free < max(largest, GIB):
        need = f"a new version takes up to {format_size(largest)}" if largest else "an image takes more"
        yield _SAY.warning(f"{free}, and {need}", volume.path, _ROOM)
    if volume.inodes and volume.free_inodes < _FEW_INODES // 10:
        yield _SAY.error(f"only {volume.free_inodes} more files fit (inodes, `df -i`)", volume.path, _ROOM)
    elif images and volume.inodes and volume.free_inodes < max(entries, _FEW_INODES):
        what = f"{volume.free_inodes} more files fit (inodes, `df -i`), and a new version has up to {entries}"
        yield _SAY.warning(what, volume.path, _ROOM)
