"""Whole installs on more than plain partitions: arrays, volume groups, encryption, subvolumes, and data that stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imaged.model.hardware import Firmware
from imaged.model.report import Status
from imaged.rehearsal.machine import DiskOption, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal

pytestmark = pytest.mark.matrix

IMAGE = "debian-12-storage"
LAYOUTS = Path(__file__).parent / "layouts"
CUTS = ("wipe", "partition", "mkfs", "mount", "transfer", "bootloader")
NODE = "node01"
# What `lsblk` says of the root filesystem's way down to the disks, by layout.
BELOW_ROOT = {"raid1": "raid1 part disk", "lvm": "lvm part disk", "luks": "part disk", "btrfs": "part disk"}


@pytest.fixture
def state(site: object, tmp_path: Path) -> Path:
    """A state directory with the demo's image and ramdisk, and the layouts of this directory."""
    given, home = Path(site.state), tmp_path / "state"  # type: ignore[attr-defined]
    if not (given / "images" / IMAGE).exists():
        pytest.skip(f"there is no image {IMAGE} (make test-matrix builds it)")
    home.mkdir()
    for name, target in (("boot", given / "boot"), ("images", given / "images"), ("layouts", LAYOUTS)):
        (home / name).symlink_to(target)
    return home


def machine(firmware: Firmware, *disks: str) -> MachineSpec:
    return MachineSpec(firmware=firmware, disks=tuple(DiskOption.parse(disk) for disk in disks))


def below_root(r: Rehearsal) -> str:
    """Types of devices from the root filesystem down to its first disk."""
    source = r.ssh(NODE, "findmnt", "--noheadings", "--nofsroot", "--output", "SOURCE", "/").output.strip()
    said = r.ssh(NODE, "lsblk", "--inverse", "--noheadings", "--raw", "--output", "TYPE", source).output.split()
    return " ".join(dict.fromkeys(said))


@pytest.mark.parametrize(
    ("layout", "firmware", "disks"),
    [
        ("raid1", Firmware.UEFI, ("sata,6G", "sata,6G")),
        ("raid1", Firmware.BIOS, ("virtio,6G", "virtio,6G")),
        ("lvm", Firmware.BIOS, ("virtio,8G",)),
        ("lvm", Firmware.UEFI, ("nvme,8G,sector=4096",)),
        ("luks", Firmware.UEFI, ("virtio,8G",)),
        ("luks", Firmware.BIOS, ("sata,8G",)),
        ("btrfs", Firmware.BIOS, ("nvme,8G",)),
        ("btrfs", Firmware.UEFI, ("sata,8G",)),
    ],
    ids=lambda value: (
        value.value if isinstance(value, Firmware) else "+".join(value) if isinstance(value, tuple) else value
    ),
)
def test_layout(
    rehearse: Callable[..., Rehearsal], state: Path, layout: str, firmware: Firmware, disks: tuple[str, ...]
) -> None:
    r = rehearse(state)
    guest = r.machine(NODE, machine(firmware, *disks), image=IMAGE, layout=layout)
    guest.power_on()
    r.wait_ready(NODE)
    assert r.ssh_host_name(NODE) == NODE
    assert below_root(r) == BELOW_ROOT[layout]
    assert r.ssh(NODE, "findmnt", "--verify").output
    assert r.ssh(NODE, "systemctl", "list-units", "--failed", "--plain", "--no-legend").output.strip() == ""
    if layout in ("lvm", "btrfs"):
        assert r.ssh(NODE, "swapon", "--noheadings").output
    if layout == "luks":
        assert r.ssh(NODE, "lsblk", "--noheadings", "--output", "TYPE", "/dev/mapper/crypt0").output.strip() == "crypt"


@pytest.mark.parametrize("pulled", [0, 1])
def test_a_mirror_starts_with_either_disk_pulled(rehearse: Callable[..., Rehearsal], state: Path, pulled: int) -> None:
    r = rehearse(state)
    guest = r.machine(NODE, machine(Firmware.UEFI, "sata,6G", "sata,6G"), image=IMAGE, layout="raid1")
    guest.power_on()
    r.wait_ready(NODE)
    r.ssh(NODE, "mdadm", "--wait", "/dev/md/root", check=False, timeout=1200)
    before = r.boot_id(NODE)
    r.ssh(NODE, "sync")
    guest.power_off()
    guest.pull_disk(pulled)
    guest.power_on()
    r.wait_restart(NODE, before)
    assert "[1/2]" in r.ssh(NODE, "cat", "/proc/mdstat").output or "[2/1]" in r.ssh(NODE, "cat", "/proc/mdstat").output


def test_data_stays_through_power_cuts(rehearse: Callable[..., Rehearsal], state: Path) -> None:
    r = rehearse(state)
    guest = r.machine(NODE, machine(Firmware.BIOS, "virtio,8G"), image=IMAGE, layout="keep")
    guest.power_on()
    r.wait_ready(NODE)
    fill = "cp -a /usr/bin /srv/data && mkfifo /srv/data/pipe && cd /srv && find . -type f -exec sha256sum {} + | sort"
    content = r.ssh(NODE, "sh", "-c", fill, timeout=900).output
    uuid = r.ssh(NODE, "findmnt", "--noheadings", "--output", "UUID", "/srv").output
    r.ssh(NODE, "sync")
    for phase in CUTS:
        guest.power_off()
        r.reinstall(NODE)
        guest.power_on()
        r.wait(NODE, phase, status=Status.STARTED)
    guest.power_off()
    guest.power_on()
    r.wait_ready(NODE)
    assert r.ssh(NODE, "findmnt", "--noheadings", "--output", "UUID", "/srv").output == uuid
    look = "cd /srv && find . -type f -exec sha256sum {} + | sort"
    assert r.ssh(NODE, "sh", "-c", look, timeout=900).output == content
    assert r.ssh(NODE, "test", "-p", "/srv/data/pipe").output == ""
