"""What the tools print, recorded from them, becomes what was found on disks."""

import json
from pathlib import Path

import pytest

from imaged.model.errors import ImagedError
from imaged.model.found import FoundArray, FoundGroup, FoundPartition, FoundVolume
from imaged.model.size import GIB, MIB
from installer.found import Extent, array, exported, groups, partition, uuids

RECORDED = Path(__file__).parents[1] / "data/storage"

# mdadm 4.2 --examine --export
ROOT = """\
MD_LEVEL=raid1
MD_DEVICES=2
MD_NAME=any:root
MD_ARRAY_SIZE=1570.77MB
MD_UUID=0c7a1a5e:52b45ad2:8b0e6f1f:6f6d0002
MD_UPDATE_TIME=1795257493
MD_DEV_UUID=e2fb9b9a:b2c6c459:b8eccbad:c80729fd
MD_EVENTS=63
"""
FOREIGN = ROOT.replace("any:root", "golden.example.com:data").replace("6f6d0002", "6f6d0003").replace("raid1", "raid6")
OLD = "MD_LEVEL=linear\nMD_DEVICES=2\nMD_UUID=5c0b54f5:d0f2b1a1:cc1d9d0f:1f3f9f0f\nMD_UPDATE_TIME=1\n"  # 0.90: no name
CONTAINER = "MD_METADATA=imsm\nMD_LEVEL=container\nMD_UUID=a:b:c:d\nMD_DEVICES=2\n"


def test_arrays() -> None:
    said = {
        "/dev/sdb4": ROOT,
        "/dev/sda4": ROOT,
        "/dev/sdc": FOREIGN,
        "/dev/sdd": OLD,
        "/dev/sde": CONTAINER,
        "/dev/sdf": "",
    }
    members = {path: exported(text) for path, text in said.items()}
    assert [array(members, uuid) for uuid in uuids(members)] == [
        FoundArray("root", "0c7a1a5e:52b45ad2:8b0e6f1f:6f6d0002", 1, ("/dev/sda4", "/dev/sdb4")),
        FoundArray("data", "0c7a1a5e:52b45ad2:8b0e6f1f:6f6d0003", 6, ("/dev/sdc",)),
        FoundArray("", "5c0b54f5:d0f2b1a1:cc1d9d0f:1f3f9f0f", -1, ("/dev/sdd",)),
    ]


PART = {
    "ID_PART_ENTRY_NUMBER": "2", "ID_PART_ENTRY_OFFSET": "4096", "ID_PART_ENTRY_SIZE": "614400",
    "ID_PART_ENTRY_TYPE": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
}  # fmt: skip


@pytest.mark.parametrize(
    ("udev", "expected"),
    [
        (PART, FoundPartition(2, 2 * MIB, 300 * MIB, type="c12a7328-f81f-11d2-ba4b-00a0c93ec93b")),
        (
            {**PART, "ID_PART_ENTRY_NAME": "EFI\\x20system\\xc3\\xa9", "ID_FS_TYPE": "vfat", "ID_FS_UUID": "1A2B-3C4D",
             "ID_FS_LABEL": "MY_ESP", "ID_FS_LABEL_ENC": "MY\\x20ESP"},
            FoundPartition(2, 2 * MIB, 300 * MIB, "EFI systemé", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "vfat",
                           "1A2B-3C4D", "MY ESP"),
        ),
        (
            {"ID_PART_ENTRY_NUMBER": "3", "ID_PART_ENTRY_OFFSET": "2048", "ID_PART_ENTRY_SIZE": "2048",
             "ID_PART_ENTRY_TYPE": "0x5"},
            FoundPartition(3, MIB, MIB, type="0x5"),
        ),
        ({}, None),
        ({**PART, "ID_PART_ENTRY_SIZE": "much"}, None),
    ],
)  # fmt: skip
def test_partitions(udev: dict[str, str], expected: FoundPartition | None) -> None:
    assert partition(udev) == expected


def test_groups() -> None:
    """lvm 2.03.16; the second is a physical volume without a group."""
    assert groups((RECORDED / "fullreport.json").read_text()) == (
        (
            FoundGroup(
                "vg0", "U8hBWr-4ZUj-PR2M-gOhr-oKwv-c8KV-qI2ErP", ("/dev/md126",),
                (FoundVolume("pool", 300 * MIB, layout="thin,pool"), FoundVolume("root", 400 * MIB, layout="linear"),
                 FoundVolume("swap", 64 * MIB, layout="linear"), FoundVolume("thin", GIB, layout="thin,sparse"),
                 FoundVolume("var", 200 * MIB, layout="linear")),
                524 * MIB, 4 * MIB,
            ),
            {
                "root": Extent("/dev/md126", MIB),
                "var": Extent("/dev/md126", MIB + 400 * MIB),
                "swap": Extent("/dev/md126", MIB + 227 * 4 * MIB),
            },
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([("v", "0", "linear", "/dev/sda2(3)")], Extent("/dev/sda2", MIB + 3 * 4 * MIB)),
        ([("v", "0", "striped", "/dev/sdb1(1),/dev/sda2(1)")], Extent("/dev/sdb1", 2 * MIB + 4 * MIB)),
        (
            [("v", "0", "raid1", "v_rimage_0(0),v_rimage_1(0)"), ("[v_rimage_0]", "0", "linear", "/dev/sda2(1)"),
             ("[v_rimage_1]", "0", "linear", "/dev/sdb1(1)")],
            Extent("/dev/sda2", MIB + 4 * MIB),
        ),
        (
            [("v", "4194304", "linear", "/dev/sdb1(0)"), ("v", "0", "linear", "/dev/sda2(9)")],
            Extent("/dev/sda2", MIB + 9 * 4 * MIB),
        ),
        ([("v", "0", "linear", "[unknown](0)")], None),  # the disk is missing
        ([("v", "0", "thin", "")], None),
        ([("v", "0", "raid1", "v(0)")], None),  # nonsense must end too
        ([], None),
    ],
)  # fmt: skip
def test_where_a_volume_begins(segments: list[tuple[str, str, str, str]], expected: Extent | None) -> None:
    report = {
        "vg": [{"vg_name": "vg", "vg_uuid": "u", "vg_free": "0", "vg_extent_size": str(4 * MIB)}],
        "pv": [
            {"pv_name": "/dev/sda2", "pe_start": str(MIB)},
            {"pv_name": "/dev/sdb1", "pe_start": str(2 * MIB)},
        ],
        "lv": [{"lv_name": "v", "lv_size": "4194304"}],
        "seg": [dict(zip(("lv_name", "seg_start", "segtype", "devices"), each, strict=True)) for each in segments],
    }
    ((_, begins),) = groups(json.dumps({"report": [report]}))
    assert begins.get("v") == expected


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"report": [{"vg": [{}]}]}', '{"report": 1}', "garbage"])
def test_what_is_no_report_is_said(text: str) -> None:
    with pytest.raises(ImagedError, match="lvm's report is not as expected"):
        groups(text)
