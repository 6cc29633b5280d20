"""Partition tables by the real libparted on a sparse file, read back by sfdisk's own code."""

import json
import subprocess
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from imaged.model.errors import CannotPlan, Conflict, ImagedError
from imaged.model.found import FoundPartition
from imaged.model.hardware import Disk
from imaged.model.layout import DiskSpec, Label, Partition, Role
from imaged.model.plan import MakeTable, PlannedPartition
from imaged.model.size import GIB, MIB, Bytes, SizeSpec
from imaged.model.stack import Filesystem
from imaged.planning.place import place
from installer.disks import extended, refuse_overlap, sectors, set_types, write_table

P = PlannedPartition
GPT = (
    P(1, "bios", Role.BIOS_GRUB, MIB, MIB),
    P(2, "esp", Role.ESP, 2 * MIB, 512 * MIB, Filesystem.VFAT),
    P(3, "boot", Role.BOOT, 514 * MIB, 100 * MIB, Filesystem.EXT4),
    P(4, "swap", Role.SWAP, 614 * MIB, 410 * MIB),
    P(5, "root", Role.ROOT, GIB, 2 * GIB, Filesystem.XFS),
    P(6, "Größe", Role.DATA, 3 * GIB, GIB - MIB, Filesystem.BTRFS),
)
TYPES = {  # the UAPI Group's discoverable partitions and the UEFI specification
    "bios": "21686148-6449-6E6F-744E-656564454649",
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "boot": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "root": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "Größe": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
}


LOGICAL = (
    P(1, "boot", Role.BOOT, MIB, 100 * MIB, Filesystem.EXT4),
    P(2, "pv", Role.PV, 101 * MIB, 100 * MIB),
    P(5, "root", Role.ROOT, 202 * MIB, 200 * MIB, Filesystem.EXT4),
    P(6, "md", Role.RAID, 403 * MIB, 200 * MIB),
    P(7, "crypt", Role.LUKS, 604 * MIB, 200 * MIB),
)
STACK = (
    P(1, "xbootldr", Role.XBOOTLDR, MIB, 100 * MIB, Filesystem.EXT4),
    P(2, "pv", Role.PV, 101 * MIB, 100 * MIB),
    P(3, "md", Role.RAID, 201 * MIB, 100 * MIB),
    P(4, "crypt", Role.LUKS, 301 * MIB, 100 * MIB),
    P(5, "own", Role.DATA, 401 * MIB, 100 * MIB, type="933AC7E1-2EB4-4F13-B844-0E14E2AEF915"),
)


def blank(tmp_path: Path, size: int) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def read(path: Path) -> dict:  # type: ignore[type-arg]
    done = subprocess.run(("sfdisk", "--json", path), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["partitiontable"]  # type: ignore[no-any-return]


def test_gpt(tmp_path: Path) -> None:
    path = blank(tmp_path, 4 * GIB)
    write_table(str(path), Label.GPT, GPT)
    table = read(path)
    assert table["label"] == "gpt"
    found = [(each["name"], each["type"], each["start"] * 512, each["size"] * 512) for each in table["partitions"]]
    assert found == [(each.name, TYPES[each.name], each.start, each.size) for each in GPT]
    checked = subprocess.run(("sfdisk", "--verify", path), capture_output=True, text=True, check=True)
    assert "No errors detected" in checked.stdout


def test_msdos(tmp_path: Path) -> None:
    path = blank(tmp_path, 2 * GIB)
    write_table(
        str(path),
        Label.MSDOS,
        (
            P(1, "boot", Role.BOOT, MIB, 200 * MIB, Filesystem.EXT4),
            P(2, "swap", Role.SWAP, 201 * MIB, 300 * MIB),
            P(3, "esp", Role.ESP, 501 * MIB, 99 * MIB, Filesystem.VFAT),
            P(4, "root", Role.ROOT, 600 * MIB, GIB, Filesystem.EXT4),
        ),
    )
    table = read(path)
    assert table["label"] == "dos"
    found = [(each["start"] * 512, each["type"], each.get("bootable", False)) for each in table["partitions"]]
    assert found == [
        (MIB, "83", True), (201 * MIB, "82", False), (501 * MIB, "ef", False), (600 * MIB, "83", False)
    ]  # fmt: skip


def test_msdos_without_boot_partition_starts_from_root(tmp_path: Path) -> None:
    path = blank(tmp_path, 2 * GIB)
    parts = (P(1, "swap", Role.SWAP, MIB, MIB), P(2, "root", Role.ROOT, 2 * MIB, GIB, Filesystem.EXT4))
    write_table(str(path), Label.MSDOS, parts)
    assert [each.get("bootable", False) for each in read(path)["partitions"]] == [False, True]


@pytest.mark.parametrize(("parts", "active"), [((GPT[0],), True), (GPT[:2], False), ((GPT[1],), False)])
def test_protective_mbr_is_active_only_where_bios_alone_starts_the_disk(
    tmp_path: Path, parts: tuple[PlannedPartition, ...], active: bool
) -> None:
    path = blank(tmp_path, 2 * GIB)
    write_table(
        str(path), Label.GPT, tuple(P(n, p.name, p.role, p.start, p.size, p.fs) for n, p in enumerate(parts, 1))
    )
    mbr = head(path)
    assert (mbr[446] == 0x80, mbr[450]) == (active, 0xEE)


def test_an_old_table_is_replaced_whole(tmp_path: Path) -> None:
    path = blank(tmp_path, 4 * GIB)
    write_table(str(path), Label.GPT, GPT)
    write_table(str(path), Label.MSDOS, (P(1, "root", Role.ROOT, MIB, GIB, Filesystem.EXT4),))
    assert (read(path)["label"], len(read(path)["partitions"])) == ("dos", 1)
    write_table(str(path), Label.GPT, GPT[:2])
    assert (read(path)["label"], len(read(path)["partitions"])) == ("gpt", 2)


@pytest.mark.parametrize(
    "parts",
    [
        (P(1, "large", Role.ROOT, MIB, 8 * GIB),),
        (P(1, "a", Role.ROOT, MIB, GIB), P(2, "b", Role.DATA, GIB, GIB)),  # overlap
        tuple(P(n, f"p{n}", Role.DATA, n * MIB, MIB) for n in range(1, 6)),  # five primaries
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, parts: tuple[PlannedPartition, ...]) -> None:
    path = blank(tmp_path, 2 * GIB)
    with pytest.raises(ImagedError, match=r"was not written|no room in front of logical partition 5"):
        write_table(str(path), Label.MSDOS, parts)
    assert head(path) == bytes(4096)


def test_no_such_disk(tmp_path: Path) -> None:
    with pytest.raises(ImagedError, match="was not written"):
        write_table(str(tmp_path / "none"), Label.GPT, GPT)


def test_numbers_must_be_as_planned(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="numbers partition 2 as 1"):
        write_table(str(blank(tmp_path, GIB)), Label.GPT, (P(2, "root", Role.ROOT, MIB, MIB),))


@pytest.mark.parametrize(
    ("start", "size", "sector", "expected"),
    [(MIB, MIB, 512, (2048, 4095)), (MIB, MIB, 4096, (256, 511)), (512, 512, 512, (1, 1))],
)
def test_sectors(start: int, size: int, sector: int, expected: tuple[int, int]) -> None:
    assert sectors(P(1, "x", Role.ROOT, start, size), sector) == expected


@pytest.mark.parametrize(("start", "size"), [(512, 4096), (4096, 4608)])
def test_sectors_of_another_disk(start: int, size: int) -> None:
    with pytest.raises(Conflict, match="4096 bytes"):
        sectors(P(1, "x", Role.ROOT, start, size), 4096)


def write(path: Path, label: Label, parts: tuple[PlannedPartition, ...]) -> None:
    write_table(str(path), label, parts)
    for argv in set_types(str(path), label, parts):
        subprocess.run(argv, check=True)


def rows(path: Path) -> list[tuple[int, int, int, str]]:
    return [
        (int(each["node"].removeprefix(str(path))), each["start"] * 512, each["size"] * 512, each["type"].lower())
        for each in read(path)["partitions"]
    ]


def test_types_by_role_and_by_layout(tmp_path: Path) -> None:
    path = blank(tmp_path, GIB)
    write(path, Label.GPT, STACK)
    assert [kind for *_, kind in rows(path)] == [
        "bc13c2ff-59e6-4262-a352-b275fd6f7172", "e6d6d379-f507-44c2-a23c-238f2a3df928",
        "a19d880f-05fc-4d3b-a006-743f0f84911e", "ca7d7ccb-63ed-4c53-861c-1742536059cc",
        "933ac7e1-2eb4-4f13-b844-0e14e2aef915",
    ]  # fmt: skip


def test_logical_partitions(tmp_path: Path) -> None:
    path = blank(tmp_path, GIB)
    write(path, Label.MSDOS, LOGICAL)
    found = rows(path)
    assert [(number, start, size) for number, start, size, _ in found if number != 3] == [
        (each.number, each.start, each.size) for each in LOGICAL
    ]
    assert found[2][:3] == (3, 201 * MIB, 603 * MIB)
    assert [kind for *_, kind in found] == ["83", "8e", found[2][3], "83", "fd", "e8"]
    assert found[2][3] in ("5", "f")


def test_logical_partitions_need_room_for_their_records() -> None:
    tight = (P(1, "a", Role.BOOT, MIB, 10 * MIB), P(5, "b", Role.ROOT, 11 * MIB, MIB))
    with pytest.raises(Conflict, match="no room in front of logical partition 5"):
        extended(tight)
    assert extended((P(1, "a", Role.BOOT, MIB, 10 * MIB), P(5, "b", Role.ROOT, 12 * MIB, MIB))) == 11 * MIB


@pytest.mark.parametrize("label", list(Label))
def test_kept_partitions_stay_to_the_byte_and_others_go(tmp_path: Path, label: Label) -> None:
    path = blank(tmp_path, GIB)
    first = LOGICAL if label is Label.MSDOS else STACK
    write(path, label, first)
    before = {row[0]: row for row in rows(path)}
    numbers = {each["node"]: each.get("uuid") for each in read(path)["partitions"]}
    kept = tuple(evolve(each, kept=True) for each in first[1:3])
    fresh = P(1, "new", Role.DATA, MIB, 50 * MIB, Filesystem.XFS)
    write(path, label, (fresh, *kept))
    after = {row[0]: row for row in rows(path)}
    assert {each.number: after[each.number] for each in kept} == {each.number: before[each.number] for each in kept}
    assert after[1][1:3] == (MIB, 50 * MIB)
    assert set(after) == {1, *(each.number for each in kept), *((3,) if label is Label.MSDOS else ())}
    for each in read(path)["partitions"][1:]:
        assert each.get("uuid") == numbers[each["node"]], "an identity that crypttab or firmware may know"


def test_room_for_more_logical_partitions_behind_a_kept_one(tmp_path: Path) -> None:
    path = blank(tmp_path, GIB)
    write(path, Label.MSDOS, LOGICAL[:3])
    before = rows(path)
    new = P(6, "new", Role.DATA, 500 * MIB, 400 * MIB, Filesystem.XFS)
    write(path, Label.MSDOS, (LOGICAL[0], evolve(LOGICAL[2], kept=True), new))
    after = rows(path)
    assert after[-2] == before[-1]
    assert after[-1][:3] == (6, 500 * MIB, 400 * MIB)
    assert after[1][:3] == (3, 201 * MIB, 699 * MIB)


def test_a_logical_partition_before_a_kept_one_must_stay(tmp_path: Path) -> None:
    path = blank(tmp_path, GIB)
    write(path, Label.MSDOS, LOGICAL)
    before = rows(path)
    with pytest.raises(Conflict, match="have the same number"):
        write_table(str(path), Label.MSDOS, (evolve(LOGICAL[4], kept=True),))
    assert rows(path) == before


def test_a_kept_partition_that_is_elsewhere_or_of_another_table_is_refused(tmp_path: Path) -> None:
    path = blank(tmp_path, GIB)
    write(path, Label.GPT, STACK)
    before = rows(path)
    for label, wrong in ((Label.GPT, evolve(STACK[1], start=102 * MIB)), (Label.MSDOS, STACK[1])):
        with pytest.raises(Conflict):
            write_table(str(path), label, (evolve(wrong, kept=True),))
    assert rows(path) == before


@pytest.mark.parametrize(
    ("new", "found", "fits"),
    [
        (P(1, "n", Role.DATA, 50 * MIB, 51 * MIB), (), True),
        (P(1, "n", Role.DATA, 50 * MIB, 52 * MIB), (), False),
        (P(1, "n", Role.DATA, 150 * MIB, MIB), (), False),
        (P(1, "n", Role.DATA, 150 * MIB, MIB), (FoundPartition(2, 0, 0, type="0x5"),), True),
        (P(1, "n", Role.DATA, 201 * MIB, MIB), (), True),
    ],
)
def test_nothing_is_cleared_below_a_kept_partition(
    new: PlannedPartition, found: tuple[FoundPartition, ...], fits: bool
) -> None:
    step = MakeTable(Disk("/dev/sda", GIB, partitions=found), Label.GPT, (new, evolve(STACK[1], kept=True)))
    if fits:
        refuse_overlap(step)
    else:
        with pytest.raises(Conflict, match="partition 2 is kept"):
            refuse_overlap(step)


_MBR_SLOTS = st.lists(st.tuples(st.integers(0, 40), st.integers(20, 200)), min_size=2, max_size=6)


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(_MBR_SLOTS, st.integers(1, 3), st.data())
def test_mbr_partitions_beside_those_that_stay_are_where_they_were_planned(
    tmp_path_factory: pytest.TempPathFactory, slots: list[tuple[int, int]], count: int, data: st.DataObject
) -> None:
    """Any table of primary and logical partitions, any of them preserved: either there is no plan and nothing happened,
    or libparted makes exactly what was planned, and what stays is there to the byte."""
    path = blank(tmp_path_factory.mktemp("mbr"), 2 * GIB)
    primaries = data.draw(st.integers(0, min(3, len(slots))))
    old, at = [], 1
    for index, (space, size) in enumerate(slots):
        number = index + 1 if index < primaries else index - primaries + 5
        start = at + space + (2 if number > 4 else 0)
        old.append(P(number, "", Role.DATA, start * MIB, size * MIB, Filesystem.EXT4))
        at = start + size
    write_table(str(path), Label.MSDOS, tuple(old))
    before = {row[0]: row for row in rows(path)}
    found = tuple(
        FoundPartition(number, start, size, type=f"0x{kind}") for number, start, size, kind in before.values()
    )
    disk = Disk(str(path), 2 * GIB, partitions=found, table="dos")
    numbers = data.draw(st.sets(st.sampled_from(sorted(before)), min_size=1))
    kept = [each for each in found if each.number in numbers]
    spec = DiskSpec(
        "os", tuple(Partition(f"new{each}", Role.DATA, SizeSpec(Bytes(50 * MIB), None, 1)) for each in range(count)),
        label=Label.MSDOS,
    )  # fmt: skip
    try:
        planned = place(spec, disk, needs={}, memory=GIB, kept=kept)
    except CannotPlan as error:
        event(error.what.split(":")[0][:30])
        return
    frames = {each.number for each in found if each.is_extended}
    stays = tuple(each for each in planned if each.kept)
    write_table(str(path), Label.MSDOS, stays)  # as make_table does
    write_table(str(path), Label.MSDOS, planned)
    after = {row[0]: row for row in rows(path)}
    event(f"logical: {any(each.number > 4 and not each.kept for each in planned)}")
    assert {each.number: after[each.number] for each in kept if each.number not in frames} == {
        each.number: before[each.number] for each in kept if each.number not in frames
    }
    new = [each for each in planned if not each.kept]
    assert [after[each.number][1:3] for each in new] == [(each.start, each.size) for each in new]
    assert set(after) - frames - {3, 4} <= {each.number for each in planned}
