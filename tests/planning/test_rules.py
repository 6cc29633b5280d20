"""Which rule a machine matches, as tables: what it has told, what it may yet tell, what is written wrongly."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.codec import from_plain, to_plain
from imaged.model.errors import BadInput
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.machine import Discovery, Label, Machine
from imaged.model.match import Match
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.places import Condition, Places, Rule, Rules
from imaged.model.size import GIB, SizeBounds
from imaged.planning.rules import choose, cleaned, faults, label_of

MAC = Mac.parse("52:54:00:12:34:56")
SEEN = Machine(
    MAC, uuid="00112233-4455-6677-8899-aabbccddeeff", arch="x86_64-efi", vendor_class="PXEClient:Arch:00007",
    relay="10.9.0.1", address="10.0.0.150",
)  # fmt: skip
TOLD = evolve(SEEN, vendor="Dell Inc.", product="PowerEdge R640", serial="ABC1234", asset="rack 7", told=5.0)
DISKS = (Disk("/dev/nvme0n1", 960 * GIB, bus=Bus.NVME), Disk("/dev/sda", 16 * GIB, bus=Bus.USB, removable=True))
HARDWARE = Inventory("x86_64", Firmware.UEFI, 64 * GIB, 32, DISKS, (Nic("eth0", MAC),))
BECOME = Places("node[01-04]", ImageRef("compute"))
NVME = Match(bus=(Bus.NVME,), size=SizeBounds.parse(">=500G"))


def rule(name="r", become=BECOME, **match):
    return Rule(name, Condition(**match), become)


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({}, True),
        ({"mac": "52:54:00"}, True),
        ({"mac": "52-54-00-12-"}, True),
        ({"mac": "52:54:01"}, False),
        ({"uuid": "00112233-*"}, True),
        ({"arch": "x86_64-efi|bios"}, True),
        ({"arch": "bios"}, False),
        ({"vendor_class": "pxeclient:*"}, True),
        ({"subnet": IPv4Network("10.0.0.0/24")}, True),
        ({"subnet": IPv4Network("10.9.0.0/24")}, True),
        ({"subnet": IPv4Network("10.8.0.0/24")}, False),
        ({"relay": IPv4Address("10.9.0.1")}, True),
        ({"relay": IPv4Address("10.9.0.2")}, False),
        ({"vendor": "dell*"}, True),
        ({"vendor": "HP* | Dell Inc."}, True),
        ({"vendor": "Dell"}, False),
        ({"product": "*R640", "serial": "abc????"}, True),
        ({"product": "*R640", "serial": "XYZ*"}, False),
        ({"asset": "rack 7"}, True),
        ({"memory": SizeBounds.parse(">=64G")}, True),
        ({"memory": SizeBounds.parse(">=65G")}, False),
        ({"disk": NVME}, True),
        ({"disk": NVME, "disks": 2}, False),
        ({"disk": Match(removable=True)}, True),
    ],
)
def test_what_a_rule_may_ask_for(match, matches):
    asked = rule(**match)
    choice = choose([asked], TOLD, HARDWARE, Discovery.INVENTORY)
    assert choice.rule == (asked if matches else None)
    assert choice.why == ("" if matches else "no rule matches")


@pytest.mark.parametrize(
    ("mode", "machine", "inventory", "match", "why"),
    [
        (Discovery.OFF, SEEN, None, {"serial": "ABC*"}, "no rule matches"),
        (Discovery.ASK, SEEN, None, {"serial": "ABC*"}, "rule r wants to know its serial"),
        (Discovery.ASK, SEEN, None, {"serial": "ABC*", "vendor": "x"}, "rule r wants to know its vendor, serial"),
        (Discovery.ASK, SEEN, None, {"serial": "ABC*", "mac": "00"}, "no rule matches"),
        (Discovery.ASK, SEEN, None, {"disk": NVME}, "no rule matches"),
        (Discovery.INVENTORY, TOLD, None, {"disk": NVME}, "rule r wants to know its disks"),
        (Discovery.INVENTORY, TOLD, None, {"disk": NVME, "vendor": "HP*"}, "no rule matches"),
        (Discovery.INVENTORY, TOLD, None, {"memory": SizeBounds(1)}, "rule r wants to know its memory"),
    ],
)
def test_what_is_not_known_yet_is_waited_for_if_it_may_come(mode, machine, inventory, match, why):
    choice = choose([rule(**match)], machine, inventory, mode)
    assert (choice.rule, choice.why) == (None, why)


def test_the_first_rule_that_matches_counts_and_one_before_it_is_waited_for():
    first, second = rule("first", serial="ABC*"), rule("second", mac="52:54:00")
    assert choose([first, second], TOLD, None, Discovery.ASK).rule == first
    assert choose([second, first], TOLD, None, Discovery.ASK).rule == second
    assert choose([first, second], SEEN, None, Discovery.ASK).why == "rule first wants to know its serial"
    assert choose([first, second], SEEN, None, Discovery.OFF).rule == second
    assert choose([], TOLD, HARDWARE, Discovery.INVENTORY).why == "no rule matches"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Dell Inc.", "Dell Inc."),
        ("  a \t b\n", "a b"),
        ("To Be Filled By O.E.M.", ""),
        ("Default string", ""),
        ("0000000000", ""),
        ("xxxxxxxx", ""),
        (" ", ""),
        ("\x1b[31mred\0", "[31mred"),
        ("a" * 100, "a" * 64),
        ("HP & Söhne <b>", "HP & Söhne <b>"),
    ],
)
def test_what_boards_say_is_cleaned(text, kept):
    assert cleaned(text) == kept
    assert label_of(text, "", text) == Label(kept, "", kept)


@given(st.text(max_size=200))
def test_cleaned_text_is_printable_short_and_stays_as_it_is(text):
    kept = cleaned(text)
    assert len(kept) <= 64 and (kept == "" or kept.isprintable())
    assert cleaned(kept) == kept


GOOD = {
    "rules": [
        {
            "name": "rack1",
            "match": {"vendor": "Dell*", "subnet": "10.1.0.0/24", "disk": {"bus": ["nvme"], "size": "1G"}, "disks": 2},
            "become": {"names": "node[001-064]", "skip": "node017", "image": "compute@canary", "address": "10.0.0.11"},
            "approve": False,
            "all_nics": True,
        },
        {"name": "rest", "match": {}, "become": {"names": "other[1-9]", "image": "rescue", "action": "local"}},
    ]
}  # fmt: skip


def test_rules_as_they_are_written():
    rules = from_plain(GOOD, Rules).rules
    assert list(faults(rules)) == []
    assert [each.approve for each in rules] == [False, True]
    assert from_plain(to_plain(Rules(rules)), Rules).rules == rules


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "rules[1].name: '' is no name"),
        ({"name": "rack1"}, "rules[1].name: 'rack1' is there twice"),
        ({"match": {"mac": "52:54:0"}}, "rules[1].match.mac: '52:54:0' is not how a MAC begins"),
        ({"match": {"arch": "sparc"}}, "rules[1].match.arch: 'sparc' is none of bios"),
        ({"match": {"disks": 0}}, "rules[1].match.disks: 0 is not a number of disks"),
        ({"become": {"names": "", "image": "a"}}, "rules[1].become.names: there are none"),
        ({"become": {"names": "N[1-2]", "image": "a"}}, "rules[1].become.names: 'N1' is not a node name"),
        ({"become": {"names": "n[1-", "image": "a"}}, "rules[1].become.names: missing bracket"),
        ({"become": {"names": "n[1-99999999999]", "image": "a"}}, "these are more than 100000 names"),
        ({"become": {"names": "n[1-200000]", "image": "a"}}, "these are more than 100000 names"),
        ({"become": {"names": "n1", "image": "a", "relay": "10.0.0.1"}}, "become.relay: it belongs into match"),
        ({"become": {"names": "n1", "image": "a", "console": "a b"}}, "become.console: 'a b' is not a console"),
    ],
)  # fmt: skip
def test_rules_with_a_fault_are_named(change, said):
    rules = from_plain({"rules": [GOOD["rules"][0], {**GOOD["rules"][1], **change}]}, Rules).rules
    assert any(said in fault for fault in faults(rules)), list(faults(rules))


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"rule": []}, "unknown key 'rule'"),
        ({"rules": [{"name": "a", "match": {"vender": "x"}, "become": {}}]}, "did you mean 'vendor'"),
        ({"rules": [{"name": "a", "become": GOOD["rules"][1]["become"]}]}, "the key 'match' is missing"),
        ({"rules": [{"name": "a", "match": {"serial": 7}, "become": {}}]}, "rules[0].match.serial: expected a string"),
        ({"rules": [{"name": "a", "match": {"subnet": "10.0.0.1/24"}, "become": {}}]}, "rules[0].match.subnet"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_path(plain, said):
    with pytest.raises(BadInput) as raised:
        from_plain(plain, Rules)
    assert said in str(raised.value)
