"""What is stopped in which order, and which bytes are cleared."""

import os
from pathlib import Path

import pytest

from imaged.model.errors import Conflict
from imaged.model.found import FoundPartition
from imaged.model.hardware import Disk
from imaged.model.plan import WipeDisk
from imaged.model.size import MIB
from installer.inventory import highest_first
from installer.wipe import clear, condemned, edges, ends, stop, swaps

STACKS = {
    "sda": ("sda1", "sda2", "sda3"),
    "sda1": ("md0",),
    "sda2": ("dm-0", "dm-1"),  # LVM on the second partition and on the array
    "sda3": (),
    "md0": ("dm-1", "dm-2"),
    "dm-2": ("dm-3",),
}


def test_everything_comes_off_before_what_it_stands_on() -> None:
    order = highest_first("sda", lambda name: STACKS.get(name, ()))
    assert sorted(order) == ["dm-0", "dm-1", "dm-2", "dm-3", "md0", "sda1", "sda2", "sda3"]
    for lower, uppers in STACKS.items():
        for upper in uppers:
            assert lower == "sda" or order.index(upper) < order.index(lower)


def test_commands() -> None:
    names = {"dm-0": "vg-swap", "dm-1": "vg-root"}
    stacked = ("dm-0", "dm-1", "md127p1", "md127", "sda1", "sda2")
    assert list(stop(stacked, frozenset({"/dev/mapper/vg-swap", "/dev/sda2"}), names)) == [
        ("swapoff", "/dev/dm-0"),
        ("dmsetup", "remove", "--retry", "vg-swap"),
        ("dmsetup", "remove", "--retry", "vg-root"),
        ("mdadm", "--stop", "/dev/md127"),
        ("swapoff", "/dev/sda2"),
    ]


def test_swaps() -> None:
    text = "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2   partition\t8\t0\t-2\n/swapfile file 8 0 -3\n"
    assert swaps(text) == {"/dev/sda2", "/swapfile"} - {"/swapfile"}
    assert swaps("Filename\tType\tSize\tUsed\tPriority\n") == frozenset()


@pytest.mark.parametrize(
    ("size", "extents", "expected"),
    [
        (10 * MIB, (), ((0, MIB), (9 * MIB, MIB))),
        (10 * MIB, ((MIB, 4 * MIB),), ((0, MIB), (MIB, MIB), (4 * MIB, MIB), (9 * MIB, MIB))),
        (MIB // 2, (), ((0, MIB // 2),)),
        (10 * MIB, ((2 * MIB, 512),), ((0, MIB), (2 * MIB, 512), (9 * MIB, MIB))),
        (4 * MIB, ((3 * MIB, 4 * MIB),), ((0, MIB), (3 * MIB, MIB))),  # an old table of a larger disk
    ],
)
def test_edges(size: int, extents: tuple[tuple[int, int], ...], expected: tuple[tuple[int, int], ...]) -> None:
    assert edges(size, extents) == expected


def test_clear_touches_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x" * (6 * MIB))
    descriptor = os.open(path, os.O_RDWR)
    try:
        clear(descriptor, edges(6 * MIB, ((2 * MIB, 3 * MIB),)))
    finally:
        os.close(descriptor)
    zero, kept = bytes(MIB), b"x" * MIB
    assert path.read_bytes() == zero + kept + zero + kept + zero + zero


def test_ends_leave_the_table_alone() -> None:
    assert ends(10 * MIB, ((2 * MIB, 4 * MIB),)) == ((2 * MIB, MIB), (5 * MIB, MIB))


NUMBERS = {"sda1": 1, "sda2": 2, "sda3": 3}


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ((1, 2, 3), ()),
        ((1, 2), ("sda3",)),
        ((1, 3), "stands on a partition that is kept"),  # dm-1 is on the array and on sda2
        ((2,), "stands on a partition that is kept"),
        ((9,), "partition 9 is to be kept and is not there"),
    ],
)
def test_nothing_on_a_kept_partition_is_touched(keep: tuple[int, ...], expected: tuple[str, ...] | str) -> None:
    step = WipeDisk(Disk("/dev/sda", 10 * MIB), keep)
    if isinstance(expected, str):
        with pytest.raises(Conflict, match=expected):
            condemned("sda", NUMBERS, step, lambda name: STACKS.get(name, ()))
    else:
        assert condemned("sda", NUMBERS, step, lambda name: STACKS.get(name, ())) == expected


def test_what_stands_on_a_lost_partition_goes_with_it() -> None:
    stacks = {"sda": ("sda1", "sda2", "sda3"), "sda1": ("md0",), "md0": ("dm-0",), "sda3": ("dm-1",)}
    found = condemned("sda", NUMBERS, WipeDisk(Disk("/dev/sda", 10 * MIB), (3,)), lambda name: stacks.get(name, ()))
    assert found == ("dm-0", "md0", "sda1", "sda2")


def test_an_extended_partition_is_never_wiped_as_one() -> None:
    disk = Disk("/dev/sda", 10 * MIB, partitions=(FoundPartition(2, 0, 0, type="0xf"),))
    stacks = {"sda": ("sda1", "sda2", "sda5")}
    numbers = {"sda1": 1, "sda2": 2, "sda5": 5}
    found = condemned("sda", numbers, WipeDisk(disk, (5,)), lambda name: stacks.get(name, ()))
    assert found == ("sda1",)
