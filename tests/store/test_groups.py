"""Groups in the database: what their nodes have from them, and that nothing is half done."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import evolve

from imaged.model.errors import BadInput, Conflict, NotFound
from imaged.model.group import Group
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, Node
from imaged.model.setup import Setup
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.nodes import Nodes
from imaged.store.tables import nodes as table
from imaged.store.tokens import Tokens

A, B = Mac.parse("52:54:00:00:00:0a"), Mac.parse("52:54:00:00:00:0b")
COMPUTE, LAB = ImageRef("compute"), ImageRef("lab", channel="canary")


@pytest.fixture
def engine(database: Path | str) -> Iterator[sa.Engine]:
    engine = open_database(database)
    groups = Groups(engine)
    groups.add(Group("all", 200, Setup(COMPUTE, "raid1", "ttyS0", {"site": "x", "row": "0"})), Group("gpu", 10))
    groups.add(Group("lab", 100, Setup(LAB, variables={"row": "7"})))
    yield engine
    engine.dispose()


def test_what_a_node_does_not_say_comes_from_its_groups(engine: sa.Engine) -> None:
    nodes, groups = Nodes(engine), Groups(engine)
    plain = Definition("n1", (B, A), groups=("lab", "all"))
    nodes.define([plain, Definition("n2", (Mac.parse("52:54:00:00:00:02"),), Setup(console="none"))], BootAction.LOCAL)
    expected = Node("n1", (B, A), LAB, "raid1", console="ttyS0", action=BootAction.LOCAL,
                    variables={"site": "x", "row": "7"}, groups=("all", "lab"))  # fmt: skip
    assert nodes.get("n1") == nodes.find(A) == nodes.find(B) == nodes.all()[0] == nodes.named(["n1"])[0] == expected
    assert nodes.definition("n1") == evolve(plain, groups=("all", "lab"))
    none = nodes.get("n2")
    assert (none.image, none.layout, none.console, none.left_alone) == (NO_IMAGE, "one-disk", "", True)
    own = Setup(COMPUTE, "lvm", "none", {"row": "8"})
    nodes.change([evolve(plain, setup=own, groups=("gpu", "lab", "all"))])
    assert nodes.get("n1") == evolve(
        expected,
        image=COMPUTE,
        layout="lvm",
        console="",
        variables={"site": "x", "row": "8"},
        groups=("all", "lab", "gpu"),
    )
    assert groups.of("n1") == nodes.definition("n1").groups == ("all", "lab", "gpu")
    nodes.change([plain])
    assert nodes.get("n1") == expected
    groups.change(Group("all", 5, Setup(COMPUTE, variables={"row": "1"})))
    assert nodes.get("n1") == evolve(
        expected, image=COMPUTE, layout="one-disk", console="", variables={"row": "1"}, groups=("lab", "all")
    )
    groups.remove("all", "lab", force=True)
    assert nodes.get("n1") == evolve(expected, image=NO_IMAGE, layout="one-disk", console="", variables={}, groups=())
    assert nodes.definition("n1").groups == ()


def test_groups_of_one_priority_go_by_the_bytes_of_their_names(engine: sa.Engine) -> None:
    groups = Groups(engine)
    names = ("a-b", "a.b", "aa", "a1")
    groups.add(*(Group(name, 50, Setup(layout=name)) for name in names))
    Nodes(engine).define([Definition("n1", (A,), groups=names)], BootAction.LOCAL)
    assert [group.name for group in groups.all() if group.priority == 50] == sorted(names)
    assert Nodes(engine).get("n1").layout == "aa"


def test_many_nodes_are_as_when_asked_one_by_one(engine: sa.Engine) -> None:
    nodes = Nodes(engine)
    defined = [
        Definition(f"n{number:03}", (Mac.from_bytes(b"\x52\x54\0\0\1" + bytes([number])),), Setup(layout=f"l{number}"),
                   address=IPv4Address(number), groups=("gpu", "all"))
        for number in range(120)
    ]  # fmt: skip
    nodes.define(defined, BootAction.INSTALL)
    names = [each.name for each in reversed(defined)]
    assert nodes.named(names) == tuple(map(nodes.get, names)) == nodes.all()[::-1]
    assert nodes.definitions(names) == tuple(map(nodes.definition, names))
    for ask in (nodes.named, nodes.definitions):
        with pytest.raises(NotFound, match="no node 'n999'"):
            ask([*names, "n999"])
    assert nodes.every("layout", "state")["n007"][1:] == ("l7", "defined")
    assert Groups(engine).members() == {"all": tuple(sorted(names)), "lab": (), "gpu": tuple(sorted(names))}


def test_what_is_refused_changes_nothing(engine: sa.Engine) -> None:
    nodes, groups = Nodes(engine), Groups(engine)
    nodes.define([Definition("n1", (A,), groups=("lab",))], BootAction.LOCAL)
    before = nodes.all(), groups.all(), groups.members()
    fresh = Definition("n2", (B,))
    for act, kind, what in (
        (lambda: nodes.define([fresh, evolve(fresh, name="n3", macs=(A,))], BootAction.LOCAL), Conflict, "n1 already"),
        (lambda: nodes.define([evolve(fresh, groups=("no",))], BootAction.LOCAL), NotFound, "no group 'no'"),
        (lambda: nodes.define([fresh], BootAction.LOCAL, [Group("x"), Group("lab")]), Conflict, "a group 'lab'"),
        (lambda: nodes.change([evolve(nodes.definition("n1"), groups=("no",))]), NotFound, "no group 'no'"),
        (lambda: nodes.change([evolve(fresh, name="n9")]), NotFound, "no node 'n9'"),
        (lambda: groups.change(Group("no")), NotFound, "no group 'no'"),
        (lambda: groups.add(Group("x"), Group("gpu")), Conflict, "a group 'gpu'"),
        (lambda: groups.remove("gpu", "lab"), Conflict, "1 nodes are in it: n1"),
        (lambda: groups.put("n1", ["no"]), NotFound, "no group 'no'"),
        (lambda: groups.put("n9", ["gpu"]), NotFound, "no node 'n9'"),
    ):
        with pytest.raises(kind, match=what):
            act()
        assert (nodes.all(), groups.all(), groups.members()) == before


def test_a_plan_depends_on_what_groups_say(engine: sa.Engine) -> None:
    nodes, groups, tokens = Nodes(engine), Groups(engine), Tokens(engine)
    nodes.define([Definition("n1", (A,), groups=("all", "gpu"))], BootAction.INSTALL)
    tokens.claim(tokens.mint(nodes.get("n1"), 100.0), "secret", 1.0)
    before = nodes.holder("secret")
    assert before.image == COMPUTE
    groups.change(Group("lab", 100))
    groups.change(Group("all", 201, Setup(COMPUTE, "raid1", "ttyS0", {"row": "0", "site": "x"})))
    nodes.keep("n1", updating="compute@4")
    assert nodes.holder("secret").facts == before.facts, "nothing that matters to it"
    for setup in (Setup(console="none"), Setup(variables={"row": "7"}), Setup(LAB)):
        groups.change(Group("gpu", 10, setup))
        assert nodes.holder("secret").facts != before.facts
    assert nodes.holder("secret").image == LAB


def test_what_a_later_release_wrote_is_said(engine: sa.Engine) -> None:
    Nodes(engine).define([Definition("n1", (A,))], BootAction.LOCAL)
    with engine.begin() as connection:
        connection.execute(table.update().values(action="dance"))
    with pytest.raises(BadInput, match="node n1: is not as this program knows it: 'dance'"):
        Nodes(engine).get("n1")
