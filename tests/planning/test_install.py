"""The whole plan of an install: golden text, order of phases, identities, and what is refused before a write."""

import os
from pathlib import Path
from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.codec import from_json, to_json
from imaged.model.errors import CannotPlan
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.image import ImageFacts, Kernel, Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import InstallPlan, MakeFilesystem, Mount, SyncOverrides, SyncTree
from imaged.model.size import GIB
from imaged.planning.install import Site, plan, plan_hash
from imaged.planning.layout import read
from imaged.planning.show import plan_text
from imaged.store import yamlfile
from imaged.store.paths import shipped

GOLDEN = Path(__file__).parents[1] / "data/plans"
MAC = Mac.parse("52:54:00:00:00:01")
NODE = Node("node07", (MAC,), ImageRef.parse("debian-12"), console="ttyS0,115200")
NVME = Disk(
    "/dev/nvme0n1", 32 * GIB, bus=Bus.NVME, model="QEMU NVMe", serial="a1", by_path="pci-1", contents="gpt, ext4"
)
USB = Disk("/dev/sda", 8 * GIB, bus=Bus.USB, removable=True, model="Stick")
MACHINE = Inventory("x86_64", Firmware.BIOS, 2 * GIB, 2, (NVME, USB), (Nic("eth0", MAC),), boot_mac=MAC)
FACTS = ImageFacts(
    arch="x86_64",
    os_id="debian",
    kernels=(Kernel("6.1.0-1-amd64", "/boot/vmlinuz-6.1.0-1-amd64", "/boot/initrd.img-6.1.0-1-amd64"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    grub_signed=True,
    commands=("debconf-set-selections", "findmnt", "grub-install", "ssh-keygen", "update-grub", "update-initramfs"),
    units=("systemd-networkd.service",),
    mke2fs_conf="[defaults]\n",
    initramfs_generic=True,
)
VERSION = Version("debian-12", 1, "2026-11-21T00:00:00Z", "test", 500 * 2**20, 12000, "0" * 64, FACTS)
SITE = Site(UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11"), "http://10.0.0.1:8080", ("10.0.0.1",), "a.example")
LAYOUT = read(yamlfile.load(shipped("autoinstall_scripts/layouts/one-disk.yaml")), "one-disk")


@pytest.mark.parametrize("layout", ["one-disk", "one-disk-mbr"])
def test_what_people_read_before_they_say_yes(layout: str) -> None:
    wanted = read(yamlfile.load(shipped(f"autoinstall_scripts/layouts/{layout}.yaml")), layout)
    made = plan(NODE, VERSION, wanted, MACHINE, SITE)
    text = plan_text(made, plan_hash(made)) + "\n"
    path = GOLDEN / f"{layout}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_the_same_facts_give_the_same_plan_and_it_survives_the_wire() -> None:
    first, second = (plan(NODE, VERSION, LAYOUT, MACHINE, SITE) for _ in range(2))
    assert first == second == from_json(to_json(first), InstallPlan)
    assert plan_hash(first) == plan_hash(second)
    other = evolve(MACHINE, disks=(evolve(NVME, serial="a2"),))
    assert plan_hash(plan(NODE, VERSION, LAYOUT, other, SITE)) != plan_hash(first)


def test_two_nodes_share_no_filesystem_identity() -> None:
    def uuids(name: str) -> set[str]:
        made = plan(evolve(NODE, name=name), VERSION, LAYOUT, MACHINE, SITE)
        return {step.uuid for phase in made.phases for step in phase.steps if isinstance(step, MakeFilesystem)}

    assert len(uuids("n1") | uuids("n2")) == 2 * len(uuids("n1"))


def test_what_is_lost_and_what_is_kept() -> None:
    made = plan(NODE, VERSION, LAYOUT, MACHINE, SITE)
    assert made.lost == ("/dev/nvme0n1 (QEMU NVMe serial a1, 32 GiB): gpt, ext4",)
    assert made.kept == ("/dev/sda (Stick, 8 GiB)",)


@pytest.mark.parametrize("brought", [(), ("/boot/efi",)])
def test_a_filesystem_without_owners_is_mounted_after_the_tree_is_there(brought: tuple[str, ...]) -> None:
    """vfat knows no owners, and would hide what the image has below it from rsync's view of the root."""
    made = plan(NODE, evolve(VERSION, facts=evolve(FACTS, files=brought)), LAYOUT, MACHINE, SITE)
    (transfer,) = (phase for phase in made.phases if phase.name == "transfer")
    tree, mount, *esp, over, over_esp = transfer.steps
    assert isinstance(tree, SyncTree)
    assert isinstance(mount, Mount)
    assert (tree.at, tree.exclude, tree.foreign) == ("/", ("/boot/efi/*",), False)
    assert mount.at == "/boot/efi"
    assert esp == [SyncTree("debian-12@1", at, 0, 0, foreign=True) for at in brought]
    assert over == SyncOverrides(exclude=("/boot/efi/*",))
    assert over_esp == SyncOverrides("/boot/efi", foreign=True)


@pytest.mark.parametrize(
    ("machine", "facts", "said"),
    [
        (evolve(MACHINE, disks=()), FACTS, "disk"),
        (evolve(MACHINE, disks=(evolve(NVME, size=GIB),)), FACTS, "/dev/nvme0n1"),
        (evolve(MACHINE, disks=(NVME, evolve(NVME, path="/dev/nvme1n1", serial="a2"))), FACTS, "/dev/nvme1n1"),
        (evolve(MACHINE, arch="aarch64"), FACTS, "aarch64"),
        (evolve(MACHINE, firmware=Firmware.UEFI), evolve(FACTS, grub_platforms=("i386-pc",)), "x86_64-efi"),
    ],
    ids=["no disk", "too small", "two alike", "wrong arch", "no loader for this firmware"],
)
def test_what_cannot_be_is_refused_before_any_write(machine: Inventory, facts: ImageFacts, said: str) -> None:
    with pytest.raises(CannotPlan) as refused:
        plan(NODE, evolve(VERSION, facts=facts), LAYOUT, machine, SITE)
    assert said in str(refused.value)


def test_a_filesystem_that_is_mounted_nowhere_is_made_all_the_same() -> None:
    data = yamlfile.parse("{id: pool, role: data, size: 1G, fs: ext4}", where="test")
    plain = yamlfile.load(shipped("autoinstall_scripts/layouts/one-disk.yaml"))
    plain["disks"][0]["partitions"].append(data)
    made = plan(NODE, VERSION, read(plain, "with-pool"), MACHINE, SITE)
    steps = [step for phase in made.phases for step in phase.steps]
    (pool,) = (step for step in steps if isinstance(step, MakeFilesystem) and step.device.endswith("p5"))
    assert pool.uuid
    assert not any(isinstance(step, Mount) and step.device.endswith("p5") for step in steps)
