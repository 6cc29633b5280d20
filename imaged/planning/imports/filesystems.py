"""Filesystems of other programs' layouts: which of ours takes their place, and which options survive that."""

import re

from attrs import frozen

from imaged.model.stack import Filesystem

_SAME = {
    "ext4": Filesystem.EXT4, "xfs": Filesystem.XFS, "btrfs": Filesystem.BTRFS, "f2fs": Filesystem.F2FS,
    "vfat": Filesystem.VFAT, "fat": Filesystem.VFAT, "fat32": Filesystem.VFAT, "fat16": Filesystem.VFAT,
    "msdos": Filesystem.VFAT,
}  # fmt: skip
_KIN = {"ext2": Filesystem.EXT4, "ext3": Filesystem.EXT4, "ext": Filesystem.EXT4}
_OTHERS = {
    "reiserfs": Filesystem.EXT4, "reiser4": Filesystem.EXT4, "jfs": Filesystem.EXT4, "minix": Filesystem.EXT4,
    "_rootfs_": Filesystem.EXT4, "_bootfs_": Filesystem.EXT4,
}  # fmt: skip
_KERNELS = ("proc", "sysfs", "devpts", "devtmpfs", "devfs", "usbfs", "usbdevfs", "selinuxfs", "debugfs", "securityfs")
_MEDIA = ("iso9660", "udf", "subfs", "supermount", "auto")
_DRIVES = re.compile(r"/dev/(fd[0-9]|sr[0-9]|scd[0-9]|cd|dvd|floppy)")
_GENERIC = {
    "defaults", "async", "sync", "atime", "noatime", "nodiratime", "relatime", "strictatime", "lazytime", "auto",
    "noauto", "dev", "nodev", "exec", "noexec", "suid", "nosuid", "group", "owner", "user", "users", "nouser",
    "nofail", "ro", "rw", "_netdev", "acl", "noacl", "user_xattr", "nouser_xattr",
}  # fmt: skip  # mount(8), and what ext4 takes alike


@frozen
class Took:
    """``fs`` takes the place of another: ``kin`` where it reads what that one's tools made."""

    fs: Filesystem
    same: bool
    kin: bool = False


def ours(fs: str) -> Took | None:
    """Which of ours; None for what is none on a disk, or unknown."""
    word = fs.lower()
    if word in _SAME:
        return Took(_SAME[word], same=True)
    if word in _KIN:
        return Took(_KIN[word], same=False, kin=True)
    return Took(_OTHERS[word], same=False) if word in _OTHERS else None


def kernels_own(fs: str) -> bool:
    """Whether the running system mounts it by itself."""
    return fs.lower() in _KERNELS


def on_media(fs: str, device: str) -> bool:
    """Whether it is of a drive with media that are changed."""
    return fs.lower() in _MEDIA or bool(_DRIVES.match(device))


def options(text: str, took: Took) -> tuple[str, tuple[str, ...]]:
    """Mount options that hold for ``took``, and those that another filesystem alone knows. ``defaults`` goes unsaid."""
    words = [word.strip() for word in text.split(",") if word.strip() not in ("", "defaults")]
    if took.same or took.kin:
        return ",".join(words), ()
    kept = [word for word in words if word in _GENERIC or word.startswith("x-")]
    return ",".join(kept), tuple(word for word in words if word not in kept)
