"""The lives of all nodes at a glance, and progress that does not pile up."""

import pytest

from imaged.model.life import Life
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent, NodeState
from imaged.model.outcome import Outcome
from imaged.model.report import Report, Status
from imaged.store.database import open_database
from imaged.store.lives import Lives
from imaged.store.machines import Machines
from imaged.store.nodes import Nodes

MACS = [Mac.parse(f"52:54:00:00:00:0{n}") for n in range(4)]


@pytest.fixture
def engine(database):
    engine = open_database(database)
    nodes = Nodes(engine)
    for number in (1, 2, 3):
        nodes.add(Node(f"n{number}", (MACS[number],), ImageRef("tiny")))
    yield engine
    engine.dispose()


def progress(name, time, percent, phase="transfer"):
    return name, time, Report(phase, Status.PROGRESS, 0.0, percent=percent)


def test_lives(engine):
    nodes, lives = Nodes(engine), Lives(engine)
    Machines(engine).saw(Machine(MACS[1], last_seen=50.0))
    Machines(engine).saw(Machine(MACS[0], last_seen=99.0))
    nodes.record("n2", NodeEvent.CLAIMED)
    nodes.keep("n2", installing="tiny@1")
    nodes.add_report("n2", 60.0, Report("claim", Status.DONE, 0.0))
    nodes.keep(
        "n3", state="ready", action="local", installed="tiny@1", updating="tiny@2", last_seen=70.0, drift_count=3,
        updated='{"outcome": "failed", "message": "no room", "image": "tiny@2", "serial": "x"}',
    )  # fmt: skip
    assert lives.all() == (
        Life("n1", NodeState.DEFINED, BootAction.INSTALL, image="tiny@stable", last_seen=50.0),
        Life("n2", NodeState.INSTALLING, BootAction.INSTALL, image="tiny@stable", installing="tiny@1", last_seen=60.0),
        Life(
            "n3", NodeState.READY, BootAction.LOCAL, image="tiny@stable", installed="tiny@1", updating="tiny@2",
            outcome=Outcome.FAILED, message="no room", drift=3, last_seen=70.0,
        ),
    )  # fmt: skip
    assert [life.node for life in lives.under_way()] == ["n2", "n3"]
    assert [lives.heard_of(since) for since in (0, 50.0, 60.0, 70.0)] == [
        {"n1", "n2", "n3"},
        {"n2", "n3"},
        {"n3"},
        set(),
    ]


def test_reports_of_those_under_way(engine):
    nodes, lives = Nodes(engine), Lives(engine)
    for name in ("n1", "n2", "n3"):
        nodes.add_report(name, 1.0, Report("claim", Status.DONE, 0.0))
    nodes.record("n2", NodeEvent.CLAIMED)
    nodes.keep("n3", state="ready", updating="tiny@2")
    assert [(told.node, told.report.phase) for told in lives.reports()] == [("n2", "claim"), ("n3", "claim")]


def test_progress_takes_the_place_of_progress(engine):
    nodes = Nodes(engine)
    nodes.add_report("n1", 1.0, Report("transfer", Status.STARTED, 0.0))
    nodes.add_progress([progress("n1", 2.0, 1), progress("n2", 3.0, 5), progress("n1", 2.0, None, "queue")])
    nodes.add_progress([progress("n1", 4.0, 2), progress("gone", 4.0, 2)])
    assert [(time, each.phase, each.percent) for time, each in nodes.reports("n1")] == [
        (1.0, "transfer", None), (2.0, "queue", None), (4.0, "transfer", 2.0)
    ]  # fmt: skip
    assert [nodes.fact(name, "last_seen") for name in ("n1", "n2", "n3")] == [4.0, 3.0, None]
    nodes.add_report("n1", 5.0, Report("transfer", Status.DONE, 0.0))
    assert [(each.phase, each.status) for _, each in nodes.reports("n1")] == [
        ("transfer", Status.STARTED), ("transfer", Status.DONE)
    ]  # fmt: skip
    assert len(nodes.reports("n2")) == 1


def test_progress_of_nodes_that_are_gone(engine):
    Nodes(engine).add_progress([progress("gone", 1.0, 2)])
    assert Nodes(engine).reports("gone") == ()
