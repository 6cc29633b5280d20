"""Alternatives of a layout of which, on some machine, both hold or none."""

from typing import Any

import pytest

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Disk, Firmware, Inventory
from imaged.model.size import GIB
from imaged.planning.choose import choose
from imaged.planning.layout import read

_SMALL, _LARGE = "ram < 8G", "ram >= 4G"  # both hold from 4 GiB to 8 GiB
_BIOS = {"id": "bios", "role": "bios_grub"}
_ROOT = {"id": "root", "role": "root", "size": "4G", "fs": "ext4", "mount": "/"}
_RAW = [{"id": id, "role": "raid", "size": "1G"} for id in ("x", "y")]


def _home(id: str, when: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "role": "data", "size": "1G", "fs": "xfs", "mount": "/home", "when": when} | more


def _array(id: str, when: str) -> dict[str, Any]:
    return {"id": id, "level": 0, "devices": ["os.x", "os.y"], "when": when}


def _chosen(memory: int, *partitions: dict[str, Any], **top: Any) -> None:
    layout = read({"version": 1, "disks": [{"id": "os", "partitions": [_BIOS, *partitions]}]} | top, "site")
    disks = (Disk("/dev/sda", 100 * GIB),)
    choose(layout, Inventory("x86_64", Firmware.BIOS, memory * GIB, 1, disks, ()))


@pytest.mark.parametrize(
    ("partitions", "top", "fault"),
    [
        ((_ROOT, _home("h", _SMALL), _home("g", _LARGE)), {}, "'/home' is mounted twice"),
        ((_ROOT, *_RAW), {"raid": [_array("m", _SMALL), _array("n", _LARGE)]}, "os.x is part of two things\n  os.y is"),
        (
            (_ROOT,), {"swap": [{"file": "/swap", "size": "1G", "when": when} for when in (_SMALL, _LARGE)]},
            "the swap file /swap is made twice",
        ),
        (
            (_ROOT | {"when": _SMALL}, _ROOT | {"id": "r2", "when": _LARGE}), {},
            "'/' is mounted twice\n  os has two partitions of role root",
        ),
    ],
)  # fmt: skip
def test_of_two_alternatives_one_may_hold(partitions: tuple[Any, ...], top: dict[str, Any], fault: str) -> None:
    for memory in (2, 16):
        _chosen(memory, *partitions, **top)
    with pytest.raises(CannotPlan) as caught:
        _chosen(6, *partitions, **top)
    assert caught.value.what.startswith(fault)
    assert caught.value.where == "layout site"


def test_a_root_that_went_with_its_condition() -> None:
    with pytest.raises(CannotPlan, match="nothing is mounted at /"):
        _chosen(16, _ROOT | {"when": _SMALL})
