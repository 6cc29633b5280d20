"""A layout that has every part, changed at random, on all sorts of machines: bad input, no plan, or a right plan.

Right is: nothing overlaps, nothing that is preserved is touched, nothing is made twice or mounted twice.
"""

import contextlib
import copy
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, CannotPlan
from imaged.model.found import FoundGroup, FoundPartition, FoundVolume
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, partition_path
from imaged.model.image import ImageFacts, Kernel, Version
from imaged.model.layout import DiskSpec, Label, Layout, Partition, Wipe
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import (
    InstallPlan,
    MakeArray,
    MakeCrypt,
    MakeFilesystem,
    MakeGroup,
    MakeSwap,
    MakeTable,
    MakeVolume,
    Mount,
    StartGroup,
    Step,
    WipeDisk,
)
from imaged.model.size import GIB
from imaged.model.stack import Preserve
from imaged.planning.install import Site, plan
from imaged.planning.layout import read
from imaged.store import yamlfile

_EVERYTHING = yamlfile.load(Path(__file__).parents[1] / "data/layouts/everything.yaml")
_GONE = object()
_OTHERWISE: dict[str, tuple[Any, ...]] = {  # by the key's name: what else it may be
    "size": ("1G", "700G", {}, {"min": "1G", "weight": 0}, {"min": "5G", "max": "6G"}, {"cap": "ram"}, {"max": "300G"}),
    "preserve": ("never", "if-present", "required"),
    "when": ("firmware == uefi", "count(data) > 2", "size(os) > 1T", "ram < 100G", "not arch == x86_64", ""),
    "fs": ("ext4", "xfs", "btrfs", "f2fs", "vfat", "swap"),
    "wipe": ("all", "none"),
    "count": (1, 2, 3, {"min": 0, "max": 2}, {"min": 1}),
    "level": (0, 1, 5, {"2": 0, "3": 4, "4+": 10}),
    "spares": (1, 2),
    "priority": (1, 2, -1),
    "mount": ("/", "/boot", "/usr", "/var", "/x/y"),
    "number": (1, 4, 5),
    "reserve": ("50%", 0),
    "extent": ("64K", "1G"),
    "match": ({"rotational": True}, {"rotational": False}, {"pick": "smallest"}, {}),
    "label": ("msdos", "gpt"),
    "file": ("/swapfile", "/a/x/y"),
    "type": ("83", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "nfs4"),
}


def _ssd(number: int, size: int = 480, **more: Any) -> Disk:
    return Disk(
        f"/dev/sd{'abcdefgh'[number]}", size * GIB, bus=Bus.SATA, serial=f"S{number}", by_path=f"ata-{number}", **more
    )


_HDDS = tuple(_ssd(number, 4000, rotational=True) for number in (4, 5, 6))
_HOME = FoundPartition(4, 100 * GIB, 2 * GIB, "h", holds="ext4", uuid="11111111-2222-4333-8444-555555555555")
_OTHER = FoundPartition(2, GIB, 20 * GIB, "old", holds="LVM2_member")
_ONE = Disk("/dev/sdz", 200 * GIB, bus=Bus.USB, serial="Z", by_path="usb-1", table="gpt", partitions=(_OTHER, _HOME))
_OF_MBR = (
    FoundPartition(1, GIB, 2 * GIB, type="0x83", holds="ext4"),
    FoundPartition(3, 30 * GIB, 130 * GIB, type="0xf"),
    evolve(_HOME, number=5, name="", type="0x83"),
)
_KEPT = FoundGroup("vgkeep", "g1", ("/dev/sdy1",), (FoundVolume("kept", 10 * GIB, "xfs", "22222222-2222-4333-8444-5"),))
_VG0 = FoundGroup("vg0", "g2", ("/dev/sdz2",), (FoundVolume("a", 2 * GIB, "xfs", "33333333-2222-4333-8444-5"),), GIB)


def _machine(*disks: Disk, firmware: Firmware = Firmware.UEFI, memory: int = 4, old: bool = False) -> Inventory:
    groups = (_KEPT, _VG0) if old else (_KEPT,)
    return Inventory("x86_64", firmware, memory * GIB, 4, disks, (), groups=groups, boot_mac=_MAC, tpm2=True)


_MAC = Mac.parse("52:54:00:00:00:01")
_MACHINES = (
    _machine(_ssd(0), _ssd(1), *_HDDS, _ONE),
    _machine(_ssd(0), _ssd(1), _HDDS[0], _ONE, firmware=Firmware.BIOS, memory=256),
    _machine(_ssd(0), _ssd(1), *_HDDS, _ONE, old=True),
    _machine(_ssd(0, 60), _ssd(1, 60), evolve(_ONE, partitions=(), table="")),
    _machine(_ssd(0, 500, logical_sector=4096, physical_sector=4096), _ssd(1, 500), _ONE),
    _machine(_ssd(0), _ONE),
    _machine(_ONE),
)
_WITH_MBR = _machine(_ssd(0), _ssd(1), *_HDDS, evolve(_ONE, table="dos", partitions=_OF_MBR))
_ON_MBR = [("disks/2/label", "msdos"), ("disks/2/partitions/3/number", 5)]
_FACTS = ImageFacts(
    "x86_64",
    kernels=(Kernel("6.1", "/boot/vmlinuz-6.1", "/boot/initrd.img-6.1"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    grub_signed=True,
    commands=("mdadm", "lvm", "cryptsetup", "mkfs.xfs", "grub-install", "update-grub", "update-initramfs"),
    initramfs_generic=True,
)
_VERSION = Version("compute", 1, "2026-01-01T00:00:00Z", "", 2 * GIB, 1000, "0" * 64, _FACTS)
_NODE = Node("node01", (_MAC,), ImageRef.parse("compute"))
_SITE = Site(UUID("12345678-1234-5678-1234-567812345678"), "http://10.0.0.1:8080")


def _paths(data: Any, at: str = "") -> Iterator[str]:
    if at:
        yield at
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, each in pairs:
        yield from _paths(each, f"{at}/{key}" if at else str(key))


def _key(path: str) -> str:
    return re.sub(r"(/[0-9]+)+$", "", path).rpartition("/")[2]


def _at(data: Any, path: str) -> Any:
    for part in path.split("/"):
        data = data[int(part) if isinstance(data, list) else part]
    return data


_PATHS = tuple(_paths(_EVERYTHING))
_PLACES = (*_PATHS, *(f"{path}/{key}" for path in _PATHS if isinstance(_at(_EVERYTHING, path), dict)
                      for key in ("preserve", "when", "priority", "spares", "number")))  # fmt: skip


def _values(path: str) -> list[Any]:
    alike = [_at(_EVERYTHING, each) for each in _PATHS if _key(each) == _key(path)]
    return [_GONE, *alike, *_OTHERWISE.get(_key(path), (None, 0, "", "os", []))]


_CHANGES = tuple((path, value) for path in _PLACES for value in _values(path))


def _mutated(changes: list[tuple[str, Any]]) -> Any:
    data = copy.deepcopy(_EVERYTHING)
    for path, value in changes:
        with contextlib.suppress(KeyError, IndexError, TypeError, ValueError):  # an earlier change took the place away
            where, _, last = path.rpartition("/")
            at = _at(data, where) if where else data
            key = int(last) if isinstance(at, list) else last
            if value is _GONE:
                del at[key]
            else:
                at[key] = copy.deepcopy(value)
    return data


@example([("disks/1/partitions/0/when", "firmware == uefi")], _MACHINES[1])
@given(st.lists(st.sampled_from(_CHANGES), min_size=1, max_size=2), st.sampled_from(_MACHINES))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_mutated_layout_gives_an_error_or_a_right_plan(changes: list[tuple[str, Any]], machine: Inventory) -> None:
    try:
        layout = read(_mutated(changes), "mutated")
        made = plan(_NODE, _VERSION, layout, machine, _SITE)
    except (BadInput, CannotPlan) as error:
        assert error.what
        event(type(error).__name__)
        return
    event("plan")
    _judge(made, layout)


@given(st.lists(st.sampled_from(_CHANGES), max_size=2))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_with_partitions_in_an_mbr_that_stay(changes: list[tuple[str, Any]]) -> None:
    try:
        layout = read(_mutated([*_ON_MBR, *changes]), "mutated")
        made = plan(_NODE, _VERSION, layout, _WITH_MBR, _SITE)
    except (BadInput, CannotPlan) as error:
        assert error.what
        event(type(error).__name__)
        return
    event("plan")
    _judge(made, layout)


def test_logical_partitions_are_made_beside_one_that_stays() -> None:
    """Two numbers are left for primary ones, and the layout wants four."""
    layout = read(_mutated(_ON_MBR), "mutated")
    made = plan(_NODE, _VERSION, layout, _WITH_MBR, _SITE)
    _judge(made, layout)
    steps = (step for phase in made.phases for step in phase.steps)
    (table,) = (step for step in steps if isinstance(step, MakeTable) and step.disk.path == "/dev/sdz")
    assert {each.number: each.name for each in table.partitions if not each.kept} == {6: "l", 7: "p", 8: "s", 9: "z"}


@pytest.mark.parametrize("machine", _MACHINES[:2])
def test_the_layout_as_it_is_gives_a_plan(machine: Inventory) -> None:
    layout = read(_EVERYTHING, "everything")
    _judge(plan(_NODE, _VERSION, layout, machine, _SITE), layout)


def _judge(made: InstallPlan, layout: Layout) -> None:
    steps = [step for phase in made.phases for step in phase.steps]
    assert from_json(to_json(made), InstallPlan) == made
    for step in steps:
        if isinstance(step, MakeTable):
            _judge_table(step, layout)
    mounts = [step.at for step in steps if isinstance(step, Mount)]
    assert max(Counter(mounts).values()) == 1 and "/" in mounts
    assert max(Counter(_written(steps)).values()) == 1, "a device is used for two things"
    assert not set(_written(steps)) & set(_staying(steps))
    _judge_what_stays(layout, steps)
    _judge_groups(layout, steps)


def _judge_groups(layout: Layout, steps: list[Step]) -> None:
    made = {(step.group, step.name) for step in steps if isinstance(step, MakeVolume)}
    formatted = {step.device for step in steps if isinstance(step, MakeFilesystem | MakeSwap)}
    started = {step.group: step.remove for step in steps if isinstance(step, StartGroup)}
    assert not started.keys() & {step.group for step in steps if isinstance(step, MakeGroup)}
    for group in layout.lvm:
        for volume in group.lvs:
            if volume.preserve is not Preserve.NEVER and volume.id == "kept" and group.vg == "vgkeep":
                assert volume.id not in started.get(group.vg, ())
                assert (group.vg, volume.id) not in made and f"/dev/{group.vg}/{volume.id}" not in formatted


def _judge_table(step: MakeTable, layout: Layout) -> None:
    frames = {each.number for each in step.disk.partitions if each.is_extended}
    there = sorted((each for each in step.partitions if each.number not in frames), key=lambda each: each.start)
    chained = [each for each in there if step.label is Label.MSDOS and each.number > 4]
    assert all(one.start + one.size < two.start for one, two in pairwise(chained)), "no room for the next one's record"
    assert all(one.start + one.size <= two.start for one, two in pairwise(there)), "overlap"
    if not there:  # only where everything on the disk depends on what does not hold
        assert any(disk.partitions and all(each.when for each in disk.partitions) for disk in layout.disks)
        return
    assert there[0].start >= 34 * step.disk.logical_sector
    assert there[-1].start + there[-1].size <= step.disk.size - 33 * 512
    assert len({each.number for each in there}) == len(there)
    found = {each.number: each for each in step.disk.partitions}
    for each in there:
        if each.kept:
            assert (each.start, each.size) == (found[each.number].start, found[each.number].size)


def _written(steps: list[Step]) -> Iterator[str]:
    """Devices that something is made on, once for each thing."""
    for step in steps:
        if isinstance(step, MakeFilesystem | MakeSwap | MakeCrypt):
            yield step.device
        elif isinstance(step, MakeArray):
            yield from (*step.members, *step.spares)
        elif isinstance(step, MakeGroup):
            yield from step.members


def _staying(steps: list[Step]) -> Iterator[str]:
    """Paths of the partitions that wiping leaves alone."""
    for step in steps:
        if isinstance(step, WipeDisk):
            yield from (partition_path(step.disk.path, number) for number in step.keep)


def _judge_what_stays(layout: Layout, steps: list[Step]) -> None:
    keeps = {step.disk.path: set(step.keep) for step in steps if isinstance(step, WipeDisk)}
    for step in steps:
        if not isinstance(step, MakeTable):
            continue
        keep = keeps[step.disk.path]
        assert keep == {each.number for each in step.partitions if each.kept}
        spec = next(each for each in layout.disks if _is_of(step, each))
        for found in step.disk.partitions:
            remade = any(each.preserve is Preserve.NEVER and _same(each, found) for each in spec.partitions)
            stays = any(each.preserve is not Preserve.NEVER and _same(each, found) for each in spec.partitions)
            assert found.number in keep or (remade if spec.wipe is Wipe.NONE else not stays)


def _is_of(step: MakeTable, spec: DiskSpec) -> bool:
    return {each.name for each in step.partitions if not each.kept} <= {each.id for each in spec.partitions}


def _same(wanted: Partition, found: FoundPartition) -> bool:
    return found.number == wanted.number if wanted.number else found.name == wanted.id
