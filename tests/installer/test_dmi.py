"""What firmware tells through sysfs, read from directories like it."""

import json
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.codec import from_json, to_json
from imaged.model.errors import CannotPlan
from imaged.model.hardware import Firmware, Inventory
from imaged.planning.install import plan
from installer import dmi
from tests.planning.test_install import LAYOUT, MACHINE, NODE, SITE, VERSION


@pytest.mark.parametrize(
    ("files", "firmware", "bits"),
    [
        ({}, Firmware.BIOS, 64),
        ({"fw_platform_size": "64\n"}, Firmware.UEFI, 64),
        ({"fw_platform_size": "32\n"}, Firmware.UEFI, 32),
        ({"fw_vendor": "0x3f7a3e18\n"}, Firmware.UEFI, 64),  # kernels before 3.18 did not tell
    ],
)
def test_firmware(files: dict[str, str], firmware: Firmware, bits: int, tmp_path: Path) -> None:
    for name, text in files.items():
        at = tmp_path / "firmware/efi" / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
    assert (dmi.firmware(tmp_path), dmi.efi_bits(tmp_path)) == (firmware, bits)


def test_32_bit_firmware_gets_no_plan_that_could_wipe_anything() -> None:
    """As the server sees it: the inventory as it came over the wire. Of a ramdisk that does not tell, it is 64."""
    machine = evolve(MACHINE, firmware=Firmware.UEFI, efi_bits=32)
    told = from_json(to_json(machine), Inventory)
    with pytest.raises(CannotPlan, match="the machine's UEFI firmware is of 32 bits"):
        plan(NODE, VERSION, LAYOUT, told, SITE)
    older = json.loads(to_json(machine))
    del older["efi_bits"]
    older = from_json(json.dumps(older), Inventory)
    assert older.efi_bits == 64
    assert plan(NODE, VERSION, LAYOUT, older, SITE).phases
