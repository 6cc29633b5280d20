"""Nodes that stall, and go on, become events: once each."""

import pytest

from imaged.admin.monitor import Stalls
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeEvent
from imaged.model.report import Report, Status
from imaged.store.database import open_database
from imaged.store.events import Events
from imaged.store.nodes import Nodes


@pytest.fixture
def engine(tmp_path):
    engine = open_database(tmp_path / "db.sqlite")
    nodes = Nodes(engine)
    for number in (1, 2):
        nodes.add(Node(f"n{number}", (Mac.parse(f"52:54:00:00:00:0{number}"),), ImageRef("tiny")))
    nodes.record("n1", NodeEvent.CLAIMED)
    nodes.add_report("n1", 100.0, Report("transfer", Status.STARTED, 0.0))
    return engine


def test_a_node_that_stalls_and_goes_on(engine):
    nodes, stalls = Nodes(engine), Stalls(engine)

    def look(now):
        """What is new of it after a look."""
        before = len(Events(engine).last(100))
        stalls.look(now)
        return [(each.subject, each.what, each.before, each.after) for each in Events(engine).last(100)[before:]]

    assert look(150.0) == []
    stalled = {"stalled": "nothing heard for 91 s"}
    assert look(191.0) == [("n1", "node stalled", {}, stalled)]
    assert look(230.0) == []
    assert Stalls(engine).look(260.0) is None  # a daemon that was started again
    assert look(290.0) == []
    nodes.add_progress([("n1", 300.0, Report("transfer", Status.PROGRESS, 0.0, percent=50.0))])
    assert look(301.0) == [("n1", "node goes on", stalled, {})]
    assert look(330.0) == []


def test_a_node_that_fails_has_not_stalled_any_more(engine):
    Stalls(engine).look(500.0)
    Nodes(engine).record("n1", NodeEvent.FAILED, reason="no")
    Stalls(engine).look(501.0)
    assert [(each.what, each.after) for each in Events(engine).last(2)] == [
        ("node stalled", {"stalled": "nothing heard for 7 min"}),
        ("state of a node", {"state": "failed", "reason": "no"}),
    ]
