"""How a node stands towards its image."""

import pytest

from imaged.model.update import Drift, Outcome, Updated
from imaged.planning.standing import drifted, in_step, trouble

DONE, FAILED, REFUSED = (Updated("a@2", "s", outcome, "disk full") for outcome in Outcome)


@pytest.mark.parametrize(
    ("installed", "wanted", "last", "expected"),
    [
        ("", "a@1", None, "-"),
        ("a@1", "a@1", None, "yes"),
        ("a@1", "a@2", None, "no, a@2"),
        ("a@2", "a@2", DONE, "yes"),
        ("a@1", "a@2", FAILED, "failed"),
        ("a@1", "a@1", REFUSED, "refused"),
        ("a@1", "", None, "?"),
    ],
)
def test_in_step(installed: str, wanted: str, last: Updated | None, expected: str) -> None:
    assert in_step(installed, wanted, last) == expected


@pytest.mark.parametrize(
    ("last", "said"),
    [(None, ""), (DONE, ""), (FAILED, "update to a@2 failed: disk full"),
     (Updated("a@2", "s", Outcome.FAILED), "update to a@2 failed: the node gave no reason")],
)  # fmt: skip
def test_trouble(last: Updated | None, said: str) -> None:
    assert trouble(last) == said


def test_drift() -> None:
    assert [drifted(each) for each in (None, Drift("a@1", "s", 0), Drift("a@1", "s", 7))] == ["-", "0", "7"]
