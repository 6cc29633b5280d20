"""The nasty cases 3 to 6: disks of other sectors and sizes, and what is on them from before."""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundArray, FoundGroup, FoundPartition, FoundVolume
from imaged.model.hardware import Bus, Disk, Firmware
from imaged.model.layout import Label, Role
from imaged.model.plan import InstallPlan, MakeArray, MakeFilesystem, MakeTable, PlannedPartition, WipeDisk
from imaged.model.size import GIB, MIB, TIB
from imaged.planning.capture import Wishes
from imaged.planning.capture import plan as capture_plan
from imaged.planning.capture_layout import draft
from imaged.planning.capture_probe import parse
from imaged.planning.install import plan
from imaged.planning.storage import storage
from imaged.store import yamlfile
from installer import disks, filesystems, wipe
from installer.process import Completed
from tests.nasty.outcome import steps_of
from tests.nasty.plans import FIRST, NODE, NVME, SECOND, SITE, layout, machine, own_layout, version
from tests.nasty.programs import loop, needs, needs_disks, processes, run
from tests.nasty.trees import DEBIAN, PROBES, image

# 3


@needs_disks
@needs("losetup", "mkfs.vfat", "fsck.vfat", "mkfs.xfs", "xfs_db", "sfdisk", "partx")
def test_case_03_an_esp_and_xfs_on_a_disk_of_4096_byte_sectors(tmp_path: Path) -> None:
    """A 4Kn disk: its table counts other sectors, FAT32 needs eight times the room, XFS must be made for its sectors.
    The real programs on a real disk of such sectors agree with the plan."""
    (tmp_path / "image").mkdir()
    facts = image(tmp_path / "image", DEBIAN)
    small = layout(
        "one-disk", **{"size: 512M, fs: vfat": "size: {min: 1M, weight: 0}, fs: vfat", "fs: ext4": "fs: xfs"}
    )
    with loop(tmp_path / "disk", 8 * GIB, 4096) as device:
        found = evolve(NVME, size=8 * GIB, logical_sector=4096, physical_sector=4096)
        made = storage("node07", version(facts), small, machine(found), SITE.uuid)
        places = {each.name: each for each in made.disks[0].places}
        assert places["esp"].size >= 65525 * 4096, "fewer clusters would be FAT16 for firmware"
        disks.write_table(device, Label.GPT, made.disks[0].places)
        table = yamlfile.parse(run("sfdisk", "--json", device), where="sfdisk")["partitiontable"]
        assert table["sectorsize"] == 4096
        found_at = [(each["start"] * 4096, each["size"] * 4096) for each in table["partitions"]]
        assert found_at == [(each.start, each.size) for each in made.disks[0].places]
        for step in made.stack:
            if isinstance(step, MakeFilesystem):
                run(*filesystems.mkfs(evolve(step, device=step.device.replace(NVME.path, device))))
        checked = run("fsck.vfat", "-n", "-v", f"{device}p2")
        assert "4096 bytes per logical sector" in checked
        clusters = re.search(r"/(\d+) clusters", checked)
        assert clusters and int(clusters[1]) >= 65525, "fewer, and it would be no FAT32"
        assert "sectsize = 4096" in run("xfs_db", "-r", "-c", "sb 0", "-c", "p sectsize", f"{device}p4")


def test_case_03_a_mate_of_512_byte_sectors_is_refused_for_an_array(tmp_path: Path) -> None:
    """A 4Kn disk and one of 512e in one RAID: what is made on it could not be read once the 4Kn disk takes over."""
    large = [evolve(each, logical_sector=4096, physical_sector=4096) for each in (FIRST, SECOND)]
    mate = evolve(SECOND, physical_sector=4096)  # 512e
    facts = version(image(tmp_path, DEBIAN))
    with pytest.raises(CannotPlan) as refused:
        plan(NODE, facts, layout("raid1-data-raid"), machine(large[0], mate), SITE)
    assert "sectors of different sizes" in refused.value.what
    assert "sectors of 4096 bytes" in refused.value.hint and "sectors of 512 bytes" in refused.value.hint
    for pair in (large, [evolve(FIRST, physical_sector=4096), mate]):
        assert steps_of(plan(NODE, facts, layout("raid1-data-raid"), machine(*pair), SITE), MakeArray)


def test_case_03_no_bios_starts_such_a_disk(tmp_path: Path) -> None:
    """A machine with BIOS and a 4Kn disk would be wiped, filled, and never start: refused; by UEFI it starts."""
    facts = version(image(tmp_path, DEBIAN))
    large = evolve(NVME, logical_sector=4096, physical_sector=4096)
    with pytest.raises(CannotPlan, match="no BIOS starts from sectors of 4096 bytes"):
        plan(NODE, facts, layout("one-disk"), machine(large, firmware=Firmware.BIOS), SITE)
    for disk, firmware in ((large, Firmware.UEFI), (evolve(NVME, physical_sector=4096), Firmware.BIOS)):
        assert plan(NODE, facts, layout("one-disk"), machine(disk, firmware=firmware), SITE)


# 4


@pytest.mark.parametrize("name", ["debian-12", "rhel-9-lvm", "opensuse-btrfs", "busybox"])
def test_case_04_a_disk_one_percent_smaller_than_the_golden_clients(tmp_path: Path, name: str) -> None:
    """A layout drafted from a golden client, on a node whose disks hold one percent less: everything is a little
    smaller, nothing is refused and nothing is left out."""
    client = parse((PROBES / f"{name}.txt").read_text())
    golden = [each for each in client.blocks if each.kind == "disk" and each.size and not each.removable]
    drafted = own_layout(draft(client, capture_plan(client, Wishes()), "gold", {}, uefi=True))
    facts = version(image(tmp_path, DEBIAN))

    def planned(percent: int) -> InstallPlan:
        found = [
            Disk(f"/dev/{each.name}", each.size * percent // 100 // 512 * 512, bus=Bus.SATA, serial=each.name,
                 by_path=f"ata-{number}")
            for number, each in enumerate(golden)
        ]  # fmt: skip
        return plan(NODE, facts, drafted, machine(*found), SITE)

    whole, smaller = planned(100), planned(99)
    names = [[each.name for each in steps_of(made, MakeTable)[0].partitions] for made in (whole, smaller)]
    assert names[0] == names[1]
    for table in steps_of(smaller, MakeTable):
        last = table.partitions[-1]
        assert last.start + last.size <= table.disk.size - 33 * 512


def test_case_04_the_smaller_mate_decides_for_a_mirror_and_too_small_is_told_in_bytes(tmp_path: Path) -> None:
    """RAID 1 of 960 GB and one percent less is made; a disk that cannot hold the image is refused, saying how much is
    missing."""
    facts = version(image(tmp_path, DEBIAN))
    smaller = evolve(SECOND, size=960 * 10**9 * 99 // 100 // 512 * 512)
    assert steps_of(plan(NODE, facts, layout("raid1-data-raid"), machine(FIRST, smaller), SITE), MakeArray)
    with pytest.raises(CannotPlan, match=r"too small for the layout: .*\(\d+ bytes\)"):
        large = evolve(facts, bytes=63 * GIB)
        plan(NODE, large, layout("one-disk"), machine(evolve(NVME, size=64 * GIB * 99 // 100 // 512 * 512)), SITE)


# 5


@needs_disks
@needs("losetup", "wipefs", "sfdisk", "partx")
def test_case_05_what_an_old_disk_still_carries_never_comes_alive_again(tmp_path: Path) -> None:
    """A disk that was much before: md 0.90 at the end of a partition, an LVM volume, ZFS labels at both ends of the
    disk, and the GPT of a smaller disk it was copied from. After the wipe nobody finds any of them."""
    size = 512 * MIB
    with loop(tmp_path / "disk", size) as device:
        smaller = tmp_path / "smaller"
        smaller.write_bytes(bytes(64 * MIB))
        run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(smaller), input="label: gpt\nsize=16M\n")
        old = (
            PlannedPartition(1, "md", Role.DATA, MIB, 100 * MIB),
            PlannedPartition(2, "pv", Role.DATA, 101 * MIB, 100 * MIB),
            PlannedPartition(3, "zfs", Role.DATA, 201 * MIB, 300 * MIB),
        )
        disks.write_table(device, Label.GPT, old)
        with open(f"{device}p1", "r+b") as file:
            file.seek(md_090(100 * MIB))
            file.write(MD_090)
        with open(f"{device}p2", "r+b") as file:
            file.seek(512)
            file.write(lvm_label())
        zfs(Path(f"{device}p3"), 300 * MIB)
        copied = smaller.read_bytes()[-33 * 512 :]
        with open(device, "r+b") as file:  # where the backup of the smaller disk's table ended up
            file.seek(64 * MIB - len(copied))
            file.write(copied)
        found = [signatures(f"{device}p{number}") for number in (1, 2, 3)]
        assert found[0] == ["linux_raid_member"] and found[1] == ["LVM2_member"] and set(found[2]) == {"zfs_member"}
        wipe.wipe(WipeDisk(Disk(device, size)), without_udev)
        assert signatures(device) == []
        assert not list(Path("/sys/class/block").glob(f"{Path(device).name}p*"))
        # A table that was lost before leaves what nobody finds: it must not be there again in the very same places.
        with open(device, "r+b") as file:
            file.seek(MIB + md_090(100 * MIB))
            file.write(MD_090)
            file.seek(101 * MIB + 512)
            file.write(lvm_label())
        disks.make_table(MakeTable(Disk(device, size), Label.GPT, old), without_udev)
        assert [signatures(f"{device}p{number}") for number in (1, 2, 3)] == [[], [], []]
        assert run("sfdisk", "--json", device).count('"node"') == 3, "the new table, not the copied one"


def test_case_05_an_old_array_without_a_name_goes_only_if_somebody_says_so(tmp_path: Path) -> None:
    """What is on the disk and not in the layout might be data: it is named, by its UUID where md 0.90 kept no name, and
    goes where the layout says that unknown things may."""
    facts = version(image(tmp_path, DEBIAN))
    old = evolve(NVME, partitions=(FoundPartition(1, MIB, GIB, holds="linux_raid_member"),))
    arrays = (FoundArray("", "aa:bb:cc:dd", 1, ("/dev/nvme0n1p1",)),)
    found = machine(old, arrays=arrays, groups=(group("old", "/dev/md/"),))
    with pytest.raises(CannotPlan, match="the array aa:bb:cc:dd on /dev/nvme0n1p1 is not in the layout") as refused:
        plan(NODE, facts, layout("one-disk"), found, SITE)
    assert "wipe_unknown: true" in refused.value.hint
    willing = layout("one-disk", **{"boot: {": "wipe_unknown: true\nboot: {"})
    assert [each.disk for each in steps_of(plan(NODE, facts, willing, found, SITE), WipeDisk)] == [old]


MD_090 = (0xA92B4EFC).to_bytes(4, "little") + (0).to_bytes(4, "little") + (90).to_bytes(4, "little") + bytes(4084)


def lvm_label() -> bytes:
    """A physical volume's label: its checksum begins with a number of lvm's own (lvm2, lib/misc/crc.c)."""
    checked = (32).to_bytes(4, "little") + b"LVM2 001" + b"p" * 32 + bytes(448 - 4 + 12)
    checked = checked[: 512 - 20]
    crc = zlib.crc32(checked, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return b"LABELONE" + (1).to_bytes(8, "little") + crc.to_bytes(4, "little") + checked


def without_udev(argv: Sequence[str], **more: Any) -> Completed:
    """udevd may not be running here, and nobody would answer ``udevadm wait``."""
    if argv[0] == "udevadm":
        return Completed(tuple(argv), 0, "", "")
    return processes().run(argv, **more)


def md_090(size: int) -> int:
    """Where md 0.90 has its superblock: the last 64 KiB that begin at a multiple of 64 KiB (md(4))."""
    return (size & ~0xFFFF) - 0x10000


def zfs(device: Path, size: int) -> None:
    """Four labels of 256 KiB, two at either end, each with a ring of uberblocks in its second half."""
    with device.open("r+b") as file:
        for label in (0, 256 * 1024, size - 512 * 1024, size - 256 * 1024):
            for slot in range(128):
                file.seek(label + 128 * 1024 + slot * 1024)
                file.write((0x00BAB10C).to_bytes(8, "little"))


def signatures(device: str) -> list[str]:
    """What wipefs(8) finds, which is what libblkid and so udev knows."""
    return run("wipefs", "--no-act", "--noheadings", "--output", "TYPE", device).split()


# 6

GROUP = """
version: 1
disks:
  - id: os
    match: {bus: nvme}
    partitions:
      - {id: esp, role: esp, size: 512M, fs: vfat, mount: /boot/efi}
      - {id: bios, role: bios_grub}
      - {id: pv, role: pv, size: {min: 10G, weight: 1}}
lvm:
  - vg: vg0
    devices: [os.pv]
    lvs: [{id: root, size: {min: 8G}, fs: ext4, mount: /}]
"""
KEPT_GROUP = "  - {vg: vgdata, preserve: required, lvs: [{id: data, fs: xfs, mount: /data, preserve: required}]}\n"
KEPT_MEMBER = "{id: d, role: raid, number: 1, preserve: required}"
DATA_DISKS = tuple(
    Disk(f"/dev/sd{letter}", TIB, bus=Bus.SAS, serial=letter, by_path=f"sas-{letter}", table="gpt",
         partitions=(FoundPartition(1, MIB, TIB - 2 * MIB, holds="linux_raid_member"),))
    for letter in "bc"
)  # fmt: skip
DATA_ARRAY = FoundArray("data", "1:2:3:4", 1, ("/dev/sdb1", "/dev/sdc1"), TIB - 3 * MIB, "1.2", "LVM2_member", "p")


def group(name: str, *devices: str) -> FoundGroup:
    return FoundGroup(name, f"uuid-{name}", devices, (FoundVolume("data", GIB, "xfs", "f"),))


def test_case_06_a_data_group_of_the_same_name_on_a_disk_that_stays(tmp_path: Path) -> None:
    """The layout makes vg0, and the data disks, which it leaves alone, hold a vg0 of their own: lvm would activate
    neither. Refused before the wipe, on a plain disk as on an array that the ramdisk does not even run."""
    facts = version(image(tmp_path, DEBIAN))
    for devices, arrays in ((("/dev/sdb1",), ()), (("/dev/md/data",), (DATA_ARRAY,))):
        found = machine(NVME, *DATA_DISKS, arrays=arrays, groups=(group("vg0", *devices),))
        with pytest.raises(CannotPlan, match=f"another volume group vg0 stays on {devices[0]}") as refused:
            plan(NODE, facts, own_layout(GROUP), found, SITE)
        assert "Give the layout's group another name" in refused.value.hint
    old = evolve(NVME, partitions=(FoundPartition(3, GIB, 20 * GIB, holds="LVM2_member"),))
    again = machine(old, *DATA_DISKS, groups=(group("vg0", "/dev/nvme0n1p3"), group("vgdata", "/dev/sdb1")))
    assert plan(NODE, facts, own_layout(GROUP), again, SITE), "its own vg0 of the last install goes with its disk"


def test_case_06_a_group_to_be_kept_on_an_array_needs_that_array_kept(tmp_path: Path) -> None:
    """Nobody would start the array, and the group would be missed when the system disk is empty already."""
    facts = version(image(tmp_path, DEBIAN))
    found = machine(NVME, *DATA_DISKS, arrays=(DATA_ARRAY,), groups=(group("vgdata", "/dev/md/data"),))
    with pytest.raises(CannotPlan, match="vgdata is preserved, and /dev/md/data that it lies on is not"):
        plan(NODE, facts, own_layout(GROUP + KEPT_GROUP), found, SITE)
    members = "  - {id: data, match: {bus: sas}, count: 2, wipe: none, partitions: [" + KEPT_MEMBER + "]}\nlvm:\n"
    array = "raid: [{id: data-md, name: data, level: 1, devices: ['data[*].d'], preserve: required}]\n"
    install = plan(NODE, facts, own_layout(GROUP.replace("lvm:\n", members) + KEPT_GROUP + array), found, SITE)
    assert [type(step).__name__ for step in install.phases[3].steps][:2] == ["StartArray", "MakeGroup"]
