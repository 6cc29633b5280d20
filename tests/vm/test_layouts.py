"""Whole installs on more than plain partitions: arrays, volume groups, encryption, subvolumes, and data that stays."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from imaged import process
from imaged.model.hardware import Firmware
from imaged.model.report import Status
from imaged.model.settings import Settings
from imaged.rehearsal.machine import DiskOption, MachineSpec, Way
from imaged.rehearsal.rehearsal import Rehearsal

pytestmark = pytest.mark.matrix

LAYOUTS = Path(__file__).parent / "layouts"
CUTS = ("wipe", "partition", "mkfs", "mount", "transfer", "bootloader")
NODE = "node01"
# What `lsblk` says of the root filesystem's way down to the disks, by layout.
BELOW_ROOT = {
    "one-disk": "part disk", "raid1": "raid1 part disk", "lvm": "lvm part disk", "luks": "part disk",
    "btrfs": "part disk",
}  # fmt: skip
# One processor each: on two emulated ones, kernel 6.12 died of itself in two of ten starts.
BIOS = MachineSpec(firmware=Firmware.BIOS, cpus=1)
UEFI = evolve(BIOS, firmware=Firmware.UEFI)
SECURE = evolve(UEFI, secure_boot=True)
HTTP = evolve(UEFI, way=Way.HTTP)
WAYS = {BIOS: "bios", UEFI: "uefi", SECURE: "secure", HTTP: "http"}
LARGE_SECTORS = "nvme,8G,sector=4096"  # a BIOS starts no such disk


@pytest.fixture
def state(site: Settings, tmp_path: Path) -> Path:
    """A state directory with the demo's images and ramdisk, and the layouts of this directory."""
    given, home = Path(site.state), tmp_path / "state"
    home.mkdir()
    for name, target in (("boot", given / "boot"), ("images", given / "images"), ("layouts", LAYOUTS)):
        (home / name).symlink_to(target)
    return home


def image(release: int, state: Path) -> str:
    """The image of a release of Debian that has the tools of every layout."""
    name = f"debian-{release}-storage"
    if not (state / "images" / name).exists():
        pytest.skip(f"there is no image {name} (make test-matrix builds it)")
    return name


def machine(spec: MachineSpec, *disks: str) -> MachineSpec:
    return evolve(spec, disks=tuple(DiskOption.parse(disk) for disk in disks))


def below_root(r: Rehearsal) -> str:
    """Types of devices from the root filesystem down to its first disk."""
    source = r.ssh(NODE, "findmnt", "--noheadings", "--nofsroot", "--output", "SOURCE", "/").output.strip()
    said = r.ssh(NODE, "lsblk", "--inverse", "--noheadings", "--raw", "--output", "TYPE", source).output.split()
    return " ".join(dict.fromkeys(said))


def looks_well(r: Rehearsal, layout: str) -> None:
    """What holds on every node, and what this layout promises."""
    assert r.ssh_host_name(NODE) == NODE
    assert below_root(r) == BELOW_ROOT[layout]
    assert r.ssh(NODE, "findmnt", "--verify").output
    assert r.ssh(NODE, "systemctl", "list-units", "--failed", "--plain", "--no-legend").output.strip() == ""
    if layout in ("lvm", "btrfs"):
        assert r.ssh(NODE, "swapon", "--noheadings").output
    if layout == "luks":
        assert r.ssh(NODE, "lsblk", "--noheadings", "--output", "TYPE", "/dev/mapper/crypt0").output.strip() == "crypt"


@pytest.mark.parametrize(
    ("layout", "way", "disks", "release"),
    [
        ("one-disk", BIOS, ("virtio,8G",), 11),
        ("raid1", BIOS, ("sata,6G", "sata,6G"), 12),
        ("lvm", BIOS, ("nvme,8G",), 13),
        ("btrfs", BIOS, ("sata,8G",), 11),
        ("btrfs", UEFI, ("virtio,8G",), 12),
        ("luks", UEFI, ("nvme,8G",), 11),
        ("lvm", UEFI, (LARGE_SECTORS,), 12),
        ("lvm", SECURE, ("virtio,8G",), 13),
        ("luks", SECURE, ("sata,8G",), 12),
        ("one-disk", SECURE, ("nvme,8G",), 13),
        ("raid1", SECURE, (LARGE_SECTORS, LARGE_SECTORS), 12),
        ("luks", HTTP, ("virtio,8G",), 13),
        ("btrfs", HTTP, ("sata,8G",), 12),
        ("raid1", HTTP, ("nvme,6G", "nvme,6G"), 11),
        ("one-disk", HTTP, (LARGE_SECTORS,), 13),
    ],
    ids=lambda value: (
        WAYS[value] if isinstance(value, MachineSpec) else "+".join(value) if isinstance(value, tuple) else value
    ),
)
def test_layout(
    rehearse: Callable[..., Rehearsal], state: Path, layout: str, way: MachineSpec, disks: tuple[str, ...], release: int
) -> None:
    r = rehearse(state)
    r.machine(NODE, machine(way, *disks), image=image(release, state), layout=layout).power_on()
    r.wait_ready(NODE)
    looks_well(r, layout)


def test_a_mirror_starts_with_either_disk_pulled(rehearse: Callable[..., Rehearsal], state: Path) -> None:
    r = rehearse(state)
    guest = r.machine(NODE, machine(UEFI, "sata,6G", "sata,6G"), image=image(13, state), layout="raid1")
    guest.power_on()
    r.wait_ready(NODE)
    looks_well(r, "raid1")
    for array in ("boot", "root"):
        r.ssh(NODE, "mdadm", "--wait", f"/dev/md/{array}", check=False, timeout=1200)
    before = r.boot_id(NODE)
    r.ssh(NODE, "sync")
    guest.power_off()
    whole = tuple(_kept(disk) for disk in guest.disks)
    for pulled in (0, 1):
        for disk, copy in zip(guest.disks, whole, strict=True):
            _copy(copy, disk)
        guest.plug_disks()
        guest.pull_disk(pulled)
        guest.power_on()
        r.wait_restart(NODE, before)
        said = r.ssh(NODE, "cat", "/proc/mdstat").output
        assert said.count("[2/1]") == 2, f"both arrays run on one disk:\n{said}"
        assert below_root(r) == BELOW_ROOT["raid1"]
        before = r.boot_id(NODE)
        guest.power_off()


def _kept(disk: Path) -> Path:
    copy = disk.with_suffix(".kept")
    _copy(disk, copy)
    return copy


def _copy(one: Path, other: Path) -> None:
    """Holes stay holes."""
    process.run(("cp", "--sparse=always", str(one), str(other)), timeout=600)


@pytest.mark.parametrize(
    ("layout", "disks", "kept"),
    [("keep", ("virtio,8G",), ("/srv",)), ("keep-stack", ("virtio,8G", "virtio,8G"), ("/srv", "/home"))],
    ids=("partition", "mirror-and-volume-group"),
)
def test_data_stays_through_power_cuts(
    rehearse: Callable[..., Rehearsal], state: Path, layout: str, disks: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    r = rehearse(state)
    guest = r.machine(NODE, machine(BIOS, *disks), image=image(12, state), layout=layout)
    look = f"find {' '.join(kept)} -type f -exec sha256sum {{}} + | sort"

    def devices() -> list[str]:
        return [r.ssh(NODE, "findmnt", "--noheadings", "--output", "UUID,FSTYPE", each).output for each in kept]

    guest.power_on()
    r.wait_ready(NODE)
    for each in kept:
        r.ssh(NODE, "sh", "-c", f"cp -a /usr/bin {each}/data && mkfifo {each}/data/pipe", timeout=900)
    content, before = r.ssh(NODE, "sh", "-c", look, timeout=900).output, devices()
    r.ssh(NODE, "sync")
    for phase in CUTS:
        guest.power_off()
        r.reinstall(NODE)
        guest.power_on()
        r.wait(NODE, phase, status=Status.STARTED)
    guest.power_off()
    guest.power_on()
    r.wait_ready(NODE)
    assert devices() == before
    assert r.ssh(NODE, "sh", "-c", look, timeout=900).output == content
    for each in kept:
        r.ssh(NODE, "test", "-p", f"{each}/data/pipe")
