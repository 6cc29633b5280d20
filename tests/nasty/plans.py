"""Machines, layouts and images of the cases, and what a plan is made of."""

from typing import Any
from uuid import UUID

from attrs import evolve

from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.image import ImageFacts, Kernel, Version
from imaged.model.layout import Layout
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import InstallPlan
from imaged.model.size import GIB, MIB
from imaged.model.system import System
from imaged.planning.fixups.target import Target
from imaged.planning.install import Site, plan_with_system, target_of
from imaged.planning.layout import read as read_layout
from imaged.store import yamlfile
from imaged.store.paths import shipped

MAC = Mac.parse("52:54:00:00:00:01")
NODE = Node("node07", (MAC,), ImageRef.parse("compute"))
SITE = Site(UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11"), "http://10.0.0.1:8080")
NVME = Disk("/dev/nvme0n1", 64 * GIB, bus=Bus.NVME, serial="N1", by_path="pci-0000:01:00.0-nvme-1")
FIRST = Disk(
    "/dev/nvme0n1", 960 * 10**9, bus=Bus.NVME, serial="S1", wwn="eui.01", model="P", by_path="pci-0000:01:00.0-nvme-1"
)
SECOND = evolve(FIRST, path="/dev/nvme1n1", serial="S2", wwn="eui.02", by_path="pci-0000:02:00.0-nvme-1")
MACHINE = Inventory(
    "x86_64", Firmware.UEFI, 2 * GIB, 2, (Disk("/dev/nvme0n1", 32 * GIB, bus=Bus.NVME, by_path="pci-nvme-1"),),
    (Nic("enp3s0", MAC, by_path="pci-0000:03:00.0"),), boot_mac=MAC,
)  # fmt: skip
FACTS = ImageFacts(
    arch="x86_64",
    kernels=(Kernel("6.1.0-1-amd64", "/boot/vmlinuz-6.1.0-1-amd64", "/boot/initrd.img-6.1.0-1-amd64"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    commands=("grub-install", "systemctl", "update-grub", "update-initramfs"),
    initramfs_generic=True,
)


def version(facts: ImageFacts, size: int = 500 * MIB) -> Version:
    return Version("compute", 1, "2026-11-21T00:00:00Z", "test", size, 12000, "0" * 64, facts)


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


def planned(
    facts: ImageFacts = FACTS, inventory: Inventory = MACHINE, wanted: str = "one-disk", size: int = GIB
) -> tuple[InstallPlan, System]:
    """The plan of an install with a layout that we ship, and the disks that it makes."""
    return plan_with_system(NODE, version(facts, size), layout(wanted), inventory, SITE)


def bare_target(facts: ImageFacts) -> Target:
    """The target for facts of a tree in which nothing could start: its disks are as ``planned`` for a whole one."""
    return target_of(NODE, version(facts), planned()[1], MACHINE, SITE)
