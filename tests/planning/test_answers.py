"""What nodes answer, read and put in words."""

import pytest

from imaged.model.errors import BadInput
from imaged.planning.answers import Change, UpdateAnswer, counts, read_update, why_not

ANSWER = (
    '{"image": "compute@3", "outcome": "done", "message": "", "added": 1, "changed": 2, "deleted": 0, "protected": 3,'
    ' "reboot": true, "changes": [{"action": "add", "path": "/etc/motd", "reason": "missing"}]}'
)


def test_the_last_line_counts_whatever_a_profile_says_before_it() -> None:
    answer = read_update(f"Welcome to node07!\n{{odd\n{ANSWER}\n\n")
    assert answer == UpdateAnswer(
        "compute@3", "done", "", 1, 2, 0, 3, True, (Change("add", "/etc/motd", "missing"),)
    )  # fmt: skip


@pytest.mark.parametrize("output", ["", "no JSON here", "{broken", '{"image": 3}', '{"outcome": "done"}', "[1, 2]"])
def test_no_answer(output: str) -> None:
    with pytest.raises(BadInput):
        read_update(output)


@pytest.mark.parametrize(
    ("code", "errors", "expected"),
    [
        (255, "ssh: connect to host n1 port 22: Connection refused\n", "not reached by ssh: ssh: connect to host n1 "
         "port 22: Connection refused"),
        (127, "bash: /usr/sbin/imaged: No such file or directory", "has no agent: bash: /usr/sbin/imaged: No such file "
         "or directory"),
        (124, "", "took too long"),
        (5, "imaged: no route", "cannot reach the server: imaged: no route"),
        (1, "", "ended with 1"),
    ],
)  # fmt: skip
def test_why_not(code: int, errors: str, expected: str) -> None:
    assert why_not(code, errors) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (UpdateAnswer("c@1", "done"), "nothing to do"),
        (UpdateAnswer("c@1", "done", added=1, deleted=4), "1 added, 4 deleted"),
        (UpdateAnswer("c@1", "done", changed=2, protected=3), "2 changed, 3 protected"),
    ],
)
def test_counts(answer: UpdateAnswer, expected: str) -> None:
    assert counts(answer) == expected
