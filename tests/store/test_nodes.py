"""The node database: what it refuses, what survives, and how machines without a name are seen."""

import sqlite3
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import Conflict, Denied, ImagedError, NotFound
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent, NodeState
from imaged.model.report import Report, Status
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.site import site_uuid
from imaged.store.tokens import Tokens

A, B, C = (Mac.parse(f"52:54:00:00:00:0{digit}") for digit in "abc")
NODE = Node("n1", (A, B), ImageRef.parse("debian-12@3"), uuid="aa-bb", address=IPv4Address("10.0.0.7"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "imaged.sqlite"


@pytest.fixture
def nodes(path: Path) -> Nodes:
    return Nodes(open_database(path))


def test_a_node_comes_back_as_it_went_in_also_after_a_restart(nodes: Nodes, path: Path) -> None:
    nodes.add(NODE)
    assert nodes.get("n1") == NODE
    assert Nodes(open_database(path)).all() == (NODE,)


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


def test_machines_without_a_name_are_listed_in_the_order_they_were_first_seen(nodes: Nodes) -> None:
    nodes.add(NODE)
    for mac, uuid, time in ((C, "", 3.0), (A, "", 4.0), (B, "aa-bb", 5.0), (C, "cc", 6.0)):
        nodes.saw(Machine(mac, uuid=uuid, arch="bios", last_seen=time))
    assert nodes.discovered() == (Machine(C, uuid="cc", arch="bios", first_seen=3.0, last_seen=6.0),)


def test_a_token_starts_one_install(path: Path, nodes: Nodes) -> None:
    tokens = Tokens(open_database(path))
    nodes.add(NODE)
    token = tokens.mint("n1", expires=100)
    assert tokens.claim(token, "secret", now=99) == "n1"
    assert tokens.claim(token, "secret", now=5000) == "n1", "the same claim again: its answer was lost"
    assert tokens.holder("secret") == "n1"
    with pytest.raises(Denied, match="used already"):
        tokens.claim(token, "other", now=99)
    with pytest.raises(Denied, match="not known"):
        tokens.claim("made up", "other", now=99)
    with pytest.raises(Denied, match="too old"):
        tokens.claim(tokens.mint("n1", expires=100), "other", now=101)
    with pytest.raises(Denied, match="no node's"):
        tokens.holder("other")


def test_a_new_claim_ends_the_old_secret(path: Path, nodes: Nodes) -> None:
    tokens = Tokens(open_database(path))
    nodes.add(NODE)
    old, new = tokens.mint("n1", expires=100), tokens.mint("n1", expires=100)
    tokens.claim(old, "old secret", now=1)
    tokens.claim(new, "new secret", now=2)
    tokens.claim(old, "old secret", now=3)
    assert tokens.holder("new secret") == "n1"
    with pytest.raises(Denied):
        tokens.holder("old secret")


def test_secrets_are_not_in_the_database(path: Path, nodes: Nodes) -> None:
    tokens = Tokens(open_database(path))
    nodes.add(NODE)
    token = tokens.mint("n1", expires=100)
    tokens.claim(token, "very secret", now=1)
    with sqlite3.connect(path) as connection:
        dump = "\n".join(connection.iterdump())
    assert token not in dump
    assert "very secret" not in dump


def test_the_site_keeps_its_identity(path: Path) -> None:
    assert site_uuid(open_database(path)) == site_uuid(open_database(path))


def test_a_database_of_another_program_version_is_refused(path: Path) -> None:
    open_database(path)
    with sqlite3.connect(path) as connection:
        connection.execute("update meta set value = '99' where key = 'schema'")
    with pytest.raises(Conflict, match="schema 99"):
        open_database(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(ImagedError, match="cannot be opened"):
        open_database(path)


def test_a_database_of_an_earlier_release_gets_what_it_lacks(path: Path, nodes: Nodes) -> None:
    nodes.add(NODE)
    nodes.keep("n1", installed="debian-12@3")
    with sqlite3.connect(path) as old:
        for column in ("system", "updating", "serial", "updated", "updated_at", "drift", "drift_at"):
            old.execute(f"ALTER TABLE nodes DROP COLUMN {column}")
    again = Nodes(open_database(path))
    facts = again.facts("n1")
    assert (facts["installed"], facts["updating"], facts["drift_at"]) == ("debian-12@3", None, None)
    again.keep("n1", updating="debian-12@4", updated_at=5.0)
    assert Nodes(open_database(path)).facts("n1")["updated_at"] == 5.0


def test_the_holder_of_a_secret_in_one_question(path: Path, nodes: Nodes) -> None:
    nodes.add(NODE)
    tokens = Tokens(open_database(path))
    tokens.claim(tokens.mint("n1", 100.0), "secret", 1.0)
    before = nodes.holder("secret")
    assert (before.name, before.image, before.updating) == ("n1", NODE.image, None)
    nodes.keep("n1", updating="debian-12@4", last_seen=5.0, drift="{}")
    assert nodes.holder("secret").facts == before.facts, "what a plan does not depend on"
    nodes.keep("n1", console="ttyS1")
    assert nodes.holder("secret").facts != before.facts
    with pytest.raises(Denied, match="no node's"):
        nodes.holder("wrong")
