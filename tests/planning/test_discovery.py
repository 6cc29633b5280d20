"""Machines without a name: what they do at a boot, and which names the rules give them, in whatever order they come."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput, NotFound
from imaged.model.hardware import Firmware, Inventory, Nic, Smbios
from imaged.model.machine import Discovery, Machine, Next
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition
from imaged.model.places import Condition, Places, Rule
from imaged.model.settings import DhcpSettings, Settings, Subnet
from imaged.model.setup import Setup
from imaged.planning import discovery
from imaged.planning.collect import Slot, known_uuid
from imaged.planning.discovery import Known, Way, proposals

FIRST = IPv4Address("10.0.0.11")
NOBODY = "03000200-0400-0500-0006-000700080009"  # what a board says that has no UUID of its own


def machine(number, seen=0.0, uuid="", **told):
    return Machine(Mac.parse(f"52:54:00:00:00:{number:02x}"), uuid, first_seen=seen, last_seen=seen + 5, **told)


def rule(name, names, mac="", approve=True, **become):
    return Rule(name, Condition(mac=mac), Places(names, ImageRef("a"), **become), approve)


O, A, I = Discovery.OFF, Discovery.ASK, Discovery.INVENTORY  # noqa: E741


@pytest.mark.parametrize(
    ("mode", "known", "asked", "ramdisk", "expected"),
    [
        *((O, known, asked, True, Way.LOCAL) for known in (None, machine(1)) for asked in (True, False)),
        *((mode, known, False, True, Way.ASK) for mode in (A, I) for known in (None, machine(1))),
        (A, machine(1), True, True, Way.LOCAL),
        (I, machine(1), True, True, Way.INVENTORY),
        (I, None, True, True, Way.INVENTORY),
        (I, machine(1), True, False, Way.LOCAL),
        (I, machine(1, inventoried=5.0), True, True, Way.LOCAL),
        *((mode, machine(1, ignored=True), asked, True, Way.LOCAL) for mode in (A, I) for asked in (True, False)),
    ],
)
def test_what_a_machine_without_a_name_does(mode, known, asked, ramdisk, expected):
    assert discovery.way(known, mode, asked=asked, ramdisk=ramdisk) is expected


def test_which_ramdisk_and_what_then():
    assert discovery.ramdisk_arch(machine(1, arch="arm64-efi")) == "aarch64"
    assert discovery.ramdisk_arch(machine(1, arch="bios")) == discovery.ramdisk_arch(None) == "x86_64"
    assert [discovery.after_inventory(True, then) for then in Next] == [Next.REBOOT] * 3
    assert [discovery.after_inventory(False, then) for then in Next] == list(Next)


SETTINGS = Settings(IPv4Address("10.0.0.1"))
NOTHING = Known(SETTINGS)


def proposed(rules, machines, known=NOTHING):
    made = proposals(rules, machines, {}, known)
    return [each.slot.name if each.slot else each.why for each in made]


def test_machines_take_places_in_the_order_of_first_sight():
    both = rule("r", "n[1-4]", skip="n2", address=FIRST)
    known = Known(SETTINGS, {"n1"}, (), {FIRST})
    assert proposed([both], [machine(3, 30.0), machine(1, 10.0), machine(2, 20.0)], known) == [
        "n3", "n4", "rule r has no place left in n[1-4]"
    ]  # fmt: skip
    made = proposals([both], [machine(1)], {}, known)
    assert made[0].slot == Slot("n3", FIRST + 2)


def test_a_second_card_a_rule_that_does_not_match_and_addresses_that_cannot_be():
    uuid = "11112222-3333-4444-5555-666677778888"
    cards = [machine(1, 1.0, uuid), machine(2, 2.0, uuid), machine(3, 3.0, NOBODY), machine(4, 4.0, NOBODY)]
    assert proposed([rule("r", "n[1-9]")], cards) == ["n1", "another card of 52:54:00:00:00:01", "n2", "n3"]
    assert proposed([rule("r", "n[1-9]", mac="52:54:00:00:00:01")], cards[:1] + cards[2:]) == [
        "n1", "no rule matches", "no rule matches"
    ]  # fmt: skip
    known = Known(evolve(SETTINGS, dhcp=DhcpSettings(subnets=(Subnet(IPv4Network("10.0.0.0/24")),))))
    outside = rule("r", "n[1-2]", address=IPv4Address("10.1.0.1"))
    assert proposed([outside], cards[:1], known) == ["rule r: 10.1.0.1 is in none of our subnets"]
    end = rule("r", "n[1-2]", address=IPv4Address("255.255.255.255"))
    assert proposed([end], cards[:1]) == ["rule r: there is no address for n2: 255.255.255.255 and 1 more"]


RULES = st.lists(
    st.builds(
        rule,
        st.sampled_from("abc"),
        st.sampled_from(["n[1-3]", "n[2-6]", "m[1-2]", "n[1-99]"]),
        st.sampled_from(["", "52:54:00:00:00:0", "52:54:00:00:00:1"]),
        st.booleans(),
        skip=st.sampled_from(["", "n2", "m1"]),
    ),
    max_size=3,
    unique_by=lambda each: each.name,
)
UUIDS = st.sampled_from(["", NOBODY, "u1", "u2"])
MACHINES = st.lists(
    st.builds(machine, st.integers(0, 31), st.floats(0, 10), UUIDS), max_size=20, unique_by=lambda each: each.mac
)


@given(RULES, MACHINES, st.sets(st.sampled_from(["n1", "n2", "n3", "m1"])))
def test_no_place_is_given_twice_and_no_machine_named_twice(rules, machines, taken):
    made = proposals(rules, machines, {}, Known(SETTINGS, taken))
    assert sorted(each.machine.mac for each in made) == sorted(each.mac for each in machines)
    given_places = [each for each in made if each.slot]
    names = [each.slot.name for each in given_places]
    assert len(set(names)) == len(names) and not set(names) & taken
    assert all(each.slot.name not in each.rule.become.skip for each in given_places)
    uuids = [each.machine.uuid for each in given_places if each.machine.uuid not in ("", NOBODY)]
    assert len(set(uuids)) == len(uuids), "two cards of one machine"
    assert all(bool(each.slot) != bool(each.why) for each in made)


@given(RULES, MACHINES)
def test_naming_one_leaves_the_others_what_they_were_proposed(rules, machines):
    """An administrator approves what the screen shows; what is left there stays true."""
    made = [each for each in proposals(rules, machines, {}, NOTHING) if each.slot]
    for chosen in made:
        gone = chosen.machine  # with its other cards
        uuid = known_uuid(gone.uuid)
        rest = [each for each in machines if each.mac != gone.mac and not (uuid and each.uuid == uuid)]
        after = {
            each.machine.mac: each.slot for each in proposals(rules, rest, {}, Known(SETTINGS, {chosen.slot.name}))
        }
        for each in made:
            if each is not chosen:
                assert after[each.machine.mac] == each.slot


def test_a_node_is_what_the_place_says():
    where = Places("n[1-2]", ImageRef("a", 3, ""), "raid", FIRST, "ttyS0", BootAction.LOCAL, ("g", "h", "g"))
    mac = machine(1).mac
    expected = Definition("n2", (mac,), Setup(ImageRef("a", 3, ""), "raid", "ttyS0"), "", FIRST + 1, ("g", "h"))
    slot = discovery.slot_named("n2", where)
    assert discovery.definition(machine(1, uuid=NOBODY), slot, where, (mac,)) == expected
    assert discovery.slot_named("n3", where) is None


def test_cards_of_a_machine():
    macs = [machine(number).mac for number in range(5)]
    nics = (Nic("eth0", macs[1], "mlx5_core"), Nic("eth1", macs[2], "igb"), Nic("usb0", macs[3], "cdc_ether"))
    inventory = Inventory("x86_64", Firmware.BIOS, 1, 1, (), (*nics, Nic("eth2", macs[4], "igb")))
    assert discovery.cards(macs[2], inventory, {macs[4]}, every=True) == (macs[2], macs[1])
    assert discovery.cards(macs[2], inventory, (), every=False) == (macs[2],)
    assert discovery.cards(macs[0], None, (), every=True) == (macs[0],)


def test_a_machine_that_a_person_means():
    one, card = machine(1, 1.0, "u1", serial="S1"), machine(2, 2.0, "u1", serial="S1")
    other, twin = machine(3, 3.0, asset="T1"), machine(4, 4.0, asset="T1")
    everyone = [one, card, other, twin, machine(5)]
    for text, meant in (("52-54-00-00-00-02", card), ("s1", one), ("U1", one), (" S1 ", one), (str(other.mac), other)):
        assert discovery.find(everyone, text) == meant
    with pytest.raises(BadInput, match="means several machines: 52:54:00:00:00:03, 52:54:00:00:00:04"):
        discovery.find(everyone, "T1")
    for text in ("", "S2", "52:54:00:00:00:99"):
        with pytest.raises(NotFound):
            discovery.find(everyone, text)


def test_what_an_inventory_says_of_the_machine():
    found = Inventory("x86_64", Firmware.BIOS, 1, 1, (), (), smbios=Smbios("Dell", "R640", "S1", "U1"))
    told = discovery.labelled(machine(1, vendor="Dell Inc."), found)
    assert (told.vendor, told.product, told.serial, told.uuid) == ("Dell Inc.", "R640", "S1", "U1")
    assert evolve(told, vendor="") != told
