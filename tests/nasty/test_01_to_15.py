"""The nasty cases 1 to 15: disks, boot entries and files that name the golden client's disks, as a user meets them."""

import os
import re
import shlex
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import parted
import pytest
from attrs import evolve

from imaged.model.capture import Golden
from imaged.model.errors import CannotPlan, Conflict, ImagedError
from imaged.model.found import FoundArray, FoundGroup, FoundPartition, FoundVolume
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.host import Host, Identity
from imaged.model.image import ImageFacts, Version
from imaged.model.layout import Label, Layout, Role
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import (
    CheckFile,
    InstallPlan,
    MakeArray,
    MakeFilesystem,
    MakeSwapFile,
    MakeTable,
    PlannedPartition,
    RemovePath,
    RunInTarget,
    SetBootEntries,
    Step,
    WipeDisk,
    WriteFile,
)
from imaged.model.size import GIB, MIB, TIB
from imaged.model.stack import Filesystem
from imaged.planning.capture import Wishes
from imaged.planning.capture import plan as capture_plan
from imaged.planning.capture_layout import draft
from imaged.planning.capture_probe import parse
from imaged.planning.capture_rsync import transfer_argv
from imaged.planning.fixups.bls import boot_entries_files
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.identity import machine_identity
from imaged.planning.fixups.loader import boot_loader
from imaged.planning.fixups.storage import fstab, mount_points
from imaged.planning.fixups.target import Target
from imaged.planning.install import Site, plan, plan_with_system, target_of
from imaged.planning.layout import read as read_layout
from imaged.planning.storage import storage
from imaged.planning.update import Layers, plan_update
from imaged.store import facts as facts_of_tree
from imaged.store import yamlfile
from imaged.store.paths import shipped
from imaged.store.tree import Tree
from installer import disks, filesystems, swapfile, tree, wipe
from installer.confirm import confirm
from installer.process import Completed, Processes

T = TypeVar("T")
MAC = Mac.parse("52:54:00:00:00:01")
NODE = Node("node07", (MAC,), ImageRef.parse("compute"))
SITE = Site(UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11"), "http://10.0.0.1:8080")
OLD = "0123456789abcdef0123456789abcdef"  # the golden client's machine-id
DEAD = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"  # and its root
PROBES = Path(__file__).parents[1] / "data/probes"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)
NVME = Disk("/dev/nvme0n1", 64 * GIB, bus=Bus.NVME, serial="N1", by_path="pci-0000:01:00.0-nvme-1")

needs_disks = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="needs root and loop devices"
)


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if not shutil.which(name) and not Path(name).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


DEBIAN = {
    "bin/sh": ELF,
    "boot/vmlinuz-6.1.0-1-amd64": "kernel",
    "boot/initrd.img-6.1.0-1-amd64": "initramfs",
    "lib/modules/6.1.0-1-amd64/modules.dep": "",
    "usr/lib/grub/i386-pc/moddep.lst": "",
    "usr/lib/grub/x86_64-efi/moddep.lst": "",
    "usr/sbin/debconf-set-selections": "",
    "usr/sbin/grub-install": "",
    "usr/sbin/update-grub": "",
    "usr/sbin/update-initramfs": "",
    "etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
    "etc/fstab": f"UUID={DEAD} / ext4 defaults 0 1\n",
}
RED_HAT = {
    "bin/sh": ELF,
    "boot/vmlinuz-5.14.0-503.el9.x86_64": "kernel",
    "boot/initramfs-5.14.0-503.el9.x86_64.img": "initramfs",
    "usr/lib/modules/5.14.0-503.el9.x86_64/modules.dep": "",
    "usr/lib/grub/i386-pc/moddep.lst": "",
    "usr/sbin/grub2-install": "",
    "usr/sbin/grub2-mkconfig": "",
    "usr/bin/kernel-install": "",
    "usr/bin/dracut": "",
    "etc/default/grub": "GRUB_ENABLE_BLSCFG=true\n",
    "etc/fstab": f"UUID={DEAD} / xfs defaults 0 0\n",
}
RED_HAT_ESP = {
    "boot/efi/EFI/redhat/shimx64.efi": "a signed shim",
    "boot/efi/EFI/redhat/grubx64.efi": "a signed GRUB",
    "boot/efi/EFI/redhat/mmx64.efi": "keys",
    "boot/efi/EFI/redhat/grub.cfg": f"search --no-floppy --fs-uuid --set=dev {DEAD}\n",
    "boot/efi/EFI/BOOT/BOOTX64.EFI": "a signed shim",
    "boot/efi/EFI/BOOT/fbx64.efi": "fallback",
}


def image(root: Path, *parts: Mapping[str, str | bytes], without: tuple[str, ...] = ()) -> ImageFacts:
    """The facts of a real tree below ``root``."""
    for name, content in {key: value for part in parts for key, value in part.items()}.items():
        if name not in without:
            at = root / name
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(content if isinstance(content, bytes) else content.encode())
    return facts_of_tree.read(Tree(root))


def version(facts: ImageFacts) -> Version:
    return Version("compute", 1, "2026-11-21T00:00:00Z", "test", 500 * MIB, 12000, "0" * 64, facts)


def machine(*found: Disk, firmware: Firmware = Firmware.UEFI, **more: Any) -> Inventory:
    return Inventory(
        "x86_64", firmware, 4 * GIB, 4, found, (Nic("eth0", MAC, by_path="pci-2"),), boot_mac=MAC, **more
    )  # fmt: skip


def layout(name: str, **changes: str) -> Layout:
    """A shipped layout; ``changes`` are texts put in place of others."""
    text = shipped(f"autoinstall_scripts/layouts/{name}.yaml").read_text()
    for old, new in changes.items():
        text = text.replace(old.replace("__", "/"), new)
    return read_layout(yamlfile.parse(text, where=name), name)


def own_layout(text: str) -> Layout:
    return read_layout(yamlfile.parse(text, where="own"), "own")


def target(facts: ImageFacts, wanted: Layout, inventory: Inventory, **more: Any) -> Target:
    made = plan_with_system(NODE, version(facts), wanted, inventory, SITE)[1]
    return evolve(target_of(NODE, version(facts), made, inventory, SITE), **more)


def steps_of(install: InstallPlan, kind: type[T]) -> list[T]:
    return [step for phase in install.phases for step in phase.steps if isinstance(step, kind)]


def written(steps: Any) -> dict[str, str]:
    return {step.path: step.content for step in steps if isinstance(step, WriteFile)}


def commands(install: InstallPlan) -> list[str]:
    return [shlex.join(step.argv) for step in steps_of(install, RunInTarget)]


def carry_out(steps: tuple[Step, ...], root: Path) -> None:
    """On a tree, by the installer's own functions; of programs only those that make directories and copies."""
    for step in steps:
        match step:
            case WriteFile():
                tree.write_file(step, root)
            case RemovePath():
                tree.remove_path(step, root)
            case RunInTarget(argv=("mkdir" | "cp" as program, *words)):
                inside = [f"{root}{word}" if word.startswith("/") else word for word in words]
                subprocess.run((program, *inside), check=True)


@contextmanager
def loop(path: Path, size: int, sector: int = 512) -> Iterator[str]:
    """A disk of the kernel's own, of a sparse file; gone afterwards with its partitions."""
    with path.open("wb") as file:
        file.truncate(size)
    argv = ("losetup", "--partscan", "--sector-size", str(sector), "--find", "--show", str(path))
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    parted.freeAllDevices()  # libparted remembers what was behind that name, and its sectors
    try:
        yield device
    finally:
        subprocess.run(("partx", "--delete", device), check=False, capture_output=True)
        subprocess.run(("losetup", "--detach", device), check=True)


def said(*argv: str, **more: Any) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, **more).stdout


def signatures(device: str) -> list[str]:
    """What wipefs(8) finds, which is what libblkid and so udev knows."""
    return said("wipefs", "--no-act", "--noheadings", "--output", "TYPE", device).split()


# 1


def test_case_01_golden_on_sata_bios_mbr_and_node_on_nvme_uefi_gpt(tmp_path: Path) -> None:
    """A golden client with /dev/sda, an MBR and BIOS; the node has NVMe and UEFI. Nothing of sda may be left in what
    the node starts by, and it gets a GPT, an ESP and a loader for UEFI."""
    golden = {
        "etc/fstab": "/dev/sda1 / ext4 defaults 0 1\n/dev/sda5 none swap sw 0 0\n",
        "etc/default/grub": 'GRUB_CMDLINE_LINUX="root=/dev/sda1 resume=/dev/sda5 mitigations=auto"\n',
        "boot/grub/device.map": "(hd0) /dev/sda\n",
    }
    facts = image(tmp_path, DEBIAN, golden)
    install = plan(NODE, version(facts), layout("one-disk"), machine(NVME), SITE)
    (table,) = steps_of(install, MakeTable)
    assert table.label.value == "gpt"
    assert [each.role for each in table.partitions] == [Role.BIOS_GRUB, Role.ESP, Role.SWAP, Role.ROOT]
    texts = written(step for phase in install.phases for step in phase.steps)
    assert not [path for path, text in texts.items() if "/dev/sda" in text]
    assert "mitigations=auto" in texts["/etc/default/grub"]
    assert any(each.startswith("grub-install --target=x86_64-efi") for each in commands(install))
    assert [each.devices for each in steps_of(install, SetBootEntries)] == [("/dev/nvme0n1p2",)]
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    assert not (tmp_path / "boot/grub/device.map").exists()


def test_case_01_an_image_without_a_loader_for_the_other_firmware_is_refused_before_the_wipe(tmp_path: Path) -> None:
    """The same node and an image that only ever knew BIOS: told, with what is missing, and no disk is touched."""
    facts = image(tmp_path, DEBIAN, without=("usr/lib/grub/x86_64-efi/moddep.lst",))
    with pytest.raises(CannotPlan, match=r"no GRUB for x86_64-efi \(it has i386-pc; .* grub-efi-amd64-bin"):
        plan(NODE, version(facts), layout("one-disk"), machine(NVME), SITE)
    with pytest.raises(CannotPlan, match=r"boot\.firmware is bios, but the machine started by UEFI"):
        plan(NODE, version(facts), layout("one-disk-mbr"), machine(NVME), SITE)


def test_case_01_an_initramfs_for_the_golden_clients_controller_is_made_anew(tmp_path: Path) -> None:
    """MODULES=dep, or dracut's host-only: the image's initramfs has the driver of the old controller and no other."""
    facts = image(tmp_path / "debian", DEBIAN, {"etc/initramfs-tools/initramfs.conf": "MODULES=dep\n"})
    debian = plan(NODE, version(facts), layout("one-disk"), machine(NVME), SITE)
    assert "update-initramfs -u -k 6.1.0-1-amd64" in commands(debian)
    facts = image(tmp_path / "redhat", RED_HAT, RED_HAT_ESP)
    red_hat = plan(NODE, version(facts), layout("one-disk"), machine(NVME), SITE)
    assert [each for each in commands(red_hat) if each.startswith("dracut --force --no-hostonly")]


@pytest.mark.parametrize("firmware", Firmware)
def test_case_01_a_layout_drafted_from_a_bios_client_starts_by_either_firmware(
    tmp_path: Path, firmware: Firmware
) -> None:
    """Who captures an old BIOS machine does not have to know about ESPs to install the image on a new one."""
    probe = (PROBES / "rhel-9-lvm.txt").read_text(), (PROBES / "busybox.txt").read_text()
    for text in probe:
        client = evolve(parse(text), firmware="bios")
        drafted = own_layout(draft(client, capture_plan(client, Wishes()), "gold", {}, uefi=True))
        disk = evolve(NVME, size=TIB)
        install = plan(NODE, version(image(tmp_path, DEBIAN)), drafted, machine(disk, firmware=firmware), SITE)
        assert {Role.BIOS_GRUB, Role.ESP} <= {each.role for each in steps_of(install, MakeTable)[0].partitions}


# 2

FIRST = Disk(
    "/dev/nvme0n1", 960 * 10**9, bus=Bus.NVME, serial="S1", wwn="eui.01", model="P", by_path="pci-0000:01:00.0-nvme-1"
)
SECOND = evolve(FIRST, path="/dev/nvme1n1", serial="S2", wwn="eui.02", by_path="pci-0000:02:00.0-nvme-1")
SWAPPED = (evolve(SECOND, path="/dev/nvme0n1"), evolve(FIRST, path="/dev/nvme1n1"))


def test_case_02_two_disks_of_one_size_are_never_guessed_between(tmp_path: Path) -> None:
    """Two 960 GB NVMe disks and a layout for one: refused, with a line for each that fits it alone. That line finds the
    same disk when the kernel has counted them the other way round."""
    facts = image(tmp_path, DEBIAN)
    with pytest.raises(CannotPlan) as refused:
        plan(NODE, version(facts), layout("one-disk"), machine(FIRST, SECOND), SITE)
    lines = re.findall(r"add to match  (wwn: \S+)", refused.value.hint)
    assert lines == ['wwn: "eui.01"', 'wwn: "eui.02"']
    told = layout("one-disk", **{"pick: smallest": lines[1]})
    for found in ((FIRST, SECOND), SWAPPED):
        install = plan(NODE, version(facts), told, machine(*found), SITE)
        assert [each.disk.serial for each in steps_of(install, WipeDisk)] == ["S2"]


def test_case_02_counted_the_other_way_round_they_make_the_same_node(tmp_path: Path) -> None:
    """The pair as RAID 1, imaged again after a boot that swapped the names: each disk has the same part as before, and
    every file that is written says the same."""
    facts = image(tmp_path, DEBIAN)
    mirrored = layout("raid1-data-raid")
    before, after = (plan(NODE, version(facts), mirrored, machine(*f), SITE) for f in ((FIRST, SECOND), SWAPPED))
    assert [each.disk.serial for each in steps_of(before, WipeDisk)] == ["S1", "S2"]
    assert [each.disk.serial for each in steps_of(after, WipeDisk)] == ["S1", "S2"]
    assert steps_of(before, WriteFile) == steps_of(after, WriteFile)
    answers = [each.stdin for made in (before, after) for each in steps_of(made, RunInTarget) if each.stdin]
    assert len(answers) == 2 and answers[0] == answers[1]
    assert not [text for text in written(steps_of(before, WriteFile)).values() if "/dev/nvme" in text]


def test_case_02_a_swap_between_plan_and_wipe_stops_the_install(tmp_path: Path) -> None:
    """The plan was made, the machine started again with its names swapped: not a byte is written."""
    mirrored = layout("raid1-data-raid")
    install = plan(NODE, version(image(tmp_path, DEBIAN)), mirrored, machine(FIRST, SECOND), SITE)
    for step in steps_of(install, WipeDisk):
        confirm(step.disk, (FIRST, SECOND))
        with pytest.raises(Conflict, match="not the disk of the plan: serial"):
            confirm(step.disk, SWAPPED)


def test_case_02_an_update_writes_grub_to_the_disk_in_that_place_not_of_that_name(tmp_path: Path) -> None:
    """The node was installed on /dev/nvme0n1, and the next boot calls that disk nvme1n1: new GRUB modules are no reason
    to write a boot sector to the data disk that has the name now. An image without udev has no better name."""
    known = layout("one-disk", **{"pick: smallest": 'serial: "S1"'})
    for programs, disk in (({"usr/bin/udevadm": ""}, f"/dev/disk/by-path/{FIRST.by_path}"), ({}, FIRST.path)):
        facts = version(image(tmp_path / str(len(programs)), DEBIAN, programs))
        made = plan_with_system(NODE, facts, known, machine(FIRST, SECOND), SITE)[1]
        update = plan_update(NODE, facts, made, machine(FIRST, SECOND), SITE, Layers(), 873)
        runs = [each.step.argv for each in update.bootloader if isinstance(each.step, RunInTarget)]
        assert [argv for argv in runs if "--target=i386-pc" in argv] == [("grub-install", "--target=i386-pc", disk)]


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
        table = yamlfile.parse(said("sfdisk", "--json", device), where="sfdisk")["partitiontable"]
        assert table["sectorsize"] == 4096
        found_at = [(each["start"] * 4096, each["size"] * 4096) for each in table["partitions"]]
        assert found_at == [(each.start, each.size) for each in made.disks[0].places]
        for step in made.stack:
            if isinstance(step, MakeFilesystem):
                said(*filesystems.mkfs(evolve(step, device=step.device.replace(NVME.path, device))))
        checked = said("fsck.vfat", "-n", "-v", f"{device}p2")
        assert "4096 bytes per logical sector" in checked
        clusters = re.search(r"/(\d+) clusters", checked)
        assert clusters and int(clusters[1]) >= 65525, "fewer, and it would be no FAT32"
        assert "sectsize = 4096" in said("xfs_db", "-r", "-c", "sb 0", "-c", "p sectsize", f"{device}p4")


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
        said("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(smaller), input="label: gpt\nsize=16M\n")
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
        assert said("sfdisk", "--json", device).count('"node"') == 3, "the new table, not the copied one"


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
    return Processes(lambda line: None).run(argv, **more)


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


# 7


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
@needs("rsync", "mount")
def test_case_07_a_capture_takes_the_esp_that_is_a_filesystem_of_its_own(tmp_path: Path) -> None:
    """/boot/efi is mounted on the golden client. A capture stays on the filesystems it names (-x), so it must name that
    one; then the real rsync brings what is in it."""
    client = parse((PROBES / "debian-12.txt").read_text())
    argv = transfer_argv(Golden("gold"), capture_plan(client, Wishes()), control="c", rules="r", into="/into")
    options = next(word for word in argv if word.startswith("-a"))
    assert "x" in options and ":/boot/efi" in argv
    golden, into = tmp_path / "golden", tmp_path / "into"
    (golden / "boot/efi").mkdir(parents=True)
    said("mount", "-t", "tmpfs", "none", str(golden / "boot/efi"))
    try:
        (golden / "boot/efi/EFI").mkdir()
        (golden / "boot/efi/EFI/loader").write_text("ESP")
        named = [f"{golden}/./{word.removeprefix(':/')}" for word in (":/", ":/boot/efi")]
        said("rsync", options, named[0], str(into))
        assert not list((into / "boot/efi").iterdir())
        said("rsync", options, *named, str(into))
    finally:
        said("umount", str(golden / "boot/efi"))
    assert (into / "boot/efi/EFI/loader").read_text() == "ESP"


def test_case_07_an_image_without_the_content_of_its_esp(tmp_path: Path) -> None:
    """Captured elsewhere with -x: /boot/efi is an empty directory. Debian's tools make the loader anew; Red Hat's lies
    nowhere else, so a UEFI node is refused before the wipe, in words of that family, and a BIOS node is not."""
    for root in ("debian", "redhat"):
        (tmp_path / root / "boot/efi").mkdir(parents=True)
    debian = plan(NODE, version(image(tmp_path / "debian", DEBIAN)), layout("one-disk"), machine(NVME), SITE)
    assert any("--target=x86_64-efi" in each for each in commands(debian))
    assert "/boot/efi/EFI/BOOT/BOOTX64.EFI" in {each.path for each in steps_of(debian, CheckFile)}
    red_hat = version(image(tmp_path / "redhat", RED_HAT))
    with pytest.raises(CannotPlan, match="on the EFI system partition: was that mounted when the image was captured"):
        plan(NODE, red_hat, layout("one-disk"), machine(NVME), SITE)
    bios = plan(NODE, red_hat, layout("one-disk"), machine(NVME, firmware=Firmware.BIOS), SITE)
    assert "grub2-install --target=i386-pc /dev/nvme0n1" in commands(bios)
    with_esp = version(image(tmp_path / "redhat", RED_HAT_ESP))
    assert plan(NODE, with_esp, layout("one-disk"), machine(NVME), SITE)


# 8

OLDER, NEWER = "5.14.0-427.el9.x86_64", "5.14.0-503.el9.x86_64"


def entry(kernel: str) -> str:
    return (
        f"title Red Hat ({kernel})\nversion {kernel}\nlinux /vmlinuz-{kernel}\ninitrd /initramfs-{kernel}.img\n"
        f"options root=UUID={DEAD} ro resume=UUID={DEAD} crashkernel=1G\ngrub_class rhel\n"
    )


def two_kernels(golden: str) -> dict[str, str | bytes]:
    return {
        f"boot/vmlinuz-{OLDER}": "kernel",
        f"boot/initramfs-{OLDER}.img": "initramfs",
        f"usr/lib/modules/{OLDER}/modules.dep": "",
        "etc/kernel/entry-token": f"{golden}\n",
        **{f"boot/loader/entries/{golden}-{kernel}.conf": entry(kernel) for kernel in (OLDER, NEWER)},
    }


def install_kernel(root: Path, kernel: str) -> Path:
    """kernel-install(8) itself, as the node's package manager calls it later; the entry that it makes."""
    conf = root / "etc/kernel"
    conf.mkdir(parents=True, exist_ok=True)
    identity = (root / "etc/machine-id").read_text().strip()
    (conf / "install.conf").write_text(f"layout=bls\nBOOT_ROOT={root}/boot\nMACHINE_ID={identity}\n")
    (root / "kernel").write_text("kernel")
    before = set((root / "boot").rglob("*.conf"))
    plugin = "/usr/lib/kernel/install.d/90-loaderentry.install"
    said("kernel-install", "add", kernel, str(root / "kernel"),
         env={**os.environ, "KERNEL_INSTALL_CONF_ROOT": str(conf), "KERNEL_INSTALL_PLUGINS": plugin})  # fmt: skip
    (made,) = set((root / "boot").rglob("*.conf")) - before
    return made


@pytest.mark.parametrize("golden", ["0" * 31 + "1", "f" * 32], ids=["sorts lower", "sorts higher"])
@pytest.mark.parametrize("generation", [0, 2])
@needs("kernel-install", "/usr/lib/kernel/install.d/90-loaderentry.install")
def test_case_08_boot_entries_named_by_the_golden_clients_id(tmp_path: Path, golden: str, generation: int) -> None:
    """GRUB sorts entries by their names, which begin with a machine-id. Were two ids among them, the kernels of one
    would come first for ever, however old. All go by the node's own, those of later kernels too, and so the newest
    kernel is the first."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP, two_kernels(golden))
    node = target(facts, layout("one-disk"), machine(NVME), generation=generation)
    carry_out((*machine_identity(node), *boot_entries_files(node)), tmp_path)
    entries = tmp_path / "boot/loader/entries"
    own = (tmp_path / "etc/machine-id").read_text().strip()
    assert {each.name for each in entries.iterdir()} == {f"{own}-{kernel}.conf" for kernel in (OLDER, NEWER)}
    later = install_kernel(tmp_path, "5.14.0-611.el9.x86_64")
    assert sorted(entries.iterdir(), reverse=True) == [
        later, *(entries / f"{own}-{kernel}.conf" for kernel in (NEWER, OLDER))
    ]  # fmt: skip
    for each in (OLDER, NEWER):
        text = (entries / f"{own}-{each}.conf").read_text()
        assert DEAD not in text and f"root=UUID={node.system.root.uuid}" in text and "crashkernel=1G" in text


def test_case_08_a_node_that_shall_be_the_golden_clients_twin_keeps_its_names(tmp_path: Path) -> None:
    """Its machine-id stays the image's, and so do the names of its entries."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP, two_kernels(OLD))
    node = target(facts, layout("one-disk"), machine(NVME), host=Host(identity=Identity.GOLDEN))
    carry_out(boot_entries_files(node), tmp_path)
    names = {each.name for each in (tmp_path / "boot/loader/entries").iterdir()}
    assert names == {f"{OLD}-{kernel}.conf" for kernel in (OLDER, NEWER)}
    assert (tmp_path / "etc/kernel/entry-token").read_text() == f"{OLD}\n"


# 9

SYSTEMD_BOOT = {
    "usr/bin/bootctl": "",
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi": "loader",
    "efi/loader/loader.conf": "timeout 3\n",
}
WITHOUT_GRUB = ("usr/sbin/grub2-install", "usr/sbin/grub2-mkconfig", "usr/lib/grub/i386-pc/moddep.lst")
AT_EFI = {"__boot__efi": "/efi"}


@needs("kernel-install", "/usr/lib/kernel/install.d/90-loaderentry.install")
def test_case_09_kernel_install_in_a_chroot_without_a_command_line_of_its_own(tmp_path: Path) -> None:
    """No /etc/kernel/cmdline in the image: kernel-install would take /proc/cmdline, in an install the ramdisk's. The
    file is there before kernel-install runs for the first time, and what it then makes names the node's root."""
    facts = image(tmp_path, RED_HAT, SYSTEMD_BOOT, without=WITHOUT_GRUB)
    assert "/etc/kernel/cmdline" not in facts.files
    install = plan(NODE, version(facts), layout("one-disk", **AT_EFI), machine(NVME), SITE)
    steps = [step for phase in install.phases for step in phase.steps]
    told = next(at for at, step in enumerate(steps) if getattr(step, "path", "") == "/etc/kernel/cmdline")
    runs = [at for at, step in enumerate(steps) if isinstance(step, RunInTarget) and "kernel-install" in step.argv]
    assert runs and told < min(runs)
    carry_out(tuple(step for step in steps[: min(runs)] if isinstance(step, WriteFile)), tmp_path)
    made = install_kernel(tmp_path, NEWER).read_text()
    words = (tmp_path / "etc/kernel/cmdline").read_text().split()
    (options,) = re.findall(r"(?m)^options\s+(.*)$", made)
    assert options.split()[: len(words)] == words
    roots = [word for word in options.split() if word.startswith("root=")]
    (root,) = (each for each in steps_of(install, MakeFilesystem) if each.fs is Filesystem.EXT4)
    assert roots == [f"root=UUID={root.uuid}"]


# 10

ARCH = {
    "bin/sh": ELF,
    "boot/vmlinuz-linux": "kernel",
    "usr/lib/modules/6.11.6-arch1-1/pkgbase": "linux\n",
    "usr/bin/kernel-install": "",
    "usr/bin/mkinitcpio": "",
    "etc/fstab": f"UUID={DEAD} / ext4 defaults 0 1\n",
    "etc/mkinitcpio.conf": "HOOKS=(base udev autodetect modconf block filesystems fsck)\n",
    "etc/mkinitcpio.d/linux.preset": (
        "ALL_kver=/boot/vmlinuz-linux\nPRESETS=('default')\n#default_image=/boot/initramfs-linux.img\n"
        'default_uki="/efi/EFI/Linux/arch-linux.efi"\nfallback_uki="/efi/EFI/Linux/arch-linux-fallback.efi"\n'
    ),
    "etc/cmdline.d/root.conf": f"# disks\nroot=UUID={DEAD} rw\n",
    "etc/cmdline.d/tuning.conf": "mitigations=off quiet\n",
    "efi/EFI/Linux/arch-linux.efi": f"MZ initramfs root=UUID={DEAD} rw",
    "efi/EFI/Linux/arch-linux-lts.efi": f"MZ initramfs root=UUID={DEAD} rw",
}


def test_case_10_an_arch_image_with_nothing_but_unified_kernels(tmp_path: Path) -> None:
    """Kernel, initramfs and command line are one program on the ESP, and there is no initramfs file at all. The golden
    client's go, since they name its root; the node's are made by its own mkinitcpio from its own words; and the install
    is a success only if the new one names the node's root."""
    facts = image(tmp_path, ARCH, SYSTEMD_BOOT)
    install, made = plan_with_system(NODE, version(facts), layout("one-disk", **AT_EFI), machine(NVME), SITE)
    assert "mkinitcpio -P" in commands(install)
    assert not [path for path in written(steps_of(install, WriteFile)) if "/loader/entries/" in path]
    promises = [step for step in steps_of(install, CheckFile) if "initramfs" in step.path or "/EFI/Linux/" in step.path]
    assert [each.path for each in promises] == ["/efi/EFI/Linux/arch-linux.efi"]
    with pytest.raises(ImagedError, match="does not hold 'root=UUID="):
        tree.check_file(promises[0], tmp_path)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    assert not list((tmp_path / "efi/EFI/Linux").iterdir())
    words = " ".join(each.read_text() for each in sorted((tmp_path / "etc/cmdline.d").iterdir()))
    assert DEAD not in words and f"root=UUID={made.root.uuid}" in words and "mitigations=off" in words
    assert f"root=UUID={made.root.uuid}" in (tmp_path / "etc/kernel/cmdline").read_text()
    assert "autodetect" not in (tmp_path / "etc/mkinitcpio.conf").read_text()
    (tmp_path / "efi/EFI/Linux/arch-linux.efi").write_text(f"MZ initramfs {words}")  # what mkinitcpio makes of them
    tree.check_file(promises[0], tmp_path)


def test_case_10_unified_kernels_must_lie_where_firmware_looks(tmp_path: Path) -> None:
    """Its presets write below /efi; with the ESP at /boot/efi the kernels would land on the root filesystem."""
    facts = version(image(tmp_path, ARCH, SYSTEMD_BOOT))
    with pytest.raises(CannotPlan, match="must mount the ESP at /efi, not at /boot/efi"):
        plan(NODE, facts, layout("one-disk"), machine(NVME), SITE)


def test_case_10_unified_kernels_that_kernel_install_makes_go_wherever_the_esp_is(tmp_path: Path) -> None:
    """Without presets kernel-install makes them, and it looks for the ESP itself; one that nothing can make again must
    stay where it is, and an ESP elsewhere is refused."""
    parts = {key: value for key, value in ARCH.items() if "mkinitcpio" not in key}
    wanted = layout("one-disk")
    install = plan(NODE, version(image(tmp_path / "with", parts, SYSTEMD_BOOT)), wanted, machine(NVME), SITE)
    assert any("kernel-install add" in each for each in commands(install))
    assert "/boot/efi/EFI/Linux/*.efi" in {each.path for each in steps_of(install, RemovePath)}
    alone = version(image(tmp_path / "without", parts, SYSTEMD_BOOT, without=("usr/bin/kernel-install",)))
    with pytest.raises(CannotPlan, match="must mount the ESP at /efi"):
        plan(NODE, alone, wanted, machine(NVME), SITE)


# 11


@needs("grub-script-check", "cp")
def test_case_11_a_stub_on_the_esp_that_names_a_dead_filesystem(tmp_path: Path) -> None:
    """EFI/redhat/grub.cfg of the image looks for the golden client's /boot by its UUID, and GRUB would stop at its
    prompt. The real files are copied as they were signed, and every stub beside a GRUB finds the node's own menu."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP)
    node = target(facts, layout("one-disk"), machine(NVME))
    carry_out(boot_loader(node), tmp_path)
    esp = tmp_path / "boot/efi/EFI"
    stubs = sorted(esp.rglob("grub.cfg"))
    assert [str(each.relative_to(esp)) for each in stubs] == ["BOOT/grub.cfg", "redhat/grub.cfg"]
    for stub in stubs:
        text = stub.read_text()
        assert DEAD not in text and f"--fs-uuid --set=dev {node.system.root.uuid}" in text
        assert "configfile $prefix/grub.cfg" in text and "/boot/grub2" in text
        said("grub-script-check", str(stub))
        assert (stub.parent / "grubx64.efi").read_text() == "a signed GRUB"
    assert (esp / "BOOT/BOOTX64.EFI").read_text() == "a signed shim"
    assert not (esp / "BOOT/fbx64.efi").exists(), "it would write an entry that comes before the network"
    for promise in checks(node):
        if isinstance(promise, CheckFile) and promise.path.endswith("EFI/redhat/grub.cfg"):
            tree.check_file(promise, tmp_path)


# 12


@needs("debconf-set-selections", "debconf-communicate")
@pytest.mark.parametrize("order", ["network-first", "disk-first"])
def test_case_12_what_debconf_remembers_of_the_golden_clients_disk(tmp_path: Path, order: str) -> None:
    """The next upgrade of GRUB writes where debconf says: a disk that is not there, so new modules lie beside an old
    core image. The real debconf, asked afterwards, names the node's disks; and an upgrade leaves the firmware's order
    and the removable path as the layout wants them."""
    (tmp_path / "debconf.conf").write_text(
        "Config: config\nTemplates: templates\n"
        + "".join(
            f"\nName: {each}\nDriver: File\nFilename: {tmp_path}/{each}.dat\n" for each in ("config", "templates")
        )
    )
    environment = {**os.environ, "DEBCONF_SYSTEMRC": str(tmp_path / "debconf.conf")}
    golden = "/dev/disk/by-id/ata-GOLDEN_1234"
    selections = (
        f"grub-pc grub-pc/install_devices multiselect {golden}\n"
        f"grub-efi-amd64 grub-efi/install_devices multiselect {golden}-part1\n"
        "grub-efi-amd64 grub2/force_efi_extra_removable boolean false\n"
        "grub-efi-amd64 grub2/update_nvram boolean true\n"
    )
    said("debconf-set-selections", input=selections, env=environment)
    wanted = layout("raid1-data-raid", **{"esp: {mount": f"boot: {{order: {order}}}\nesp: {{mount"})
    install = plan(NODE, version(image(tmp_path, DEBIAN)), wanted, machine(FIRST, SECOND), SITE)
    (step,) = (step for step in steps_of(install, RunInTarget) if step.argv == ("debconf-set-selections",))
    said(*step.argv, input=step.stdin, env=environment)
    asked = ("grub-pc/install_devices", "grub-efi/install_devices", "grub2/force_efi_extra_removable",
             "grub2/update_nvram")  # fmt: skip
    questions = "".join(f"GET {each}\n" for each in asked)
    answers = said("debconf-communicate", input=questions, env=environment).splitlines()
    paths = [f"/dev/disk/by-path/{disk.by_path}" for disk in (FIRST, SECOND)]
    assert answers == [
        f"0 {', '.join(paths)}",
        f"0 {', '.join(f'{path}-part2' for path in paths)}",
        "0 true",
        f"0 {str(order == 'disk-first').lower()}",
    ]


# 13

FSTAB = r"""# /etc/fstab of the golden client

# / was on /dev/sda2 during installation
LABEL=root / ext4 defaults 0 1
LABEL=root /mnt/old ext4 noauto 0 0
LABEL=data /srv xfs nofail 0 2
# Home directories: ask Ada before you change this
#   (she knows the server)
nas:/export/home /home/all\040users nfs4 rw,nofail,x-systemd.automount,x-systemd.idle-timeout=10min 0 0
"/dev/sdb1" /var/lib/docker/ xfs defaults 0 0
/srv/a\040b /mnt/a\040b none bind,nofail 0 0
/srv/tree	/mnt/tree	none	rbind,nofail	0 0
/srv/disk.iso /mnt/iso iso9660 loop,ro,noauto 0 0
scratch_nodev /mnt/scratch beegfs rw,noauto,_netdev 0 0
tmpfs /var/volatile tmpfs size=1G 0 0
/swap/swapfile none swap sw 0 0
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
"""
SWAP_ON_BTRFS = {"fs: ext4": "fs: btrfs", "boot: {": "swap: [{file: /var/swapfile, size: 1G}]\nboot: {"}


def test_case_13_an_fstab_with_everything_in_it(tmp_path: Path) -> None:
    r"""Labels that two filesystems have, \040 in paths, comments, NFS that may fail, bind mounts, automounts, a file
    that is mounted, a filesystem nobody knows here, a swap file. What names the golden client's disks goes, with the
    comments on it; all else stays to the letter; the node's own come first, and by UUID."""
    facts = image(tmp_path, DEBIAN, {"etc/fstab": FSTAB})
    node = target(facts, layout("one-disk", **SWAP_ON_BTRFS), machine(NVME))
    carry_out((*fstab(node), *mount_points(node)), tmp_path)
    text = (tmp_path / "etc/fstab").read_text()
    golden = FSTAB.splitlines()
    assert text.splitlines()[-8:] == [*golden[6:9], *golden[10:15]]
    own = [line for line in text.splitlines()[:-8] if not line.startswith("#")]
    assert [line.split()[1:3] for line in own] == [
        ["/", "btrfs"], ["/boot/efi", "vfat"], ["none", "swap"], ["none", "swap"]
    ]  # fmt: skip
    assert [line.split()[0].partition("=")[0] for line in own] == ["UUID", "UUID", "UUID", "/var/swapfile"]
    assert (tmp_path / "home/all users").is_dir() and (tmp_path / "mnt/a b").is_dir()
    carry_out(fstab(evolve(node, facts=facts_of_tree.read(Tree(tmp_path)))), tmp_path)
    assert (tmp_path / "etc/fstab").read_text() == text, "an image of such a node makes the same file"


@needs("findmnt", "/usr/lib/systemd/system-generators/systemd-fstab-generator")
def test_case_13_systemd_and_findmnt_read_it_as_it_was_meant(tmp_path: Path) -> None:
    """The lines that stayed, read by those who will read them on the node: no fault in them once their mount points
    are there, and the automount is one."""
    facts = image(tmp_path, DEBIAN, {"etc/fstab": FSTAB})
    node = target(facts, layout("one-disk"), machine(NVME))
    carry_out((*fstab(node), *mount_points(node)), tmp_path)
    lines = [line for line in (tmp_path / "etc/fstab").read_text().splitlines() if not line.startswith("#")]
    kept = [re.sub(r"\s(/\S*)", rf" {tmp_path}\1", line, count=1) for line in lines if not line.startswith("UUID=")]
    assert len(kept) == 6
    (tmp_path / "kept").write_text("\n".join(kept) + "\n")
    assert "[E]" not in said("findmnt", "--verify", "--tab-file", str(tmp_path / "kept"))
    units = tmp_path / "units"
    units.mkdir()
    generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
    said(generator, *3 * (str(units),), env={**os.environ, "SYSTEMD_FSTAB": str(tmp_path / "etc/fstab")})
    home = (units / "home-all\\x20users.mount").read_text()
    assert "What=nas:/export/home" in home and (units / "home-all\\x20users.automount").exists()
    assert "What=/srv/a b" in (units / "mnt-a\\x20b.mount").read_text()


@needs_disks
@needs("mkfs.btrfs", "lsattr", "losetup", "mount", "blkid", "partx")
@pytest.mark.skipif("btrfs" not in Path("/proc/filesystems").read_text(), reason="the kernel has no btrfs")
def test_case_13_a_swap_file_on_btrfs_is_made_so_that_the_kernel_takes_it(tmp_path: Path) -> None:
    """On btrfs a swap file must have no holes and no copy-on-write: the image's own (sparse here) is replaced."""
    with loop(tmp_path / "disk", 256 * MIB) as device:
        said("mkfs.btrfs", "-q", device)
        root = tmp_path / "root"
        root.mkdir()
        said("mount", device, str(root))
        try:
            (root / "swapfile").touch()
            os.truncate(root / "swapfile", 32 * MIB)
            uuid = "12345678-1234-4234-8234-123456789abc"
            swapfile.make_swap_file(MakeSwapFile("/swapfile", 32 * MIB, uuid), root, Processes(lambda line: None).run)
            found = (root / "swapfile").stat()
            assert (found.st_size, found.st_mode & 0o7777) == (32 * MIB, 0o600)
            assert found.st_blocks * 512 >= 32 * MIB
            assert "C" in said("lsattr", str(root / "swapfile")).split()[0]
            assert said("blkid", "-p", "-s", "UUID", "-o", "value", str(root / "swapfile")).strip() == uuid
        finally:
            said("umount", str(root))


# 14

CRYPTS = """
version: 1
disks:
  - id: os
    partitions:
      - {id: esp, role: esp, size: 512M, fs: vfat, mount: /boot/efi}
      - {id: bios, role: bios_grub}
      - {id: boot, role: boot, size: 1G, fs: ext4, mount: /boot}
      - {id: sys, role: luks, size: {min: 10G, weight: 1}}
      - {id: more, role: luks, size: {min: 1G, weight: 1}}
luks:
  - {id: crypt0, devices: os.sys, unlock: passphrase, fs: ext4, mount: /}
  - {id: data, devices: os.more, unlock: [keyfile, passphrase], fs: xfs, mount: /srv}
"""
CRYPTTAB = (
    f"# <name> <device> <key> <options>\nvault UUID={DEAD} /mnt/keys/vault.key luks\nkeys UUID={DEAD} none luks\n"
)


@needs("/usr/lib/systemd/system-generators/systemd-cryptsetup-generator")
def test_case_14_a_key_file_on_another_encrypted_filesystem(tmp_path: Path) -> None:
    """The golden client opened one device by a key on another. So does the node, of its own two: systemd waits for the
    root, where the key is, before it opens the second; and the key is in no initramfs, for /boot is in the clear."""
    facts = image(tmp_path, DEBIAN, {"etc/crypttab": CRYPTTAB})
    install = plan(NODE, version(facts), own_layout(CRYPTS), machine(NVME), SITE)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    lines = (tmp_path / "etc/crypttab").read_text().splitlines()
    assert [(line.split()[0], line.split()[2:]) for line in lines] == [
        ("crypt0", ["none", "luks,initramfs"]), ("data", ["/etc/imaged/keys/data", "luks"])
    ]  # fmt: skip
    units = tmp_path / "units"
    units.mkdir()
    generator = "/usr/lib/systemd/system-generators/systemd-cryptsetup-generator"
    said(generator, *3 * (str(units),), env={**os.environ, "SYSTEMD_CRYPTTAB": str(tmp_path / "etc/crypttab")})
    assert "RequiresMountsFor=/etc/imaged/keys/data" in (units / "systemd-cryptsetup@data.service").read_text()
    assert not [path for path in written(steps_of(install, WriteFile)) if "cryptsetup-initramfs" in path]


def test_case_14_the_key_file_is_in_no_initramfs_of_dracut_and_opens_no_root(tmp_path: Path) -> None:
    """Of Red Hat's initramfs the same; and a layout that would have the root opened by a key file is refused."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP)
    install, made = plan_with_system(NODE, version(facts), own_layout(CRYPTS), machine(NVME), SITE)
    (argv,) = (step.argv for step in steps_of(install, RunInTarget) if step.argv[0] == "dracut")
    assert "--install=/etc/crypttab" in argv and not [word for word in argv if "/etc/imaged/keys" in word]
    words = written(steps_of(install, WriteFile))["/etc/kernel/cmdline"]
    opened = {crypt.name: f"rd.luks.uuid={crypt.uuid}" in words for crypt in made.crypts}
    assert opened == {"crypt0": True, "data": False}
    with pytest.raises(ImagedError, match="it holds /, so a keyfile would lie in what it opens"):
        own_layout(CRYPTS.replace("unlock: passphrase", "unlock: keyfile"))


@pytest.mark.parametrize(
    ("crypttab", "rebuilt"), [(CRYPTTAB, True), ("# <name> <device> <key>\n", False)], ids=["devices", "header only"]
)
def test_case_14_a_node_without_encryption_waits_for_none_of_the_golden_clients(
    tmp_path: Path, crypttab: str, *, rebuilt: bool
) -> None:
    """Plain disks: nothing asks for a passphrase or a key of devices that are not there, neither the system nor an
    initramfs that was made on the golden client."""
    golden = {"etc/crypttab": crypttab, "etc/crypttab.initramfs": CRYPTTAB}
    facts = image(tmp_path, DEBIAN, golden)
    install = plan(NODE, version(facts), layout("one-disk"), machine(NVME), SITE)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    assert not (tmp_path / "etc/crypttab").read_text().strip()
    assert not (tmp_path / "etc/crypttab.initramfs").exists()
    assert any(each.startswith("update-initramfs") for each in commands(install)) is rebuilt


# 15

RESUMING = {
    "etc/default/grub": (
        f'GRUB_CMDLINE_LINUX_DEFAULT="quiet resume=UUID={DEAD}"\nGRUB_CMDLINE_LINUX="resume_offset=34816 nosmt"\n'
    ),
    "etc/initramfs-tools/conf.d/resume": f"RESUME=UUID={DEAD}\n",
}
NO_SWAP = {"- {id: swap": "# - {id: swap"}
SWAP_FILE = {**NO_SWAP, "boot: {": "swap: [{file: /var/swapfile, size: 1G}]\nboot: {"}


@pytest.mark.parametrize(
    ("changes", "resumes"), [({}, True), (NO_SWAP, False), (SWAP_FILE, False)], ids=["partition", "none", "file"]
)
def test_case_15_a_swap_to_resume_from_that_is_gone(tmp_path: Path, changes: dict[str, str], *, resumes: bool) -> None:
    """The image's initramfs is generic and stays, with the golden client's swap in it, for which it would wait at each
    start. What GRUB passes wins over it, so GRUB says the node's own swap, or that there is none; a shell reads its
    files as grub-mkconfig does."""
    facts = image(tmp_path, DEBIAN, RESUMING)
    install, made = plan_with_system(NODE, version(facts), layout("one-disk", **changes), machine(NVME), SITE)
    carry_out(tuple(step for phase in install.phases if phase.name == "fixups" for step in phase.steps), tmp_path)
    assert not [each for each in commands(install) if each.startswith("update-initramfs")]
    script = 'for file in etc/default/grub etc/default/grub.d/*.cfg; do . "./$file"; done;'
    script += 'printf %s "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"'
    words = said("sh", "-c", script, cwd=tmp_path).split()
    swaps = [each.uuid for each in made.swaps if not each.file]
    expected = [f"resume=UUID={swaps[0]}"] if resumes else ["noresume"]
    assert [word for word in words if "resume" in word] == expected
    assert "nosmt" in words and "quiet" in words
    later = (tmp_path / "etc/initramfs-tools/conf.d/resume").read_text().strip()
    assert later == (f"RESUME=UUID={swaps[0]}" if resumes else "RESUME=none")


def test_case_15_the_same_in_boot_entries_of_red_hat(tmp_path: Path) -> None:
    """dracut resumes from what the entry says: never from the golden client's swap."""
    facts = image(tmp_path, RED_HAT, RED_HAT_ESP, two_kernels(OLD))
    node = target(facts, layout("one-disk"), machine(NVME))
    texts = written(boot_entries_files(node))
    entries = [text for path, text in texts.items() if path.endswith(".conf")]
    assert len(entries) == 2
    for text in entries:
        assert re.findall(r"\bresume=\S+", text) == [f"resume=UUID={node.system.swaps[0].uuid}"]
