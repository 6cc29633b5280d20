"""PURE: what a root's fstab(5) means on the disk that holds it: which volume goes where, and what is left out."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from attrs import frozen

from imaged.model.errors import BadInput
from installer.appliance_volumes import ESP, XBOOTLDR, Root, Volume

_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "msdos", "auto"}
# Without these the tree is not the machine's.
_NEEDED = ("/usr", "/var", "/boot", "/etc", "/opt", "/lib", "/srv")
_FAT_OPTIONS = {"umask", "fmask", "dmask", "uid", "gid"}  # what the files' owners and modes come from
_REMOVABLE = ("/media", "/mnt", "/cdrom", "/floppy", "/run", "/proc", "/sys", "/dev", "/tmp")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_UDEV_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
_BY = re.compile(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/(.+)")
_TAG = re.compile(r'(UUID|LABEL|PARTUUID|PARTLABEL)="?(.*?)"?')
_PART = re.compile(r"/dev/(?:[shv]d[a-z]+|xvd[a-z]+|(?:nvme\d+n|mmcblk)\d+p|disk/by-(?:id|path)/.+-part)(\d+)")


@frozen
class Line:
    """A line of fstab: its first four fields, decoded."""

    spec: str
    at: str
    fs: str
    options: tuple[str, ...]


@frozen
class Place:
    """A volume and where it belongs, with mount(8)'s options."""

    volume: Volume
    at: str
    options: tuple[str, ...] = ()


@frozen
class Layout:
    """What to mount below the root, parents first, and lines for people about what is not."""

    places: tuple[Place, ...]
    notes: tuple[str, ...]


def read_fstab(text: str) -> tuple[Line, ...]:
    """Lines with at least a device and a place; the rest is nobody's."""
    rows = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    filled = ([*row, "auto", "defaults"][:4] if len(row) == 2 else [*row, "defaults"] for row in rows if len(row) >= 2)
    return tuple(Line(_plain(row[0]), _plain(row[1]), row[2], tuple(row[3].split(","))) for row in filled)


def lay_out(lines: Sequence[Line], root: Root, volumes: Sequence[Volume], empty: Sequence[str]) -> Layout:
    """Where everything belongs. ``empty`` are those of /boot and /efi that are empty directories in the root.

    Raises BadInput when a filesystem without which the tree is not whole is not on this disk, or is encrypted.
    """
    places: dict[str, Place] = {}
    notes: list[str] = []
    for line in lines:
        at = str(PurePosixPath(line.at))
        if not at.startswith("/") or at == "/" or not _is_local(line):
            continue
        if "noauto" in line.options and not at.startswith(("/boot", "/efi")):
            notes.append(f"{at} is mounted by hand only: left out")
            continue
        volume = find(line, volumes)
        if volume is None:
            notes.append(_missing(line, at, volumes))
        elif volume.fs not in _LOCAL:
            notes.append(f"{at} is {volume.fs or 'of no known kind'} ({volume}): left out")
        elif volume.device == root.volume.device and volume.fs != "btrfs":
            notes.append(f"{at} is said to be on the root's own {line.spec}: left out")
        else:
            places[at] = Place(volume, at, options(volume, line.options))
    for place in _found_by_type(volumes, empty, set(places)):
        places[place.at] = place
    return Layout(tuple(places[at] for at in sorted(places, key=lambda at: PurePosixPath(at).parts)), tuple(notes))


def options(volume: Volume, told: Sequence[str] = ()) -> tuple[str, ...]:
    """Options to read ``volume`` with, as fstab's line has it (``told``)."""
    if volume.fs == "btrfs":
        return ("ro", *(word for word in told if word.startswith(("subvol=", "subvolid="))))
    if volume.fs in ("vfat", "msdos"):
        return ("ro", *(word for word in told if word.partition("=")[0] in _FAT_OPTIONS))
    # A snapshot has the UUID of what it was made from, which XFS refuses to mount twice.
    return ("ro", "nouuid") if volume.fs == "xfs" else ("ro",)


def find(line: Line, volumes: Sequence[Volume]) -> Volume | None:
    """The volume that a line's first field names."""
    if match := _TAG.fullmatch(line.spec):
        return _by(match[1].lower(), match[2], volumes)
    if match := _BY.fullmatch(line.spec):
        return _by(match[1], _UDEV_ESCAPE.sub(lambda found: chr(int(found[1], 16)), match[2]), volumes)
    if match := _PART.fullmatch(line.spec):
        # Which disk that was, is not known; that the kind of filesystem agrees speaks for ours.
        return next((each for each in volumes if each.number == match[1] and line.fs in (each.fs, "auto")), None)
    return next((each for each in volumes if line.spec in (each.device, f"/dev/{each.name}")), None)


def _by(kind: str, value: str, volumes: Sequence[Volume]) -> Volume | None:
    fold = str.lower if kind in ("uuid", "partuuid") else str
    return next((each for each in volumes if fold(getattr(each, kind)) == fold(value) != ""), None)


def _is_local(line: Line) -> bool:
    if line.fs not in _LOCAL or "bind" in line.options or "rbind" in line.options:
        return False
    if re.match(r"/dev/(sr|fd|cdrom|dvd|loop)", line.spec) or any(word.startswith("loop") for word in line.options):
        return False
    return not any(PurePosixPath(line.at).is_relative_to(place) for place in _REMOVABLE)


def _missing(line: Line, at: str, volumes: Sequence[Volume]) -> str:
    needed = any(PurePosixPath(at).is_relative_to(place) for place in _NEEDED) and "nofail" not in line.options
    locked = [each for each in volumes if each.fs == "crypto_LUKS"]
    if locked and "nofail" not in line.options:
        raise BadInput(
            f"{at} ({line.spec}) is not there, and {locked[0]} is encrypted (LUKS)",
            hint="Decrypt the disk first.",
        )
    if needed:
        raise BadInput(
            f"{at} is on {line.spec}, which is not on this disk",
            hint="Capture the running machine instead (imaged getimage), or mark the line nofail in its fstab.",
        )
    return f"{at} is on {line.spec}, which is not on this disk: left out"


def _found_by_type(volumes: Sequence[Volume], empty: Sequence[str], taken: set[str]) -> list[Place]:
    """Boot partitions that fstab need not name, as systemd-gpt-auto-generator(8) mounts them."""
    if taken & {"/boot", "/boot/efi", "/efi"}:
        return []
    by_type = {each.parttype.lower(): each for each in reversed(volumes) if each.fs == "vfat" and each.number}
    found, free = [], [at for at in ("/efi", "/boot") if at in empty]
    if XBOOTLDR in by_type and "/boot" in free:
        free.remove("/boot")
        found.append(Place(by_type[XBOOTLDR], "/boot", ("ro", "umask=0077")))
    if ESP in by_type and free:
        found.append(Place(by_type[ESP], free[0], ("ro", "umask=0077")))
    return found


def _plain(field: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)
