"""A rack as an admin meets it: blank machines named in the order of power-on, installed, used; one of them replaced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from imaged import process
from imaged.model.node import NodeState
from imaged.model.settings import Settings
from imaged.rehearsal import namespace
from imaged.rehearsal.machine import CONSOLES, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal

pytestmark = pytest.mark.matrix
NAMES = ("node01", "node02", "node03")
_HOUR = 3600


@contextmanager
def collecting(r: Rehearsal, log: Path) -> Iterator[None]:
    """`imaged collect` runs; at the end of the block it has ended by itself, with every place taken."""
    said = ("--address", str(namespace.FIRST_NODE), "--console", CONSOLES["x86_64"])
    child = process.start(r.imaged("collect", "--names", "node[01-03]", "--image", "debian-12", *said), output=log)
    try:
        r.until(lambda: "3 places" in log.read_text(), 60, "collect to look")
        yield
        assert child.wait(60) == 0, log.read_text()
    finally:
        child.kill()
        child.wait()


def test_three_machines_become_a_cluster_and_one_is_replaced(
    rehearse: Callable[..., Rehearsal], site: Settings, tmp_path: Path
) -> None:
    r = rehearse()
    log = tmp_path / "collect.log"
    with collecting(r, log):
        for name in NAMES:
            guest = r.stranger(name, MachineSpec())
            guest.power_on()
            r.until(partial(r.nodes.find, guest.who.macs[0]), 120, f"{name} to be named")
    assert [node.macs for node in r.nodes.all()] == [r.guests[name].who.macs for name in NAMES]
    for name in NAMES:
        r.wait_ready(name, timeout=_HOUR)

    words = ("cexec", "--ssh-key", str(Path(site.state) / "key"), "--pipe", "@*", "hostname")
    said = process.run(r.imaged(*words)).output
    assert sorted(said.splitlines()) == [f"{name}: {name}" for name in NAMES]

    machine_id = r.ssh("node02", "cat", "/etc/machine-id").output
    r.guests.pop("node02").power_off()
    spare = r.stranger("spare", MachineSpec())
    process.run(r.imaged("replacenode", "node02", "--mac", str(spare.who.macs[0])))
    r.guests["node02"] = spare
    spare.power_on()
    r.until(lambda: r.nodes.get("node02").state is NodeState.INSTALLING, _HOUR, "node02 to be installed again")
    r.wait_ready("node02", timeout=_HOUR)
    assert r.ssh("node02", "cat", "/etc/machine-id").output == machine_id
    assert sorted(process.run(r.imaged(*words)).output.splitlines()) == [f"{name}: {name}" for name in NAMES]
    assert {node.state for node in r.nodes.all()} == {NodeState.READY}
