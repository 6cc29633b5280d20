"""updateclient and verify on the server: what they ask of nodes, and what they make of the answers."""

from typing import Any

import pytest

from imaged.cli import updateclient, verify
from imaged.cli.updateclient import arguments, proposal
from imaged.model.errors import BadInput
from imaged.model.outcome import Difference, Drift, Owner
from imaged.remote.fanout import Answer

PLAIN: dict[str, Any] = {
    "dry_run": False, "checksum": False, "full": False, "no_delete": False, "no_bootloader": False, "directory": None,
    "version": None, "reboot": "never", "yes": False,
}  # fmt: skip
DONE = '{"image": "c@3", "outcome": "done", "added": 1, "changed": 0, "reboot": true, "changes": []}'
REFUSED = '{"image": "c@3", "outcome": "refused", "message": "2000 paths would be deleted"}'
DRIFT = (
    '{"image": "c@3", "serial": "ab", "count": 3, "differences":'
    ' [{"path": "/etc/hosts", "owner": "fixup", "what": "content"}, {"path": "/x", "owner": "local", "what": "extra"}]}'
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ()),
        ({"dry_run": True, "checksum": True}, ("--dry-run", "--checksum")),
        ({"version": 3, "reboot": "cold", "yes": True}, ("--yes", "--to=3", "--reboot=cold")),
        ({"directory": "/etc/a b", "no_delete": True, "no_bootloader": True, "full": True},
         ("--full", "--no-delete", "--no-bootloader", "--directory=/etc/a b")),
    ],
)  # fmt: skip
def test_arguments(given: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert arguments(**{**PLAIN, **given}) == expected


def test_a_directory_that_is_none() -> None:
    with pytest.raises(BadInput, match="absolute"):
        arguments(**{**PLAIN, "directory": "etc"})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer("n1", 0, DONE, ""), "c@3, 1 added; reboot it for the new kernel"),
        (Answer("n1", 3, REFUSED, "imaged: ..."), "refused: 2000 paths would be deleted"),
        (Answer("n1", 1, "", "imaged: disk\nimaged: the disk is full"), "ended with 1: imaged: the disk is full"),
        (Answer("n1", 255, "", "ssh: no route"), "not reached by ssh: ssh: no route"),
        (Answer("n1", 0, "hello", ""), "the node's answer has no JSON in it"),
    ],
)
def test_what_a_node_said_of_its_update(answer: Answer, expected: str) -> None:
    assert updateclient.said(updateclient.understood(answer)) == expected


def test_a_proposal_shows_the_first_of_each_kind() -> None:
    changes = ", ".join(f'{{"action": "add", "path": "/f{n}", "reason": "missing"}}' for n in range(22))
    output = f'{{"image": "c@3", "outcome": "done", "added": 22, "changes": [{changes}]}}'
    heard = updateclient.understood(Answer("n1", 0, output, ""))
    lines = proposal(heard, everything=False).splitlines()
    assert lines[:2] == ["c@3, 22 added", "  add       /f0  (missing)"]
    assert lines[-1] == "  add       and 2 more (--all shows them)"
    assert len(proposal(heard, everything=True).splitlines()) == 23


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer("n1", 4, DRIFT, ""), ""),
        (Answer("n1", 255, "", "ssh: no route"), "not reached by ssh: ssh: no route"),
        (Answer("n1", 127, "", "sh: not found"), "has no agent: sh: not found"),
        (Answer("n1", 4, "{}", ""), "count: the key 'count' is missing"),
    ],
)
def test_what_a_node_said_of_its_drift(answer: Answer, fault: str) -> None:
    name, drift, said = verify.understood(answer)
    assert name == "n1"
    assert (drift is None) == bool(fault)
    assert fault.split(":")[-1] in said


def test_drift_for_people() -> None:
    _, drift, _ = verify.understood(Answer("n1", 4, DRIFT, ""))
    assert verify.said(drift, "", everything=False).splitlines() == [
        "3 paths differ from c@3",
        "  fixup    /etc/hosts  (content)",
        "  local    /x  (extra)",
        "  and 1 that the node did not list",
    ]
    assert verify.said(Drift("c@3", "s", 0), "", everything=False) == "in step with c@3"
    one = Drift("c@3", "s", 1, (Difference("/a", Owner.IMAGE, "missing"),))
    assert verify.said(one, "", everything=False).startswith("1 path differs from c@3\n  image    /a  (missing)")
