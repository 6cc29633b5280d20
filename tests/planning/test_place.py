"""Where partitions lie: sectors, tables, minima from the image, and that nothing overlaps or leaves the disk."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Disk
from imaged.model.layout import DiskSpec, Label, Partition, Role
from imaged.model.plan import PlannedPartition
from imaged.model.size import GIB, MIB, TIB, Bytes, Cap, SizeSpec
from imaged.model.stack import Filesystem
from imaged.planning.layout import read
from imaged.planning.place import floor_of, place
from imaged.store import yamlfile

_SHIPPED = Path(__file__).parents[2] / "autoinstall_scripts/layouts"
_ONE_DISK = read(yamlfile.load(_SHIPPED / "one-disk.yaml"), "one-disk").disks[0]
_MBR = read(yamlfile.load(_SHIPPED / "one-disk-mbr.yaml"), "one-disk-mbr").disks[0]


def _disk(size: int, logical: int = 512, physical: int = 0) -> Disk:
    return Disk("/dev/vda", size, logical, physical or logical, serial="S1")


def _size(low: int = 0, high: int | None = None, weight: int = 1000, cap: Cap | None = None) -> SizeSpec:
    return SizeSpec(Bytes(low), None if high is None else Bytes(high), weight, cap)


def _in_mib(planned: tuple[PlannedPartition, ...]) -> list[tuple[int, str, int, int]]:
    assert all(each.start % MIB == 0 and each.size % MIB == 0 for each in planned)
    return [(each.number, each.name, each.start // MIB, each.size // MIB) for each in planned]


@pytest.mark.parametrize(
    ("spec", "disk", "memory", "expected"),
    [
        (  # the smallest: swap at its minimum would be 256, a ninth of what can grow is more
            _ONE_DISK, _disk(4 * GIB), 8 * GIB,
            [(1, "bios", 1, 1), (2, "esp", 2, 512), (3, "swap", 514, 397), (4, "root", 911, 3184)],
        ),
        (  # the end is 4Kn's: 33 sectors of 4096 are 132 KiB, so still one MiB
            _ONE_DISK, _disk(4 * GIB, 4096), 8 * GIB,
            [(1, "bios", 1, 1), (2, "esp", 2, 512), (3, "swap", 514, 397), (4, "root", 911, 3184)],
        ),
        (  # swap is capped by memory
            _ONE_DISK, _disk(100 * GIB), GIB,
            [(1, "bios", 1, 1), (2, "esp", 2, 512), (3, "swap", 514, 1024), (4, "root", 1538, 100861)],
        ),
        (  # and by its maximum; a disk that is no whole number of MiB
            _ONE_DISK, _disk(20 * TIB + 512), 64 * GIB,
            [(1, "bios", 1, 1), (2, "esp", 2, 512), (3, "swap", 514, 16384), (4, "root", 16898, 20954621)],
        ),
        (_MBR, _disk(4 * GIB), 8 * GIB, [(1, "root", 1, 3640), (2, "swap", 3641, 455)]),
    ],
)  # fmt: skip
def test_the_shipped_layouts(
    spec: DiskSpec, disk: Disk, memory: int, expected: list[tuple[int, str, int, int]]
) -> None:
    assert _in_mib(place(spec, disk, needs={"/": GIB}, memory=memory)) == expected


def test_swap_is_left_out_where_the_system_needs_its_room() -> None:
    planned = place(_ONE_DISK, _disk(4 * GIB), needs={"/": 2800 * MIB}, memory=GIB)
    assert [(each.number, each.name) for each in planned] == [(1, "bios"), (2, "esp"), (3, "root")]


def test_what_the_image_fills_is_never_left_out() -> None:
    spec = DiskSpec("os", (
        Partition("root", Role.ROOT, _size(2 * GIB), 0, fs=Filesystem.EXT4, mount="/"),
        Partition("srv", Role.DATA, _size(3 * GIB), 5, fs=Filesystem.EXT4, mount="/srv"),
    ))  # fmt: skip
    assert len(place(spec, _disk(4 * GIB), needs={}, memory=GIB)) == 1
    with pytest.raises(CannotPlan, match="too small for the layout"):
        place(spec, _disk(4 * GIB), needs={"/srv": 1}, memory=GIB)


def test_a_disk_too_small_is_told_what_is_missing() -> None:
    with pytest.raises(CannotPlan) as caught:
        place(_ONE_DISK, _disk(2 * GIB), needs={"/": 2 * GIB}, memory=GIB)
    used = 2 * GIB
    root = -(-(used * 115 // 100 + 66 * MIB + used // 25) // MIB) * MIB
    missing = root + 513 * MIB - (2 * GIB - 2 * MIB)
    assert f"({missing} bytes)" in caught.value.what
    assert caught.value.where == "/dev/vda (serial S1, 2 GiB)"
    assert "root: 2.4 GiB (the image has 2 GiB there" in caught.value.hint


def test_a_partition_too_small_for_the_image_is_told_what_is_missing() -> None:
    spec = DiskSpec("os", (Partition("root", Role.ROOT, _size(GIB, GIB), 0, fs=Filesystem.XFS, mount="/"),))
    with pytest.raises(CannotPlan) as caught:
        place(spec, _disk(100 * GIB), needs={"/": GIB}, memory=GIB)
    need = GIB * 115 // 100 + 80 * MIB + GIB // 50
    assert "root must have 1.2 GiB and the layout gives it 1 GiB at most" in caught.value.what
    assert f"({need - GIB} bytes)" in caught.value.what


@pytest.mark.parametrize(
    ("fs", "size", "sector", "said"),
    [
        (Filesystem.VFAT, 200 * MIB, 4096, "must have 257 MiB"),
        (Filesystem.XFS, 200 * MIB, 512, "must have 300 MiB"),
        (Filesystem.BTRFS, 100 * MIB, 512, "must have 128 MiB"),
        (Filesystem.EXT4, 8 * MIB, 512, "must have 16 MiB"),
    ],
)
def test_filesystems_have_a_least_size(fs: Filesystem, size: int, sector: int, said: str) -> None:
    spec = DiskSpec("os", (Partition("d", Role.DATA, _size(size, size), 0, fs=fs, mount="/d"),))
    with pytest.raises(CannotPlan, match=said):
        place(spec, _disk(GIB, sector), needs={}, memory=GIB)
    assert place(spec, _disk(GIB, 512), needs={}, memory=GIB) if fs is Filesystem.VFAT else True


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        (_disk(2 * TIB + 512), "msdos reaches 2 TiB only, the disk has 2.0 TiB"),
        (_disk(3 * TIB), "msdos reaches 2 TiB only, the disk has 3 TiB"),
        (_disk(GIB, 520), "sectors of 520 bytes"),
        (_disk(GIB, 0, 512), "sectors of 0 bytes"),
        (_disk(GIB, 4096, 512), "sectors of 4096 bytes (512 physical)"),
        (_disk(0), "too small"),
        (_disk(-5 * GIB), "too small"),
    ],
)
def test_disks_that_cannot_be_partitioned(disk: Disk, said: str) -> None:
    with pytest.raises(CannotPlan, match=re.escape(said)):
        place(_MBR, disk, needs={}, memory=GIB)


@pytest.mark.parametrize("disk", [_disk(2 * TIB), _disk(16 * TIB, 4096)])
def test_an_mbr_reaches_as_far_as_32_bits_of_sectors(disk: Disk) -> None:
    planned = place(_MBR, disk, needs={}, memory=GIB)
    assert planned[-1].start + planned[-1].size == disk.size


@pytest.mark.parametrize(("physical", "grain"), [(512, MIB), (4096, MIB), (2 * MIB, 2 * MIB), (3 * MIB, 3 * MIB)])
def test_alignment_follows_the_physical_sector(physical: int, grain: int) -> None:
    planned = place(_ONE_DISK, _disk(8 * GIB, 512, physical), needs={}, memory=GIB)
    assert all(each.start % grain == 0 and each.size % grain == 0 for each in planned)
    assert planned[0].start == grain


def test_memory_lowers_a_maximum_but_no_minimum() -> None:
    spec = DiskSpec("os", (Partition("s", Role.SWAP, _size(GIB, 4 * GIB, 1, Cap.RAM)),))
    sizes = [place(spec, _disk(8 * GIB), needs={}, memory=memory)[0].size for memory in (0, 2 * GIB, 9 * GIB)]
    assert sizes == [GIB, 2 * GIB, 4 * GIB]


_PARTITIONS = st.builds(
    Partition,
    id=st.just("p"),
    role=st.sampled_from(Role),
    size=st.builds(
        _size,
        st.integers(0, 4 * GIB), st.none() | st.integers(4 * GIB, 9 * GIB), st.integers(0, 2000),
        st.none() | st.just(Cap.RAM),
    ),
    priority=st.integers(-2, 3),
    fs=st.none() | st.sampled_from(Filesystem),
    mount=st.sampled_from(("", "/", "/boot", "/boot/efi", "/home", "/srv")),
)  # fmt: skip
_DISKS = st.builds(
    _disk,
    st.integers(-1, 64 * GIB) | st.integers(0, 30 * TIB),
    st.sampled_from((512, 4096)) | st.integers(0, 5000),
    st.sampled_from((0, 512, 4096, 65536, 3 * MIB)),
)


@given(
    st.lists(_PARTITIONS, max_size=6),
    st.sampled_from(Label),
    _DISKS,
    st.dictionaries(st.sampled_from(("/", "/boot", "/home", "/boot/efi")), st.integers(0, 8 * GIB)),
    st.integers(0, 2**40),
)
@settings(max_examples=500, deadline=None)
def test_any_layout_on_any_disk_lies_well_or_is_refused(
    partitions: list[Partition], label: Label, disk: Disk, needs: dict[str, int], memory: int
) -> None:
    wanted = tuple(evolve(each, id=f"p{index}") for index, each in enumerate(partitions))
    try:
        planned = place(DiskSpec("os", wanted, label=label), disk, needs=needs, memory=memory)
    except CannotPlan as error:
        assert error.what and error.where
        return
    asked = {each.id: each for each in wanted}
    grain = max(MIB, disk.physical_sector)
    reach = disk.size - 33 * disk.logical_sector if label is Label.GPT else min(disk.size, 2**32 * disk.logical_sector)
    position = grain
    for number, each in enumerate(planned, 1):
        partition = asked[each.name]
        floor, _ = floor_of(
            partition.fs, needs.get(partition.mount, 0), disk.logical_sector, swap=partition.role is Role.SWAP
        )
        assert each.number == number
        assert each.start == position
        assert each.start % grain == 0 and each.size % grain == 0
        assert each.size >= max(partition.size.min, floor)
        assert partition.size.max is None or each.size < max(partition.size.max, partition.size.min + grain) + grain
        position = each.start + each.size
    assert position <= reach or not planned
    if any(asked[each.name].size.max is None and _grows(asked[each.name]) for each in planned):
        assert reach - position < grain
    for each in wanted:
        if each.priority <= 0 or needs.get(each.mount):
            assert each.id in {place.name for place in planned}


def _grows(partition: Partition) -> bool:
    return partition.size.weight > 0 and partition.size.cap is None


@pytest.mark.processes
@pytest.mark.parametrize("used", [1, 100 * MIB, GIB, 3 * GIB, 20 * GIB, 300 * GIB])
@pytest.mark.skipif(not shutil.which("mke2fs"), reason="mke2fs is not installed")
def test_the_floor_of_ext4_holds_what_it_shall(used: int, tmp_path: Path) -> None:
    """mke2fs itself on a sparse file: what it leaves free is at least the image and 15 %."""
    floor, _ = floor_of(Filesystem.EXT4, used, 512)
    image = tmp_path / "fs"
    image.touch()
    os.truncate(image, floor)
    argv = ("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard", str(image))
    subprocess.run(argv, check=True, timeout=120)
    said = subprocess.run(("dumpe2fs", "-h", str(image)), check=True, capture_output=True, text=True, timeout=60).stdout
    free = re.search(r"^Free blocks: +(\d+)$", said, re.MULTILINE)
    block = re.search(r"^Block size: +(\d+)$", said, re.MULTILINE)
    assert free and block
    assert int(free[1]) * int(block[1]) >= used * 115 // 100
    image.unlink()
