"""What is drafted of arrays, encryption and volume groups of a golden client, and when it becomes plain partitions."""

from pathlib import Path
from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.capture import Block, GoldenFacts, Mounted, Space, Swap
from imaged.model.hardware import Bus, Disk, Firmware, Inventory
from imaged.model.image import ImageFacts, Kernel, Version
from imaged.model.layout import Layout
from imaged.model.plan import MakeArray, MakeCrypt, MakeGroup, MakeVolume
from imaged.model.size import GIB, MIB
from imaged.planning.capture import Wishes, plan
from imaged.planning.capture_layout import draft
from imaged.planning.capture_probe import parse
from imaged.planning.layout import read
from imaged.planning.storage import storage
from imaged.store import yamlfile

PROBE = Path(__file__).parents[1] / "data/probes/debian-12.txt"
SDA, SDB, SDC = (Block(name, f"8:{index * 16}", "disk", 500 * GIB) for index, name in enumerate(("sda", "sdb", "sdc")))


def part(name: str, number: str, size: int, fstype: str = "") -> Block:
    return Block(name, number, "part", size, (name.rstrip("0123456789"),), fstype)


def client(blocks: tuple[Block, ...], mounts: dict[str, str], *swaps: str, firmware: str = "uefi") -> GoldenFacts:
    """One with these devices; ``mounts`` are kernel names by mount point."""
    named = {block.name: block for block in blocks}
    mounted = tuple(
        Mounted(
            index, named[name].number, "/", at, named[name].fstype,
            f"/dev/mapper/{named[name].alias}" if named[name].alias else f"/dev/{name}",
        )
        for index, (at, name) in enumerate(mounts.items(), start=1)
    )  # fmt: skip
    return evolve(
        parse(PROBE.read_text()), blocks=blocks, mounts=mounted, firmware=firmware, subvolumes=(), features={},
        space={at: Space(named[name].size, 100 * MIB) for at, name in mounts.items()},
        swaps=tuple(Swap(path, 2 * GIB, False) for path in swaps),
    )  # fmt: skip


def drafted(facts: GoldenFacts) -> tuple[str, Layout]:
    text = draft(facts, plan(facts, Wishes()), "gold", {})
    return text, read(yamlfile.parse(text, where="draft"), "gold")


MIRRORED = (
    SDA, SDB, part("sda1", "8:1", GIB, "vfat"), part("sdb1", "8:17", GIB, "vfat"),
    part("sda2", "8:2", GIB), part("sdb2", "8:18", GIB),
    part("sda3", "8:3", 490 * GIB), part("sdb3", "8:19", 490 * GIB),
    part("sda4", "8:4", 2 * GIB), part("sdb4", "8:20", 2 * GIB),
    Block("md126", "9:126", "raid1", GIB, ("sda2", "sdb2"), "ext4"),
    Block("md127", "9:127", "raid1", 489 * GIB, ("sda3", "sdb3")),
    Block("dm-0", "253:0", "crypt", 489 * GIB, ("md127",), "LVM2_member", alias="luks-1"),
    Block("dm-1", "253:1", "lvm", 50 * GIB, ("dm-0",), "xfs", alias="vg--0-root"),
    Block("dm-2", "253:2", "lvm", 300 * GIB, ("dm-0",), "ext4", alias="vg--0-home"),
)  # fmt: skip
ON_MIRROR = {"/": "dm-1", "/boot": "md126", "/boot/efi": "sda1", "/home": "dm-2"}


def test_a_mirror_with_encrypted_volumes_is_drafted_as_it_is() -> None:
    text, layout = drafted(client(MIRRORED, ON_MIRROR, "/dev/sda4", "/dev/sdb4"))
    assert "# Its RAID, LUKS, LVM is drafted as it was there" in text
    (disk,) = layout.disks
    assert (disk.id, disk.count.min, disk.count.max) == ("os", 2, 2)
    assert [each.id for each in disk.partitions] == ["bios", "esp", "swap", "pv-vg-0", "boot"]
    assert layout.esp and (layout.esp.primary, layout.esp.mirrors) == ("os[0].esp", ("os[1].esp",))
    assert [(each.id, each.devices, each.mount) for each in layout.raid] == [
        ("md-pv-vg-0", ("os[*].pv-vg-0",), ""), ("md-boot", ("os[*].boot",), "/boot"),
    ]  # fmt: skip
    assert [(each.id, each.devices) for each in layout.luks] == [("crypt-pv-vg-0", ("md-pv-vg-0",))]
    (group,) = layout.lvm
    assert (group.vg, group.devices) == ("vg-0", ("crypt-pv-vg-0",))
    assert [(each.id, each.mount) for each in group.lvs] == [("root", "/"), ("home", "/home")]


def test_a_plan_puts_that_on_two_other_disks() -> None:
    _, layout = drafted(client(MIRRORED, ON_MIRROR, "/dev/sda4", "/dev/sdb4"))
    disks = tuple(
        Disk(f"/dev/nvme{number}n1", 200 * GIB, bus=Bus.NVME, by_path=f"pci-0{number}", serial=f"S{number}")
        for number in range(2)
    )
    machine = Inventory("x86_64", Firmware.UEFI, 4 * GIB, 4, disks, ())
    facts = ImageFacts(arch="x86_64", kernels=(Kernel("6.1", "/boot/vmlinuz-6.1"),), grub_platforms=("x86_64-efi",))
    version = Version("gold", 1, "2026-01-01T00:00:00Z", "", GIB, 1000, "0" * 64, facts)
    steps = storage("n1", version, layout, machine, UUID(int=1)).stack
    counts = [sum(isinstance(step, kind) for step in steps) for kind in (MakeArray, MakeCrypt, MakeGroup, MakeVolume)]
    assert counts == [2, 1, 1, 2]


def test_a_group_over_unlike_disks_takes_unlike_disks() -> None:
    small = evolve(SDB, size=100 * GIB)
    blocks = (
        SDA, small, part("sda1", "8:1", GIB, "ext4"), part("sda2", "8:2", 499 * GIB), part("sdb1", "8:17", 100 * GIB),
        Block("dm-0", "253:0", "lvm", 550 * GIB, ("sda2", "sdb1"), "xfs", alias="vg-root"),
    )  # fmt: skip
    _, layout = drafted(client(blocks, {"/": "dm-0"}, firmware="bios"))
    assert (layout.disks[0].count.max, layout.disks[0].similar) == (2, 100.0)
    assert layout.lvm[0].devices == ("os[*].pv-vg",)


def test_data_on_disks_of_its_own_is_an_entry_of_its_own() -> None:
    blocks = (
        SDA, SDB, SDC, part("sda1", "8:1", 499 * GIB, "ext4"),
        Block("md0", "9:0", "raid0", 1000 * GIB, ("sdb", "sdc"), "xfs"),
    )  # fmt: skip
    _, layout = drafted(client(blocks, {"/": "sda1", "/srv": "md0"}))
    assert [(disk.id, disk.count.max) for disk in layout.disks] == [("os", 1), ("data1", 2)]
    (array,) = layout.raid
    assert (array.level[0].level, array.devices, array.mount) == (0, ("data1[*].srv",), "/srv")


def test_swap_and_the_esp_on_arrays_are_plain_on_each_disk() -> None:
    blocks = (
        *MIRRORED[:10], Block("md1", "9:1", "raid1", 2 * GIB, ("sda4", "sdb4"), "swap"),
        Block("md2", "9:2", "raid1", GIB, ("sda1", "sdb1"), "vfat"),
        Block("md3", "9:3", "raid1", 490 * GIB, ("sda3", "sdb3"), "ext4"),
    )  # fmt: skip
    _, layout = drafted(client(blocks, {"/": "md3", "/boot/efi": "md2"}, "/dev/md1"))
    assert [each.id for each in layout.disks[0].partitions] == ["bios", "esp", "swap", "root"]
    assert [each.id for each in layout.raid] == ["md-root"]


THIN = (
    SDA, part("sda1", "8:1", 499 * GIB), part("sda2", "8:2", GIB, "ext4"),
    Block("dm-0", "253:0", "lvm", GIB, ("sda1",), alias="vg--x-pool_tmeta"),
    Block("dm-1", "253:1", "lvm", 400 * GIB, ("sda1",), alias="vg--x-pool_tdata"),
    Block("dm-2", "253:2", "lvm", 400 * GIB, ("dm-0", "dm-1"), alias="vg--x-pool-tpool"),
    Block("dm-3", "253:3", "lvm", 50 * GIB, ("dm-2",), "ext4", alias="vg--x-root"),
    Block("dm-4", "253:4", "lvm", 900 * GIB, ("dm-2",), "xfs", alias="vg--x-home"),
    Block("dm-5", "253:5", "lvm", 2 * GIB, ("sda1",), "swap", alias="vg--x-swap"),
)  # fmt: skip


def test_thin_volumes_are_drafted_with_their_pool() -> None:
    text, layout = drafted(client(THIN, {"/": "dm-3", "/boot": "sda2", "/home": "dm-4"}, "/dev/dm-5"))
    assert "thin volumes" not in text
    (group,) = layout.lvm
    assert [(each.id, each.size.min >= 512 * MIB, each.size.max) for each in group.thin] == [("pool", True, None)]
    assert [(each.id, each.pool, each.size.min // GIB) for each in group.lvs] == [
        ("swap", "", 0), ("root", "pool", 50), ("home", "pool", 900),
    ]  # fmt: skip


def test_where_grub_would_have_to_read_a_thin_volume_it_becomes_one_that_is_not() -> None:
    text, layout = drafted(client(THIN, {"/": "dm-3"}))
    assert "Its thin volumes are drafted as ones that have their whole size." in text
    assert [(each.id, each.pool) for each in layout.lvm[0].lvs] == [("root", "")] and not layout.lvm[0].thin


def test_subvolumes_on_a_volume_are_drafted_too() -> None:
    blocks = (
        SDA, part("sda1", "8:1", 499 * GIB), Block("dm-0", "253:0", "lvm", 90 * GIB, ("sda1",), "btrfs", alias="v-r"),
    )  # fmt: skip
    facts = client(blocks, {"/": "dm-0"}, firmware="bios")
    (root,) = facts.mounts
    root = evolve(root, root="/@", volume="/@")
    _, layout = drafted(evolve(facts, mounts=(root, evolve(root, id=2, at="/home", root="/@home", volume="/@home"))))
    btrfs = layout.lvm[0].lvs[0].btrfs
    assert btrfs and [(each.path, each.mount) for each in btrfs.subvolumes] == [("@", "/"), ("@home", "/home")]


@pytest.mark.parametrize(
    ("blocks", "mounts"),
    [
        ((*MIRRORED, part("sda5", "8:5", 9 * GIB, "ext4")), {**ON_MIRROR, "/d": "sda5"}),  # on one of the two only
        ((SDA, SDB, Block("md0", "9:0", "linear", GIB, ("sda", "sdb"), "ext4")), {"/": "md0"}),
        ((SDA, part("sda1", "8:1", GIB), part("sda2", "8:2", GIB),
          Block("md0", "9:0", "raid1", GIB, ("sda1", "sda2"), "ext4")), {"/": "md0"}),  # both members on one disk
        ((SDA, part("sda1", "8:1", GIB), Block("dm-0", "253:0", "crypt", GIB, ("sda1",), "ext4", alias="c")),
         {"/": "dm-0"}),  # with /boot in it, which GRUB cannot open
        ((SDA, part("sda1", "8:1", GIB), Block("dm-0", "253:0", "lvm", GIB, ("sda1",), alias="vg-a"),
          Block("dm-1", "253:1", "crypt", GIB, ("dm-0",), "ext4", alias="c")), {"/": "dm-1"}),
    ],
)  # fmt: skip
def test_what_a_layout_cannot_say_becomes_plain_partitions(blocks: tuple[Block, ...], mounts: dict[str, str]) -> None:
    text, layout = drafted(client(blocks, mounts))
    assert "# A layout cannot say its " in text
    assert not (layout.raid or layout.luks or layout.lvm)
    assert {part.mount for disk in layout.disks for part in disk.partitions} >= set(mounts)
