"""A machine that nobody named tells its hardware, touches nothing, and gets its name by a rule and a person's yes."""

from collections.abc import Callable

import pytest
from attrs import evolve

from imaged import process
from imaged.model.codec import to_json
from imaged.model.hardware import Firmware
from imaged.model.machine import Discovery, Next
from imaged.model.net import Mac
from imaged.model.node import BootAction
from imaged.rehearsal.machine import CONSOLES, DiskOption, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.machines import Machines
from tests.vm.disks import untouched

pytestmark = pytest.mark.matrix
IMAGE = "debian-12"
RULES = """
rules:
  - name: large-disks
    match: {disk: {size: ">=1T"}}
    become: {names: "never[1-9]", image: debian-12}
  - name: rehearsal
    match: {vendor: imaged, serial: "R*", disk: {size: "8G"}}
    become: {names: "found[01-09]", image: debian-12, action: local}
"""


def ask(r: Rehearsal, then: Next) -> None:
    """The daemon as it is with discovery on: it reads its settings when it starts."""
    r.daemon.stop()
    console = CONSOLES["x86_64"]
    asked = evolve(r.settings, discovery=Discovery.INVENTORY, after_inventory=then, discovery_console=console)
    r.daemon.file.write_text(to_json(asked) + "\n")
    r.start_daemon()


def stranger(r: Rehearsal, spec: MachineSpec) -> Mac:
    """A machine that was a node and is none any more."""
    r.machine("stranger", spec, image=IMAGE)
    (mac,) = r.nodes.get("stranger").macs
    r.nodes.remove("stranger")
    return mac


@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_a_stranger_is_known_by_its_hardware_and_named_by_a_rule(
    rehearse: Callable[..., Rehearsal], firmware: Firmware
) -> None:
    r = rehearse()
    (r.state.root / "rules.yaml").write_text(RULES)
    ask(r, Next.WAIT)
    mac = stranger(r, MachineSpec(firmware=firmware, disks=(DiskOption.parse("virtio,8G"),)))
    r.guests["stranger"].power_on()
    r.wait_console("stranger", "inventory: told; waiting for a name", timeout=1200)
    machines = Machines(r.engine)
    (seen,) = machines.discovered()
    assert (seen.mac, seen.vendor, seen.product) == (mac, "imaged", "rehearsal")
    assert seen.told is not None, "its iPXE has told"
    inventory = machines.inventory(mac)
    assert inventory and [disk.size for disk in inventory.disks] == [8 * 2**30]
    shown = process.run(r.imaged("showmachine", str(mac))).output
    assert "found01 by rehearsal, waits for approval" in shown and "8 GiB" in shown
    assert process.run(r.imaged("approve", str(mac))).output.startswith(f"found01: {mac}")
    r.wait_console("stranger", "reboot as found01", timeout=300)
    node = r.nodes.get("found01")
    assert (node.macs, node.action, r.nodes.inventory("found01")) == ((mac,), BootAction.LOCAL, inventory)
    r.wait_console("stranger", "found01 boots from its own disk", timeout=1200)
    assert untouched(r.guests["stranger"].disks[0])


def test_a_machine_that_has_told_is_left_alone_at_its_next_boot(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    ask(r, Next.REBOOT)
    mac = stranger(r, MachineSpec(disks=(DiskOption.parse("virtio,8G"),)))
    r.guests["stranger"].power_on()
    r.wait_console("stranger", "inventory: told; reboot", timeout=1200)
    r.wait_console("stranger", f"{mac} boots from its own disk", timeout=1200)
    assert untouched(r.guests["stranger"].disks[0])
