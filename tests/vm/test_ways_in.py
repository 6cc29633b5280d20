"""Every way into the installer but plain network boot, on whole machines: HTTP boot, Secure Boot, media, a system that
runs. And an install that waits for a person."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from imaged import process
from imaged.model.codec import to_json
from imaged.model.hardware import Firmware
from imaged.model.node import BootAction, NodeState
from imaged.model.report import Status
from imaged.model.settings import Settings
from imaged.model.wishes import Break, Then, Wishes
from imaged.rehearsal.machine import MachineSpec, Way
from imaged.rehearsal.rehearsal import Rehearsal

pytestmark = pytest.mark.matrix
IMAGE = "debian-12"
UEFI = MachineSpec(firmware=Firmware.UEFI)
_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_HOUR = 3600


def installed(r: Rehearsal, spec: MachineSpec) -> None:
    """From power-on to ready."""
    r.machine("node01", spec, image=IMAGE).power_on()
    r.wait_ready("node01", timeout=_HOUR)
    assert r.nodes.get("node01").action is BootAction.LOCAL
    assert r.ssh_host_name("node01") == "node01"


def test_http_boot(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    installed(r, evolve(UEFI, way=Way.HTTP))
    said = r.daemon.log.read_text()
    assert "/boot/loaders/snponly.efi" in said
    assert "tftp 10." not in said


def test_secure_boot_stays_on_from_rom_to_login(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    installed(r, evolve(UEFI, secure_boot=True))
    assert r.nodes.get("node01").secure_boot is True
    value = r.ssh("node01", "od", "-An", "-tu1", _SECURE_BOOT).output.split()
    assert value[-1] == "1"


@pytest.mark.parametrize("way", [Way.CD, Way.USB], ids=lambda way: way.value)
@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_media(rehearse: Callable[..., Rehearsal], firmware: Firmware, way: Way) -> None:
    r = rehearse()
    installed(r, MachineSpec(firmware=firmware, way=way))
    inventory = r.nodes.inventory("node01")
    assert inventory is not None
    assert sorted(disk.in_use for disk in inventory.disks) == ["", *(["boot medium"] if way is Way.USB else [])]


def test_an_install_waits_for_a_person_and_ends_as_it_was_wished(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    guest = r.machine("node01", MachineSpec(), image=IMAGE)
    r.nodes.keep("node01", wishes=to_json(Wishes((Break("partition"),), Then.SHELL)))
    guest.power_on()
    r.wait_console("node01", "breakpoint before partition", timeout=_HOUR)
    assert "vda1" not in r.ssh("node01", "cat", "/proc/partitions").output
    r.ssh("node01", "imaged-continue")
    r.wait("node01", "reboot", status=Status.DONE, timeout=_HOUR)
    r.wait_console("node01", "this machine stays in the ramdisk", timeout=_HOUR)
    node = r.nodes.get("node01")
    assert (node.state, node.action) == (NodeState.INSTALLED, BootAction.LOCAL)
    assert r.nodes.fact("node01", "wishes") is None
    mounts = "mount -o ro $each /look && test -d /look/etc && exit; umount /look"
    look = f"mkdir -p /look; for each in /dev/vda?; do {mounts}; done"
    r.ssh("node01", "sh", "-c", look)
    assert "wipe /dev/vda" in r.ssh("node01", "cat", "/look/var/log/imaged-install.log").output


def test_a_running_node_leaves_for_the_installer(rehearse: Callable[..., Rehearsal], site: Settings) -> None:
    r = rehearse()
    installed(r, MachineSpec())
    machine_id = r.ssh("node01", "cat", "/etc/machine-id").output
    r.ssh("node01", "touch", "/root/left-behind")
    key = Path(site.state) / "key"
    process.run(r.imaged("updateclient", "node01", "--autoinstall", "--static", "--yes", "--ssh-key", str(key)))
    r.watch(lambda all_facts: all_facts[0].state is NodeState.INSTALLING, lambda _: None, timeout=_HOUR)
    r.wait_ready("node01", timeout=_HOUR)
    assert "network " in r.guests["node01"].console.path.read_text(errors="replace")
    assert r.ssh("node01", "cat", "/etc/machine-id").output == machine_id
    assert r.ssh("node01", "ls", "/root").output.strip() == ""
