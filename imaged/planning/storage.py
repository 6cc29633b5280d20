"""A layout on one machine: where everything lies, how large it is and what it is called. Pure.

The order of the result is the order of work: partitions, then what stands on them, lowest first, then filesystems.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from attrs import evolve, frozen

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundPartition
from imaged.model.hardware import Disk, Inventory, partition_path
from imaged.model.image import ImageFacts, Version
from imaged.model.layout import BootFirmware, DiskSpec, Layout, Partition, Role
from imaged.model.plan import DiskStep, MakeSwapFile, PlannedPartition
from imaged.model.size import Cap
from imaged.model.stack import SwapFile
from imaged.model.system import PlannedFilesystem, PlannedSwap, System
from imaged.model.uefi import MirrorEsp
from imaged.planning.choose import choose
from imaged.planning.floors import Floors
from imaged.planning.identity import swap_uuid
from imaged.planning.keeping import kept_numbers, kept_partition, refuse_strangers
from imaged.planning.layout_rules import starts_by_bios, starts_by_uefi
from imaged.planning.needs import needs
from imaged.planning.place import place
from imaged.planning.platforms import efis, platforms
from imaged.planning.pruning import facts_of, prune
from imaged.planning.same_names import refuse_same_names
from imaged.planning.stack import Made, Stack


@frozen
class Filled:
    """A disk of the layout, the real disk it fell on, and its partitions with their places. ``index`` counts the disks
    of one entry from 0."""

    spec: DiskSpec
    index: int
    disk: Disk
    places: tuple[PlannedPartition, ...]

    def pairs(self) -> Iterator[tuple[Partition, PlannedPartition]]:
        """Each placed partition with what was wanted; what was dropped for space is gone, what is nobody's left out."""
        wanted = {partition.id: partition for partition in self.spec.partitions}
        return ((wanted[place.name], place) for place in self.places if place.name in wanted)

    @property
    def keeps(self) -> tuple[int, ...]:
        """Numbers of the partitions that stay."""
        return tuple(each.number for each in self.places if each.kept)

    def name(self, partition: Partition) -> str:
        """``os.root``, or ``os[1].root`` where the entry has several disks."""
        several = self.spec.count.max != 1
        return f"{self.spec.id}{f'[{self.index}]' if several else ''}.{partition.id}"


@frozen
class Storage:
    """Everything a plan must know of disks. ``stack`` are the steps after partitioning, in order; ``swap_files`` and
    ``mirrors`` come when the tree is there. ``layout`` is without what its conditions left out."""

    layout: Layout
    disks: tuple[Filled, ...]
    stack: tuple[DiskStep, ...]
    swap_files: tuple[MakeSwapFile, ...]
    mirrors: tuple[MirrorEsp, ...]
    system: System
    kept: tuple[str, ...]


def storage(node: str, version: Version, layout: Layout, inventory: Inventory, site: UUID) -> Storage:
    """``layout`` for ``node``, with identities that follow from ``site``. Raises CannotPlan."""
    chosen = choose(layout, inventory)
    layout = prune(layout, facts_of(inventory, chosen))
    wanted = needs(version, _mounts(layout))
    for file in layout.swap:
        holder = max((mount for mount in wanted if file.file.startswith(mount)), key=len)
        wanted[holder] += _file_size(file, inventory.memory)
    floors = Floors(layout, {id: len(disks) for id, disks in chosen.items()}, wanted)
    filled = tuple(
        _fill(spec, index, disk, floors, wanted, inventory)
        for spec in layout.disks
        for index, disk in enumerate(chosen[spec.id])
    )
    lost = [(each.disk, each.keeps) for each in filled]
    refuse_strangers(layout, inventory, lost)
    refuse_same_names(layout, inventory, lost)
    stack = Stack(node, site, version.facts, inventory, floors)
    for each in filled:
        _put_partitions(stack, each, layout)
    stack.build(layout)
    files = tuple(
        MakeSwapFile(each.file, _file_size(each, inventory.memory), swap_uuid(site, node, each.file))
        for each in layout.swap
    )
    mirrors = _mirrors(layout, filled, stack)
    return Storage(
        layout=layout,
        disks=filled,
        stack=(*stack.steps, *stack.formats),
        swap_files=files,
        mirrors=mirrors,
        system=_system(layout, version.facts, filled, stack, files, mirrors),
        kept=tuple(stack.kept),
    )


def _mounts(layout: Layout) -> Iterator[str]:
    """Of everything that has a filesystem of its own; a subvolume shares that of its filesystem."""
    for disk in layout.disks:
        yield from (each.mount for each in disk.partitions)
    yield from (each.mount for each in (*layout.raid, *layout.luks))
    yield from (volume.mount for group in layout.lvm for volume in group.lvs)
    if layout.esp:
        yield layout.esp.mount
    yield "/"


def _file_size(file: SwapFile, memory: int) -> int:
    """As large as the memory, within what the layout says."""
    most = memory if file.size.max is None or file.size.cap is Cap.RAM else file.size.max
    return max(file.size.min, min(most, memory), 1 << 20)


def _fill(
    spec: DiskSpec, index: int, disk: Disk, floors: Floors, wanted: Mapping[str, int], inventory: Inventory
) -> Filled:
    found = {each.id: kept_partition(each, disk) for each in spec.partitions}
    kept: dict[str, FoundPartition] = {id: each for id, each in found.items() if each is not None}
    numbers = kept_numbers(spec, disk, kept.values())
    if numbers and disk.table not in ("", {"gpt": "gpt", "msdos": "dos"}[spec.label.value]):
        what = f"has a {disk.table} table, the layout keeps partitions and wants {spec.label.value}"
        raise CannotPlan(what, where=str(disk))
    places = place(
        spec, disk, needs=wanted, memory=inventory.memory,
        floors={each.id: floors.of_partition(spec.id, each.id) for each in spec.partitions},
        kept=[each for each in disk.partitions if each.number in numbers],
        named={id: each.number for id, each in kept.items()},
    )  # fmt: skip
    return Filled(spec, index, disk, places)


def _put_partitions(stack: Stack, disk: Filled, layout: Layout) -> None:
    primary = layout.esp.primary if layout.esp else ""
    for wanted, where in disk.pairs():
        name = disk.name(wanted)
        found = next((each for each in disk.disk.partitions if where.kept and each.number == where.number), None)
        path = partition_path(disk.disk.path, where.number)
        stack.put(f"{disk.spec.id}.{wanted.id}", Made(path, where.size, name=name))
        if wanted.role is Role.SWAP and found is None:
            stack.swap(path, wanted.id if disk.index == 0 else name)
        if wanted.role is Role.ESP and layout.esp:
            wanted = evolve(wanted, mount=layout.esp.mount if primary in (name, f"{disk.spec.id}.{wanted.id}") else "")
        elif wanted.role is Role.ESP and disk.index:  # the first disk's is mounted, the others are copies of it
            wanted = evolve(wanted, mount="")
        stack.content(wanted, Made(path, where.size, name=name), wanted.id if disk.index == 0 else name,
                      kept_uuid=found.uuid if found else "")  # fmt: skip


def _mirrors(layout: Layout, filled: Sequence[Filled], stack: Stack) -> tuple[MirrorEsp, ...]:
    esps = [
        (disk.name(wanted), partition_path(disk.disk.path, where.number))
        for disk in filled
        for wanted, where in disk.pairs()
        if wanted.role is Role.ESP
    ]
    mounted = next((each for each in stack.filesystems if each.mount and each.device in dict(esps).values()), None)
    if mounted is None:
        return ()
    copies = [path for name, path in esps if path != mounted.device and _is_mirror(layout, name)]
    return (MirrorEsp(mounted.mount, tuple(copies)),) if copies else ()


def _is_mirror(layout: Layout, name: str) -> bool:
    if layout.esp is None:
        return True
    disk, _, part = name.partition("[")
    every = f"{disk}[*].{part.partition('.')[2]}"
    return name in layout.esp.mirrors or every in layout.esp.mirrors


def _system(
    layout: Layout, facts: ImageFacts, filled: Sequence[Filled], stack: Stack, files: Iterable[MakeSwapFile],
    mirrors: Sequence[MirrorEsp],
) -> System:  # fmt: skip
    starts_on, firmware = platforms(facts), layout.boot.firmware
    swaps = (*stack.swaps, *(PlannedSwap(each.path, each.uuid, file=True) for each in files))
    return System(
        filesystems=tuple(each for each in stack.filesystems if each.mount),
        spare=tuple(_once(each for each in stack.filesystems if not each.mount)),
        swaps=swaps,
        arrays=tuple(stack.arrays),
        crypts=tuple(stack.crypts),
        groups=tuple(stack.groups),
        mounts=layout.mounts,
        esp_mirrors=tuple(path for each in mirrors for path in each.devices),
        root_on=stack.below_root(),
        boot_disks=tuple(each.disk.path for each in filled if starts_by_bios((each.spec,))),
        bios="i386-pc" in starts_on and firmware is not BootFirmware.UEFI and starts_by_bios(layout.disks),
        uefi=bool(efis(facts)) and firmware is not BootFirmware.BIOS and starts_by_uefi(layout.disks),
        boot=layout.boot,
        layout=layout.name,
    )


def _once(filesystems: Iterable[PlannedFilesystem]) -> Iterator[PlannedFilesystem]:
    seen: set[str] = set()
    for each in filesystems:
        if each.device not in seen:
            seen.add(each.device)
            yield each
