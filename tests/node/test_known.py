"""What is proven of a version, kept from one run to the next, and forgotten when it may not hold any more."""

from pathlib import Path
from typing import Any

import pytest

from installer.node import known
from installer.node.known import Known
from installer.node.stamps import Stamps
from installer.node.state import State

TEXT = b"#mtree\n. type=dir mode=0755 time=1.0\n./a mode=0644 time=1.0\n./d type=dir mode=0755 time=1.0\n"
PLAN: dict[str, Any] = {"image": "c@1", "serial": "ab", "protect": [{"pattern": "/x", "reason": "y"}]}


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A node that is at c@1, everything proven."""
    state = State(str(tmp_path))
    with state.locked():
        Path(state.path("manifest.next")).write_bytes(TEXT)
    stamps = Stamps.blank(4)
    stamps.values[:] = stamps.values.__class__("Q", [7] * 8)
    digest = known.digest(state.path("manifest.next"))
    known.commit(state, Known(state.path("manifest.next"), digest, stamps, True), PLAN)
    return state


def proven(state: State) -> list[bool]:
    stamps = known.kept(state).stamps
    return [stamps.known(number) for number in range(len(stamps))]


def test_what_was_committed_is_kept(state: State) -> None:
    assert (state.text("serial"), state.value("plan.json")) == ("ab", PLAN)
    assert known.kept(state).sha256 == known.digest(state.path("manifest"))
    assert proven(state) == [True] * 4 and not Path(state.path("manifest.next")).exists()


def test_under_other_rules_directories_are_listed_again(state: State) -> None:
    here = known.kept(state)
    for change in ({"protect": []}, {"merge": ["/etc/passwd"]}, {"overrides": "x"}, {"fixups": [1]}):
        state.keep("plan.json", known.json.dumps({**PLAN, **change}))
        assert proven(state) == [True, False, True, False], change
    known.remember(state, here, PLAN)
    state.keep("plan.json", known.json.dumps({**PLAN, "scripts": ["no rule"]}))
    assert proven(state) == [True] * 4


@pytest.mark.parametrize("name", ["manifest.sha256", "manifest", "stamps"])
def test_what_is_lost_proves_nothing_wrong(state: State, name: str) -> None:
    digest = known.kept(state).sha256
    state.forget(name)
    if name == "manifest":
        with pytest.raises(FileNotFoundError):
            known.kept(state)
        return
    assert known.kept(state).sha256 == digest
    assert proven(state) == [name != "stamps"] * 4


def test_stamps_of_another_manifest_are_not_taken(state: State) -> None:
    state.keep("manifest.sha256", "0" * 64 + "\n")
    assert proven(state) == [False] * 4
    Path(state.path("stamps")).write_bytes(b"rubbish")
    assert proven(state) == [False] * 4
