"""Whole trees of eight families, made a node's own: exactly the right files and no others, as golden differences.

``make golden`` writes them anew. What the image's own programs would write is not in them; that they run is.
"""

import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.codec import to_json
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import InstallPlan, Phase
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, PlannedSwap, System
from imaged.planning.fixups.order import BOOTLOADER, FIXUPS, UPDATE_FIXUPS, apply
from imaged.planning.fixups.target import Target
from imaged.planning.install import Site
from imaged.planning.leftovers import leftovers
from imaged.planning.protect import STATIC
from imaged.planning.update import Layers, plan_update
from imaged.store.facts import read
from imaged.store.tree import Tree
from installer.node.patterns import matcher
from installer.node.steps import written
from tests.planning.trees import DATA, NAMES, carry_out, difference, lay, state

pytestmark = pytest.mark.processes

MAC = Mac.parse("52:54:00:00:00:01")
DISK = Disk("/dev/nvme0n1", 2**34, bus=Bus.NVME, by_path="pci-0000:00:03.0-nvme-1")
ROOT = PlannedFilesystem("/dev/nvme0n1p4", Filesystem.EXT4, "11111111-1111-5111-8111-111111111111", "/")
ESP = PlannedFilesystem("/dev/nvme0n1p2", Filesystem.VFAT, "AAAA-BBBB", "/boot/efi", "umask=0077")
SWAP = PlannedSwap("/dev/nvme0n1p3", "22222222-2222-5222-8222-222222222222")
# What only the golden client has: none of it may be left in a file, but for those that are named with it below.
GOLDEN = (
    "0123456789abcdef0123456789abcdef", "dddddddd-dddd-4ddd-8ddd-dddddddddddd", "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee",
    "7B77-95E7", "36000c2900000000000000000000dead1", "naa.6000c2900000000000000000000dead1", "/dev/mapper/rhel-",
    "rhel/root", "00:50:56:ab:cd:ef", "10.9.8.7", "0a1b2c3d4e5f", "golden",
)  # fmt: skip
# Other words of a file that stays as it is, and what a program of the image writes anew.
STAYS = {
    "/etc/resolv.conf": "10.9.8.1",
    "/boot/grub2/grub.cfg": "dddddddd-dddd-4ddd-8ddd-dddddddddddd",  # grub2-mkconfig's
    "/boot/efi/EFI/ubuntu/grub.cfg": "dddddddd-dddd-4ddd-8ddd-dddddddddddd",  # grub-install's
}


def target(root: Path) -> Target:
    facts = evolve(read(Tree(root)), labelled=True)  # the trees are laid by anybody, who may not set labels
    esp = evolve(ESP, mount="/boot") if "/boot/loader/loader.conf" in facts.files else ESP
    bios = "i386-pc" in facts.grub_platforms
    return Target(
        node=Node("node07", (MAC,), ImageRef.parse("compute"), console="ttyS1,57600n8"),
        facts=facts,
        inventory=Inventory("x86_64", Firmware.UEFI, 2**31, 2, (DISK,), (Nic("eth0", MAC),), boot_mac=MAC),
        site=UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11"),
        server="http://10.0.0.1:8080",
        system=System((esp, ROOT), swaps=(SWAP,), boot_disks=("/dev/nvme0n1",), bios=bios),
        dns=("10.0.0.1",),
        domain="cluster.example",
    )


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_right_files(name: str, tmp_path: Path) -> None:
    of = target(lay(name, tmp_path))
    before = state(tmp_path)
    ran = carry_out((*apply(FIXUPS, of), *apply(BOOTLOADER, of)), tmp_path)
    text = difference(before, state(tmp_path)) + "".join(f"run {line}\n" for line in ran)
    golden = DATA / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_twice_is_the_same(name: str, tmp_path: Path) -> None:
    """Once more as an install, then as an update with the facts of the image: nothing differs."""
    of = target(lay(name, tmp_path))
    carry_out((*apply(FIXUPS, of), *apply(BOOTLOADER, of)), tmp_path)
    once = state(tmp_path)
    carry_out((*apply(FIXUPS, of), *apply(BOOTLOADER, of)), tmp_path)
    assert difference(once, state(tmp_path)) == "\n"
    carry_out(apply(UPDATE_FIXUPS, of), tmp_path)
    assert difference(once, state(tmp_path)) == "\n"


@pytest.mark.parametrize("name", NAMES)
def test_an_update_leaves_every_one_of_them_alone(name: str, tmp_path: Path) -> None:
    """As the node itself reads its plan: whatever differs from the image is a fixup's or is protected."""
    of = target(lay(name, tmp_path))
    before = state(tmp_path)
    carry_out((*apply(FIXUPS, of), *apply(BOOTLOADER, of)), tmp_path)
    after = state(tmp_path)
    version = Version("compute", 1, "", "", 1, 1, "0" * 64, of.facts)
    site = Site(of.site, of.server, of.dns, of.domain)
    plan = plan_update(of.node, version, of.system, of.inventory, site, Layers(protect=STATIC), 873)
    plain = json.loads(to_json(plan))
    is_own = matcher([each.pattern for each in plan.protect] + list(written(plain["fixups"])) + list(plan.merge))
    differs = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert [path for path in sorted(differs) if not is_own(path.lstrip("/").encode())] == []
    images = {kernel.image for kernel in of.facts.kernels} | {"/etc/ssh/sshd_config", "/etc/os-release"}
    assert [path for path in sorted(images) if is_own(path.lstrip("/").encode())] == [], "these follow the image"


ODD = {
    "/etc/smartd.conf": "DEVICESCAN\n/dev/sda -a\n",
    "/etc/systemd/system/srv.mount": f"[Mount]\nWhat=/dev/disk/by-uuid/{ROOT.uuid}\nWhere=/srv\n",
    "/etc/security/pam_mount.conf.xml": '<volume path="/dev/mapper/home" />\n',
}


@pytest.mark.parametrize("name", NAMES)
def test_of_the_disks_of_the_golden_client_only_odd_files_are_left(name: str, tmp_path: Path) -> None:
    lay(name, tmp_path)
    for path, text in ODD.items():
        at = tmp_path / path[1:]
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
    of = target(tmp_path)
    phases = (Phase("fixups", apply(FIXUPS, of)), Phase("bootloader", apply(BOOTLOADER, of)))
    assert sorted(leftovers(of.facts, InstallPlan("node07", "compute@1", "one-disk", phases))) == [
        "/etc/security/pam_mount.conf.xml: /dev/mapper/home",
        "/etc/smartd.conf: /dev/sda",
        f"/etc/systemd/system/srv.mount: /dev/disk/by-uuid/{ROOT.uuid}",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_golden_client_is_left(name: str, tmp_path: Path) -> None:
    of = target(lay(name, tmp_path))
    carry_out((*apply(FIXUPS, of), *apply(BOOTLOADER, of)), tmp_path)
    left = {
        path: word
        for path, (_, content) in state(tmp_path).items()
        for word in GOLDEN
        if word in path + content.decode("latin-1")
    }
    assert {path: word for path, word in left.items() if STAYS.get(path) != word} == {}
