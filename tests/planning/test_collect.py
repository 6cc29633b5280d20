"""Places and machines: who gets which, whatever comes in which order."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.model.settings import DhcpSettings, Settings, Subnet
from imaged.planning.collect import Slot, assign, check_addresses, slots

FIRST = IPv4Address("10.0.0.11")
SETTINGS = Settings(IPv4Address("10.0.0.1"), dhcp=DhcpSettings(subnets=(Subnet(IPv4Network("10.0.0.0/24")),)))


def machine(number, seen, uuid=""):
    return Machine(Mac.parse(f"52:54:00:00:00:{number:02x}"), uuid, first_seen=seen, last_seen=seen + 5)


@pytest.mark.parametrize(
    ("taken", "reserved", "first", "expected"),
    [
        ((), (), None, (Slot("a"), Slot("b"), Slot("c"))),
        (("a",), (), FIRST, (Slot("b", FIRST + 1), Slot("c", FIRST + 2))),
        ((), ("b",), FIRST, (Slot("a", FIRST), Slot("c", FIRST + 2))),
    ],
)
def test_places_that_are_passed_over_keep_their_address(taken, reserved, first, expected):
    assert slots(("a", "b", "c"), taken=taken, reserved=reserved, first=first) == expected


def test_places_that_there_are_not():
    assert slots(("a",), taken={"a"}, reserved=(), first=None) == ()
    with pytest.raises(BadInput, match="no address for b"):
        slots(("a", "b"), taken=(), reserved=(), first=IPv4Address("255.255.255.255"))


@pytest.mark.parametrize(
    ("address", "what"),
    [("10.0.0.255", "no address of our subnets"), ("10.1.0.1", "none of our subnets"), ("10.0.0.9", "another node")],
)
def test_addresses_are_checked_before_anything_is_named(address, what):
    with pytest.raises(BadInput, match=what):
        check_addresses((Slot("a", IPv4Address(address)),), SETTINGS, {IPv4Address("10.0.0.9")})


def test_a_second_card_gets_no_place():
    both = "11112222-3333-4444-5555-666677778888"
    seen = [machine(3, 30.0), machine(1, 10.0, both), machine(2, 20.0, both), machine(4, 5.0)]
    assert assign((Slot("a"), Slot("b"), Slot("c")), seen, since=10.0) == (
        (Slot("a"), seen[1]), (Slot("b"), seen[0])
    )  # fmt: skip


def test_boards_without_a_uuid_are_different_machines():
    nobody = "03000200-0400-0500-0006-000700080009"
    seen = [machine(1, 1.0, nobody), machine(2, 2.0, nobody), machine(3, 3.0)]
    assert [pair[1] for pair in assign(tuple(map(Slot, "abc")), seen, since=0.0)] == seen


@given(st.lists(st.floats(0, 100), max_size=20), st.integers(0, 20), st.floats(0, 100))
def test_names_and_first_sight_have_one_order(times, places, since):
    seen = [machine(number, when) for number, when in enumerate(times)]
    free = tuple(Slot(f"n{number:02}") for number in range(places))
    pairs = assign(free, seen, since=since)
    assert [slot for slot, _ in pairs] == list(free[: len(pairs)])
    moments = [each.first_seen for _, each in pairs]
    assert moments == sorted(moments)
    assert len(pairs) == min(places, sum(when >= since for when in times))
