"""Files that name filesystems: fstab(5) and what resumes from swap."""

from imaged.model.plan import Step, WriteFile
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, PlannedSwap
from imaged.planning.fixups.target import Target

# Filesystem types of fstab lines that name no disk of the golden client and therefore stay.
_NOT_ON_DISKS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "fuse.sshfs", "virtiofs", "tmpfs", "ramfs",
     "proc", "sysfs", "devpts", "debugfs", "hugetlbfs", "overlay", "bpf", "cgroup2", "efivarfs")
)  # fmt: skip
# First parts of the mount points that a system does not start without; / is the empty one.
_NEEDED = ("", "boot", "efi", "usr", "var", "home", "opt", "etc", "root", "tmp")
_NEVER_CHECKED = (Filesystem.XFS, Filesystem.BTRFS)  # their fsck does nothing (fsck.xfs(8), fsck.btrfs(8))
_DEFAULT_OPTIONS = {Filesystem.VFAT: "umask=0077", Filesystem.EXT4: "errors=remount-ro"}


def fstab(target: Target) -> tuple[Step, ...]:
    """The layout's filesystems by UUID, then every line of the image that names no disk."""
    lines = ["# Written when the node was installed; lines of network and memory filesystems are the image's."]
    lines += [_mount_line(filesystem) for filesystem in sorted(target.system.filesystems, key=lambda each: each.mount)]
    lines += [f"{_swap_source(swap)} none swap sw 0 0" for swap in target.system.swaps]
    lines += [f"{each.what} {_escape(each.mount)} {each.type} {each.options} 0 0" for each in target.system.mounts]
    ours = {each.mount for each in target.system.filesystems} | {each.mount for each in target.system.mounts}
    lines += [line for line in target.facts.texts.get("/etc/fstab", "").splitlines() if _stays(line, ours)]
    return (WriteFile("/etc/fstab", "\n".join(lines) + "\n", reason="the node's own filesystems"),)


def resume(target: Target) -> tuple[Step, ...]:
    """initramfs-tools guesses the resume device only outside a chroot, and waits for one that is gone.

    The initramfs of the image names none, so this file speaks to those that the node builds itself later.
    """
    if "update-initramfs" not in target.facts.commands:
        return ()
    device = next((f"UUID={swap.uuid}" for swap in target.system.swaps if not swap.file), "none")
    return (WriteFile("/etc/initramfs-tools/conf.d/resume", f"RESUME={device}\n", reason="the node's own swap"),)


def _mount_line(filesystem: PlannedFilesystem) -> str:
    """A filesystem that the system starts without must not keep it from starting: ``nofail``."""
    options = filesystem.options or _DEFAULT_OPTIONS.get(filesystem.fs, "defaults")
    if filesystem.mount.split("/")[1] not in _NEEDED and "nofail" not in options.split(","):
        options += ",nofail"
    check = 0 if filesystem.fs in _NEVER_CHECKED else 1 if filesystem.mount == "/" else 2
    return f"UUID={filesystem.uuid} {_escape(filesystem.mount)} {filesystem.fs.value} {options} 0 {check}"


def _swap_source(swap: PlannedSwap) -> str:
    return swap.device if swap.file else f"UUID={swap.uuid}"


def _escape(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")


def _stays(line: str, ours: set[str]) -> bool:
    fields = line.split()
    if len(fields) < 3 or line.lstrip().startswith("#") or fields[1] in ours:
        return False
    return fields[2] in _NOT_ON_DISKS or "bind" in (fields[3].split(",") if len(fields) > 3 else ())
