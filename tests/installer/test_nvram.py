"""The firmware's boot entries: efibootmgr's output read, changed as little as can be, the promised order."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from imaged.model.errors import CommandFailed, ImagedError
from imaged.model.uefi import SetBootEntries
from installer.nvram import Changes, Wanted, changes, create, new_order, read_entries, set_boot_entries
from installer.process import Completed

ESP = "11111111-2222-4333-8444-555555555555"
DEAD = "dddddddd-2222-4333-8444-555555555555"
# efibootmgr 17 and 18 of the same firmware (OVMF): the elder writes File(), the younger neither that nor a bracket.
ELDER = f"""\
BootCurrent: 0002
Timeout: 3 seconds
BootOrder: 0001,0002,0000,0007
Boot0000* UiApp\tFvVol(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21-7614-4503-836e-8ab6f4662331)
Boot0001* debian\tHD(1,GPT,{DEAD},0x800,0x32000)/File(\\EFI\\debian\\shimx64.efi)
Boot0002* UEFI PXEv4 (MAC:525400000001)\tPciRoot(0x0)/Pci(0x3,0x0)/MAC(525400000001,1)/IPv4(0.0.0.00.0.0.0,0,0)..BO
Boot0007* imaged\tHD(1,GPT,{ESP.upper()},0x800,0x32000)/File(\\EFI\\BOOT\\BOOTX64.EFI)
"""
YOUNGER = (
    ELDER.replace("File(", "")
    .replace(".efi)", ".efi")
    .replace(".EFI)", ".EFI\n      dp: 04 01 2a 00 / 7f ff 04 00\n    data: 00")
)
OURS = Wanted("imaged", ESP, "/efi/boot/bootx64.efi")
STEP = SetBootEntries("imaged", "/EFI/BOOT/BOOTX64.EFI", ("/dev/vda1",))


@pytest.mark.parametrize("text", [ELDER, YOUNGER])
def test_both_ways_of_printing_are_read(text: str) -> None:
    found = read_entries(text)
    assert (found.order, found.current, found.next) == (("0001", "0002", "0000", "0007"), "0002", "")
    assert [each.number for each in found.entries] == ["0000", "0001", "0002", "0007"]
    assert [each.from_network for each in found.entries] == [False, False, True, False]
    assert (found.entries[3].partition, found.entries[3].loader) == (ESP, "/efi/boot/bootx64.efi")
    assert changes(found, (OURS,), "imaged") == Changes((), (), ("0007",), forget_next=False)


@pytest.mark.parametrize(
    ("edit", "delete", "create_it", "forget"),
    [
        (("\tHD(1,GPT," + ESP.upper(), "\tHD(1,GPT," + DEAD), ("0007",), True, False),
        (("Boot0007*", "Boot0007 "), ("0007",), True, False),
        (("imaged\tHD", "imaged 2\tHD"), ("0007",), True, False),
        (("imaged\tHD", "imagedisk\tHD"), (), True, False),
        (("Timeout", "BootNext: 0005\nTimeout"), (), False, True),
        (("Timeout", "BootNext: 0001\nTimeout"), (), False, False),
        (("Boot0007*", f"Boot0006* imaged\tHD(1,GPT,{ESP},0x800,0x1)/File(\\EFI\\BOOT\\BOOTX64.EFI)\nBoot0007*"),
         ("0007",), False, False),
    ],
    ids=["dead", "inactive", "of a copy that is no more", "a stranger's", "next is gone", "next is there", "twice"],
)  # fmt: skip
def test_only_ours_go_and_only_when_they_are_wrong(
    edit: tuple[str, str], delete: tuple[str, ...], create_it: bool, forget: bool
) -> None:
    todo = changes(read_entries(ELDER.replace(*edit)), (OURS,), "imaged")
    assert (todo.delete, todo.create, todo.forget_next) == (delete, (OURS,) if create_it else (), forget)


@pytest.mark.parametrize(
    ("text", "network_first", "expected"),
    [
        (ELDER, True, ("0002", "0007", "0001", "0000")),
        (ELDER, False, ("0007", "0001", "0002", "0000")),
        (ELDER.replace("MAC(", "VenHw("), True, ("0002", "0007", "0001", "0000")),
        (ELDER.replace("MAC(", "VenHw(").replace("IPv4(", "").replace("BootCurrent: 0002", ""), True,
         ("0001", "0002", "0000", "0007")),
        (ELDER.replace("0001,0002,0000,0007", ""), True, ("0007",)),
    ],
    ids=["network", "disk", "the one that this boot came by", "nothing known", "no order"],
)  # fmt: skip
def test_order(text: str, network_first: bool, expected: tuple[str, ...]) -> None:
    assert new_order(read_entries(text), ("0007",), network_first=network_first) == expected


class Nvram:
    """efibootmgr(8) and blkid(8) of a machine whose variables hold what its output says."""

    def __init__(self, text: str, broken: str = "") -> None:
        self.text, self.broken, self.changed = text, broken, list[tuple[str, ...]]()

    def __call__(
        self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None,
        timeout: float | None = None, check: bool = True,
    ) -> Completed:  # fmt: skip
        if argv[0] == "blkid":
            return Completed(tuple(argv), 0, f"{ESP}\n", "")
        if self.broken:
            raise CommandFailed(self.broken, where="efibootmgr")
        if "--verbose" not in argv:
            self.changed.append(tuple(argv[2:]))
        if "--create-only" in argv:
            self.text += f"Boot0009* imaged\tHD(1,GPT,{ESP},0x800,0x32000)/File(\\EFI\\BOOT\\BOOTX64.EFI)\n"
        if "--bootorder" in argv:
            self.text = "\n".join(
                f"BootOrder: {argv[-1]}" if line.startswith("BootOrder") else line for line in self.text.splitlines()
            )
        return Completed(tuple(argv), 0, self.text, "")


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """sysfs with one disk and its partition."""
    part = tmp_path / "devices/virtio1/block/vda/vda1"
    part.mkdir(parents=True)
    (part / "partition").write_text("1\n")
    (tmp_path / "class/block").mkdir(parents=True)
    (tmp_path / "class/block/vda1").symlink_to(part)
    return tmp_path


def test_a_new_entry_never_stands_before_the_networks_and_the_second_time_nothing_is_written(sys: Path) -> None:
    nvram, said = Nvram(ELDER.replace("Boot0007* imaged", "Boot0007* Linux")), list[str]()
    set_boot_entries(STEP, nvram, said.append, sys)
    made = create("imaged", "/dev/vda", 1, STEP.loader)[2:]
    assert nvram.changed == [made, ("--bootorder", "0002,0009,0001,0000,0007")]
    assert "--loader=\\EFI\\BOOT\\BOOTX64.EFI" in made
    set_boot_entries(STEP, nvram, said.append, sys)
    assert len(nvram.changed) == 2
    assert said == []


def test_firmware_that_refuses_is_told_and_fails_only_what_cannot_start_without(sys: Path) -> None:
    said = list[str]()
    set_boot_entries(STEP, Nvram(ELDER, "Could not prepare Boot variable: No space left on device"), said.append, sys)
    assert len(said) == 1
    assert "No space left" in said[0]
    needed = SetBootEntries("imaged", "/EFI/rocky/shimx64.efi", ("/dev/vda1",), required=True)
    with pytest.raises(ImagedError, match="No space left"):
        set_boot_entries(needed, Nvram(ELDER, "No space left on device"), said.append, sys)


def test_an_esp_that_is_no_partition_has_no_entry(sys: Path) -> None:
    said = list[str]()
    set_boot_entries(SetBootEntries("imaged", "/EFI/BOOT/BOOTX64.EFI", ("/dev/md0",)), Nvram(ELDER), said.append, sys)
    assert "is no partition" in said[0]
