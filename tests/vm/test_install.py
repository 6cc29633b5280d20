"""From an empty disk to a login: one whole install for each firmware. These two run in `make test`."""

import re
from collections.abc import Callable

import pytest

from imaged import process
from imaged.model.hardware import Firmware
from imaged.model.node import BootAction, NodeState
from imaged.model.report import Status
from imaged.rehearsal.machine import DiskOption, MachineSpec, NicModel
from imaged.rehearsal.rehearsal import Rehearsal

IMAGE = "debian-12"


def machine(firmware: Firmware, disk: str, nic: NicModel = NicModel.VIRTIO) -> MachineSpec:
    return MachineSpec(firmware=firmware, disks=(DiskOption.parse(disk),), nics=(nic,))


def installs(r: Rehearsal, spec: MachineSpec, image: str = IMAGE) -> None:
    """Install, and look at the result from inside the node."""
    r.machine("node01", spec, image=image).power_on()
    r.wait_ready("node01")
    node = r.nodes.get("node01")
    assert (node.state, node.action) == (NodeState.READY, BootAction.LOCAL)
    assert r.nodes.fact("node01", "installed").startswith(f"{image}@")
    assert r.ssh_host_name("node01") == "node01"
    assert r.ssh("node01", "sh", "-c", "test -d /sys/firmware/efi && echo uefi || echo bios").output.strip() == (
        spec.firmware.value
    )
    assert r.ssh("node01", "systemctl", "list-units", "--failed", "--plain", "--no-legend").output.strip() == ""
    assert r.ssh("node01", "findmnt", "--noheadings", "--output", "TARGET", "--fstab", "--evaluate").output
    assert r.ssh("node01", "findmnt", "--verify").output
    assert len(r.ssh("node01", "cat", "/etc/machine-id").output.strip()) == 32


def test_install_bios(rehearse: Callable[..., Rehearsal]) -> None:
    installs(rehearse(), machine(Firmware.BIOS, "nvme,8G"))


def test_install_uefi(rehearse: Callable[..., Rehearsal]) -> None:
    installs(rehearse(), machine(Firmware.UEFI, "sata,8G"))


@pytest.mark.matrix
def test_what_is_confirmed_of_an_installed_node_is_what_its_next_install_finds(
    rehearse: Callable[..., Rehearsal],
) -> None:
    r = rehearse()
    guest = r.machine("node01", machine(Firmware.BIOS, "virtio,8G"), image=IMAGE)
    guest.power_on()
    r.wait_ready("node01")
    said = process.run(r.imaged("plan", "node01")).output
    assert "nothing recognised" not in said, "its own system would be lost"
    digest = re.search(r"\b[0-9a-f]{16}\b", said.splitlines()[0])
    assert digest
    process.run(r.imaged("boot", "node01", "install", "--plan", digest[0]))
    guest.power_off()
    guest.power_on()
    r.wait("node01", "wipe", status=Status.DONE)


@pytest.mark.matrix
@pytest.mark.parametrize("disk", ["virtio,8G", "sata,8G", "nvme,8G"])
@pytest.mark.parametrize("nic", [NicModel.VIRTIO, NicModel.E1000], ids=lambda nic: nic.value)
@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_matrix(rehearse: Callable[..., Rehearsal], firmware: Firmware, nic: NicModel, disk: str) -> None:
    installs(rehearse(), machine(firmware, disk, nic))


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("firmware", "disk", "nic"),
    [
        (Firmware.UEFI, "nvme,8G,sector=4096", NicModel.VIRTIO),
        (Firmware.UEFI, "scsi,8G,sector=4096", NicModel.VIRTIO),
        (Firmware.BIOS, "scsi,8G", NicModel.E1000E),
        (Firmware.UEFI, "scsi,8G", NicModel.E1000E),
    ],
)
def test_less_common_hardware(rehearse: Callable[..., Rehearsal], firmware: Firmware, disk: str, nic: NicModel) -> None:
    installs(rehearse(), machine(firmware, disk, nic))
