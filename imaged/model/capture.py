"""What a golden client is and what of it becomes an image: facts of the probe, and where they were read from."""

from attrs import frozen


@frozen
class Golden:
    """How a golden client is reached: by ssh, or (``port`` of a daemon, ``daemon``) as an rsync daemon."""

    host: str
    user: str = ""
    port: int = 0
    options: tuple[str, ...] = ()
    sudo: bool = False
    daemon: bool = False

    def __str__(self) -> str:
        if self.daemon:
            return f"rsync://{self.host}" + (f":{self.port}" if self.port else "")
        return f"{self.user}@{self.host}" if self.user else self.host


@frozen
class Mounted:
    """One line of /proc/self/mountinfo (proc_pid_mountinfo(5)). Paths decode bytes as os.fsdecode does.

    ``root`` is the directory of the filesystem that shows at ``at``: not ``/`` for bind mounts and subvolumes.
    ``volume`` is the subvolume that it is in, for btrfs.
    """

    id: int
    device: str
    root: str
    at: str
    fstype: str
    source: str
    options: str = ""
    volume: str = ""


@frozen
class Space:
    """What a filesystem holds: bytes, and inodes (0: it does not count them)."""

    size: int
    used: int
    inodes: int = 0


@frozen
class Swap:
    """A swap partition, or with ``is_file`` a file in the tree. ``size`` in bytes."""

    path: str
    size: int
    is_file: bool


@frozen
class Block:
    """A block device: ``kind`` is lsblk(8)'s (``disk``, ``part``, ``lvm``, ``crypt``, ``raid1``...), sizes in bytes.

    ``parents`` are kernel names of what it lies on; ``number`` is ``major:minor``; ``alias`` is the name below
    /dev/mapper, where it has one.
    """

    name: str
    number: str
    kind: str
    size: int
    parents: tuple[str, ...] = ()
    fstype: str = ""
    label: str = ""
    table: str = ""
    model: str = ""
    rotational: bool = False
    removable: bool = False
    sector: int = 512
    alias: str = ""


@frozen
class GoldenFacts:
    """Everything that a capture may depend on, as the probe printed it. Empty where the client could not tell.

    ``space`` is by mount point; ``features`` what the filesystem at a mount point was made with; ``subvolumes`` those
    of btrfs that lie below a mount point and are not mounted themselves, ``nodatacow`` the mount points of those that
    are marked so (chattr(1) +C); ``boot_files`` what of the known boot loaders' files exists; ``clock`` is the
    client's, in seconds since the epoch.
    """

    hostname: str
    arch: str
    release: str
    uid: int
    rsync: str
    firmware: str
    clock: int
    os_release: dict[str, str]
    mounts: tuple[Mounted, ...]
    blocks: tuple[Block, ...] = ()
    space: dict[str, Space] = {}
    swaps: tuple[Swap, ...] = ()
    features: dict[str, str] = {}
    subvolumes: tuple[str, ...] = ()
    nodatacow: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    boot_files: tuple[str, ...] = ()
    command_line: str = ""
    fstab: str = ""
    python: str = ""
