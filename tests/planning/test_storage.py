"""Layouts with more than partitions, on machines that have what they want: sizes, paths, identities, order."""

import re
from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundArray, FoundGroup, FoundPartition, FoundVolume
from imaged.model.hardware import Bus, Disk, Firmware, Inventory
from imaged.model.image import ImageFacts, Kernel, Version
from imaged.model.layout import Count, DiskSpec, Esp, Label, Layout, Partition, Role, Wipe
from imaged.model.match import Match
from imaged.model.plan import (
    MakeArray,
    MakeCrypt,
    MakeFilesystem,
    MakeGroup,
    MakeSubvolumes,
    MakeSwap,
    MakeVolume,
    StartArray,
    StartGroup,
)
from imaged.model.size import GIB, MIB, Bytes, SizeSpec
from imaged.model.stack import (
    Array,
    Btrfs,
    Crypt,
    Filesystem,
    LevelFor,
    OtherMount,
    Preserve,
    Subvolume,
    SwapFile,
    ThinPool,
    Unlock,
    Volume,
    VolumeGroup,
)
from imaged.model.system import RootOn
from imaged.planning.storage import storage

SITE = UUID("12345678-1234-5678-1234-567812345678")
FACTS = ImageFacts(
    arch="x86_64", kernels=(Kernel("6.1", "/boot/vmlinuz-6.1"),), grub_platforms=("i386-pc", "x86_64-efi")
)
VERSION = Version("compute", 1, "2026-01-01T00:00:00Z", "", 2 * GIB, 1000, "0" * 64, FACTS)


def size(low: int, high: int | None = None, weight: int = 1000) -> SizeSpec:
    return SizeSpec(Bytes(low), None if high is None else Bytes(high), weight)


def exactly(amount: int) -> SizeSpec:
    return size(amount, amount)


def disk(number: int, amount: int = 200 * GIB, **more) -> Disk:
    name = f"/dev/sd{'abcdefgh'[number]}"
    return Disk(name, amount, bus=Bus.SATA, serial=f"S{number}", by_path=f"ata-{number}", **more)


def machine(*disks: Disk, **more) -> Inventory:
    return Inventory("x86_64", Firmware.UEFI, 4 * GIB, 4, disks, (), **more)


def made(layout: Layout, inventory: Inventory):
    return storage("node01", VERSION, layout, inventory, SITE)


def of(kind, steps):
    return [each for each in steps if isinstance(each, kind)]


ESP = Partition("esp", Role.ESP, exactly(512 * MIB), fs=Filesystem.VFAT, mount="/boot/efi")
MIRRORED = Layout(
    "mirrored",
    (
        DiskSpec(
            "os",
            (
                Partition("esp", Role.ESP, exactly(512 * MIB), fs=Filesystem.VFAT),
                Partition("b", Role.RAID, exactly(GIB)),
                Partition("r", Role.RAID, size(10 * GIB)),
            ),
            (Match(rotational=False),),
            count=Count(2, 2),
        ),
        DiskSpec("data", (Partition("d", Role.RAID, size(GIB)),), (Match(rotational=True),), count=Count(0, 12)),
    ),
    raid=(
        Array("md-boot", ("os[*].b",), (LevelFor(1),), name="boot", fs=Filesystem.EXT4, mount="/boot"),
        Array("md-root", ("os[*].r",), (LevelFor(1),), name="root", fs=Filesystem.XFS, mount="/"),
        Array(
            "md-data",
            ("data[*].d",),
            (LevelFor(1, 2, 2), LevelFor(5, 3, 3), LevelFor(6, 4)),
            name="data",
            fs=Filesystem.XFS,
            mount="/srv",
            when="count(data) >= 2",
        ),
    ),
    esp=Esp("/boot/efi", "os[0].esp", ("os[1].esp",)),
)


@pytest.mark.parametrize(
    ("spinning", "level", "members"),
    [
        (0, None, ()),
        (1, None, ()),
        (2, 1, ("/dev/sdc1", "/dev/sdd1")),
        (3, 5, ("/dev/sdc1", "/dev/sdd1", "/dev/sde1")),
        (4, 6, ("/dev/sdc1", "/dev/sdd1", "/dev/sde1", "/dev/sdf1")),
    ],
)
def test_mirrored_system_and_an_array_on_whatever_else_is_there(spinning, level, members):
    disks = (disk(0), disk(1), *(disk(2 + number, rotational=True) for number in range(spinning)))
    found = made(MIRRORED, machine(*disks))
    arrays = {each.device: each for each in of(MakeArray, found.stack)}
    assert arrays["/dev/md/boot"].members == ("/dev/sda2", "/dev/sdb2")
    assert arrays["/dev/md/root"].members == ("/dev/sda3", "/dev/sdb3")
    assert ("/dev/md/data" in arrays) == (level is not None)
    if level:
        assert (arrays["/dev/md/data"].level, arrays["/dev/md/data"].members) == (level, members)
    assert found.system.root.device == "/dev/md/root"
    assert found.system.root_on == (RootOn.ARRAY,)
    assert found.system.boot_disks == ()
    (mirror,) = found.mirrors
    assert (mirror.source, mirror.devices) == ("/boot/efi", ("/dev/sdb1",))
    assert found.system.esp.device == "/dev/sda1"
    assert found.system.spare[0].device == "/dev/sdb1"
    uuids = [each.uuid for each in of(MakeFilesystem, found.stack)]
    assert len(set(uuids)) == len(uuids)


def test_arrays_come_before_what_stands_on_them():
    found = made(MIRRORED, machine(disk(0), disk(1)))
    kinds = [type(each).__name__ for each in found.stack]
    assert kinds == ["MakeArray"] * 2 + ["MakeFilesystem"] * 4


def test_too_few_members_are_refused():
    layout = evolve(MIRRORED, raid=(*MIRRORED.raid[:2], evolve(MIRRORED.raid[2], when="")))
    with pytest.raises(CannotPlan, match="1 member for the array: the layout names no level"):
        made(layout, machine(disk(0), disk(1), disk(2, rotational=True)))


ENCRYPTED = Layout(
    "encrypted",
    (
        DiskSpec(
            "os",
            (
                ESP,
                Partition("boot", Role.BOOT, exactly(GIB), fs=Filesystem.EXT4, mount="/boot"),
                Partition("pv", Role.LUKS, size(30 * GIB)),
            ),
        ),
    ),
    luks=(Crypt("crypt0", ("os.pv",), unlock=(Unlock.TPM2, Unlock.PASSPHRASE)),),
    lvm=(
        VolumeGroup(
            "vg0", ("crypt0",),
            (
                Volume("root", size(10 * GIB, 60 * GIB, 3), fs=Filesystem.XFS, mount="/"),
                Volume("var", size(8 * GIB, weight=5), fs=Filesystem.XFS, mount="/var"),
                Volume("swap", size(2 * GIB, 8 * GIB, 1), swap=True),
            ),
            reserve=10,
        ),
    ),
)  # fmt: skip


@pytest.mark.parametrize(("tpm2", "ways"), [(True, (Unlock.TPM2, Unlock.PASSPHRASE)), (False, (Unlock.PASSPHRASE,))])
def test_volumes_in_an_encrypted_group(tpm2, ways):
    found = made(ENCRYPTED, machine(disk(0), tpm2=tpm2))
    crypt, group, *volumes = found.stack[:5]
    assert isinstance(crypt, MakeCrypt) and (crypt.device, crypt.name, crypt.tpm2) == ("/dev/sda3", "crypt0", tpm2)
    assert group == MakeGroup("vg0", ("/dev/mapper/crypt0",), 4 * MIB)
    sizes = {each.name: each.size for each in volumes}
    assert sizes["root"] == 60 * GIB and sizes["swap"] == 8 * GIB
    assert 100 * GIB < sizes["var"] < 0.9 * 200 * GIB - 68 * GIB
    assert all(each % (4 * MIB) == 0 for each in sizes.values())
    assert found.system.crypts[0].unlock == ways
    assert found.system.root_on == (RootOn.CRYPT, RootOn.VOLUME)
    assert [each.device for each in found.system.swaps] == ["/dev/vg0/swap"]
    assert of(MakeSwap, found.stack)[0].device == "/dev/vg0/swap"


def test_a_disk_too_small_for_what_stands_on_it_is_refused_before_anything_is_made():
    layout = evolve(ENCRYPTED, disks=(evolve(ENCRYPTED.disks[0], partitions=(
        *ENCRYPTED.disks[0].partitions[:2], Partition("pv", Role.LUKS, size(GIB))
    )),))  # fmt: skip
    with pytest.raises(CannotPlan, match="too small for the layout"):
        made(layout, machine(disk(0, 20 * GIB)))


def test_thin_volumes_live_in_a_pool_and_may_be_larger_than_it():
    group = VolumeGroup(
        "vg0", ("os.pv",),
        (
            Volume("root", size(8 * GIB, 8 * GIB), fs=Filesystem.EXT4, mount="/"),
            Volume("scratch", size(500 * GIB), pool="pool", fs=Filesystem.XFS, mount="/scratch"),
        ),
        thin=(ThinPool("pool", size(20 * GIB, 100 * GIB)),),
    )  # fmt: skip
    layout = Layout("thin", (DiskSpec("os", (ESP, Partition("pv", Role.PV, size(GIB)))),), lvm=(group,))
    volumes = of(MakeVolume, made(layout, machine(disk(0))).stack)
    assert [(each.name, each.thin, each.pool) for each in volumes] == [
        ("pool", True, ""), ("root", False, ""), ("scratch", False, "pool"),
    ]  # fmt: skip
    assert volumes[0].size == 100 * GIB and volumes[2].size == 500 * GIB


def test_subvolumes_share_a_filesystem():
    root = Partition(
        "root", Role.ROOT, size(20 * GIB), fs=Filesystem.BTRFS, mount="/",
        btrfs=Btrfs("@", (
            Subvolume("@", "/"), Subvolume("@/var", "/var", nodatacow=True), Subvolume("@/snap"),
            Subvolume("@/arm", "/arm", when="arch == aarch64"),
        )),
    )  # fmt: skip
    layout = Layout("btrfs", (DiskSpec("os", (ESP, root)),), swap=(SwapFile("/var/swapfile", size(GIB, 2 * GIB)),),
                    mounts=(OtherMount("server:/home", "/home", "nfs"),))  # fmt: skip
    found = made(layout, machine(disk(0)))
    assert len(of(MakeFilesystem, found.stack)) == 2
    (made_here,) = of(MakeSubvolumes, found.stack)
    assert [(each.path, each.nodatacow) for each in made_here.subvolumes] == [
        ("@", False), ("@/var", True), ("@/snap", False),
    ]  # fmt: skip
    mounted = {each.mount: each.options for each in found.system.filesystems if each.fs is Filesystem.BTRFS}
    assert mounted == {"/": "subvol=@", "/var": "subvol=@/var"}
    assert [(each.path, each.size) for each in found.swap_files] == [("/var/swapfile", 2 * GIB)]
    assert found.system.swaps[0].file
    assert found.system.mounts[0].what == "server:/home"


DATA = FoundGroup("vgdata", "u-1", ("/dev/sdb",), (FoundVolume("data", 50 * GIB, "xfs", "f-1"),), free=10 * GIB)
KEEPING = evolve(ENCRYPTED, lvm=(
    *ENCRYPTED.lvm,
    VolumeGroup(
        "vgdata",
        lvs=(Volume("data", fs=Filesystem.XFS, mount="/data", preserve=Preserve.REQUIRED),),
        preserve=Preserve.REQUIRED,
    ),
), disks=(evolve(ENCRYPTED.disks[0], match=(Match(serial=("S0",)),)),))  # fmt: skip


def test_a_group_that_stays_is_started_and_not_formatted():
    found = made(KEEPING, machine(disk(0), disk(1), groups=(DATA,)))
    assert StartGroup("vgdata", "u-1") in found.stack
    kept = next(each for each in found.system.filesystems if each.mount == "/data")
    assert (kept.device, kept.uuid) == ("/dev/vgdata/data", "f-1")
    assert "/dev/vgdata/data" not in {each.device for each in of(MakeFilesystem, found.stack)}
    assert any("vgdata" in line for line in found.kept)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ((), "the machine has none such"),
        ((evolve(DATA, volumes=()),), "vgdata has none such"),
        ((evolve(DATA, volumes=(FoundVolume("data", GIB, "ext4", "f"),)),), "is preserved as xfs and holds ext4"),
        (
            (evolve(DATA, volumes=(FoundVolume("data", GIB, layout="thin,sparse"),)),),
            "/dev/vgdata/data: a thin volume cannot be preserved by name",
        ),
        (
            (evolve(DATA, volumes=(FoundVolume("data", GIB, layout="cache"),)),),
            "/dev/vgdata/data: a cached volume cannot be preserved by name",
        ),
        ((evolve(DATA, devices=("/dev/sda",)),), "vgdata is preserved, and /dev/sda would be wiped"),
        ((DATA, FoundGroup("old", "u-2", ("/dev/sda2",))), "the volume group old on /dev/sda2 is not in the layout"),
    ],
)
def test_what_cannot_be_kept_ends_the_plan(groups, words):
    old = disk(0, partitions=(FoundPartition(2, MIB, GIB),))
    with pytest.raises(CannotPlan, match=words):
        made(KEEPING, machine(old, disk(1), groups=groups))


HOME = Partition("home", Role.DATA, size(GIB), fs=Filesystem.XFS, mount="/home", preserve=Preserve.REQUIRED)
PLAIN = (ESP, Partition("root", Role.ROOT, size(8 * GIB), fs=Filesystem.EXT4, mount="/"))
MBR = (
    FoundPartition(1, MIB, GIB, type="0x83"), FoundPartition(2, GIB, 90 * GIB, type="0xf"),
    FoundPartition(5, 2 * GIB, 10 * GIB, type="0x83", holds="xfs", uuid="f-5"),
    FoundPartition(6, 20 * GIB, 10 * GIB, type="0x83", holds="xfs", uuid="f-6"),
)  # fmt: skip


def on_disk(*partitions: Partition, **more) -> Layout:
    return Layout("x", (DiskSpec("os", partitions, wipe=Wipe.NONE, **more),))


@pytest.mark.parametrize(
    ("layout", "inventory", "words"),
    [
        (on_disk(*PLAIN, HOME), machine(disk(0)), "the layout preserves 'home', and no partition has the name 'home'"),
        (on_disk(*PLAIN, evolve(HOME, number=3)), machine(disk(0)),
         "the layout preserves 'home', and no partition has the number 3"),
        (evolve(on_disk(*PLAIN), raid=(Array("home", (), (LevelFor(1),), preserve=Preserve.REQUIRED),)),
         machine(disk(0)), "array home: the layout preserves it, and the machine has no array of that name"),
        (evolve(MIRRORED, raid=(*MIRRORED.raid[:2], Array("home", (), (LevelFor(1),), preserve=Preserve.IF_PRESENT))),
         machine(disk(0), disk(1), arrays=(FoundArray("home", "a", 1, ("/dev/sda", "/dev/sdx")),)),
         "the array home is preserved, and a disk of it would be wiped"),
        (evolve(ENCRYPTED, luks=(evolve(ENCRYPTED.luks[0], preserve=Preserve.REQUIRED),)), machine(disk(0)),
         "the layout preserves 'crypt0', and /dev/sda3 holds nothing encrypted"),
        (evolve(ENCRYPTED, luks=(evolve(ENCRYPTED.luks[0], unlock=(Unlock.TPM2,)),)), machine(disk(0)),
         "crypt0: is to be opened by a TPM 2.0 alone, and the machine has none"),
        (evolve(ENCRYPTED, lvm=(evolve(ENCRYPTED.lvm[0], devices=("nobody",)),)), machine(disk(0)),
         "nobody: there is no such device on this machine"),
        (evolve(MIRRORED, raid=(evolve(MIRRORED.raid[0], devices=("os[0].b", "os[5].b")), MIRRORED.raid[1])),
         machine(disk(0), disk(1)), r"there is no os\[5\].b: 2 disks were chosen"),
        (evolve(ENCRYPTED, lvm=(evolve(ENCRYPTED.lvm[0], lvs=(
            evolve(ENCRYPTED.lvm[0].lvs[0], size=size(10 * GIB, 11 * GIB)), Volume("big", size(900 * GIB)))),)),
         machine(disk(0)), "too small for the layout"),
        (on_disk(ESP, evolve(HOME, number=6), label=Label.MSDOS),
         machine(disk(0, 91 * GIB, table="dos", partitions=(evolve(MBR[1], start=MIB, size=91 * GIB), *MBR[2:]))),
         "firmware finds no ESP that is a logical"),
        (evolve(on_disk(*PLAIN, evolve(HOME, number=6), label=Label.MSDOS), disks=(
            DiskSpec("os", (*PLAIN, evolve(HOME, number=6)), label=Label.MSDOS),)),
         machine(disk(0, table="dos", partitions=MBR)), "partition 6 stays and 5 does not: logical partitions count"),
        (on_disk(*(Partition(f"p{each}", Role.DATA, exactly(GIB)) for each in range(5)), label=Label.MSDOS),
         machine(disk(0)), "the layout makes 5 partitions and msdos has 4 numbers left for them"),
    ],
)  # fmt: skip
def test_why_there_is_no_plan(layout, inventory, words):
    with pytest.raises(CannotPlan) as caught:
        made(layout, inventory)
    assert re.search(words, str(caught.value))


POOLED = evolve(DATA, free=2 * GIB, volumes=(
    *DATA.volumes, FoundVolume("pool", 20 * GIB, layout="thin,pool"), FoundVolume("t", 90 * GIB, layout="thin,sparse"),
))  # fmt: skip


def test_a_thin_pool_that_stays_is_not_made_again():
    """New thin volumes are made in it; one that is made anew gives back no room of the group, for it takes none."""
    lvs = (
        *KEEPING.lvm[-1].lvs,
        Volume("t", size=size(30 * GIB), pool="pool", fs=Filesystem.XFS, mount="/t"),
        Volume("more", size=size(GIB), fs=Filesystem.XFS, mount="/more"),
    )
    wanted = evolve(KEEPING.lvm[-1], lvs=lvs, thin=(ThinPool("pool", size(8 * GIB)),))
    found = made(evolve(KEEPING, lvm=(KEEPING.lvm[0], wanted)), machine(disk(0), disk(1), groups=(POOLED,)))
    assert StartGroup("vgdata", "u-1", ("t",)) in found.stack
    new = {each.name: (each.size, each.pool) for each in of(MakeVolume, found.stack) if each.group == "vgdata"}
    assert new == {"t": (30 * GIB, "pool"), "more": (2 * GIB, "")}
    none = evolve(POOLED, volumes=(*DATA.volumes, FoundVolume("pool", GIB, layout="linear")))
    with pytest.raises(CannotPlan, match="/dev/vgdata/pool: the layout has a thin pool there, and it is none"):
        made(evolve(KEEPING, lvm=(KEEPING.lvm[0], wanted)), machine(disk(0), disk(1), groups=(none,)))


def test_strangers_go_only_where_the_layout_says_so():
    inventory = machine(disk(0), disk(1), arrays=(FoundArray("alien", "a", 1, ("/dev/sda", "/dev/sdb")),))
    with pytest.raises(CannotPlan, match="the array alien on /dev/sda, /dev/sdb is not in the layout"):
        made(MIRRORED, inventory)
    assert made(evolve(MIRRORED, wipe_unknown=True), inventory).disks


def test_an_array_that_stays():
    layout = evolve(MIRRORED, disks=(MIRRORED.disks[0],), raid=(
        *MIRRORED.raid[:2],
        Array("home", (), (LevelFor(1),), fs=Filesystem.XFS, mount="/home", preserve=Preserve.REQUIRED),
    ))  # fmt: skip
    inventory = machine(
        disk(0), disk(1), disk(2, rotational=True),
        arrays=(FoundArray("home", "a:b", 1, ("/dev/sdc1",), holds="xfs", holds_uuid="f-9"),),
    )  # fmt: skip
    found = made(layout, inventory)
    assert StartArray("/dev/md/home", "a:b") in found.stack
    assert next(each.uuid for each in found.system.filesystems if each.mount == "/home") == "f-9"


def test_partitions_that_stay_keep_their_place_and_the_rest_goes_between_them():
    old = disk(0, 100 * GIB, table="gpt", partitions=(
        FoundPartition(1, MIB, 512 * MIB, "esp", holds="vfat", uuid="AAAA-BBBB"),
        FoundPartition(2, GIB, 9 * GIB, "root", holds="ext4", uuid="old"),
        FoundPartition(3, 60 * GIB, 20 * GIB, "home", holds="xfs", uuid="f-1"),
        FoundPartition(4, 80 * GIB, GIB, "windows", holds="ntfs", uuid="w"),
    ))  # fmt: skip
    layout = Layout("keeping", (DiskSpec(
        "os",
        (
            ESP,
            Partition("root", Role.ROOT, size(4 * GIB), fs=Filesystem.EXT4, mount="/"),
            Partition("home", Role.DATA, size(GIB), fs=Filesystem.XFS, mount="/home", preserve=Preserve.REQUIRED),
        ),
        wipe=Wipe.NONE,
    ),))  # fmt: skip
    found = made(layout, machine(old))
    (filled,) = found.disks
    assert filled.keeps == (3, 4)
    places = {each.name: (each.number, each.start, each.size, each.kept) for each in filled.places}
    assert places["home"] == (3, 60 * GIB, 20 * GIB, True)
    assert places["windows"] == (4, 80 * GIB, GIB, True)
    assert places["esp"][:2] == (1, MIB) and not places["root"][3]
    assert places["root"][1] + places["root"][2] == 60 * GIB
    assert {each.device for each in of(MakeFilesystem, found.stack)} == {"/dev/sda1", "/dev/sda2"}
    assert next(each.uuid for each in found.system.filesystems if each.mount == "/home") == "f-1"


def test_the_same_facts_make_the_same_identities_and_another_node_others():
    inventory = machine(disk(0))
    assert made(ENCRYPTED, inventory) == made(ENCRYPTED, inventory)
    other = storage("node02", VERSION, ENCRYPTED, inventory, SITE)
    uuids = [{each.uuid for each in of(MakeFilesystem, s.stack)} for s in (made(ENCRYPTED, inventory), other)]
    assert not uuids[0] & uuids[1]
