"""Every change of nodes and groups is kept, with what it was before."""

import threading
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import Conflict, NotFound
from imaged.model.group import Group
from imaged.model.host import Host
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, Node
from imaged.model.setup import Setup
from imaged.store import events
from imaged.store.database import open_database
from imaged.store.events import Events, speaking_as, who
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.nodes import Nodes

MAC = Mac.parse("52:54:00:00:00:01")
NODE = Node("n1", (MAC,), ImageRef("tiny"))


@pytest.fixture
def engine(database: Path | str):
    engine = open_database(database)
    yield engine
    engine.dispose()


def told(engine, *names):
    return [(each.what, each.subject, each.before, each.after) for each in Events(engine).last(50, names)]


def test_a_nodes_life(engine, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ann")
    nodes, groups = Nodes(engine), Groups(engine)
    groups.add(Group("rack1", 5))
    nodes.add(NODE)
    groups.put("n1", ["rack1"])
    nodes.change([evolve(nodes.definition("n1"), setup=Setup(ImageRef("tiny"), "one-disk", "ttyS0", {"row": "7"}))])
    nodes.set_action(["n1"], BootAction.LOCAL)
    nodes.set_action(["n1"], BootAction.LOCAL)  # nothing is different: no event
    Hosts(engine).put_node("n1", Host(timezone="Europe/Oslo"))
    nodes.remove("n1")
    assert told(engine) == [
        ("group added", "rack1", {}, {"priority": 5}),
        ("node added", "n1", {}, {"image": "tiny@stable", "layout": "one-disk", "macs": [str(MAC)]}),
        ("groups of a node", "n1", {"groups": []}, {"groups": ["rack1"]}),
        ("node changed", "n1", {}, {"console": "ttyS0", "var.row": "7"}),
        ("next boot", "n1", {"action": "install"}, {"action": "local"}),
        ("system of a node", "n1", {}, {"timezone": "Europe/Oslo"}),
        ("node removed", "n1",
         {"image": "tiny@stable", "layout": "one-disk", "console": "ttyS0", "var.row": "7", "macs": [str(MAC)],
          "groups": ["rack1"]}, {}),
    ]  # fmt: skip
    assert told(engine, "rack1") == told(engine)[:1]
    assert {each.who for each in Events(engine).last(50)} == {"ann"}
    assert len(Events(engine).last(2)) == 2


def test_what_is_refused_is_no_event(engine):
    nodes = Nodes(engine)
    nodes.add(NODE)
    before = told(engine)
    with pytest.raises(Conflict):
        nodes.define([Definition("n2", (Mac.parse("52:54:00:00:00:02"),)), Definition("n1", (MAC,))], BootAction.LOCAL)
    with pytest.raises(NotFound):
        nodes.set_action(["n1", "n9"], BootAction.LOCAL)
    with pytest.raises(NotFound):
        nodes.remove("n9")
    assert told(engine) == before


def test_the_oldest_are_forgotten(engine, monkeypatch):
    monkeypatch.setattr(events, "_KEPT", 20)
    monkeypatch.setattr(events, "_SWEEP", 10)
    with engine.begin() as connection:
        for number in range(100):
            events.note(connection, "x", "n1", {}, {"number": number})
    found = [each.after["number"] for each in Events(engine).last(1000)]
    assert found == list(range(80, 100))


def test_a_program_speaks_for_itself(engine, monkeypatch):
    monkeypatch.setattr(events, "_process", "")
    events.speak_as("imaged serve")
    Nodes(engine).add(NODE)
    assert Events(engine).last(1)[0].who == "imaged serve"


def test_whoever_is_served_did_it_and_nobody_beside_them(tmp_path: Path) -> None:
    names: list[str] = []
    both = threading.Barrier(2, timeout=10)

    def serve(name: str) -> None:
        with speaking_as(name):
            both.wait()
            names.append(who())
            both.wait()

    mine = who()
    threads = [threading.Thread(target=serve, args=(name,)) for name in ("token:a", "token:b")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(names) == ["token:a", "token:b"]
    assert who() == mine
