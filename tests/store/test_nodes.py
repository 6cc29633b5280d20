"""The node database: what it refuses, and what survives."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import evolve

from imaged.model.errors import Conflict, Denied, NotFound
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent, NodeState
from imaged.model.report import Report, Status
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.tables import tables
from imaged.store.tokens import Tokens, secret_hash

A, B, C = (Mac.parse(f"52:54:00:00:00:0{digit}") for digit in "abc")
NODE = Node("n1", (A, B), ImageRef.parse("debian-12@3"), uuid="aa-bb", address=IPv4Address("10.0.0.7"))


@pytest.fixture
def nodes(engine: sa.Engine) -> Nodes:
    return Nodes(engine)


def test_a_node_comes_back_as_it_went_in_also_after_a_restart(nodes: Nodes, database: Path | str) -> None:
    nodes.add(NODE)
    assert nodes.get("n1") == NODE
    assert Nodes(open_database(database)).all() == (NODE,)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"macs": (C,), "address": None, "uuid": ""}, "the name is taken"),
        ({"name": "n2", "address": None}, "52:54:00:00:00:0a belongs to node n1 already"),
        ({"name": "n2", "macs": (C,), "uuid": ""}, "the name or the address 10.0.0.7 is taken"),
        ({"name": "n2", "macs": (C,), "address": None}, "the UUID aa-bb belongs to node n1 already"),
    ],
)
def test_what_belongs_to_one_node_is_refused_to_another(nodes: Nodes, changes: dict, said: str) -> None:
    nodes.add(NODE)
    with pytest.raises(Conflict, match=said):
        nodes.add(evolve(NODE, **changes))
    assert nodes.all() == (NODE,)


def test_found_by_any_mac_or_by_uuid(nodes: Nodes) -> None:
    nodes.add(NODE)
    assert nodes.find(A) == nodes.find(B) == nodes.find(None, "AA-BB") == nodes.find(C, "aa-bb") == NODE
    assert nodes.find(C) is None
    assert nodes.find(None, "") is None


def test_actions_change_for_all_or_for_none(nodes: Nodes) -> None:
    nodes.add(NODE)
    with pytest.raises(NotFound, match="no node 'n9'"):
        nodes.set_action(["n1", "n9"], BootAction.LOCAL)
    assert nodes.get("n1").action is BootAction.INSTALL
    nodes.set_action(["n1"], BootAction.LOCAL)
    assert nodes.get("n1").action is BootAction.LOCAL


def test_states_follow_events_and_refuse_others(nodes: Nodes) -> None:
    nodes.add(NODE)
    with pytest.raises(Conflict, match="a node that is defined cannot report 'up'"):
        nodes.record("n1", NodeEvent.UP)
    assert nodes.record("n1", NodeEvent.CLAIMED).state is NodeState.INSTALLING
    assert nodes.record("n1", NodeEvent.FAILED, reason="mkfs: no").reason == "mkfs: no"
    assert nodes.record("n1", NodeEvent.CLAIMED).reason == ""
    assert nodes.record("n1", NodeEvent.INSTALLED, action="local").action is BootAction.LOCAL
    assert nodes.record("n1", NodeEvent.UP).state is NodeState.READY


def test_removing_a_node_takes_its_reports_and_macs_along(nodes: Nodes) -> None:
    nodes.add(NODE)
    nodes.add_report("n1", 5.0, Report("claim", Status.DONE, 1.0))
    assert nodes.reports("n1") == ((5.0, Report("claim", Status.DONE, 1.0)),)
    nodes.remove("n1")
    nodes.add(NODE)
    assert nodes.reports("n1") == ()
    with pytest.raises(NotFound):
        nodes.remove("n2")


def test_a_token_starts_one_install(engine: sa.Engine, nodes: Nodes) -> None:
    tokens = Tokens(engine)
    nodes.add(NODE)
    token = tokens.mint(NODE, expires=100)
    assert tokens.claim(token, "secret", now=99) == "n1"
    assert tokens.claim(token, "secret", now=5000) == "n1", "the same claim again: its answer was lost"
    assert tokens.holder("secret") == "n1"
    with pytest.raises(Denied, match="used already"):
        tokens.claim(token, "other", now=99)
    with pytest.raises(Denied, match="not known"):
        tokens.claim("made up", "other", now=99)
    with pytest.raises(Denied, match="too old"):
        tokens.claim(tokens.mint(NODE, expires=100), "other", now=101)
    with pytest.raises(Denied, match="no node's"):
        tokens.holder("other")


def test_a_token_is_for_this_machine_under_this_name(engine: sa.Engine, nodes: Nodes) -> None:
    tokens = Tokens(engine)
    nodes.add(NODE)
    token = tokens.mint(NODE, expires=100)
    assert len(token) == 40, "a kernel's command line is short"
    assert token != tokens.mint(NODE, expires=100), "two boots within a second"
    assert Tokens(engine).look(token, now=99) == "n1", "another daemon of the same database"
    for now, wrong, said in (
        (99, token[:-1] + ("A" if token[-1] != "A" else "B"), "not known"),
        (99, "B" + token[1:], "not known"),
        (99, token[:20], "not known"),
        (99, "\u00e9" * 40, "not known"),
        (99, "", "not known"),
        (101, token, "too old"),
    ):
        with pytest.raises(Denied, match=said):
            tokens.look(wrong, now=now)
    nodes.remove("n1")
    nodes.add(evolve(NODE, name="n2"))
    with pytest.raises(Denied, match="not known"):
        tokens.claim(token, "secret", now=99)
    nodes.remove("n2")
    nodes.add(evolve(NODE, macs=(Mac.parse("02:00:00:00:09:99"),)))
    with pytest.raises(Denied, match="not known"):
        tokens.claim(token, "secret", now=99)


def test_a_token_of_an_earlier_release_is_still_good(engine: sa.Engine, nodes: Nodes) -> None:
    tokens = Tokens(engine)
    nodes.add(NODE)
    with engine.begin() as connection:
        row = {"hash": secret_hash("written down"), "node": "n1", "expires": 100.0}
        connection.execute(tables.tables["tokens"].insert(), row)
    assert tokens.claim("written down", "secret", now=99) == "n1"


def test_a_new_claim_ends_the_old_secret(engine: sa.Engine, nodes: Nodes) -> None:
    tokens = Tokens(engine)
    nodes.add(NODE)
    old, new = tokens.mint(NODE, expires=100), tokens.mint(NODE, expires=100)
    tokens.claim(old, "old secret", now=1)
    tokens.claim(new, "new secret", now=2)
    tokens.claim(old, "old secret", now=3)
    assert tokens.holder("new secret") == "n1"
    with pytest.raises(Denied):
        tokens.holder("old secret")


def test_secrets_are_not_in_the_database(engine: sa.Engine, nodes: Nodes) -> None:
    tokens = Tokens(engine)
    nodes.add(NODE)
    token = tokens.mint(NODE, expires=100)
    tokens.claim(token, "very secret", now=1)
    with engine.connect() as connection:
        dump = str([connection.execute(sa.select(table)).all() for table in tables.sorted_tables])
    assert "n1" in dump
    assert token not in dump
    assert "very secret" not in dump


def test_the_holder_of_a_secret_in_one_question(engine: sa.Engine, nodes: Nodes) -> None:
    nodes.add(NODE)
    tokens = Tokens(engine)
    tokens.claim(tokens.mint(nodes.get("n1"), 100.0), "secret", 1.0)
    before = nodes.holder("secret")
    assert (before.name, before.image, before.updating) == ("n1", NODE.image, None)
    nodes.keep("n1", updating="debian-12@4", last_seen=5.0, drift="{}")
    assert nodes.holder("secret").facts == before.facts, "what a plan does not depend on"
    nodes.keep("n1", console="ttyS1")
    assert nodes.holder("secret").facts != before.facts
    with pytest.raises(Denied, match="no node's"):
        nodes.holder("wrong")


def test_nodes_by_their_names(nodes: Nodes) -> None:
    for name, number in (("b", 1), ("a", 2), ("c", 3)):
        nodes.add(Node(name, (Mac.from_bytes(bytes([2, 0, 0, 0, 9, number])),), ImageRef("tiny")))
    nodes.record("c", NodeEvent.CLAIMED)
    assert (nodes.names(), nodes.names(NodeState.INSTALLING)) == (("a", "b", "c"), ("c",))
    assert [node.name for node in nodes.named(["c", "a"])] == ["c", "a"]
    assert nodes.named([]) == ()
    with pytest.raises(NotFound, match="no node 'd'"):
        nodes.named(["a", "d"])
