"""A machine that nobody named: seen, listed, and left alone."""

from collections.abc import Callable

from imaged.rehearsal.machine import DiskOption, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal
from imaged.store.machines import Machines
from tests.vm.disks import untouched


def test_an_unknown_machine_is_listed_and_boots_from_its_own_disk(rehearse: Callable[..., Rehearsal]) -> None:
    r = rehearse()
    guest = r.stranger("stranger", MachineSpec(disks=(DiskOption.parse("virtio,8G"),)))
    (mac,) = guest.who.macs
    guest.power_on()
    r.wait_console("stranger", "boots from its own disk")
    (seen,) = Machines(r.engine).discovered()
    assert (seen.mac, seen.arch) == (mac, "bios")
    assert str(seen.address).startswith("10.99.")
    assert untouched(guest.disks[0])
