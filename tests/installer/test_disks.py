"""Partition tables by the real libparted on a sparse file, read back by sfdisk's own code."""

import json
import subprocess
from pathlib import Path

import pytest

from imaged.model.errors import Conflict, ImagedError
from imaged.model.layout import Label, Role
from imaged.model.plan import PlannedPartition
from imaged.model.size import GIB, MIB
from imaged.model.stack import Filesystem
from installer.disks import sectors, write_table

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
    with pytest.raises(ImagedError, match="was not written"):
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
