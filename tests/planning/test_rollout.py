"""Rollouts: windows, canaries, stops; and equal answers folded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.planning.rollout import Rollout, Standing, allowed_failures, equal_groups

NODES = ("n1", "n2", "n3", "n4", "n5")


def test_a_window_moves_on_as_nodes_end() -> None:
    rollout = Rollout(NODES, fanout=2)
    assert rollout.begin() == ("n1", "n2")
    assert rollout.begin() == ()
    rollout.ended("n2", well=True)
    assert rollout.begin() == ("n3",)
    rollout.ended("n1", well=False)
    rollout.ended("n3", well=True)
    assert rollout.begin() == ("n4", "n5")


def test_canaries_go_alone_and_the_rest_when_all_are_well() -> None:
    rollout = Rollout(NODES, canaries=2)
    assert rollout.begin() == ("n1", "n2")
    rollout.ended("n1", well=True)
    assert rollout.begin() == ()
    rollout.ended("n2", well=True)
    assert rollout.begin() == ("n3", "n4", "n5")


def test_a_failing_canary_ends_it() -> None:
    rollout = Rollout(NODES, canaries=1)
    rollout.begin()
    rollout.ended("n1", well=False)
    assert rollout.begin() == ()
    assert rollout.stopped == "canary n1 failed"
    assert rollout.standing(Standing.SKIPPED) == NODES[1:]


def test_too_many_failures_skip_the_rest_and_wait_for_those_that_run() -> None:
    rollout = Rollout(NODES, fanout=3, max_failures=1)
    rollout.begin()
    rollout.ended("n1", well=False)
    assert rollout.begin() == ("n4",)
    rollout.ended("n2", well=False)
    assert rollout.begin() == ()
    assert rollout.standing(Standing.RUNNING) == ("n3", "n4")
    assert rollout.standing(Standing.SKIPPED) == ("n5",)


def test_a_node_named_twice_is_one() -> None:
    assert Rollout(("n1", "n2", "n1")).begin() == ("n1", "n2")


@pytest.mark.parametrize("bad", [{"fanout": 0}, {"canaries": -1}, {"max_failures": -1}])
def test_nonsense(bad: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        Rollout(NODES, **bad)


@pytest.mark.parametrize(
    ("text", "nodes", "expected"),
    [("", 10, None), ("0", 10, 0), ("3", 10, 3), ("10%", 25, 2), ("100%", 7, 7)],
)
def test_allowed_failures(text: str, nodes: int, expected: int | None) -> None:
    assert allowed_failures(text, nodes) == expected


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "101%", "%", "1%%", "10 %", "٣", "9" * 20])
def test_no_number_of_failures(text: str) -> None:
    with pytest.raises(BadInput):
        allowed_failures(text, 10)


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 5), st.none() | st.integers(0, 5), st.lists(st.booleans()))
def test_nobody_is_left_behind(
    count: int, fanout: int, canaries: int, allowed: int | None, verdicts: list[bool]
) -> None:
    """However nodes end, each ends or is skipped, and never do more run than may."""
    rollout = Rollout(tuple(f"n{number}" for number in range(count)), fanout, canaries, allowed)
    rollout.begin()
    while running := rollout.standing(Standing.RUNNING):
        assert len(running) <= fanout
        rollout.ended(running[-1], well=verdicts.pop() if verdicts else True)
        rollout.begin()
    assert not rollout.standing(Standing.WAITING)


def test_equal_answers_are_one_group_the_largest_first() -> None:
    answers = [("n1", "odd"), ("n2", "same"), ("n3", "same"), ("n4", "other")]
    assert equal_groups(answers) == (("same", ("n2", "n3")), ("odd", ("n1",)), ("other", ("n4",)))
