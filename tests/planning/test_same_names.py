"""Old volume groups that would share a name with a new one."""

import pytest

from imaged.model.errors import CannotPlan
from imaged.model.found import FoundGroup, FoundPartition
from imaged.model.hardware import Disk, Firmware, Inventory
from imaged.model.layout import DiskSpec, Layout
from imaged.model.size import GIB
from imaged.model.stack import Preserve, VolumeGroup
from imaged.planning.same_names import refuse_same_names

_PARTS = (FoundPartition(1, 0, GIB), FoundPartition(2, GIB, GIB))
_A, _B = (Disk(path, 10 * GIB, partitions=_PARTS) for path in ("/dev/nvme0n1", "/dev/sdb"))


def _refuse(*groups: FoundGroup, keeps: tuple[int, ...] = (), preserve: Preserve = Preserve.NEVER) -> None:
    """A layout that takes disk A and makes the group ``vg0``."""
    layout = Layout("site", (DiskSpec("os", ()),), lvm=(VolumeGroup("vg0", ("os.pv",), preserve=preserve),))
    machine = Inventory("x86_64", Firmware.UEFI, GIB, 1, (_A, _B), (), groups=groups)
    refuse_same_names(layout, machine, [(_A, keeps)])


@pytest.mark.parametrize(
    ("groups", "keeps", "preserve"),
    [
        ((), (), Preserve.NEVER),
        ((FoundGroup("vg0", "u", ("/dev/nvme0n1p2",)),), (), Preserve.NEVER),
        ((FoundGroup("vg0", "u", ("/dev/nvme0n1",)),), (), Preserve.NEVER),
        ((FoundGroup("vg0", "u", ("/dev/nvme0n1p2",)),), (1,), Preserve.NEVER),
        ((FoundGroup("other", "u", ("/dev/sdb1",)),), (), Preserve.NEVER),
        ((FoundGroup("vg0", "u", ("/dev/md127",)),), (), Preserve.NEVER),
        ((FoundGroup("vg0", "u", ("/dev/sdb1",)),), (), Preserve.REQUIRED),
    ],
)
def test_what_goes_or_is_called_otherwise_is_no_clash(
    groups: tuple[FoundGroup, ...], keeps: tuple[int, ...], preserve: Preserve
) -> None:
    _refuse(*groups, keeps=keeps, preserve=preserve)


@pytest.mark.parametrize(
    ("groups", "keeps", "preserve", "fault"),
    [
        (("/dev/sdb1",), (), Preserve.NEVER, "another volume group vg0 stays on /dev/sdb1"),
        (("/dev/nvme0n1p1", "/dev/sdb"), (), Preserve.NEVER, "another volume group vg0 stays on /dev/sdb"),
        (("/dev/nvme0n1p2",), (2,), Preserve.NEVER, "another volume group vg0 stays on /dev/nvme0n1p2"),
    ],
)
def test_a_group_that_stays_keeps_its_name(
    groups: tuple[str, ...], keeps: tuple[int, ...], preserve: Preserve, fault: str
) -> None:
    with pytest.raises(CannotPlan) as caught:
        _refuse(FoundGroup("vg0", "u", groups), keeps=keeps, preserve=preserve)
    assert (caught.value.what, caught.value.where) == (fault, "layout site")


def test_of_two_with_one_name_none_is_preserved_by_chance() -> None:
    two = (FoundGroup("vg0", "u", ("/dev/sdb1",)), FoundGroup("vg0", "w", ("/dev/sdb2",)))
    with pytest.raises(CannotPlan, match=r"2 volume groups are called vg0 \(/dev/sdb1; /dev/sdb2\): which one stays"):
        _refuse(*two, preserve=Preserve.IF_PRESENT)
