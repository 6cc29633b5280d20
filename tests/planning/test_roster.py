"""Nodes as other programs' files know them: sample files, and what is wrong in them by line."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput, Conflict, ImagedError
from imaged.model.group import Group
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.net import Mac
from imaged.model.setup import Setup
from imaged.planning.roster.entries import Entry, Roster, merged
from imaged.planning.roster.ours import of_plain, values, write_values, write_yaml
from imaged.planning.roster.read import Form, read
from imaged.store.yamlfile import parse

DATA = Path(__file__).parents[1] / "data/rosters"
ONE, TWO = Mac.parse("52:54:00:00:00:01"), Mac.parse("52:54:00:00:00:02")
SECOND = Mac.parse("52:54:00:00:00:11")
IP = IPv4Address
CANARY = Setup(ImageRef("compute", channel="canary"))


def sample(name, form=Form.AUTO):
    return read((DATA / name).read_text(), form, name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ethers", Roster((Entry("node01", (ONE,)), Entry("node02", (TWO,))))),
        (
            "hosts",
            Roster(
                (Entry("node01", address=IP("10.0.0.11")), Entry("node02", address=IP("10.0.0.12"))),
                notes=((5, "'255.255.255.255 broadcasthost' names no node"),),
            ),
        ),
        (
            "dhcpd.conf",
            Roster(
                (Entry("node01", (ONE,), IP("10.0.0.11")), Entry("node02", (TWO,))),
                notes=(
                    (11, "host node02: 'fixed-address node02.example.org' is not carried over"),
                    (14, "host printer has no Ethernet address"),
                    (14, "host printer: 'option dhcp-client-identifier \"x;}\"' is not carried over"),
                ),
            ),
        ),
        (
            "nodes.csv",
            Roster(
                (
                    Entry("node01", (ONE, SECOND), IP("10.0.0.11"), ("rack1", "gpu"), CANARY),
                    Entry("node02", (TWO,)),
                )
            ),
        ),
        (
            "c3.conf",
            Roster(
                (
                    *(Entry(name, groups=("auto-gen",)) for name in ("node01", "node02", "node04")),
                    Entry("node09", groups=("auto-gen", "spare")), Entry("login1", groups=("auto-gen",)),
                    Entry("node08", groups=("spare",)),
                ),
                (Group("auto-gen"), Group("spare")),
                ((7, "node09 is marked as dead, and is taken all the same"),
                 (13, "cluster far is reached through farhead.example.org, and is not here")),
            ),
        ),
        (
            "cluster.xml",
            Roster(
                (
                    Entry("node01", groups=("compute",)),
                    Entry("node02", groups=("compute", "login")),
                    Entry("node05", groups=("compute",)),
                    Entry("node06", groups=("compute",)),
                ),
                (Group("compute", 10, Setup(ImageRef("compute"))), Group("login", 100)),
                ((5, "<override> is not carried over"), (10, "<override> of compute is not carried over"),
                 (17, "<dynamic_node> of login is not carried over")),
            ),
        ),
    ],
)  # fmt: skip
def test_samples(name, expected):
    assert sample(name) == expected


def test_several_files_are_put_together():
    roster = merged([sample("cluster.xml"), sample("ethers"), sample("hosts")])
    assert roster.entries[0] == Entry("node01", (ONE,), IP("10.0.0.11"), ("compute",))
    assert roster.groups == (Group("compute", 10, Setup(ImageRef("compute"))), Group("login"))


def test_files_that_contradict_each_other():
    with pytest.raises(Conflict, match=r"has the address 10\.0\.0\.11, and 10\.0\.0\.12 elsewhere"):
        merged([Roster((Entry("a", address=IP("10.0.0.11")),)), Roster((Entry("a", address=IP("10.0.0.12")),))])
    with pytest.raises(Conflict, match="52:54:00:00:00:01 belongs to a already"):
        merged([Roster((Entry("a", (ONE,)), Entry("b", (ONE,))))])


@pytest.mark.parametrize(
    ("form", "text", "what"),
    [
        (Form.AUTO, "hello", "cannot tell what kind of file"),
        (Form.ETHERS, "52:54:00:00:00:01", "line 1: an Ethernet address and a name"),
        (Form.ETHERS, "\n52:54:00:00:00 a", "line 2: '52:54:00:00:00' is not a MAC"),
        (Form.HOSTS, "10.0.0 a", "line 1: '10.0.0' is not an IPv4 address"),
        (Form.CSV, "name,colour\na,red", "line 1: 'colour' is no title"),
        (Form.CSV, "macs\n52:54:00:00:00:01", "line 1: there is no title 'name'"),
        (Form.CSV, "name,macs\na,b,c", "line 2: more values than titles"),
        (Form.CSV, "name,macs\na,b", "line 2: 'b' is not a MAC"),
        (Form.DHCPD, "host a { hardware ethernet 52:54:00:00:00:01;", "line 1: a host that does not end"),
        (Form.DHCPD, "host a {\n if x { } }", "line 2: a block within a host"),
        (Form.C3, "cluster a { }", "line 1: cluster a has no head"),
        (Form.C3, "cluster a {\n h:h\n node[5-1]\n}", "line 3: 'node\\[5-1\\]' is no range"),
        (Form.C3, "cluster a {\n h:h\n node[1-999999999]\n}", "is no range"),
        (Form.C3, "cluster a {\n h:h\n $(id)\n}", "is no node"),
        (Form.C3, "cluster a { h:h }\nrubbish", "line 1: expected `cluster NAME"),
        (Form.CLUSTER_XML, "<a/>", "<a> is not the <root>"),
        (Form.CLUSTER_XML, "<root><group><node>a</node></group></root>", "a group without a name"),
        (Form.CLUSTER_XML, "<root><group><name>g</name><priority>x</priority></group></root>", "'x' of g is no number"),
        (Form.CLUSTER_XML, "<!DOCTYPE x><root/>", "DOCTYPE"),
    ],
)
def test_what_is_wrong_is_told_by_line(form, text, what):
    with pytest.raises(BadInput, match=what):
        read(text, form, "file")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (1, "expected a list"), ({"nodes": 1}, "expected a list"), ({"hosts": []}, "'hosts' is no key"),
        ([1], "node 1: expected a mapping"), ([{"name": "a", "mac": "x"}], "'mac' is no key"),
        ([{"name": "a", "macs": ["x"]}], "node a: 'x' is not a MAC"),
        ([{"name": "a", "console": True}], "node a: console is not a text: True"),
        ([{"name": "a", "image": "A"}], "node a: 'A' is not an image name"),
        ([{"name": "a", "variables": {"items": "x"}}], "node a: 'items' is a word of the template language"),
        ([{"name": "a", "variables": {"a-b": "x"}}], "node a: 'a-b' is not the name of a variable"),
        ({"groups": [{"name": "a", "priority": -1}]}, "group a: '-1' is no priority"),
        ({"groups": [{"name": "a", "macs": []}]}, "group a: 'macs' is no key"),
    ],
)  # fmt: skip
def test_plain_data_that_is_refused(data, what):
    with pytest.raises(BadInput, match=what):
        of_plain(data)


_WORDS = st.sampled_from([
    "cluster a {", "}", "node[1-3]", "h:h", "host a {", "hardware ethernet", "52:54:0:0:0:1", ";", "10.0.0.1 a",
    "<root>", "</root>", "<group>", "name,macs", "a,b", "exclude 2", "\n", '"',
])  # fmt: skip


@given(st.sampled_from(list(Form)), st.lists(_WORDS, max_size=30))
def test_any_text_is_nodes_or_a_reason(form, words):
    try:
        assert isinstance(read(" ".join(words), form, "file"), Roster)
    except ImagedError as error:
        assert str(error)


_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
_LETTERS = st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Zs")) | st.sampled_from("\n\t'\"\\")
_VARIABLES = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.text(_LETTERS), max_size=3
).filter(
    lambda pairs: (
        not any(hasattr(dict, name) for name in pairs)
        and all(letter.isprintable() or letter in "\n\t" for text in pairs.values() for letter in text)
    )
)
_SETUPS = st.builds(
    Setup, st.just(NO_IMAGE) | st.builds(ImageRef, _NAMES), _NAMES | st.just(""),
    st.sampled_from(["", "none", "ttyS0"]), _VARIABLES,
)  # fmt: skip
_MACS = st.integers(0, 2**32).map(lambda number: Mac.from_bytes(b"\x52\x54" + number.to_bytes(5, "big")[1:]))
_ENTRIES = st.builds(
    Entry, _NAMES, st.lists(_MACS, max_size=3).map(tuple), st.none() | st.ip_addresses(v=4),
    st.lists(_NAMES, max_size=3).map(tuple), _SETUPS, st.uuids().map(str) | st.just(""),
)  # fmt: skip
_ROSTERS = st.builds(
    Roster, st.lists(_ENTRIES, max_size=4).map(tuple),
    st.lists(st.builds(Group, _NAMES, st.integers(0, 1_000_000), _SETUPS), max_size=3).map(tuple),
)  # fmt: skip


@given(_ROSTERS)
def test_what_is_written_is_read_again(roster):
    assert read(write_values(roster), Form.CSV, "file") == roster
    assert of_plain(parse(write_yaml(roster), where="file")) == roster


def test_a_group_in_a_list_of_values():
    text = "name,priority,groups,variables\n@gpu,5,,\"rack=7 'motto=a b'\"\nn1,,gpu,\n"
    assert values(text) == Roster(
        (Entry("n1", groups=("gpu",)),), (Group("gpu", 5, Setup(variables={"rack": "7", "motto": "a b"})),)
    )
    for wrong, what in (("@gpu,5,x,", "a group has no groups"), ("n1,5,,", "a node has no priority")):
        with pytest.raises(BadInput, match=f"line 2: {what}"):
            values(f"name,priority,groups,variables\n{wrong}\n")
    with pytest.raises(BadInput, match=r"line 2: .* are no variables: No closing quotation"):
        values("name,variables\nn1,a='b\n")


def test_groups_of_several_files_are_put_together():
    one, other = Group("gpu", 5, Setup(layout="raid1")), Group("gpu", setup=Setup(ImageRef("a"), variables={"x": "1"}))
    assert merged([Roster(groups=(one,)), Roster(groups=(other,))]).groups == (
        Group("gpu", 5, Setup(ImageRef("a"), "raid1", variables={"x": "1"})),
    )
    with pytest.raises(Conflict, match="group gpu: has the variable x 1, and 2 elsewhere"):
        merged([Roster(groups=(other,)), Roster(groups=(Group("gpu", setup=Setup(variables={"x": "2"})),))])
