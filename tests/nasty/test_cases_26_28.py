"""The nasty cases 26 to 28: firmware, processors and C libraries that do not fit, and an ESP on an array."""

from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import BadInput, CannotPlan, ImagedError
from imaged.model.hardware import Bus, Disk
from imaged.model.plan import MakeArray, MakeFilesystem
from imaged.model.size import GIB
from imaged.model.stack import Filesystem
from imaged.model.uefi import InstallGrub, MirrorEsp, SetBootEntries
from imaged.planning.layout import read as read_layout
from imaged.planning.update import Layers, plan_update
from imaged.store import facts as facts_of_tree
from imaged.store import layouts
from imaged.store.tree import Tree
from installer.node.errors import Refused
from tests.nasty.board import NVRAM, Board
from tests.nasty.outcome import every_step, steps_of
from tests.nasty.plans import FACTS, MACHINE, NODE, SITE, planned, version
from tests.nasty.trees import ELF, lay
from tests.nasty.updates import UpdatedNode

# 26


@pytest.mark.parametrize("fault", ["full", "read-only", "hidden", "drops"])
def test_case_26_firmware_that_takes_no_entry_ends_no_install_that_can_start_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """NVRAM is full, its variables cannot be written or read, or an entry is lost at once: the loader lies where
    firmware looks without an entry, so the install goes on and says what happened. Where the layout has no such copy,
    the node would not start, and the install fails."""
    board = Board(tmp_path)
    assert "The firmware keeps its boot entries as they were" in "".join(board.install(monkeypatch, fault))
    assert board.nvram == NVRAM, "nobody else's entries are touched"
    with pytest.raises(ImagedError, match="did not take a boot entry") as caught:
        board.install(monkeypatch, fault, required=True)
    assert "removable_path" in caught.value.hint


def test_case_26_the_removable_path_is_filled_unless_a_layout_says_otherwise() -> None:
    """What the case above rests on."""
    plan, _ = planned()
    grub = [" ".join(step.argv) for step in steps_of(plan, InstallGrub) if "--target=x86_64-efi" in step.argv]
    assert grub and all("--removable" in line or "--force-extra-removable" in line for line in grub)
    assert [step.required for step in steps_of(plan, SetBootEntries)] == [False]


@pytest.mark.parametrize("fault", ["", "reorders"])
def test_case_26_the_network_stays_first_also_where_firmware_puts_new_entries_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Else the node could never be installed again from the network; the order is set again after the entry is made."""
    board = Board(tmp_path)
    assert board.install(monkeypatch, fault) == []
    assert board.writes[-1].endswith("--bootorder 0002,0009,0001")
    if not fault:
        assert "BootOrder: 0002,0009,0001\n" in board.nvram


@pytest.mark.parametrize(
    ("machine", "fault"),
    [
        ({"efi_bits": 32}, "firmware is of 32 bits"),
        ({"secure_boot": True}, "Secure Boot is on and the image has no signed boot loader"),
    ],
)
def test_case_26_what_the_firmware_would_refuse_is_refused_before_the_disk_is_wiped(
    machine: dict[str, object], fault: str
) -> None:
    """UEFI of 32 bits on a 64-bit processor, and Secure Boot with a GRUB that nobody has signed."""
    with pytest.raises(CannotPlan, match=fault):
        planned(inventory=evolve(MACHINE, **machine))


# 27


def test_case_27_an_image_of_another_processor_is_refused_at_install_and_update(tmp_path: Path) -> None:
    """An arm64 image was given to an x86 node: by the programs in the tree, not by its name."""
    arm = bytearray(ELF)
    arm[18] = 183
    facts = facts_of_tree.read(Tree(lay(tmp_path, {"bin/sh": bytes(arm)})))
    assert facts.arch == "aarch64"
    wrong = evolve(FACTS, arch=facts.arch, grub_platforms=("arm64-efi", "i386-pc", "x86_64-efi"))
    with pytest.raises(CannotPlan, match="the image is for aarch64, the machine is x86_64"):
        planned(wrong)
    system = planned()[1]
    with pytest.raises(CannotPlan, match="compute@1 is for aarch64, the node is x86_64"):
        plan_update(NODE, version(wrong), system, MACHINE, SITE, Layers(), 8730)


@pytest.mark.parametrize("merged", [False, True], ids=["/lib64", "/usr/lib64"])
def test_case_27_an_update_does_not_change_the_c_library_for_another_one(node: UpdatedNode, merged: bool) -> None:
    """From glibc to musl within one distribution: in the middle of it no program of the node would start, rsync and
    Python among them. It is refused before the first write; a newer glibc is not."""
    where = "usr/lib64" if merged else "lib64"
    shell = ELF + b"\0/lib64/ld-linux-x86-64.so.2\0"
    lay(node.image, {f"{where}/ld-linux-x86-64.so.2": "2.31", "usr/bin/sh": shell, "etc/os-release": "ID=void\n",
                     "usr/lib/ld-linux.so.2": "of 32 bits"})  # fmt: skip
    for name in ("bin", "lib64") if merged else ("bin",):
        (node.image / name).symlink_to(f"usr/{name}")
    node.update(guard={"os_id": "void"})
    (node.image / where / "ld-linux-x86-64.so.2").write_text("2.36")
    (node.image / "usr/lib/ld-linux.so.2").unlink()
    node.update(guard={"os_id": "void"})
    (node.image / where / "ld-linux-x86-64.so.2").unlink()
    lay(node.image, {"lib/ld-musl-x86_64.so.1": "musl"})
    with pytest.raises(Refused, match=r"no /lib64/ld-linux-x86-64\.so\.2, which starts every program"):
        node.update(guard={"os_id": "void"})
    assert (node.root / where / "ld-linux-x86-64.so.2").read_text() == "2.36"
    assert not (node.root / "lib/ld-musl-x86_64.so.1").exists()
    node.update(guard={"os_id": "void"}, confirmed=True)
    assert (node.root / "lib/ld-musl-x86_64.so.1").exists()


# 28

ESP_ON_RAID = """\
version: 1
disks:
- id: os
  match: [{rotational: false}]
  count: 2
  partitions:
  - {id: e, role: ROLE, size: 512M}
  - {id: r, role: raid, size: {min: 10G}}
raid:
- {id: md-esp, level: 1, metadata: "METADATA", devices: ["os[*].e"], fs: vfat, mount: /boot/efi}
- {id: md-root, level: 1, devices: ["os[*].r"], fs: ext4, mount: /}
"""


@pytest.mark.parametrize(
    ("role", "metadata", "fault"),
    [
        ("raid", "1.2", "firmware reads nothing but partitions of role esp .esp.mirrors keeps copies alike"),
        ("raid", "1.0", "firmware reads nothing but partitions of role esp .esp.mirrors keeps copies alike"),
        ("esp", "1.2", "role"),
    ],
)
def test_case_28_an_esp_on_an_array_is_refused_with_what_to_do_instead(
    tmp_path: Path, role: str, metadata: str, fault: str
) -> None:
    """With metadata 1.2 the superblock lies where firmware looks for FAT; with 1.0 firmware would write to one half of
    the mirror."""
    text = ESP_ON_RAID.replace("ROLE", role).replace("METADATA", metadata)
    with pytest.raises(BadInput, match=fault):
        read_layout(layouts.find(lay(tmp_path, {"mirror.yaml": text}), "mirror"), "mirror")


def test_case_28_each_disk_of_a_mirror_has_a_plain_esp_with_the_same_in_it() -> None:
    """What to do instead, as shipped: two partitions, one copied once the boot loader is in it, an entry for each."""
    disks = tuple(
        Disk(f"/dev/nvme{at}n1", 480 * GIB, bus=Bus.NVME, serial=f"S{at}", by_path=f"nvme-{at}") for at in (0, 1)
    )
    plan, system = planned(
        evolve(FACTS, commands=(*FACTS.commands, "mdadm")), evolve(MACHINE, disks=disks), wanted="raid1-data-raid"
    )
    steps = every_step(plan)
    esps = [each.device for each in steps_of(plan, MakeFilesystem) if each.fs is Filesystem.VFAT]
    assert len(esps) == 2 and not any("/md/" in each for each in esps)
    (mirror, look), (entries,) = steps_of(plan, MirrorEsp), steps_of(plan, SetBootEntries)
    assert look == evolve(mirror, check=True), "and read back in the end"
    assert [system.esp.device, *mirror.devices] == esps == list(entries.devices)
    loader = max(at for at, step in enumerate(steps) if isinstance(step, InstallGrub))
    assert loader < steps.index(mirror) < steps.index(entries)
    assert not set(esps) & {member for each in steps_of(plan, MakeArray) for member in each.members}
