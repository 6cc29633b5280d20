"""A whole install on an emulated 64-bit ARM machine with UEFI: network boot by shim and GRUB, its own disk, login."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from imaged.model.boot import RAMDISK_DIR
from imaged.model.hardware import Firmware
from imaged.model.settings import Settings
from imaged.rehearsal.machine import DiskOption, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal

pytestmark = pytest.mark.matrix
IMAGE = "debian-12-arm64"
_HOURS = 3 * 3600


@pytest.mark.parametrize("disk", ["virtio,8G", "nvme,8G"])
def test_from_power_on_to_login(rehearse: Callable[..., Rehearsal], site: Settings, disk: str) -> None:
    state = Path(site.state)
    if not shutil.which("qemu-system-aarch64"):
        pytest.skip("qemu-system-aarch64 is not installed")
    if not (state / "images" / IMAGE).exists() or not (state / "boot" / RAMDISK_DIR / "aarch64").exists():
        pytest.skip(f"there is no image {IMAGE} or no ramdisk for it (make test-arm64 builds them)")
    r = rehearse()
    spec = MachineSpec(firmware=Firmware.UEFI, arch="aarch64", disks=(DiskOption.parse(disk),))
    r.machine("node01", spec, image=IMAGE).power_on()
    r.wait_ready("node01", timeout=_HOURS)
    assert r.ssh_host_name("node01") == "node01"
    assert r.ssh("node01", "uname", "-m").output == "aarch64\n"
    assert "loaders/shimaa64.efi" in r.daemon.log.read_text()
