"""How small a partition may be for what lies on top of it: minima handed down through arrays, groups and encryption."""

from collections.abc import Iterator, Mapping

from attrs import frozen

from imaged.model.errors import CannotPlan
from imaged.model.layout import Layout
from imaged.model.size import MIB
from imaged.model.stack import Array, Content, Crypt, Volume, VolumeGroup
from imaged.planning import capacity
from imaged.planning.place import floor_of
from imaged.planning.references import Reference, parse_reference

_SECTOR = 4096  # a filesystem on a stack must fit the larger of the two that disks have

Consumer = Array | Crypt | VolumeGroup


@frozen
class Floors:
    """Minima for one machine. ``counts``: how many disks each entry got; ``needs``: what lands on each mount point."""

    layout: Layout
    counts: Mapping[str, int]
    needs: Mapping[str, int]

    def of_partition(self, disk: str, partition: str) -> int:
        """Bytes that the partition must have for what stands on it; 0 where nothing does."""
        return self._below(f"{disk}.{partition}")

    def of_volume(self, volume: Volume) -> int:
        """Bytes that the volume must have."""
        return max(volume.size.min, self._content(volume), self._below(volume.id))

    def _below(self, key: str) -> int:
        consumer = next((each for each in self._consumers() if key in self._keys(each)), None)
        if isinstance(consumer, Array):
            count = member_count(consumer, self.counts)
            wanted = max(self._content(consumer), self._below(consumer.id))
            return capacity.member_for(level_of(consumer, count), count - consumer.spares, wanted)
        if isinstance(consumer, Crypt):
            return capacity.LUKS2_HEADER + max(self._content(consumer), self._below(consumer.id))
        return self._share(consumer) if consumer else 0

    def _share(self, group: VolumeGroup) -> int:
        """An equal part of all that the group must hold."""
        total = sum(-(-self.of_volume(each) // group.extent) * group.extent for each in group.lvs if not each.pool)
        for pool in group.thin:
            total += pool.size.min + (pool.metadata * 2 or capacity.pool_metadata(pool.size.min, group.extent))
        total = int(total * 100 // max(1.0, 100 - group.reserve)) + group.extent
        members = sum(count_of(parse_reference(each), self.counts) for each in group.devices)
        return -(-total // max(1, members)) + 2 * MIB

    def _content(self, content: Content) -> int:
        return floor_of(content.fs, self.needs.get(content.mount, 0), _SECTOR)[0] if content.fs else 0

    def _consumers(self) -> Iterator[Consumer]:
        yield from self.layout.raid
        yield from self.layout.luks
        yield from self.layout.lvm

    def _keys(self, consumer: Consumer) -> set[str]:
        return {key_of(parse_reference(each)) for each in consumer.devices}


def key_of(reference: Reference) -> str:
    """``os.r`` for a partition of any disk of an entry, an id for the rest."""
    return f"{reference.disk}.{reference.part}" if reference.disk else reference.part


def count_of(reference: Reference, counts: Mapping[str, int]) -> int:
    """How many devices a reference means on this machine."""
    return counts.get(reference.disk, 0) if reference.every else 1


def member_count(array: Array, counts: Mapping[str, int]) -> int:
    """Members and spares of an array together."""
    return sum(count_of(parse_reference(each), counts) for each in array.devices)


def level_of(array: Array, count: int) -> int:
    """The level of an array with ``count`` devices, spares among them. Raises CannotPlan where it can have none."""
    active = count - array.spares
    level = next((each.level for each in array.level if _fits(each.least, each.most, active)), None)
    if level is None or active < (capacity.least_members(level) or 1):
        wanted = "the layout names no level for that" if level is None else f"RAID {level} needs more"
        raise CannotPlan(
            f"{active} member{'s' * (active != 1)} for the array: {wanted}",
            where=array.id,
            hint='A `when:` such as "count(disk) >= 2" leaves it out where there are too few.',
        )
    return level


def _fits(least: int, most: int | None, count: int) -> bool:
    return least <= count and (most is None or count <= most)
