"""Files that name disks: fstab(5) and what resumes from swap."""

from imaged.model.plan import Step, WriteFile
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem
from imaged.planning.fixups.target import Target

# Filesystem types of fstab lines that name no disk of the golden client and therefore stay.
_NOT_ON_DISKS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "fuse.sshfs", "virtiofs", "tmpfs", "ramfs",
     "proc", "sysfs", "devpts", "debugfs", "hugetlbfs", "overlay", "bpf", "cgroup2", "efivarfs")
)  # fmt: skip
_DEFAULT_OPTIONS = {Filesystem.VFAT: "umask=0077", Filesystem.EXT4: "errors=remount-ro"}


def fstab(target: Target) -> tuple[Step, ...]:
    """The layout's filesystems by UUID, then every line of the image that names no disk."""
    lines = ["# Written when the node was installed; lines of network and memory filesystems are the image's."]
    lines += [_mount_line(filesystem) for filesystem in sorted(target.system.filesystems, key=lambda each: each.mount)]
    lines += [f"UUID={swap.uuid} none swap sw 0 0" for swap in target.system.swaps]
    lines += [line for line in target.facts.texts.get("/etc/fstab", "").splitlines() if _stays(line)]
    return (WriteFile("/etc/fstab", "\n".join(lines) + "\n", reason="the node's own filesystems"),)


def resume(target: Target) -> tuple[Step, ...]:
    """initramfs-tools guesses the resume device only outside a chroot, and waits for one that is gone.

    The initramfs of the image names none, so this file speaks to those that the node builds itself later.
    """
    if "update-initramfs" not in target.facts.commands:
        return ()
    device = f"UUID={target.system.swaps[0].uuid}" if target.system.swaps else "none"
    return (WriteFile("/etc/initramfs-tools/conf.d/resume", f"RESUME={device}\n", reason="the node's own swap"),)


def _mount_line(filesystem: PlannedFilesystem) -> str:
    options = filesystem.options or _DEFAULT_OPTIONS.get(filesystem.fs, "defaults")
    check = 0 if filesystem.fs in (Filesystem.XFS, Filesystem.BTRFS) else 1 if filesystem.mount == "/" else 2
    return f"UUID={filesystem.uuid} {_escape(filesystem.mount)} {filesystem.fs.value} {options} 0 {check}"


def _escape(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")


def _stays(line: str) -> bool:
    fields = line.split()
    if len(fields) < 3 or line.lstrip().startswith("#"):
        return False
    return fields[2] in _NOT_ON_DISKS or "bind" in (fields[3].split(",") if len(fields) > 3 else ())
