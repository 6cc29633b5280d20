"""How a node stands towards its image."""

import pytest
from attrs import evolve

from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeState
from imaged.model.update import Drift, Outcome, Updated
from imaged.planning.standing import Planned, drifted, in_step, planned, trouble

NOW = Planned("s", "d", "l")
DONE, FAILED, REFUSED = (Updated("a@2", "s", outcome, "disk full") for outcome in Outcome)


@pytest.mark.parametrize(
    ("installed", "wanted", "last", "given", "expected"),
    [
        ("", "a@1", None, None, "-"),
        ("a@1", "a@1", None, None, "installed"),
        ("a@1", "a@1", None, NOW, "installed"),
        ("a@1", "a@2", None, None, "no, a@2"),
        ("a@2", "a@2", DONE, NOW, "yes"),
        ("a@2", "a@2", DONE, None, "installed"),
        ("a@2", "a@2", DONE, evolve(NOW, layers="x"), "no, overrides changed"),
        ("a@2", "a@2", DONE, evolve(NOW, definition="x"), "no, definition changed"),
        ("a@2", "a@2", DONE, evolve(NOW, serial="x"), "no, plan changed"),
        ("a@1", "a@2", FAILED, NOW, "failed"),
        ("a@1", "a@1", REFUSED, NOW, "refused"),
        ("a@1", "", None, None, "?"),
    ],
)
def test_in_step(installed: str, wanted: str, last: Updated | None, given: Planned | None, expected: str) -> None:
    assert in_step(installed, wanted, last, given, NOW) == expected


def test_what_a_plan_was_made_from() -> None:
    node = Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("a"))
    one = planned("s", node, "h", (("gpu",), "0011"))
    assert Planned.read(str(one)) == one
    assert [Planned.read(each) for each in (None, "", "one two")] == [None] * 3
    assert planned("s", evolve(node, state=NodeState.FAILED, reason="x"), "h", (("gpu",), "0011")) == one
    assert planned("s", evolve(node, console="ttyS0"), "h", (("gpu",), "0011")).definition != one.definition
    assert planned("s", node, "other", (("gpu",), "0011")).definition != one.definition
    assert planned("s", node, "h", ((), "0011")).layers != one.layers


@pytest.mark.parametrize(
    ("last", "said"),
    [(None, ""), (DONE, ""), (FAILED, "update to a@2 failed: disk full"),
     (Updated("a@2", "s", Outcome.FAILED), "update to a@2 failed: the node gave no reason")],
)  # fmt: skip
def test_trouble(last: Updated | None, said: str) -> None:
    assert trouble(last) == said


def test_drift() -> None:
    assert [drifted(each) for each in (None, Drift("a@1", "s", 0), Drift("a@1", "s", 7))] == ["-", "0", "7"]
