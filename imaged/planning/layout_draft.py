"""A layout as far as its file could be read: each part with the path of its key, so that rules can name it. Pure."""

from collections.abc import Iterable, Iterator

from attrs import frozen

from imaged.model.layout import Boot, DiskSpec, Esp, Partition
from imaged.model.match import Match
from imaged.model.stack import Array, Content, Crypt, OtherMount, Subvolume, SwapFile, ThinPool, Volume, VolumeGroup

Consumer = Array | Crypt | VolumeGroup


@frozen
class DiskDraft:
    """A disk entry. ``complete``: nothing of it was left out for a fault."""

    at: str
    spec: DiskSpec | None
    partitions: tuple[tuple[str, Partition], ...]
    matches: tuple[tuple[str, Match], ...]
    complete: bool


@frozen
class GroupDraft:
    """A volume group; ``group`` holds the volumes and pools that could be read."""

    at: str
    group: VolumeGroup | None
    lvs: tuple[tuple[str, Volume], ...] = ()
    thin: tuple[tuple[str, ThinPool], ...] = ()


@frozen
class Holder:
    """A device that may carry a filesystem. ``key`` is ``os.root`` of a partition, an id of the rest; ``when`` are the
    conditions it is made under (some empty)."""

    at: str
    key: str
    content: Content
    when: tuple[str, ...]
    entry: DiskSpec | None = None
    made_of: Consumer | None = None

    def subvolumes(self) -> Iterator[tuple[str, Subvolume]]:
        """Those of its btrfs."""
        for index, each in enumerate(self.content.btrfs.subvolumes if self.content.btrfs else ()):
            yield f"{self.at}.btrfs.subvolumes[{index}]", each


@frozen
class Mounted:
    """A mount point, the path of its key, and what is mounted there."""

    at: str
    mount: str
    when: tuple[str, ...]
    holder: Holder


@frozen
class Draft:
    """A whole layout. ``complete``: nothing was left out, so that what refers to something can be followed."""

    disks: tuple[DiskDraft, ...]
    raid: tuple[tuple[str, Array], ...] = ()
    luks: tuple[tuple[str, Crypt], ...] = ()
    lvm: tuple[GroupDraft, ...] = ()
    swap: tuple[tuple[str, SwapFile], ...] = ()
    mounts: tuple[tuple[str, OtherMount], ...] = ()
    esp: Esp | None = None
    boot: Boot = Boot()
    complete: bool = True

    @property
    def specs(self) -> tuple[DiskSpec, ...]:
        """The disk entries."""
        return tuple(draft.spec for draft in self.disks if draft.spec)

    def holders(self) -> Iterator[Holder]:
        """Everything that may carry a filesystem."""
        for disk in self.disks:
            for at, partition in disk.partitions:
                entry = disk.spec.id if disk.spec else ""
                yield Holder(at, f"{entry}.{partition.id}", partition, (partition.when,), entry=disk.spec)
        for at, array in self.raid:
            yield Holder(at, array.id, array, (array.when,), made_of=array)
        for at, crypt in self.luks:
            yield Holder(at, crypt.id, crypt, (crypt.when,), made_of=crypt)
        for group in self.lvm:
            outer = group.group.when if group.group else ""
            for at, volume in group.lvs:
                yield Holder(at, volume.id, volume, (outer, volume.when), made_of=group.group)

    def consumers(self) -> Iterator[tuple[str, Consumer]]:
        """Everything that is made of other devices."""
        yield from self.raid
        yield from self.luks
        yield from ((draft.at, draft.group) for draft in self.lvm if draft.group)

    def subvolumes(self) -> Iterator[tuple[str, Subvolume]]:
        """Of every filesystem."""
        for holder in self.holders():
            yield from holder.subvolumes()

    def mounted(self) -> Iterator[Mounted]:
        """Everything that is mounted from disks. The mount point of a filesystem goes to the subvolume that has it too;
        ``esp`` says where one of several is mounted."""
        for holder in self.holders():
            subvolumes = tuple(holder.subvolumes())
            mount = holder.content.mount
            if mount and mount not in [each.mount for _, each in subvolumes]:
                yield Mounted(f"{holder.at}.mount", mount, holder.when, holder)
            for at, each in subvolumes:
                if each.mount:
                    yield Mounted(f"{at}.mount", each.mount, (*holder.when, each.when), holder)


def repeated(named: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A fault for each name that is there already."""
    first: dict[str, str] = {}
    for at, name in named:
        if name in first:
            yield f"{at}: {name!r} is there already ({first[name]})"
        first.setdefault(name, at)
