"""Who is served first, and who is not, when more ask than can be served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.planning.backlog import Backlog

BEGINS, GOES_ON = True, False


def served(backlog, now):
    """All that is left, in its order."""
    taken = []
    while (item := backlog.take(now)) is not None:
        taken.append(item)
    return taken


@pytest.mark.parametrize(
    ("came", "now", "expected", "given_up"),
    [
        ([], 0.0, [], 0),
        ([("a", 0.0, BEGINS), ("b", 0.1, BEGINS)], 0.2, ["a", "b"], 0),
        ([("a", 0.0, BEGINS), ("b", 0.1, GOES_ON), ("c", 0.2, GOES_ON)], 0.2, ["b", "c", "a"], 0),
        # More than three of a kind: the oldest is given up.
        ([(name, 0.0, BEGINS) for name in "abcde"], 0.0, ["c", "d", "e"], 2),
        ([("a", 0.0, GOES_ON), *((name, 0.0, BEGINS) for name in "bcde")], 0.0, ["a", "c", "d", "e"], 1),
        # Nobody waits for what is older than two seconds.
        ([("a", 0.0, BEGINS), ("b", 0.5, GOES_ON), ("c", 1.5, BEGINS)], 2.1, ["b", "c"], 1),
        ([("a", 0.0, BEGINS)], 2.0, ["a"], 0),
    ],
)
def test_who_is_served(came, now, expected, given_up):
    backlog = Backlog(3, 2.0)
    for item, since, begins in came:
        backlog.add(item, since, begins=begins)
    assert served(backlog, now) == expected
    assert (backlog.given_up, len(backlog)) == (given_up, 0)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 10))
def test_each_is_served_or_given_up(kinds, most):
    backlog = Backlog(most, 1.0)
    for number, begins in enumerate(kinds):
        backlog.add(number + 1, 0.0, begins=begins)
    taken = served(backlog, 0.5)
    assert len(taken) + backlog.given_up == len(kinds)
    for kind in (BEGINS, GOES_ON):  # of each the latest, in the order in which they came
        mine = [number + 1 for number, begins in enumerate(kinds) if begins is kind]
        assert [item for item in taken if item in mine] == mine[-most:]
