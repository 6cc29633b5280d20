"""The last look before the first write."""

import attrs
import pytest

from imaged.model.errors import Conflict
from imaged.model.hardware import Disk
from imaged.model.layout import Label
from imaged.model.plan import InstallPlan, MakeTable, Phase, Unmount, WipeDisk
from installer.confirm import confirm, disks_of

DISK = Disk("/dev/sda", 2**40, serial="S1", model="M", wwn="0x5000")
OTHER = Disk("/dev/sdb", 2**40, serial="S2", model="M")


def test_the_same_disk_passes() -> None:
    confirm(DISK, (OTHER, attrs.evolve(DISK, contents="whatever is on it now", by_path="moved")))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((), "gone"),
        ((OTHER,), "gone"),
        ((attrs.evolve(OTHER, path="/dev/sda"),), "serial is S2, planned was S1"),
        ((attrs.evolve(DISK, size=2**39),), f"size is {2**39}, planned was {2**40}"),
        ((attrs.evolve(DISK, model="N"),), "model is N"),
        ((attrs.evolve(DISK, wwn=""),), "wwn is empty"),
        ((attrs.evolve(DISK, logical_sector=4096),), "logical_sector is 4096"),
        ((attrs.evolve(DISK, read_only=True),), "read-only"),
        ((attrs.evolve(DISK, in_use="mounted on /target"),), "mounted on /target"),
    ],
)
def test_any_other_is_refused(found: tuple[Disk, ...], said: str) -> None:
    with pytest.raises(Conflict, match=said):
        confirm(DISK, found)


def test_every_disk_that_is_written_to_is_looked_at_once() -> None:
    tables = (MakeTable(DISK, Label.GPT, ()), MakeTable(OTHER, Label.GPT, ()))
    phases = (Phase("wipe", (WipeDisk(DISK),)), Phase("partition", tables), Phase("unmount", (Unmount(),)))
    plan = InstallPlan("n", "i@1", "l", phases)
    assert list(disks_of(plan)) == [DISK, OTHER]
