"""What stands on partitions, built from the bottom up: arrays, encrypted devices, volume groups, filesystems.

``Stack`` gathers while it builds; it lives within one call of ``planning.storage.storage``.
"""

from collections.abc import Sequence
from uuid import UUID, uuid5

from attrs import evolve, frozen

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Inventory, partition_path
from imaged.model.image import ImageFacts
from imaged.model.layout import Layout
from imaged.model.plan import (
    DiskStep,
    MakeArray,
    MakeCrypt,
    MakeFilesystem,
    MakeGroup,
    MakeSubvolumes,
    MakeSwap,
    MakeVolume,
    OpenCrypt,
    PlannedSubvolume,
    StartArray,
    StartGroup,
)
from imaged.model.stack import Array, Content, Crypt, Filesystem, Preserve, Unlock, Volume, VolumeGroup
from imaged.model.system import PlannedArray, PlannedCrypt, PlannedFilesystem, PlannedSwap, RootOn
from imaged.planning import capacity
from imaged.planning.features import arguments
from imaged.planning.floors import Floors, key_of, level_of
from imaged.planning.identity import filesystem_uuid, swap_uuid
from imaged.planning.keeping import kept_array, kept_group
from imaged.planning.references import parse_reference
from imaged.planning.sizes import Demand, Rules, allocate

KEY_FILE = "/etc/imaged/keys/{}"


@frozen
class Made:
    """A device that is there once the steps so far are done. ``on`` says what lies between it and the disks."""

    path: str
    size: int
    on: tuple[RootOn, ...] = ()
    name: str = ""


class Stack:
    """Steps and identities of everything above the partitions of one machine."""

    def __init__(self, node: str, site: UUID, facts: ImageFacts, inventory: Inventory, floors: Floors) -> None:
        self.steps: list[DiskStep] = []
        self.formats: list[DiskStep] = []
        self.filesystems: list[PlannedFilesystem] = []
        self.swaps: list[PlannedSwap] = []
        self.arrays: list[PlannedArray] = []
        self.crypts: list[PlannedCrypt] = []
        self.groups: list[str] = []
        self.kept: list[str] = []
        self._node, self._site, self._facts, self._inventory, self._floors = node, site, facts, inventory, floors
        self._made: dict[str, list[Made]] = {}

    def put(self, key: str, made: Made) -> None:
        """A device that others may refer to; several of one key are an entry's disks, in order."""
        self._made.setdefault(key, []).append(made)

    def build(self, layout: Layout) -> None:
        """Everything on top of what was put, lowest first. Raises CannotPlan."""
        waiting: list[Array | Crypt | VolumeGroup] = [*layout.raid, *layout.luks, *layout.lvm]
        while waiting:
            ready = [each for each in waiting if all(self._is_there(text) for text in each.devices)]
            if not ready:
                missing = sorted({text for each in waiting for text in each.devices if not self._is_there(text)})
                raise CannotPlan(
                    f"{', '.join(missing)}: there is no such device on this machine",
                    where=f"layout {layout.name}",
                    hint="A disk was left out, or a partition for want of space: `when:` leaves out what needs it.",
                )
            for each in ready:
                waiting.remove(each)
                if isinstance(each, Array):
                    self._array(each)
                elif isinstance(each, Crypt):
                    self._crypt(each)
                else:
                    self._group(each)

    def content(self, wanted: Content, on: Made, identity: str, *, kept_uuid: str = "") -> None:
        """The filesystem on a device, and its subvolumes. ``identity`` tells it from the node's others."""
        if wanted.fs is None:
            return
        uuid = kept_uuid or filesystem_uuid(self._site, self._node, wanted.mount or identity, wanted.fs)
        if kept_uuid:
            self.kept.append(f"{on.path}: {wanted.fs.value}, UUID {uuid}")
        else:
            config = self._facts.mke2fs_conf if wanted.fs is Filesystem.EXT4 else ""
            more = arguments(wanted.fs, self._facts, wanted.mkfs)
            self.formats.append(MakeFilesystem(on.path, wanted.fs, uuid, wanted.label, config, more))
        self._mounts(wanted, on.path, uuid, made=not kept_uuid)

    def swap(self, device: str, identity: str) -> None:
        """Swap space on a device."""
        uuid = swap_uuid(self._site, self._node, identity)
        self.formats.append(MakeSwap(device, uuid))
        self.swaps.append(PlannedSwap(device, uuid))

    def below_root(self) -> tuple[RootOn, ...]:
        """What lies between the disks and the root filesystem, lowest first."""
        root = next((each.device for each in self.filesystems if each.mount == "/"), "")
        return next((made.on for all_made in self._made.values() for made in all_made if made.path == root), ())

    def _mounts(self, wanted: Content, device: str, uuid: str, *, made: bool) -> None:
        assert wanted.fs is not None
        subvolumes = wanted.btrfs.subvolumes if wanted.btrfs else ()
        covered = any(each.mount == wanted.mount for each in subvolumes if each.mount)
        if not (wanted.mount and covered):
            self.filesystems.append(
                PlannedFilesystem(device, wanted.fs, uuid, wanted.mount, wanted.options, wanted.label)
            )
        for each in subvolumes:
            if each.mount:
                options = ",".join(filter(None, (each.options or wanted.options, f"subvol={each.path}")))
                self.filesystems.append(
                    PlannedFilesystem(device, wanted.fs, uuid, each.mount, options, wanted.label, each.path)
                )
        if wanted.btrfs and made and (subvolumes or wanted.btrfs.default):
            planned = tuple(PlannedSubvolume(each.path, each.nodatacow) for each in subvolumes)
            self.formats.append(MakeSubvolumes(device, planned, wanted.btrfs.default))

    def _is_there(self, text: str) -> bool:
        """An entry that may have no disk, and has none, gives no member and is waited for in vain."""
        reference = parse_reference(text)
        return key_of(reference) in self._made or (reference.every and not self._floors.counts.get(reference.disk))

    def _devices(self, texts: Sequence[str]) -> list[Made]:
        found: list[Made] = []
        for text in texts:
            reference = parse_reference(text)
            made = self._made.get(key_of(reference), [])
            if reference.every:
                found += made
            elif (reference.index or 0) < len(made):
                found.append(made[reference.index or 0])
            else:
                raise CannotPlan(f"there is no {text}: {len(made)} disks were chosen", where=text)
        return found

    def _array(self, wanted: Array) -> None:
        name = wanted.name or wanted.id
        path = f"/dev/md/{name}"
        members = self._devices(wanted.devices)
        found = kept_array(wanted, self._inventory)
        if found:
            self.steps.append(StartArray(path, found.uuid))
            self.kept.append(f"array {name}, RAID {found.level} of {', '.join(found.devices)}")
            self.arrays.append(PlannedArray(path, found.uuid, found.level, found.metadata or wanted.metadata))
            size = found.size
        else:
            level, active = level_of(wanted, len(members)), len(members) - wanted.spares
            uuid = _md_uuid(uuid5(self._site, f"{self._node}:array:{name}"))
            paths = tuple(each.path for each in members)
            self.steps.append(MakeArray(path, level, wanted.metadata, uuid, paths[:active], paths[active:]))
            self.arrays.append(PlannedArray(path, uuid, level, wanted.metadata))
            size = capacity.of_array(level, [each.size for each in members[:active]])
        made = Made(path, size, (*_lowest(members), RootOn.ARRAY))
        self.put(wanted.id, made)
        self.content(wanted, made, wanted.id, kept_uuid=found.holds_uuid if found else "")

    def _crypt(self, wanted: Crypt) -> None:
        members = self._devices(wanted.devices)
        if len(members) != 1:
            raise CannotPlan(
                f"lies on exactly one device, and {', '.join(wanted.devices)} are {len(members)}", where=wanted.id
            )
        below = members[0]
        name = wanted.name or wanted.id
        uuid = str(uuid5(self._site, f"{self._node}:crypt:{name}"))
        keyfile = KEY_FILE.format(name) if Unlock.KEYFILE in wanted.unlock else ""
        found = self._kept_crypt(wanted, below)
        if found:
            uuid = found
            self.steps.append(OpenCrypt(below.path, name, uuid, keyfile))
            self.kept.append(f"{below.path}: encrypted, UUID {uuid}")
        else:
            tpm2 = Unlock.TPM2 in wanted.unlock and self._inventory.tpm2
            self.steps.append(MakeCrypt(below.path, name, uuid, tpm2, keyfile))
        self.crypts.append(PlannedCrypt(name, below.path, uuid, self._unlock(wanted)))
        made = Made(f"/dev/mapper/{name}", capacity.of_crypt(below.size), (*below.on, RootOn.CRYPT))
        self.put(wanted.id, made)
        self.content(wanted, made, wanted.id)

    def _unlock(self, wanted: Crypt) -> tuple[Unlock, ...]:
        """A machine without a TPM asks for the passphrase instead: refused only where nothing else was wanted."""
        ways = tuple(each for each in wanted.unlock if each is not Unlock.TPM2 or self._inventory.tpm2)
        if not ways:
            raise CannotPlan("is to be opened by a TPM 2.0 alone, and the machine has none", where=wanted.id)
        return ways

    def _kept_crypt(self, wanted: Crypt, below: Made) -> str:
        """UUID of the LUKS header that stays; empty: it is made."""
        if wanted.preserve is Preserve.NEVER:
            return ""
        holds = {
            each.uuid
            for disk in self._inventory.disks
            for each in disk.partitions
            if each.holds == "crypto_LUKS" and below.path == partition_path(disk.path, each.number)
        }
        if not holds and wanted.preserve is Preserve.REQUIRED:
            raise CannotPlan(f"the layout preserves {wanted.id!r}, and {below.path} holds nothing encrypted")
        return next(iter(holds), "")

    def _group(self, wanted: VolumeGroup) -> None:
        members = self._devices(wanted.devices)
        found = kept_group(wanted, self._inventory)
        on = (*_lowest(members), RootOn.VOLUME)
        self.groups.append(wanted.vg)
        stays = {each.name: each for each in found.volumes} if found else {}
        kept = {each.id for each in wanted.lvs if each.preserve is not Preserve.NEVER and each.id in stays}
        fresh = [each for each in wanted.lvs if each.id not in kept]
        if found:
            remade = tuple(each.id for each in fresh if each.id in stays)
            self.steps.append(StartGroup(wanted.vg, found.uuid, remade))
            self.kept.append(f"volume group {wanted.vg}: {', '.join(sorted(set(stays) - set(remade))) or 'empty'}")
            given_back = sum(stays[name].size for name in remade if not stays[name].is_thin)
            room, extent = found.free + given_back, found.extent
        elif not members:
            raise CannotPlan(f"none of {', '.join(wanted.devices)} is there", where=f"volume group {wanted.vg}")
        else:
            self.steps.append(MakeGroup(wanted.vg, tuple(each.path for each in members), wanted.extent))
            room = capacity.of_group([each.size for each in members], wanted.extent, wanted.reserve)
            extent = wanted.extent
        for name in sorted(kept):
            self.put(name, Made(f"/dev/{wanted.vg}/{name}", stays[name].size, on))
        pools = tuple(each for each in wanted.thin if each.id not in stays)
        self._volumes(evolve(wanted, thin=pools), fresh, room, extent, on)
        for each in wanted.lvs:
            made = self._made.get(each.id)
            if made and each.swap and each.id not in kept:
                self.swap(made[-1].path, f"{wanted.vg}/{each.id}")
            elif made:
                identity = f"{wanted.vg}/{each.id}"
                self.content(each, made[-1], identity, kept_uuid=stays[each.id].uuid if each.id in kept else "")

    def _volumes(
        self, group: VolumeGroup, fresh: Sequence[Volume], room: int, extent: int, on: tuple[RootOn, ...]
    ) -> None:
        """Pools first: thin volumes live in them."""
        thick = [each for each in fresh if not each.pool]
        metadata = {
            each.id: each.metadata * 2 or capacity.pool_metadata(each.size.min or room, extent) for each in group.thin
        }
        demands = [
            *(Demand(each.id, each.size.min or extent, each.size.max, each.size.weight) for each in group.thin),
            *(self._demand(each) for each in thick),
        ]
        try:
            sizes = allocate(demands, room - sum(metadata.values()), Rules(grain=extent))
        except CannotPlan as error:
            what, where = f"too small for the layout: {error.what}", f"volume group {group.vg}"
            raise CannotPlan(what, where=where, hint=error.hint) from None
        names = [each.name for each in demands]
        given = {name: size for name, size in zip(names, sizes, strict=True) if size is not None}
        for pool in group.thin:
            self.steps.append(MakeVolume(group.vg, pool.id, given[pool.id], thin=True, metadata=pool.metadata))
        for each in fresh:
            size = -(-self._floors.of_volume(each) // extent) * extent if each.pool else given.get(each.id, 0)
            if size:
                self.steps.append(MakeVolume(group.vg, each.id, size, each.pool))
                self.put(each.id, Made(f"/dev/{group.vg}/{each.id}", size, on))

    def _demand(self, volume: Volume) -> Demand:
        low: int = self._floors.of_volume(volume)
        high: int | None = volume.size.max
        if volume.size.cap:
            high = max(low, self._inventory.memory if high is None else min(high, self._inventory.memory))
        if high is not None and high < low:
            raise CannotPlan(f"{volume.id} needs {low} bytes, and the layout gives it {high} at most", where=volume.id)
        return Demand(volume.id, low, high, 0 if high == low else volume.size.weight, volume.priority)


def _lowest(members: Sequence[Made]) -> tuple[RootOn, ...]:
    return max((each.on for each in members), key=len, default=())


def _md_uuid(uuid: UUID) -> str:
    """As mdadm(8) writes it: four groups of eight."""
    return ":".join(uuid.hex[at : at + 8] for at in range(0, 32, 8))
