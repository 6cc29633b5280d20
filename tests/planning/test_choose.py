"""Which disk a layout falls on, and that a machine with a doubt is left alone."""

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Bus, Disk, Firmware, Inventory
from imaged.model.layout import DiskSpec, Layout, Match, Pick
from imaged.model.size import GIB, SizeBounds
from imaged.planning.choose import choose

_NVME = Disk(
    "/dev/nvme0n1", 500 * GIB, bus=Bus.NVME, model="SAMSUNG MZVL2512HCJQ", serial="S675", wwn="eui.002538512345678a",
    by_path="pci-0000:01:00.0-nvme-1",
)  # fmt: skip
_SSD = Disk(
    "/dev/sda", 240 * GIB, bus=Bus.SATA, model="INTEL_SSDSC2KB24", serial="PHYF1", wwn="0x55cd2e4150000001",
    by_path="pci-0000:00:1f.2-ata-2",
)  # fmt: skip
_TWIN = evolve(_SSD, path="/dev/sdb", serial="PHYF2", wwn="0x55cd2e4150000002", by_path="pci-0000:00:1f.2-ata-10")
_ROTATING = Disk("/dev/sdc", 8000 * GIB, 512, 4096, Bus.SAS, rotational=True, model="ST8000", vendor="SEAGATE")
_NATIVE_4K = evolve(_ROTATING, path="/dev/sdd", logical_sector=4096, serial="Z4K")
_STICK = Disk("/dev/sde", 16 * GIB, bus=Bus.USB, removable=True)
_ALL = (_NVME, _SSD, _TWIN, _ROTATING, _NATIVE_4K, _STICK)


def _inventory(*disks: Disk) -> Inventory:
    return Inventory("x86_64", Firmware.UEFI, 8 * GIB, 4, disks, ())


def _layout(*match: Match) -> Layout:
    return Layout("site", (DiskSpec("os", (), match or (Match(),)),))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ((Match(bus=(Bus.NVME,)),), _NVME),
        ((Match(bus=(Bus.MMC, Bus.NVME)),), _NVME),
        ((Match(removable=True),), _STICK),
        ((Match(size=SizeBounds(400 * GIB, 600 * GIB)),), _NVME),
        ((Match(pick=Pick.LARGEST, bus=(Bus.NVME, Bus.SATA)),), _NVME),
        ((Match(pick=Pick.FIRST_BY_PATH, bus=(Bus.SATA,)),), _SSD),
        ((Match(serial=("PHYF2",)),), _TWIN),
        ((Match(serial=("nope", "phyf?"), wwn=("*2",)),), _TWIN),
        ((Match(model=("intel ssd*",), path=("*-ata-10",)),), _TWIN),
        ((Match(model=("SAMSUNG_MZ*",)),), _NVME),
        ((Match(wwn=("eui.0025385*",)),), _NVME),
        ((Match(path=("/dev/disk/by-path/pci-*-nvme-1",)),), _NVME),
        ((Match(vendor=("seagate",), sector=512),), _ROTATING),
        ((Match(rotational=True, sector=4096),), _NATIVE_4K),
        ((Match(bus=(Bus.VIRTIO,)), Match(bus=(Bus.NVME,))), _NVME),
        ((Match(bus=(Bus.NVME,)), Match(serial=("PHYF1",))), _NVME),
    ],
)
def test_a_disk_that_stands_out_is_chosen(match: tuple[Match, ...], expected: Disk) -> None:
    assert choose(_layout(*match), _inventory(*_ALL)) == {"os": expected}


@pytest.mark.parametrize(
    ("match", "tied", "lines"),
    [
        (
            Match(bus=(Bus.SATA,)), (_SSD, _TWIN),
            ('wwn: "0x55cd2e4150000001"', 'wwn: "0x55cd2e4150000002"'),
        ),
        (Match(pick=Pick.SMALLEST), (_SSD, _TWIN), ("pick: smallest leaves these of 5 that match",)),
        (Match(pick=Pick.LARGEST), (_ROTATING, _NATIVE_4K), ('serial: "Z4K"', "nothing that the machine says")),
        (Match(bus=(Bus.NVME, Bus.SAS), sector=512), (_NVME, _ROTATING), ("with pick: smallest or pick: largest",)),
        (Match(pick=Pick.FIRST_BY_PATH), _ALL[:5], ("pick: first-by-path leaves these of 5",)),
    ],
)  # fmt: skip
def test_disks_that_fit_equally_are_refused_by_name(
    match: Match, tied: tuple[Disk, ...], lines: tuple[str, ...]
) -> None:
    with pytest.raises(CannotPlan) as caught:
        choose(_layout(match), _inventory(*_ALL))
    assert caught.value.where == "layout site: disks[0] (os)"
    assert [str(disk) in caught.value.hint for disk in _ALL] == [disk in tied for disk in _ALL]
    assert all(line in caught.value.hint for line in lines)


def test_the_suggested_line_chooses_that_disk_alone() -> None:
    odd = evolve(_TWIN, wwn="", serial='a*[b]?"\\')
    with pytest.raises(CannotPlan) as caught:
        choose(_layout(Match(bus=(Bus.SATA,))), _inventory(_SSD, odd))
    assert 'serial: "a[*][[]b][?]\\"\\\\"' in caught.value.hint
    assert choose(_layout(Match(serial=('a[*][[]b][?]"\\',))), _inventory(_SSD, odd)) == {"os": odd}


@pytest.mark.parametrize(
    ("disk", "why"),
    [
        (evolve(_NVME, read_only=True), "is read-only"),
        (evolve(_NVME, in_use="boot medium"), "is in use (boot medium)"),
        (evolve(_NVME, size=0), "has no medium"),
        (evolve(_NVME, removable=True), "is removable"),
        (evolve(_NVME, path="/dev/zram0"), "is not a disk of its own"),
        (evolve(_NVME, size=GIB), "size is not >=8G"),
        (evolve(_NVME, bus=Bus.USB), "bus is usb, not nvme or sata"),
        (evolve(_NVME, model="Other"), "model is 'Other', not 'SAMSUNG*'"),
    ],
)
def test_a_disk_passed_over_is_told_why(disk: Disk, why: str) -> None:
    match = Match(bus=(Bus.NVME, Bus.SATA), size=SizeBounds(8 * GIB), model=("SAMSUNG*",))
    assert choose(_layout(match), _inventory(_NVME)) == {"os": _NVME}
    with pytest.raises(CannotPlan) as caught:
        choose(_layout(match), _inventory(disk))
    assert caught.value.what == "none of the machine's disks fits"
    assert caught.value.hint == f"{disk}: {why}"


def test_every_disk_and_alternative_is_accounted_for() -> None:
    with pytest.raises(CannotPlan) as caught:
        choose(_layout(Match(serial=("x",)), Match(bus=(Bus.MMC,))), _inventory(*_ALL))
    assert len(caught.value.hint.splitlines()) == len(_ALL)
    assert "match[0]: serial is 'S675', not 'x'; match[1]: bus is nvme, not mmc" in caught.value.hint


def test_a_machine_without_a_disk() -> None:
    with pytest.raises(CannotPlan, match="the machine has no disk"):
        choose(_layout(), _inventory())


def test_two_disks_of_a_layout_never_share_one() -> None:
    twice = Layout("site", (DiskSpec("os", (), (Match(pick=Pick.SMALLEST),)), DiskSpec("data", ())))
    assert choose(twice, _inventory(_NVME, _SSD)) == {"os": _SSD, "data": _NVME}
    with pytest.raises(CannotPlan) as caught:
        choose(twice, _inventory(_NVME))
    assert caught.value.hint == f"{_NVME}: is taken by 'os'"


_TEXT = st.sampled_from(("", "a", "a1", "a10", "A", "*", "[", "²"))
_DISKS = st.builds(
    Disk, path=st.sampled_from(("/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/loop0")), size=st.integers(-1, 3),
    bus=st.sampled_from(Bus), rotational=st.booleans(), removable=st.booleans(), read_only=st.booleans(), model=_TEXT,
    serial=_TEXT, wwn=_TEXT, by_path=_TEXT, in_use=st.sampled_from(("", "", "mounted")),
)  # fmt: skip
_MATCHES = st.builds(
    Match, bus=st.lists(st.sampled_from(Bus), max_size=4).map(tuple), rotational=st.none() | st.booleans(),
    removable=st.booleans(), serial=st.lists(_TEXT, max_size=2).map(tuple), pick=st.none() | st.sampled_from(Pick),
)  # fmt: skip


@given(
    st.lists(_DISKS, max_size=5, unique_by=lambda disk: disk.path),
    st.lists(st.lists(_MATCHES, min_size=1, max_size=2), min_size=1, max_size=2),
    st.randoms(),
)
@settings(deadline=None, max_examples=300)
def test_any_machine_gets_the_same_answer_in_any_order(disks: list[Disk], matches: list[list[Match]], random) -> None:
    layout = Layout("x", tuple(DiskSpec(str(n), (), tuple(match)) for n, match in enumerate(matches)))
    shuffled = list(disks)
    random.shuffle(shuffled)
    answers = [_answer(layout, each) for each in (disks, shuffled)]
    assert answers[0] == answers[1]
    if answers[0]:
        assert len({disk.path for disk in answers[0].values()}) == len(layout.disks)
        assert not any(disk.read_only or disk.in_use or disk.size <= 0 for disk in answers[0].values())


def _answer(layout: Layout, disks: list[Disk]) -> dict[str, Disk] | None:
    try:
        return choose(layout, _inventory(*disks))
    except CannotPlan:
        return None
