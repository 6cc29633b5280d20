"""What a node keeps: whole files, one of us at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from installer.node.errors import Failed, Refused
from installer.node.state import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(str(tmp_path))
    with state.locked():
        return state


def test_what_is_kept_is_read_again(state: State) -> None:
    state.keep("serial", "ab\n")
    assert (state.text("serial"), state.text("none"), state.value("none")) == ("ab", "", None)
    assert stat.S_IMODE(Path(state.path("serial")).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(state.home).stat().st_mode) == 0o700
    state.forget("serial")
    state.forget("serial")
    assert state.text("serial") == ""


@pytest.mark.parametrize(
    ("text", "expected"), [('{"a": 1}', {"a": 1}), ("[1]", None), ('{"a"', None), ("", None), ("null", None)]
)
def test_values(state: State, text: str, expected: object) -> None:
    state.keep("plan.json", text)
    assert state.value("plan.json") == expected


def test_what_an_install_left(state: State) -> None:
    with pytest.raises(Failed, match="is missing"):
        state.secret()
    state.keep("server", "http://10.0.0.1:8080/\n")
    assert state.server() == "http://10.0.0.1:8080"
    Path(state.path("secret")).write_bytes(b"\xff")
    with pytest.raises(Failed, match="cannot be read"):
        state.secret()


@pytest.mark.processes
def test_one_of_us_at_a_time(state: State, tmp_path: Path) -> None:
    program = "import sys; from installer.node.state import State\nwith State(sys.argv[1]).locked(): print(1)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def other() -> "subprocess.CompletedProcess[str]":
        argv = (sys.executable, "-c", program, str(tmp_path))
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    with state.locked():
        assert f"process {os.getpid()} is at it already" in other().stderr
    assert other().stdout == "1\n"
    with state.locked(), pytest.raises(Refused), State(str(tmp_path)).locked():
        pass
