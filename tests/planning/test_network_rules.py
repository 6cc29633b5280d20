"""Each rule of networks, broken alone in a network that has every part: the exact message, and no other."""

import contextlib
import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput
from imaged.model.network import Network
from imaged.planning.network import read
from imaged.store import yamlfile

_EVERYTHING = yamlfile.load(Path(__file__).parents[1] / "data/network/everything.yaml")
_GONE = object()
_BY = "say which NIC it is by exactly one of mac, boot, index and path"


def _broken(changes: dict[str, Any]) -> Any:
    data = copy.deepcopy(_EVERYTHING)
    for path, value in changes.items():
        at: Any = data
        *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^\[\].]+", path)]
        for part in way:
            at = at[part]
        if last == "+":
            at.append(value)
        elif value is _GONE:
            del at[last]
        else:
            at[last] = value
    return data


_FAB = "interfaces[2].ip"
RULES = [
    ({"interfaces[0].boot": False}, f"interfaces[0]: {_BY} (it has none)"),
    ({"interfaces[0].index": 1}, f"interfaces[0]: {_BY} (it has boot and index)"),
    ({"interfaces[3].index": -1}, "interfaces[3].index: counts from 0"),
    ({"interfaces[2].path": "a b"}, "interfaces[2].path: 'a b' is no ID_PATH such as pci-0000:03:00.0"),
    ({"interfaces[3]": {"name": "spare0", "mac": "52:54:00:00:00:02"}},
     "interfaces[3].mac: is the NIC of interfaces[1] already"),
    ({"interfaces[0].name": "lan1"}, "interfaces[1].name: interfaces[0] is called lan1 already",
     "bonds[0].members[0]: there is no interface 'lan0'"),
    ({"vlans[0].name": "a/b"}, "vlans[0].name: 'a/b' is not a link's name (a letter, then at most 14 of letters, "
     "0-9 _ . -)"),
    ({"vlans[0].name": "lo"}, "vlans[0].name: 'lo' is not a link's name (a letter, then at most 14 of letters, "
     "0-9 _ . -)"),
    ({"vlans[0].name": "x" * 16}, f"vlans[0].name: '{'x' * 16}' is not a link's name (a letter, then at most 14 of "
     "letters, 0-9 _ . -)"),
    ({"vlans[0].name": "eth0"}, "vlans[0].name: the kernel gives eth0 to any NIC itself; take another, such as lan0"),
    ({"interfaces[1].mac": "nonsense"}, "interfaces[1].mac: 'nonsense' is not a MAC address (Write it like "
     "52:54:00:12:34:56)"),
    ({"interfaces[2].mtu": 67}, "interfaces[2].mtu: 67 is not between 68 and 65535"),
    ({"interfaces[2].mtu": 1000}, "interfaces[2].mtu: IPv6 needs at least 1280"),
    ({"vlans[0].mtu": 9000}, "vlans[0].mtu: 9000 is more than bond0 below it has (1500)"),
    ({"bonds[0].mtu": 1600}, "bonds[0].mtu: 1600 is more than lan0 below it has (1500)",
     "bonds[0].mtu: 1600 is more than lan1 below it has (1500)"),
    ({f"{_FAB}.addresses[0]": "10.1.0.7"}, f"{_FAB}.addresses[0]: '10.1.0.7' has no prefix length (Write it like "
     "10.0.0.7/24, 2001:db8::7/64, or node/24 for the node's own IPv4 address)"),
    ({f"{_FAB}.addresses[0]": "10.1.0.777/8"}, f"{_FAB}.addresses[0]: '10.1.0.777/8' is not an address (Write it like "
     "10.0.0.7/24, 2001:db8::7/64, or node/24 for the node's own IPv4 address)"),
    ({f"{_FAB}.addresses[0]": "10.1.0.0/16"}, f"{_FAB}.addresses[0]: 10.1.0.0 is the network's or the broadcast "
     "address of 10.1.0.0/16"),
    ({f"{_FAB}.addresses[0]": "127.0.0.1/8"}, f"{_FAB}.addresses[0]: 127.0.0.1 is no address of a host"),
    ({f"{_FAB}.addresses[1]": "10.1.0.7/16"}, f"{_FAB}.addresses: 10.1.0.7/16 is there twice"),
    ({f"{_FAB}.dhcp4": True},
     f"{_FAB}.addresses[0]: dhcp4 and IPv4 addresses exclude each other",
     f"{_FAB}.addresses[1]: dhcp4 and IPv4 addresses exclude each other"),
    ({f"{_FAB}.ipv6": "dhcp"}, f"{_FAB}.addresses[2]: ipv6 is dhcp; with addresses it is auto or static"),
    ({f"{_FAB}.gateway4": "10.0.0.2"}, f"{_FAB}.gateway4: 10.0.0.2 is in none of 10.1.0.7/16, 10.1.1.7/16",
     "vlans[0].ip.gateway4: interfaces[2] has one already; write the others as routes"),
    ({"vlans[0].ip.gateway6": "2001:db8::1"}, "vlans[0].ip.gateway6: there is no address of its kind on this link"),
    ({f"{_FAB}.gateway6": "2001:db8:1::7"}, f"{_FAB}.gateway6: 2001:db8:1::7 is the link's own address"),
    ({f"{_FAB}.routes[0].via": "2001:db8::1"}, f"{_FAB}.routes[0]: 10.2.0.0/16 is IPv4, 2001:db8::1 is IPv6"),
    ({f"{_FAB}.routes[0].to": "0.0.0.0/0"}, f"{_FAB}.routes[0].to: the default route is gateway4"),
    ({f"{_FAB}.routes[0].metric": -1}, f"{_FAB}.routes[0].metric: -1 is not between 0 and 4294967295"),
    ({f"{_FAB}.routes[0].to": "10.2.0.1/16"}, f"{_FAB}.routes[0].to: 10.2.0.1/16 has host bits set"),
    ({"bonds[0].members": []}, "bonds[0].members: a bond has at least one",
     "bonds[0].min_links: 1 is not between 0 and the number of members"),
    ({"bonds[0].members[1]": "mgmt"}, "bonds[0].members[1]: there is no interface 'mgmt'",
     "vlans[0].ip: it is a member of bonds[0], which has the addresses", "bonds[0]: bond0 would stand on itself",
     "vlans[0]: mgmt would stand on itself"),
    ({"bonds[0].primary": "lan0"}, "bonds[0].primary: has no meaning in mode 802.3ad"),
    ({"bonds[0].primary": "fab0", "bonds[0].mode": "balance-tlb", "bonds[0].lacp_rate": _GONE,
      "bonds[0].min_links": 0}, "bonds[0].primary: 'fab0' is not one of its members"),
    ({"bonds[0].mode": "active-backup"},
     "bonds[0].lacp_rate: has no meaning in mode active-backup", "bonds[0].hash: has no meaning in mode active-backup",
     "bonds[0].min_links: has no meaning in mode active-backup"),
    ({"bonds[0].mode": "lacp"}, "bonds[0].mode: 'lacp' is not one of balance-rr, active-backup, balance-xor, "
     "broadcast, 802.3ad, balance-tlb, balance-alb"),
    ({"bonds[0].updelay": 50}, "bonds[0].updelay: must be a multiple of miimon (100 ms)"),
    ({"bonds[0].miimon": -1, "bonds[0].updelay": 0, "bonds[0].downdelay": 0}, "bonds[0].miimon: -1 is less than 0"),
    ({"vlans[0].id": 4095}, "vlans[0].id: 4095 is not between 1 and 4094"),
    ({"vlans[1].id": 20}, "vlans[1].id: vlans[0] is VLAN 20 of bond0 already"),
    ({"vlans[0].parent": "gone"}, "vlans[0].parent: there is no link 'gone'"),
    ({"vlans[0].parent": "lan0"}, "vlans[0].parent: lan0 is a member of bonds[0], so its packets go there"),
    ({"vlans[1].parent": "br0"}, "vlans[1]: guests would stand on itself", "bridges[0]: br0 would stand on itself"),
    ({"bridges[0].members[1]": "gone"}, "bridges[0].members[1]: there is no link 'gone'"),
    ({"bridges[0].members[+]": "lan1"}, "bridges[0].members[2]: lan1 is a member of bonds[0] already"),
    ({"bridges[0].members[0]": "br0"}, "bridges[0].members[0]: a bridge cannot be part of a bridge",
     "bridges[0].ip: it is a member of bridges[0], which has the addresses", "bridges[0]: br0 would stand on itself"),
    ({"bridges[0].forward_delay": 31}, "bridges[0].forward_delay: 31 is not between 2 and 30 (IEEE 802.1D)"),
    ({"interfaces[0].ip": {"dhcp4": True}}, "interfaces[0].ip: it is a member of bonds[0], which has the addresses"),
    ({"dns.search[0]": "a b"}, "dns.search[0]: 'a b' is not a domain name"),
    ({"dns.servers[0]": "resolver"}, "dns.servers[0]: 'resolver' does not appear to be an IPv4 or IPv6 address"),
    ({"dns.server": []}, "dns: unknown key 'server' (did you mean 'servers'?)"),
    ({"renderer": "systemd"}, "renderer: 'systemd' is not one of netplan, networkmanager, ifcfg, wicked, networkd, "
     "ifupdown"),
    ({"bond": []}, "unknown key 'bond' (did you mean 'bonds'?)"),
    ({"vlans": {"name": "a"}}, "vlans: expected a list, got {'name': 'a'}"),
]  # fmt: skip


@pytest.mark.parametrize("case", RULES, ids=lambda case: case[1].split(":")[0])
def test_a_broken_rule_says_where_and_what(case: tuple[Any, ...]) -> None:
    changes, *messages = case
    with pytest.raises(BadInput) as raised:
        read(_broken(changes), "x")
    assert raised.value.what.split("\n  ") == messages


def test_all_faults_are_told_at_once() -> None:
    changes = {"interfaces[0].boot": "yes", f"{_FAB}.mtu": 1, "vlans[0].id": 0, "dns.servers": 3}
    with pytest.raises(BadInput) as raised:
        read(_broken(changes), "network.yaml")
    assert raised.value.where == "network.yaml"
    assert [line.partition(":")[0] for line in raised.value.what.split("\n  ")] == [
        "interfaces[0].boot", _FAB, "vlans[0].id", "dns.servers",
    ]  # fmt: skip


def test_a_network_that_nobody_could_reach_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing could reach the node"):
        read({"interfaces": [{"name": "a", "boot": True, "ip": {"ipv6": "off"}}]}, "x")


def test_what_is_stored_is_what_was_read() -> None:
    network = read(_EVERYTHING, "x")
    assert from_json(to_json(network), Network) == network


@pytest.mark.parametrize("data", [None, [], "text", 3, {}, {"interfaces": None}])
def test_what_is_no_network_is_refused(data: Any) -> None:
    with pytest.raises(BadInput):
        read(data, "x")


def _paths(value: Any, at: str = "") -> list[str]:
    if isinstance(value, dict):
        return [path for key, each in value.items() for path in (f"{at}.{key}", *_paths(each, f"{at}.{key}"))]
    if isinstance(value, list):
        return [path for key, each in enumerate(value) for path in (f"{at}[{key}]", *_paths(each, f"{at}[{key}]"))]
    return []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_paths(_EVERYTHING)),
            st.one_of(
                st.none(), st.booleans(), st.integers(-2, 70000), st.text(max_size=5), st.just([]), st.just({}),
                st.sampled_from(["bond0", "br0", "mgmt", "lan0", "off", "node/24", "10.0.0.1/8", "::1/128"]),
            ),
        ),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_mutated_networks_are_networks_or_bad_input(changes: list[tuple[str, Any]]) -> None:
    data = copy.deepcopy(_EVERYTHING)
    for path, value in changes:
        with contextlib.suppress(KeyError, IndexError, TypeError):
            at: Any = data
            *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^\[\].]+", path)]
            for part in way:
                at = at[part]
            at[last] = value
    with contextlib.suppress(BadInput):
        assert isinstance(read(data, "x"), Network)
