"""Records of the kernel's log: its own forms, and whatever else a datagram may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.kmsg import lines


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("6,4990,46196273116,-;EXT4-fs (loop0): unmounting\n", ("[46196.273116] EXT4-fs (loop0): unmounting",)),
        ("6,300,1,-;usb 1-1: new\n SUBSYSTEM=usb\n DEVICE=c189:0\n", ("[    0.000001] usb 1-1: new",)),
        (
            "6.6.0,0,1,22000000,-;Kernel panic - not syncing: a; b\n",
            ("[   22.000000] Kernel panic - not syncing: a; b",),
        ),
        ("4,12,5,-,ncfrag=0/1200;first part", ("[    0.000005] first part",)),
        ("12,5,1500000,c;from user space", ("[    1.500000] from user space",)),
        ("7,5,1,-;for debugging", ()),
        ("15,5,1,-;for debugging", ()),
        ("[   12.3] plain text\nand more\n\n", ("[   12.3] plain text", "and more")),
        ("1,2;3", ("1,2;3",)),
        ("", ()),
    ],
)
def test_records(record, expected):
    assert lines(record) == expected


@given(st.text())
def test_any_text_is_lines(record):
    assert all("\n" not in line for line in lines(record))
