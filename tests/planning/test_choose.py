"""Which disk a layout falls on, and that a machine with a doubt is left alone."""

from random import Random

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Bus, Disk, Firmware, Inventory
from imaged.model.layout import Count, DiskSpec, Layout, Partition, Role
from imaged.model.match import Match, Pick
from imaged.model.size import GIB, SizeBounds, SizeSpec
from imaged.model.stack import Array, Crypt, LevelFor
from imaged.planning.choose import alike, choose

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
    assert choose(_layout(*match), _inventory(*_ALL)) == {"os": (expected,)}


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
    assert choose(_layout(Match(serial=('a[*][[]b][?]"\\',))), _inventory(_SSD, odd)) == {"os": (odd,)}


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
    assert choose(_layout(match), _inventory(_NVME)) == {"os": (_NVME,)}
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
    assert choose(twice, _inventory(_NVME, _SSD)) == {"os": (_SSD,), "data": (_NVME,)}
    with pytest.raises(CannotPlan) as caught:
        choose(twice, _inventory(_NVME))
    assert caught.value.hint == f"{_NVME}: is taken by 'os'"


def _several(count: Count, *match: Match, similar: float = 5.0) -> Layout:
    return Layout("site", (DiskSpec("os", (), match or (Match(),), count=count, similar=similar),))


def _disk(number: int, size: int, **changes: object) -> Disk:
    place = f"pci-0000:00:1f.2-ata-{number}"
    disk = Disk(f"/dev/sd{'zyxwvutsrqpo'[number]}", size * GIB, wwn=f"0x{number}", by_path=place)
    return evolve(disk, **changes)


_SMALL = tuple(_disk(number, 480) for number in (2, 10, 1))
_LARGE = tuple(_disk(number, 3840) for number in (3, 4))
_NEARLY = _disk(5, 470)
_PAIR = Count(2, 2)
_LEAST, _BY_PATH = Match(pick=Pick.SMALLEST), Match(pick=Pick.FIRST_BY_PATH)


@pytest.mark.parametrize(
    ("layout", "disks", "expected"),
    [
        (_several(_PAIR), _SMALL[:2], (_SMALL[0], _SMALL[1])),
        (_several(_PAIR), _SMALL[1::-1], (_SMALL[0], _SMALL[1])),
        (_several(Count(3, 3)), _SMALL, (_SMALL[2], _SMALL[0], _SMALL[1])),
        (_several(_PAIR), (_SMALL[0], _NEARLY), (_SMALL[0], _NEARLY)),
        (_several(_PAIR), (_LARGE[0], *_SMALL[:2]), _SMALL[:2]),
        (_several(_PAIR, _LEAST), (*_LARGE, *_SMALL[:2]), _SMALL[:2]),
        (_several(_PAIR, Match(pick=Pick.LARGEST)), (*_LARGE, *_SMALL), _LARGE),
        (_several(_PAIR, _BY_PATH), _SMALL, (_SMALL[2], _SMALL[0])),
        (_several(_PAIR, _LEAST), (*_SMALL[:1], _NEARLY, _disk(6, 475)), (_NEARLY, _disk(6, 475))),
        (_several(_PAIR, Match(wwn=("0x3", "0x4")), Match()), (*_LARGE, *_SMALL), _LARGE),
        (_several(_PAIR, Match(wwn=("0x7", "0x3")), Match(wwn=("0x1", "0x2"))), _SMALL, (_SMALL[2], _SMALL[0])),
        (_several(Count(0, 12)), (), ()),
        (_several(Count(0, 12), Match(rotational=True)), _SMALL, ()),
        (_several(Count(0, 12)), _SMALL[:1], _SMALL[:1]),
        (_several(Count(1, 12)), _SMALL, (_SMALL[2], _SMALL[0], _SMALL[1])),
        (_several(Count(0, 12), similar=90), (*_LARGE, _SMALL[0]), (_SMALL[0], *_LARGE)),
        (_several(Count(1, 2), _LEAST), (*_LARGE, _SMALL[0], _NEARLY), (_SMALL[0], _NEARLY)),
        (_several(Count(0, 1)), (), ()),
    ],
)  # fmt: skip
def test_several_disks(layout: Layout, disks: tuple[Disk, ...], expected: tuple[Disk, ...]) -> None:
    assert choose(layout, _inventory(*disks)) == {"os": expected}


@pytest.mark.parametrize(
    ("layout", "disks", "what", "hint"),
    [
        (_several(_PAIR), _SMALL, "3 disks fit equally where 2 are wanted", 'add to match  wwn: "0x10"'),
        (_several(_PAIR), (*_SMALL[:2], *_LARGE), "4 disks fit equally where 2 are wanted", "pick: smallest or"),
        (_several(_PAIR), (_disk(1, 100), _disk(2, 104), _disk(3, 108)), "3 disks fit equally", 'wwn: "0x3"'),
        (_several(_PAIR, _LEAST), (*_SMALL, *_LARGE), "3 disks fit equally", "leaves these of 5"),
        (_several(_PAIR, _BY_PATH), (*_SMALL[:2], _NEARLY, _disk(6, 1, by_path="")), "4 disks", ""),
        (_several(Count(0, 2)), _SMALL, "3 disks fit equally where at most 2 are wanted", 'wwn: ["first", "second"]'),
        (_several(Count(0, 1)), _SMALL[:2], "two disks fit equally, and", ""),
        (_several(Count(1, 12)), (*_SMALL, *_LARGE), "differ by more than 5 %: 480 GiB to 3.8 TiB", "raise similar"),
        (_several(_PAIR, _BY_PATH), (_SMALL[2], *_LARGE), "differ by more than 5 %", ""),
        (_several(_PAIR), _SMALL[:1], "2 disks are wanted, within 5 % of one size, and so many", "480 GiB): fits"),
        (_several(_PAIR), (_SMALL[0], _LARGE[0]), "2 disks are wanted, within 5 %", "fits"),
        (_several(Count(3, 12), Match(rotational=True)), _SMALL, "at least 3 disks are wanted", "is not rotational"),
    ],
)  # fmt: skip
def test_several_disks_are_never_guessed(layout: Layout, disks: tuple[Disk, ...], what: str, hint: str) -> None:
    for order in (disks, disks[::-1]):
        with pytest.raises(CannotPlan) as caught:
            choose(layout, _inventory(*order))
        assert what in caught.value.what
        assert hint in caught.value.hint
        assert all(str(disk) in caught.value.hint for disk in disks if "4 disks" in what)


@pytest.mark.parametrize(
    ("sizes", "percent", "expected"),
    [((100, 95), 5, True), ((100, 94), 5, False), ((100, 100), 0, True), ((100, 99), 0, False), ((7,), 0, True)],
)
def test_how_alike_disks_are(sizes: tuple[int, ...], percent: float, expected: bool) -> None:
    assert alike([evolve(_SSD, size=size) for size in sizes], percent) is expected


def _array(devices: str, when: str = "") -> Layout:
    part = Partition("r", Role.RAID, SizeSpec())
    spec = DiskSpec("os", (part,), (Match(),), count=Count(2, 2))
    crypts = (Crypt(id="c0", devices=("os[0].r",)), Crypt(id="c1", devices=("os[1].r",)))
    array = Array(id="md", devices=tuple(devices.split()), level=(LevelFor(1),), when=when)
    return Layout("site", (spec,), raid=(array,), luks=crypts if "c0" in devices else ())


@pytest.mark.parametrize("devices", ["os[*].r", "os[0].r os[1].r", "c0 c1"])
def test_an_array_of_unlike_sectors_is_refused(devices: str) -> None:
    mixed = (_SMALL[0], evolve(_SMALL[1], logical_sector=4096, physical_sector=4096))
    with pytest.raises(CannotPlan) as caught:
        choose(_array(devices), _inventory(*mixed))
    assert caught.value.where == "layout site: raid[0] (md)"
    assert caught.value.what == "its disks have sectors of different sizes"
    assert f"{mixed[1]}: sectors of 4096 bytes" in caught.value.hint
    assert choose(_array(devices), _inventory(*_SMALL[:2])) == {"os": _SMALL[:2]}
    assert choose(_array(devices, "count(os) > 2"), _inventory(*mixed)) == {"os": mixed}
    assert choose(_array("os[0].r"), _inventory(*mixed)) == {"os": mixed}


@pytest.mark.parametrize("path", ["/dev/mmcblk0boot0", "/dev/mmcblk1rpmb", "/dev/dm-0", "/dev/md127", "/dev/sr0"])
def test_what_the_kernel_shows_as_a_disk_and_is_none(path: str) -> None:
    with pytest.raises(CannotPlan) as caught:
        choose(_layout(), _inventory(evolve(_NVME, path=path)))
    assert "is not a disk of its own" in caught.value.hint
    assert choose(_layout(), _inventory(evolve(_NVME, path="/dev/mmcblk0")))["os"]


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


_COUNTS = st.sampled_from((Count(), Count(), Count(2, 2), Count(0, 3), Count(1, 2), Count(3, 3)))


@given(
    st.lists(_DISKS, max_size=5, unique_by=lambda disk: disk.path),
    st.lists(st.tuples(st.lists(_MATCHES, min_size=1, max_size=2), _COUNTS), min_size=1, max_size=2),
    st.randoms(),
)
@settings(deadline=None, max_examples=300)
def test_any_machine_gets_the_same_answer_in_any_order(
    disks: list[Disk], entries: list[tuple[list[Match], Count]], random: Random
) -> None:
    specs = (DiskSpec(str(n), (), tuple(match), count=count) for n, (match, count) in enumerate(entries))
    layout = Layout("x", tuple(specs))
    shuffled = list(disks)
    random.shuffle(shuffled)
    answers = [_answer(layout, each) for each in (disks, shuffled)]
    assert answers[0] == answers[1]
    if answers[0]:
        every = [disk for theirs in answers[0].values() for disk in theirs]
        assert len({disk.path for disk in every}) == len(every)
        assert not any(disk.read_only or disk.in_use or disk.size <= 0 for disk in every)
        for spec in layout.disks:
            assert spec.count.min <= len(answers[0][spec.id]) <= spec.count.max


def _answer(layout: Layout, disks: list[Disk]) -> dict[str, tuple[Disk, ...]] | None:
    try:
        return choose(layout, _inventory(*disks))
    except CannotPlan:
        return None
