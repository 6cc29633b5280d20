"""What lsblk and blkid print becomes volumes; which root is meant; what is said when there is none."""

import json

import pytest
from attrs import evolve

from imaged.model.errors import BadInput, NotFound
from installer.appliance_volumes import (
    Block,
    Root,
    Volume,
    blocks,
    choose,
    is_root,
    name_of,
    nothing_found,
    properties,
    system_name,
    volume,
    worth_telling,
)

ESP = Volume("1", "/dev/vda1", 32 << 20, "vfat", "1234-ABCD", number="1")
EXT4 = Volume("3", "/dev/vda3", 2 << 30, "ext4", "11111111-2222-3333-4444-555555555555", "root", "3", "aa-03", "sys")
LV = Volume("vg-x/root", "/dev/mapper/vg--x-root", 1 << 30, "xfs", "2222")
DEBIAN, OLD, SUSE = Root(EXT4, "", "Debian 12"), Root(LV), Root(evolve(EXT4, name="2", number="2", fs="btrfs"), "@")


def test_each_device_is_listed_once() -> None:
    rows = [("/dev/vda", "disk", 9), ("/dev/vda1", "part", 4), ("/dev/md0", "raid1", 3), ("/dev/md0", "raid1", 3)]
    text = json.dumps({"blockdevices": [{"name": name, "type": kind, "size": size} for name, kind, size in rows]})
    assert blocks(text) == (Block("/dev/vda", "disk", 9), Block("/dev/vda1", "part", 4), Block("/dev/md0", "raid1", 3))
    assert blocks("") == ()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (Block("/dev/vda", "disk", 1), "disk"),
        (Block("/dev/loop0", "loop", 1), "disk"),
        (Block("/dev/md127", "raid1", 1), "md127"),
        (Block("/dev/mapper/vg-root", "lvm", 1), "vg/root"),
        (Block("/dev/mapper/my--vg-a--b", "lvm", 1), "my-vg/a-b"),
    ],
)
def test_names_are_those_that_people_use(block: Block, expected: str) -> None:
    assert name_of(block) == expected


def test_a_partition_is_known_by_its_number_and_its_label_is_decoded() -> None:
    said = properties(
        "ID_FS_TYPE=ext4\nID_FS_UUID_ENC=1111\nID_FS_LABEL_ENC=a\\x20\\xc3\\xa9\nID_PART_ENTRY_NUMBER=3\n"
        "ID_PART_ENTRY_UUID=aa-03\nID_PART_ENTRY_NAME=my\\x20root\nID_PART_ENTRY_TYPE=0x83\n"
    )
    found = volume(Block("/dev/vda3", "part", 5), said)
    assert found == Volume("3", "/dev/vda3", 5, "ext4", "1111", "a é", "3", "aa-03", "my root", "0x83")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("etc/os-release", "etc/fstab"), True),
        (("etc/redhat-release", "etc/fstab"), True),
        (("etc/os-release", "sbin/init"), True),
        (("etc/fstab", "sbin/init"), True),
        (("etc/fstab",), False),
        (("etc/os-release",), False),
        (("sbin/init",), False),
        ((), False),
    ],
)
def test_a_root_says_what_it_is_and_how_it_starts(names: tuple[str, ...], expected: bool) -> None:
    assert is_root(names) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('NAME=Debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n', "Debian GNU/Linux 12 (bookworm)"),
        ("PRETTY_NAME='Rocky'\n", "Rocky"),
        ("PRETTY_NAME=Arch\n", "Arch"),
        ("NAME=x", ""),
    ],
)
def test_the_system_has_a_name(text: str, expected: str) -> None:
    assert system_name(text) == expected


@pytest.mark.parametrize(
    ("roots", "wanted", "expected"),
    [
        ([DEBIAN], "", DEBIAN),
        ([DEBIAN, OLD], "3", DEBIAN),
        ([DEBIAN, OLD], "sda3", DEBIAN),
        ([DEBIAN, OLD], "/dev/nvme0n1p3", DEBIAN),
        ([DEBIAN, OLD], "LABEL=root", DEBIAN),
        ([DEBIAN, OLD], "11111111-2222-3333-4444-555555555555", DEBIAN),
        ([DEBIAN, OLD], "vg-x/root", OLD),
        ([DEBIAN, OLD], "/dev/vg-x/root", OLD),
        ([DEBIAN, SUSE], "2:@", SUSE),
    ],
)
def test_the_root_that_is_meant(roots: list[Root], wanted: str, expected: Root) -> None:
    assert choose(roots, wanted, [], []) == expected


def test_several_roots_are_listed_with_what_to_type() -> None:
    with pytest.raises(BadInput) as caught:
        choose([DEBIAN, OLD], "", [], [])
    assert str(caught.value).splitlines() == [
        "there are several root filesystems",
        "  Choose one with --partition, for example --partition 3.",
        "  3: Debian 12 (partition 3: ext4, 2 GiB, LABEL=root)",
        "  vg-x/root: a system without a name (vg-x/root: xfs, 1 GiB)",
    ]


def test_a_partition_without_a_root_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(NotFound) as caught:
        choose([DEBIAN], "1", [], [])
    assert str(caught.value).splitlines() == [
        "there is no root filesystem on 1",
        "  Roots are on",
        "  3: Debian 12 (partition 3: ext4, 2 GiB, LABEL=root)",
    ]


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (("vfat", "ntfs"), "this is a Windows disk"),
        (("vfat", "BitLocker"), "this is a Windows disk"),
        (("vfat", "ext4", "crypto_LUKS"), "it is encrypted (LUKS)"),
        (("zfs_member",), "its root is on ZFS, which is not read"),
        (("swap", "vfat"), "there is no root filesystem (one with /etc/fstab and a system)"),
        ((), "there is no root filesystem (one with /etc/fstab and a system)"),
    ],
)
def test_why_there_is_no_root(kinds: tuple[str, ...], reason: str) -> None:
    there = tuple(Volume(str(number), "", 1 << 20, fs, number=str(number)) for number, fs in enumerate(kinds, 1))
    error = nothing_found(there, ("partition 9 cannot be mounted",))
    assert error.what == reason
    assert all(str(each) in error.hint for each in there)
    assert "partition 9 cannot be mounted" in error.hint


def test_the_bare_disk_is_no_news() -> None:
    assert worth_telling((Volume("disk", "/dev/vda", 9), ESP)) == (ESP,)
