"""How a node stands towards its image."""

from ipaddress import IPv4Address

import pytest
from attrs import evolve, fields

from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeState
from imaged.model.outcome import Outcome, Updated
from imaged.planning.standing import Planned, in_step, planned, trouble

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


NODE = Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("a"))
OVER = ("gpu",), ("{}",), "0011"


def test_what_a_plan_was_made_from() -> None:
    one = planned("s", NODE, "h", OVER)
    assert Planned.read(str(one)) == one
    assert [Planned.read(each) for each in (None, "", "one two")] == [None] * 3
    assert planned("s", NODE, "other", OVER).definition != one.definition
    assert planned("s", NODE, "h", ((), *OVER[1:])).layers != one.layers
    assert planned("s", NODE, "h", (OVER[0], (), OVER[2])).layers != one.layers


OTHER = {
    "name": "n2", "macs": (Mac.parse("52:54:00:00:00:02"),), "image": ImageRef.parse("b"), "layout": "raid1",
    "uuid": "aa", "address": IPv4Address("10.0.0.7"), "console": "ttyS0", "secure_boot": False,
    "variables": {"rack": "7"},
}  # fmt: skip
# Groups count, but with what lies over the image.
ITS_LIFE = {"groups": ("gpu",), "action": BootAction.RESCUE, "state": NodeState.FAILED, "reason": "x"}


@pytest.mark.parametrize("field", [field.name for field in fields(Node)])
def test_every_part_of_a_definition_counts_and_nothing_of_a_life(field: str) -> None:
    other = evolve(NODE, **{field: (OTHER | ITS_LIFE)[field]})
    same = planned("s", other, "h", OVER) == planned("s", NODE, "h", OVER)
    assert same == (field in ITS_LIFE)


@pytest.mark.parametrize(
    ("last", "said"),
    [(None, ""), (DONE, ""), (FAILED, "update to a@2 failed: disk full"),
     (Updated("a@2", "s", Outcome.FAILED), "update to a@2 failed: the node gave no reason")],
)  # fmt: skip
def test_trouble(last: Updated | None, said: str) -> None:
    assert trouble(last) == said
