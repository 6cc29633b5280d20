"""What must hold for a filesystem that a layout wants, on whatever device: mount point, options, label, subvolumes."""

import re
from collections.abc import Iterator

from imaged.model.layout import Partition
from imaged.model.stack import Content, Filesystem, Volume
from imaged.planning.layout_draft import Holder, repeated
from imaged.planning.layout_rules import BARE

_MOUNT = re.compile(r"/|(/[A-Za-z0-9._+@:-]+)+")
SUBVOLUME = re.compile(r"[A-Za-z0-9._+@:-]+(/[A-Za-z0-9._+@:-]+)*")
_OPTIONS = re.compile(r"[!-~]*")
_KERNELS_OWN = ("/proc", "/sys", "/dev", "/run")
_LABEL_BYTES = {
    Filesystem.EXT4: 16, Filesystem.XFS: 12, Filesystem.BTRFS: 255, Filesystem.VFAT: 11, Filesystem.F2FS: 255,
}  # fmt: skip
_OURS = {
    Filesystem.EXT4: ("-U", "-L"), Filesystem.XFS: ("-L",), Filesystem.BTRFS: ("-U", "-L"),
    Filesystem.VFAT: ("-i", "-n"), Filesystem.F2FS: ("-U", "-l"),
}  # fmt: skip
_CARRIED = ("mount", "options", "label", "mkfs", "btrfs")


def content_faults(holder: Holder) -> Iterator[str]:
    """Of what one device carries."""
    at, content = holder.at, holder.content
    if isinstance(content, Partition) and content.role in BARE:
        return
    if isinstance(content, Volume) and content.swap:
        yield from (f"{at}.{key}: swap has none" for key in ("fs", *_CARRIED) if getattr(content, key))
        return
    if content.mount:
        yield from (f"{at}.mount: {fault}" for fault in path_faults(content.mount))
    if content.fs is None:
        if not isinstance(content, Partition) or content.role.value == "data":
            yield from (f"{at}.{key}: needs fs" for key in _CARRIED if getattr(content, key))
        return
    if content.fs is Filesystem.VFAT and content.mount in ("/", "/usr", "/var", "/home"):
        yield f"{at}.fs: vfat keeps no owners and modes, {content.mount} needs them"
    yield from _option_faults(holder)
    if content.label:
        yield from (f"{at}.label: {fault}" for fault in _label_faults(content.label, content.fs))
    yield from _mkfs_faults(at, content, content.fs)
    yield from _btrfs_faults(holder)


def path_faults(mount: str) -> Iterator[str]:
    """Of a mount point on a disk."""
    if not mount.startswith("/"):
        yield f"{mount!r} must begin with /"
    elif not _MOUNT.fullmatch(mount) or any(part in (".", "..") for part in mount.split("/")):
        yield f"{mount!r} must be a plain path of letters, digits and . _ + @ : - (no '..', no '/' at its end)"
    elif any(mount == own or mount.startswith(own + "/") for own in _KERNELS_OWN):
        yield f"{mount!r} belongs to the running system, not to a disk"


def options_faults(at: str, options: str) -> Iterator[str]:
    """Of mount options anywhere."""
    if not _OPTIONS.fullmatch(options):
        yield f"{at}.options: {options!r} must be one word of mount options, separated by commas"


def _option_faults(holder: Holder) -> Iterator[str]:
    content = holder.content
    yield from options_faults(holder.at, content.options)
    mounts = [each.mount for _, each in holder.subvolumes() if each.mount]
    if content.options and not content.mount and not mounts and not _is_esp(content):
        yield f"{holder.at}.options: needs mount"


def _is_esp(content: Content) -> bool:
    """Where an ESP is mounted may be said once for several disks."""
    return isinstance(content, Partition) and content.role.value == "esp"


def _label_faults(label: str, fs: Filesystem) -> Iterator[str]:
    if not label.isprintable() or "/" in label:
        yield f"{label!r} must be printable, without '/'"
    elif fs is Filesystem.VFAT and not re.fullmatch(r"[A-Z0-9 _-]+", label):
        yield f"{label!r} must be capital letters, digits, blanks, '_' or '-' on vfat"
    if len(label.encode()) > _LABEL_BYTES[fs]:
        yield f"{label!r} is longer than the {_LABEL_BYTES[fs]} bytes that {fs.value} keeps"


def _mkfs_faults(at: str, content: Content, fs: Filesystem) -> Iterator[str]:
    for index, argument in enumerate(content.mkfs):
        if argument.startswith("/") or not argument or not argument.isprintable():
            yield f"{at}.mkfs[{index}]: {argument!r} is no option of mkfs (the device is added)"
        elif argument.startswith(_OURS[fs]) or "uuid=" in argument.lower():
            yield f"{at}.mkfs[{index}]: {argument!r} is set already (the label by 'label', the UUID by the plan)"


def _btrfs_faults(holder: Holder) -> Iterator[str]:
    at, btrfs = f"{holder.at}.btrfs", holder.content.btrfs
    if btrfs is None:
        return
    if holder.content.fs is not Filesystem.BTRFS:
        yield f"{at}: subvolumes are of btrfs only"
    subvolumes = tuple(holder.subvolumes())
    if btrfs.default and btrfs.default not in [each.path for _, each in subvolumes]:
        yield f"{at}.default: {btrfs.default!r} is none of the subvolumes"
    yield from repeated((f"{path}.path", each.path) for path, each in subvolumes)
    for path, each in subvolumes:
        if not SUBVOLUME.fullmatch(each.path) or any(part in (".", "..") for part in each.path.split("/")):
            yield f"{path}.path: {each.path!r} must be a plain path from the top, without '/' before it"
        if each.mount:
            yield from (f"{path}.mount: {fault}" for fault in path_faults(each.mount))
        yield from options_faults(path, each.options)
        if each.options and not each.mount:
            yield f"{path}.options: needs mount"
        if "subvol" in each.options:
            yield f"{path}.options: which subvolume is known already"
