"""What else than an install a machine starts over the network, and what the scripts of its states do on it."""

from collections.abc import Callable

import pytest

from imaged import process
from imaged.model.boot import RAMDISK_DIR
from imaged.model.hardware import Firmware
from imaged.model.node import BootAction
from imaged.rehearsal.machine import MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from tests.vm.disks import untouched

pytestmark = pytest.mark.matrix
IMAGE = "debian-12"
_SCRIPTS = {  # what they print runs on the node
    "installing": """echo 'uname -r > /run/asked'""",
    "installed": """echo 'cat /run/asked > $IMAGED_TARGET/etc/installed-by'
        echo "echo $IMAGED_NODE >> \\$IMAGED_TARGET/etc/installed-by\"""",
    "ready": """echo 'echo $IMAGED_STATE > /etc/ready-by'""",
}


@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_once_something_else_then_what_held_before(rehearse: Callable[..., Rehearsal], firmware: Firmware) -> None:
    r = rehearse()
    # memtest86+ wants a screen of UEFI, and only there.
    guest = r.machine("node01", MachineSpec(firmware=firmware, screen=firmware is Firmware.UEFI), image=IMAGE)
    boot = r.state.boot / RAMDISK_DIR / "x86_64"
    script = r.state.root / "greet.ipxe"
    script.write_text("#!ipxe\necho {{ node }} greets\nsleep 300\n")

    def starts(said: str, *words: str) -> None:
        process.run(r.imaged("boot", "node01", *words))
        guest.power_on()
        r.wait_console("node01", said, timeout=600)
        guest.power_off()
        assert r.nodes.get("node01").action is BootAction.INSTALL, "the others hold once"

    starts("Memtest86+", "memtest")
    kernel = ("--kernel", str(boot / "vmlinuz"), "--initrd", str(boot / "initrd.img"))
    starts("Run /bin/sh as init process", "kernel", *kernel, "--append", "rdinit=/bin/sh")
    starts("node01 greets", "ipxe", "--script", str(script))
    assert untouched(guest.disks[0])


def test_scripts_of_states(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    for state, text in _SCRIPTS.items():
        file = r.state.root / "scripts/state" / state / "10all.tell"
        file.parent.mkdir(parents=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    r.machine("node01", MachineSpec(), image=IMAGE).power_on()
    r.wait_ready("node01")
    r.until(lambda: r.ssh("node01", "test", "-e", "/etc/ready-by", check=False).code == 0, 120, "the script of ready")
    assert r.ssh("node01", "cat", "/etc/ready-by").output == "ready\n"
    kernel, node = r.ssh("node01", "cat", "/etc/installed-by").output.splitlines()
    assert (node, kernel in r.guests["node01"].console.path.read_text()) == ("node01", True)
    told = process.run(r.imaged("lsscript", "node01")).output
    assert all(state in told for state in _SCRIPTS), told
