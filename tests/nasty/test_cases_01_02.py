"""The nasty cases 1 and 2: another disk and firmware than the golden client's, and disks counted in another order."""

import re
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import CannotPlan, Conflict
from imaged.model.hardware import Firmware
from imaged.model.layout import Role
from imaged.model.plan import MakeTable, RunInTarget, WipeDisk, WriteFile
from imaged.model.size import TIB
from imaged.model.uefi import SetBootEntries
from imaged.planning.capture import Wishes
from imaged.planning.capture import plan as capture_plan
from imaged.planning.capture_layout import draft
from imaged.planning.capture_probe import parse
from imaged.planning.install import plan, plan_with_system
from imaged.planning.update import Layers, plan_update
from installer.confirm import confirm
from tests.nasty.outcome import carry_out, commands, every_step, steps_of, written
from tests.nasty.plans import FIRST, NODE, NVME, SECOND, SITE, layout, machine, own_layout, version
from tests.nasty.trees import DEBIAN, PROBES, RED_HAT, RED_HAT_ESP, image

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
    texts = written(every_step(install))
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
