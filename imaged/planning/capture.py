"""From what the probe found to what is captured: filesystems, mount points, filter rules. Pure."""

from collections.abc import Iterator

from attrs import frozen

from imaged.model.capture import GoldenFacts, Mounted, Space
from imaged.planning.capture_probe import LOCAL
from imaged.planning.excludes import ALWAYS, DEFAULT, REASONS, Kind, excludes
from imaged.planning.rsync_filter import admin_rule, escape, exceptions, takes

_PASSING = ("/mnt", "/media", "/cdrom", "/run", "/dev", "/proc", "/sys", "/tmp")
_REASONS = {
    "in memory": ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs"),
    "on another machine": (
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "glusterfs", "fuse.glusterfs", "ceph", "beegfs", "gpfs",
        "afs", "9p", "virtiofs", "fuse.sshfs", "pvfs2", "orangefs", "ocfs2", "gfs2",
    ),
    "mounted on demand": ("autofs",),
    "a container's or a package's own view": ("overlay", "squashfs", "fuse.snapfuse", "erofs"),
    "a removable medium": ("iso9660", "udf", "exfat", "ntfs", "ntfs3", "fuseblk"),
}  # fmt: skip
_KIND_REASONS = {fstype: reason for reason, fstypes in _REASONS.items() for fstype in fstypes}
_SNAPSHOTS = (".snapshots", "timeshift-btrfs", ".snapshot")


@frozen
class Wishes:
    """What an admin wants. ``rules`` are filter rules in order; they win over those of ``kinds``."""

    kinds: frozenset[Kind] = DEFAULT
    rules: tuple[str, ...] = ()


@frozen
class Kept:
    """A filesystem (or a btrfs subvolume) that is captured, at its mount point. ``used`` in bytes; ``volume`` is the
    subvolume, from the top of its filesystem."""

    at: str
    fstype: str
    source: str
    used: int = 0
    inodes: int = 0
    volume: str = ""

    @property
    def is_nested(self) -> bool:
        """A subvolume that nobody mounts: it shows in its parent."""
        return self.source.startswith("subvolume ")


@frozen
class LeftOut:
    """A mount point of which only the directory itself is captured."""

    at: str
    fstype: str
    reason: str


@frozen
class CapturePlan:
    """One rsync from ``/`` with every kept mount point named, ``rules`` in order; the first that matches decides.

    ``why`` tells people the reason of each rule that leaves something out, by its pattern.
    """

    kept: tuple[Kept, ...]
    left_out: tuple[LeftOut, ...]
    rules: tuple[str, ...]
    why: dict[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """What the kept filesystems hold, excluded files counted too."""
        return sum(kept.used for kept in self.kept)

    @property
    def inodes(self) -> int:
        """As ``bytes``; 0 where the client does not count."""
        return sum(kept.inodes for kept in self.kept)


def plan(facts: GoldenFacts, wishes: Wishes) -> CapturePlan:
    """What of this client becomes the image. Raises BadInput for a rule that is none."""
    kept, left_out = _sorted_out(facts)
    mounts = [(_mount_pattern(each), _mount_reason(each)) for each in left_out]
    swaps = [(escape(swap.path), "a swap file") for swap in facts.swaps if swap.is_file]
    fixed = [f"- {pattern}" for pattern, _ in (*mounts, *swaps)]
    table = excludes(wishes.kinds | ALWAYS)
    default = [exclude.rule for exclude in table]
    own = tuple(admin_rule(rule) for rule in wishes.rules)
    rules = (*fixed, *own, *exceptions(own, default), *default)
    dropped = [each for each in kept if not takes((*fixed, *own), each.at)]  # rsync does not filter what it is named
    return CapturePlan(
        kept=tuple(each for each in kept if each not in dropped),
        left_out=(*left_out, *(LeftOut(each.at, each.fstype, "asked for") for each in dropped)),
        rules=tuple(dict.fromkeys(rules)),
        why={
            **{exclude.pattern: f"{exclude.kind.value}: {REASONS[exclude.kind]}" for exclude in table},
            **{rule[2:]: "asked for" for rule in own if rule.startswith("- ")},
            **dict((*mounts, *swaps)),
        },
        warnings=tuple(_warnings(facts)),
    )


def _mount_pattern(each: LeftOut) -> str:
    """Of FUSE not even the mount point: to root as well it is closed, unless mounted with allow_root (fuse(8))."""
    return escape(each.at) if each.fstype.startswith("fuse") else f"{escape(each.at)}/*"


def _mount_reason(each: LeftOut) -> str:
    return f"{each.fstype} mounted at {each.at}: {each.reason}"


def _sorted_out(facts: GoldenFacts) -> tuple[list[Kept], list[LeftOut]]:
    """Mount points in the order of their paths, each either kept or left out."""
    visible = {mount.at: mount for mount in facts.mounts}  # the last one mounted at a place hides those before it
    root = visible.pop("/", None) or Mounted(0, "", "/", "/", "?", "?")
    reasons = {mount.at: _why_not(mount) for mount in visible.values()}
    seen = [root]
    for mount in sorted(visible.values(), key=lambda each: (each.root.count("/"), len(each.root), each.at)):
        if not reasons[mount.at]:
            reasons[mount.at] = next((f"shows files of {each.at} again" for each in seen if _same(mount, each)), "")
        if not reasons[mount.at]:
            seen.append(mount)
    taken = [root]
    left_out: list[LeftOut] = []
    for mount in sorted(visible.values(), key=_place):
        above = next((f"below {each.at}" for each in left_out if _beneath(mount.at, each.at)), "")
        if above or reasons[mount.at]:
            left_out.append(LeftOut(mount.at, mount.fstype, above or reasons[mount.at]))
        else:
            taken.append(mount)
    kept = [_kept(mount, facts.space) for mount in taken]
    mounted = {(mount.device, mount.root) for mount in facts.mounts}
    gone = [each.at for each in left_out]
    for at in facts.subvolumes:
        parent = max((each for each in taken if _beneath(at, each.at)), key=lambda each: len(each.at))
        inner = f"{parent.root.rstrip('/')}/{at[len(parent.at) :].lstrip('/')}"
        if any(part in _SNAPSHOTS for part in at.split("/")):
            left_out.append(LeftOut(at, "btrfs", "a snapshot"))
        elif (parent.device, inner) not in mounted and not any(_beneath(at, each) for each in gone):
            inner = inner.lstrip("/")
            kept.append(Kept(at, "btrfs", f"subvolume {inner} of {parent.source}", volume=inner))
    return sorted(kept, key=_place), left_out


def _place(each: Mounted | Kept) -> list[str]:
    """Sorts what is mounted inside another after it."""
    return each.at.split("/") if each.at != "/" else []


def _kept(mount: Mounted, space: dict[str, Space]) -> Kept:
    fill = space.get(mount.at, Space(0, 0))
    return Kept(mount.at, mount.fstype, mount.source, fill.used, fill.inodes, mount.volume.strip("/"))


def _why_not(mount: Mounted) -> str:
    """What the mount itself says; empty for one that may be captured."""
    if mount.fstype not in LOCAL:
        own = "a user's own" if mount.fstype.startswith("fuse") else "the kernel's own"
        return _KIND_REASONS.get(mount.fstype, own)
    if any(_beneath(mount.at, passing) for passing in _PASSING):
        return "a place for what comes and goes"
    if mount.source.startswith("/dev/loop"):
        return "the file that holds it is captured instead"
    return ""


def _same(mount: Mounted, other: Mounted) -> bool:
    """Bind mounts. rsync's -x cannot tell them: they are on the same device. Subvolumes of btrfs are on others."""
    if (mount.device, mount.volume) != (other.device, other.volume):
        return False
    return _beneath(mount.root, other.root) or _beneath(other.root, mount.root)


def _beneath(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def _warnings(facts: GoldenFacts) -> Iterator[str]:
    if not any(mount.at == "/" for mount in facts.mounts):
        yield "the client does not say what is mounted at / (a chroot or a container?)"
