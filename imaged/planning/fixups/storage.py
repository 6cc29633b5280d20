"""Files that name filesystems: fstab(5) and what resumes from swap."""

import re

from imaged.model.plan import RunInTarget, Step, WriteFile
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, PlannedSwap
from imaged.planning.fixups.target import Target
from imaged.planning.octal import unescaped

# How the first field of fstab(5) names a block device; what is none (a server, a file of the tree) stays.
_DISK = re.compile(r"/dev/|(UUID|LABEL|PARTUUID|PARTLABEL|ID)=")
_SHARED = ("gpfs", "lustre", "ocfs2", "gfs2")  # named by a device, which every node of a cluster has
_KERNELS_OWN = ("/dev/", "/proc/", "/run/", "/sys/")
_ON_DISKS = ("swap", "zfs")  # of the golden client's disks, whatever their source looks like
# First parts of the mount points that a system does not start without; / is the empty one.
_NEEDED = ("", "boot", "efi", "usr", "var", "home", "opt", "etc", "root", "tmp")
_NEVER_CHECKED = (Filesystem.XFS, Filesystem.BTRFS)  # their fsck does nothing (fsck.xfs(8), fsck.btrfs(8))
_DEFAULT_OPTIONS = {Filesystem.VFAT: "umask=0077", Filesystem.EXT4: "errors=remount-ro"}


def fstab(target: Target) -> tuple[Step, ...]:
    """The layout's filesystems by UUID, then every line of the image that names no disk, with the comments above it."""
    lines = ["# Written when the node was installed; lines of network and memory filesystems are the image's."]
    # The disk that has the ESP may be the one that a mirror has lost.
    spare = target.system.esp if target.system.esp_mirrors else None
    in_order = sorted(target.system.filesystems, key=lambda each: each.mount)
    lines += [_mount_line(each, needed=_is_needed(each.mount) and each != spare) for each in in_order]
    lines += [f"{_swap_source(swap)} none swap sw 0 0" for swap in target.system.swaps]
    lines += [f"{each.what} {_escape(each.mount)} {each.type} {each.options} 0 0" for each in target.system.mounts]
    lines += _kept(target)
    return (WriteFile("/etc/fstab", "\n".join(lines) + "\n", reason="the node's own filesystems"),)


def mount_points(target: Target) -> tuple[Step, ...]:
    """Where what is on no disk is mounted. An image made of packages or a container may lack it: systemd makes it when
    it mounts, others do not, and findmnt(8) takes the line for a fault."""
    lines = (line for line in _kept(target) if not line.lstrip().startswith("#"))
    places = (*(each.mount for each in target.system.mounts), *(unescaped(line.split()[1]) for line in lines))
    wanted = tuple(dict.fromkeys(each for each in places if each.startswith("/") and not each.startswith(_KERNELS_OWN)))
    return (RunInTarget(("mkdir", "-p", "--", *wanted), reason="fstab mounts there"),) if wanted else ()


def resume(target: Target) -> tuple[Step, ...]:
    """initramfs-tools guesses the resume device only outside a chroot, and waits for one that is gone.

    The initramfs of the image names none, so this file speaks to those that the node builds itself later.
    """
    if "update-initramfs" not in target.facts.commands:
        return ()
    device = next((f"UUID={swap.uuid}" for swap in target.system.swaps if not swap.file), "none")
    return (WriteFile("/etc/initramfs-tools/conf.d/resume", f"RESUME={device}\n", reason="the node's own swap"),)


def _is_needed(mount: str) -> bool:
    return mount.split("/")[1] in _NEEDED


def _mount_line(filesystem: PlannedFilesystem, *, needed: bool) -> str:
    """A filesystem that the system starts without must not keep it from starting: ``nofail``."""
    options = filesystem.options or _DEFAULT_OPTIONS.get(filesystem.fs, "defaults")
    if not needed and "nofail" not in options.split(","):
        options += ",nofail"
    check = 0 if filesystem.fs in _NEVER_CHECKED else 1 if filesystem.mount == "/" else 2
    return f"UUID={filesystem.uuid} {_escape(filesystem.mount)} {filesystem.fs.value} {options} 0 {check}"


def _swap_source(swap: PlannedSwap) -> str:
    return swap.device if swap.file else f"UUID={swap.uuid}"


def _escape(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")


def _kept(target: Target) -> list[str]:
    """Lines of the image's own fstab; comments share the fate of the line that follows them at once."""
    ours = {each.mount for each in target.system.filesystems} | {each.mount for each in target.system.mounts}
    kept: list[str] = []
    above: list[str] = []
    for line in target.facts.texts.get("/etc/fstab", "").splitlines():
        if line.lstrip().startswith("#"):
            above.append(line)
            continue
        if _stays(line, ours):
            kept += [*above, line]
        above = []
    return kept


def _stays(line: str, ours: set[str]) -> bool:
    fields = line.split()
    if len(fields) < 3 or _place(fields[1]) in ours or fields[2] in _ON_DISKS:
        return False
    options = fields[3].split(",") if len(fields) > 3 else []
    return not _DISK.match(fields[0].strip('"')) or fields[2] in _SHARED or bool({"bind", "rbind"} & set(options))


def _place(field: str) -> str:
    """``/srv/`` is ``/srv``."""
    return unescaped(field).rstrip("/") or "/"
