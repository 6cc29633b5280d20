"""Addresses of the link and ranges of the network."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.model.net import AddressRange, Mac


@pytest.mark.parametrize(
    "text",
    ["52:54:00:ab:cd:ef", "52-54-00-AB-CD-EF", "5254.00ab.cdef", "525400abcdef", " 52:54:00:AB:cd:ef\n"],
)
def test_spellings_of_one_mac(text: str) -> None:
    mac = Mac.parse(text)
    assert str(mac) == "52:54:00:ab:cd:ef"
    assert mac.packed == bytes.fromhex("525400abcdef")


@pytest.mark.parametrize(
    "text",
    [
        "", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:00", "52:54-00:ab:cd:ef", "52:54:00:ab:cd:eg", "5:54:00:ab:cd:ef",
        "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "٥2:54:00:ab:cd:ef", "52:54:00:ab:cd:ef\0",
    ],
)  # fmt: skip
def test_what_is_no_mac_of_a_machine(text: str) -> None:
    with pytest.raises(BadInput):
        Mac.parse(text)


@pytest.mark.parametrize("length", [0, 5, 7, 16])
def test_six_bytes_and_no_other_number(length: int) -> None:
    with pytest.raises(BadInput):
        Mac.from_bytes(bytes(length))


@given(st.binary(min_size=6, max_size=6))
def test_bytes_come_back(packed: bytes) -> None:
    assert Mac.from_bytes(packed).packed == packed


def test_a_range_holds_both_ends() -> None:
    pool = AddressRange.parse("10.0.0.100 - 10.0.0.200")
    assert str(pool) == "10.0.0.100-10.0.0.200"
    inside = ("10.0.0.100", "10.0.0.150", "10.0.0.200")
    assert all(IPv4Address(address) in pool for address in inside)
    assert not any(IPv4Address(address) in pool for address in ("10.0.0.99", "10.0.0.201", "10.0.1.150"))


@pytest.mark.parametrize(
    "text", ["", "-", "10.0.0.1", "10.0.0.9-10.0.0.1", "10.0.0.1-10.0.0.2-10.0.0.3", "10.0.0.1-x", "10.0.0.0/24"]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(BadInput):
        AddressRange.parse(text)
