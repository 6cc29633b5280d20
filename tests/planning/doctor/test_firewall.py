"""Rules of packet filters, recorded from nft(8) and iptables-save(8), and what becomes of what nodes send."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.planning.doctor import firewall
from imaged.planning.doctor.firewall import Rules, findings, judged, read_iptables, read_nft, together
from imaged.planning.doctor.ports import Wanted
from tests.planning.doctor.said import said

INPUT = {"family": "inet", "table": "f", "name": "input", "handle": 2, "type": "filter", "hook": "input", "prio": 0}
TCP_873 = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 873}}
ESTABLISHED = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
NEW_GOES_ON = {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", {"drop": None}],
                                                                         ["new", {"continue": None}]]}}}  # fmt: skip
LO = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}
HIGH = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                  "right": {"set": [22, {"range": [8000, 8090]}]}}}  # fmt: skip
IN_SET = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": "@mgmt"}}
OF_TEN = {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                    "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}  # fmt: skip
UDP_67 = {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 67}}
NOT_69 = {"match": {"op": "!=", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 69}}
BR = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": {"set": ["br*", "eth0"]}}}
ICMP = {"match": {"op": "==", "left": {"payload": {"protocol": "icmp", "field": "type"}}, "right": "echo-request"}}
ANY_4011 = {"match": {"op": "==", "left": {"payload": {"protocol": "th", "field": "dport"}}, "right": 4011}}
COUNTER, LOG = {"counter": {"packets": 0, "bytes": 0}}, {"log": {"prefix": "x"}}
ACCEPT, DROP, REJECT = {"accept": None}, {"drop": None}, {"reject": {"type": "icmpx", "expr": "port-unreachable"}}
EXTRA = {"jump": {"target": "extra"}}
LIMIT = {"limit": {"rate": 5, "burst": 5, "per": "second"}}


def nft(*rules, policy="drop", extra=()):
    entries = [
        {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "f", "handle": 1}},
        {"set": {"family": "inet", "name": "mgmt", "table": "f", "type": "inet_service", "elem": [443, 873]}},
        {"map": {"family": "inet", "name": "gates", "table": "f", "elem": [["eth0", {"jump": {"target": "extra"}}]]}},
        {"chain": {"family": "inet", "table": "f", "name": "extra", "handle": 1}},
        {"chain": {**INPUT, "policy": policy}},
        {"chain": {**INPUT, "family": "ip6", "policy": "drop"}},
        *({"rule": {"family": "inet", "table": "f", "chain": "extra", "expr": rule}} for rule in extra),
        *({"rule": {"family": "inet", "table": "f", "chain": "input", "expr": rule}} for rule in rules),
    ]
    return read_nft(json.dumps({"nftables": entries}))


RSYNC, HTTP, TFTP, DHCP = ("tcp", 873), ("tcp", 8080), ("udp", 69), ("udp", 67)
OPEN, SHUT, PERHAPS = {"accept"}, {"drop"}, {"accept", "drop"}
GATES = {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": "@gates"}}


@pytest.mark.parametrize(
    ("rules", "port", "expected"),
    [
        (nft(), RSYNC, SHUT),
        (nft(policy="accept"), RSYNC, OPEN),
        (nft([TCP_873, ACCEPT]), RSYNC, OPEN),
        (nft([TCP_873, ACCEPT]), HTTP, SHUT),
        (nft([TCP_873, COUNTER, LOG, DROP], policy="accept"), RSYNC, SHUT),
        (nft([TCP_873, REJECT], policy="accept"), RSYNC, SHUT),
        (nft([ESTABLISHED, ACCEPT]), RSYNC, SHUT),
        (nft([NEW_GOES_ON], [LO, ACCEPT], [HIGH, ACCEPT]), HTTP, OPEN),
        (nft([NEW_GOES_ON], [LO, ACCEPT], [HIGH, ACCEPT]), RSYNC, SHUT),
        (nft([IN_SET, ACCEPT]), RSYNC, OPEN),
        (nft([IN_SET, ACCEPT]), TFTP, SHUT),
        (nft([UDP_67, OF_TEN, ACCEPT]), DHCP, PERHAPS),
        (nft([UDP_67, OF_TEN, ACCEPT]), TFTP, SHUT),
        (nft([NOT_69, REJECT], policy="accept"), DHCP, SHUT),
        (nft([NOT_69, REJECT], policy="accept"), TFTP, OPEN),
        (nft([NOT_69, REJECT], policy="accept"), HTTP, OPEN),
        (nft([BR, EXTRA], policy="accept", extra=[[TCP_873, DROP]]), RSYNC, SHUT),
        (nft([BR, EXTRA], policy="accept", extra=[[TCP_873, {"return": None}], [DROP]]), RSYNC, OPEN),
        (nft([BR, EXTRA], policy="accept", extra=[[TCP_873, {"return": None}], [DROP]]), HTTP, SHUT),
        (nft([{"goto": {"target": "extra"}}], [ACCEPT], extra=[[HIGH, ACCEPT]]), RSYNC, SHUT),
        (nft([EXTRA], policy="accept", extra=[[EXTRA]]), RSYNC, OPEN),
        (nft([GATES], policy="accept", extra=[[DROP]]), RSYNC, SHUT),
        (nft([ICMP, ACCEPT]), RSYNC, SHUT),
        (nft([ANY_4011, ACCEPT]), ("udp", 4011), OPEN),
        (nft([LIMIT, ACCEPT]), RSYNC, PERHAPS),
        (nft([{"match": {"op": "==", "left": {"fib": {}}, "right": 1}}, DROP], policy="accept"), RSYNC, PERHAPS),
        (nft([{"xt": {"type": "match", "name": "x"}}, {"xt": {"type": "target", "name": "Y"}}]), RSYNC, PERHAPS),
        (nft([{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth1"}}, ACCEPT]), RSYNC, SHUT),
    ],
)
def test_what_becomes_of_a_packet(rules, port, expected):
    (found,) = (verdicts for _, verdicts in judged(rules, *port, "eth0"))
    assert found == expected


SAVED = """\
# Generated by iptables-save v1.8.9 (nf_tables) on Sat Nov 21 21:41:58 2026
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:ours - [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 873 -m comment --comment "rsync of nodes" -j ACCEPT
-A INPUT -p udp -m multiport --dports 67,69 -j ours
-A INPUT -p tcp -m tcp --dport 8000:8090 -j LOG --log-prefix "web "
-A INPUT -i eth+ -m conntrack --ctstate NEW -m limit --limit 5/min -p udp -j ACCEPT
-A ours -p udp -m udp --dport 69 -j ACCEPT
-A ours ! -i eth0 -j RETURN
-A ours -j REJECT --reject-with icmp-port-unreachable
COMMIT
# Completed on Sat Nov 21 21:41:58 2026
"""


@pytest.mark.parametrize(
    ("port", "interface", "expected"),
    [
        (RSYNC, "eth0", OPEN),
        (HTTP, "eth0", SHUT),
        (HTTP, "lo", OPEN),
        (TFTP, "eth0", OPEN),
        (DHCP, "eth0", SHUT),
        (DHCP, "br0", SHUT),
        (DHCP, "eth1", PERHAPS),
    ],
)
def test_what_iptables_does(port, interface, expected):
    (found,) = (verdicts for _, verdicts in judged(read_iptables(SAVED), *port, interface))
    assert found == expected


def test_of_a_table_of_iptables_iptables_is_asked():
    riddle = {"nftables": [
        {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input",
                   "prio": 0, "policy": "drop"}},
    ]}  # fmt: skip
    both = together(read_nft(json.dumps(riddle)), read_iptables(SAVED))
    assert [name for name, _ in judged(both, *RSYNC, "eth0")] == ["ip filter INPUT"]
    assert together(nft(), read_iptables("")).chains == nft().chains
    older = together(both, read_iptables(SAVED, "legacy filter"))
    assert [name for name, _ in judged(older, *RSYNC, "eth0")] == ["ip filter INPUT", "legacy filter INPUT"]


def test_what_is_shut_for_sure():
    rules = nft([UDP_67, OF_TEN, ACCEPT], [LO, ACCEPT])
    assert [firewall.is_shut(rules, *port, "eth0") for port in (RSYNC, DHCP)] == [True, False]
    assert not firewall.is_shut(rules, *RSYNC, "lo")


def test_what_is_said_of_it():
    ports = [Wanted("tcp", 873, "rsync.port"), Wanted("udp", 67, "dhcp.port", "eth0")]
    assert said(findings(Rules(), ports, ["eth0"])) == ["ok there are no rules"]
    assert said(findings(nft(policy="accept"), ports, ["eth0"])) == ["ok nothing that nodes ask for is dropped"]
    shut = said(findings(nft([UDP_67, LIMIT, ACCEPT]), ports, ["eth0", "eth1"]))
    assert shut == [
        "error TCP 873 on eth0: dropped by inet f input (Let it in: nft insert rule inet f input tcp dport 873 accept)",
        "error TCP 873 on eth1: dropped by inet f input (Let it in: nft insert rule inet f input tcp dport 873 accept)",
        "note inet f input: whether UDP 67 on eth0 come in cannot be told from the rules",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": []}', "no json", '{"nftables": 7}'])
def test_what_is_no_list_of_rules(text):
    assert judged_all(read_nft(text)) == []


def judged_all(rules):
    return [each for port in (RSYNC, DHCP) for each in judged(rules, *port, "eth0")]


WORDS = [
    "-p",
    "tcp",
    "udp",
    "--dport",
    "873",
    "67:69",
    "!",
    "-i",
    "eth+",
    "-j",
    "ACCEPT",
    "DROP",
    "ours",
    "-m",
    "x",
    "--y",
]


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=8), max_size=8))
def test_no_rules_of_iptables_are_a_traceback(lines):
    text = "*filter\n:INPUT ACCEPT [0:0]\n:ours - [0:0]\n"
    text += "".join(f"-A {'INPUT' if at % 2 else 'ours'} {' '.join(words)}\n" for at, words in enumerate(lines))
    for _, verdicts in judged_all(read_iptables(text)):
        assert verdicts and verdicts <= {"accept", "drop"}


EXPRESSIONS = st.lists(
    st.sampled_from(
        [TCP_873, HIGH, UDP_67, NOT_69, BR, IN_SET, OF_TEN, LIMIT, EXTRA, ACCEPT, DROP, GATES, {"return": None}]
    ),
    max_size=4,
)


@given(st.lists(EXPRESSIONS, max_size=6), st.lists(EXPRESSIONS, max_size=4), st.sampled_from(["accept", "drop"]))
def test_there_is_always_an_answer(rules, extra, policy):
    for _, verdicts in judged_all(nft(*rules, policy=policy, extra=extra)):
        assert verdicts and verdicts <= {"accept", "drop"}
