"""Which events are posted, how they are signed, and what answers mean."""

import pytest

from imaged.planning.webhooks import Verdict, pause, signature, verdict, wanted


@pytest.mark.parametrize(
    ("globs", "what", "after", "expected"),
    [
        (("*",), "node added", {}, True),
        (("node *",), "node added", {}, True),
        (("node *",), "group added", {}, False),
        (("group *", "node stalled"), "node stalled", {}, True),
        (("state of a node",), "state of a node", {"state": "ready"}, True),
        (("state of a node/failed",), "state of a node", {"state": "failed"}, True),
        (("state of a node/failed",), "state of a node", {"state": "ready"}, False),
        (("*/failed",), "state of a node", {"state": "failed"}, True),
        (("Node *",), "node added", {}, False),
        ((), "node added", {}, False),
    ],
)
def test_wanted(globs, what, after, expected):
    assert wanted(globs, what, after) is expected


def test_the_signature_is_githubs():
    # The example of GitHub's documentation, "Validating webhook deliveries".
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature("It's a Secret to Everybody", b"Hello, World!") == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict.DONE), (204, Verdict.DONE), (301, Verdict.NEVER), (400, Verdict.NEVER), (404, Verdict.NEVER),
        (408, Verdict.AGAIN), (410, Verdict.NEVER), (429, Verdict.AGAIN), (500, Verdict.AGAIN), (503, Verdict.AGAIN),
    ],
)  # fmt: skip
def test_verdict(status, expected):
    assert verdict(status) is expected


def test_pauses_grow_to_five_minutes():
    assert [pause(tries) for tries in (1, 2, 3, 9, 10, 10_000)] == [1, 2, 4, 256, 300, 300]
