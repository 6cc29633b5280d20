"""Power cuts, a daemon killed in the middle, rsync killed: every one ends with a machine that is installed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from imaged import process
from imaged.model.hardware import Firmware
from imaged.model.node import NodeState
from imaged.model.report import Status
from imaged.rehearsal.machine import DiskOption, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.tables import leases

pytestmark = pytest.mark.matrix

CUTS = ("ramdisk", "wipe", "partition", "mkfs", "mount", "transfer", "fixups", "bootloader", "verify", "unmount")


def rsyncs(r: Rehearsal) -> list[int]:
    """Server ends of the transfers that run now."""
    pids = map(int, process.run(("ip", "netns", "pids", r.network.name)).output.split())
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == "rsync"]


def test_power_cut_at_each_phase(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    guest = r.machine("node01", MachineSpec(), image="debian-12")
    for phase in CUTS:
        guest.power_on()
        r.wait("node01", phase)
        guest.power_off()
        assert r.nodes.get("node01").state is not NodeState.READY
    guest.power_on()
    r.wait_ready("node01")
    assert r.ssh_host_name("node01") == "node01"


def test_power_cut_after_the_install(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    guest = r.machine(
        "node01", MachineSpec(firmware=Firmware.UEFI, disks=(DiskOption.parse("nvme,8G"),)), image="debian-12"
    )
    guest.power_on()
    r.wait("node01", "reboot", status=Status.DONE)
    guest.power_off()
    assert r.nodes.get("node01").state is NodeState.INSTALLED
    guest.power_on()
    r.wait_ready("node01")
    guest.power_off()
    r.reinstall("node01")
    guest.power_on()
    r.wait_ready("node01")
    assert r.ssh_host_name("node01") == "node01"


def test_daemon_killed_during_the_transfer(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    r.machine("node01", MachineSpec(), image="debian-12").power_on()
    r.wait("node01", "transfer", percent=20)
    r.kill_daemon()
    for pid in rsyncs(r):
        os.kill(pid, signal.SIGKILL)
    before = r.nodes.all(), _leases(r)
    r.start_daemon()
    assert (r.nodes.all(), _leases(r)) == before
    r.wait_ready("node01")
    assert r.ssh_host_name("node01") == "node01"


def test_rsync_killed_during_the_transfer(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    r.machine("node01", MachineSpec(), image="debian-12").power_on()
    for percent in (10, 40):
        r.wait("node01", "transfer", percent=percent)
        killed = rsyncs(r)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
    r.wait_ready("node01")
    assert r.ssh_host_name("node01") == "node01"


def _leases(r: Rehearsal) -> list[sa.Row[tuple[object, ...]]]:
    with r.engine.connect() as connection:
        return list(connection.execute(sa.select(leases).order_by(leases.c.address)))
