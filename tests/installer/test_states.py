"""State scripts in the ramdisk: a real server that answers as told, real shells; nothing of it ends an install."""

import io
from pathlib import Path

import pytest

from imaged.model.codec import to_json
from imaged.model.talk import Problem
from imaged.planning.states import together
from installer.console import Console
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.server import PAUSES
from installer.states import come_to
from tests.installer.test_server import Script, script

__all__ = ["script"]
TEXT = together("n1", "installed", [("10all.a", "echo at ${IMAGED_TARGET-nowhere}"), ("20all.b", "exit 5")])


def call(script: Script, home: Path, state: str, root: Path | None = None) -> list[str]:
    """What was logged; the screen has every line of it that does not come from a program."""
    lines: list[str] = []
    journal, screen = Journal(), io.StringIO()
    reporter = Reporter(script.server(), Console((screen,)), journal, lambda: 1.0)
    come_to(state, reporter, Processes(journal.add).run, root, home)
    journal.ship(lambda text: lines.extend(text.splitlines()))
    assert all(line.startswith(("+ ", "  ")) or line in screen.getvalue() for line in lines)
    assert not list(home.iterdir()), "what may hold secrets is gone"
    return lines


def test_what_there_is_to_run_is_run_and_its_end_told(script: Script, tmp_path: Path) -> None:
    script.answers = [(202, ""), (200, TEXT), (204, "")]
    lines = call(script, tmp_path, "installed", Path("/target"))
    assert lines[1:] == ["  10all.a:", "  at /target", "  20all.b:", "  20all.b ended with 5",
                         "state/installed: ended with 1"]  # fmt: skip
    again, get, post = (path for path, _, _ in script.asked)
    assert again == get and get.startswith("/v1/state/installed?run=")
    assert post == f"{get}&code=1"
    assert {secret for _, secret, _ in script.asked} == {"Bearer s3cret"}
    assert script.slept == [1]


def test_nothing_to_run_is_one_question_and_no_word(script: Script, tmp_path: Path) -> None:
    script.answers = [(204, "")]
    assert call(script, tmp_path, "installing") == []
    assert len(script.asked) == 1


def test_without_a_target(script: Script, tmp_path: Path) -> None:
    script.answers = [(200, TEXT), (204, "")]
    assert "  at nowhere" in call(script, tmp_path, "failed")


@pytest.mark.parametrize(
    ("status", "text", "what"),
    [
        (409, to_json(Problem("a node that is ready does not ask")), "a node that is ready does not ask"),
        (403, "", "the server answered 403"),
        (404, "<html>", "the server answered 404"),
    ],
)
def test_no_is_logged_and_that_is_all(script: Script, tmp_path: Path, status: int, text: str, what: str) -> None:
    script.answers = [(status, text)]
    (line,) = call(script, tmp_path, "installing")
    assert line.startswith("state/installing: ") and line.endswith(what)


@pytest.mark.parametrize(("state", "times"), [("installing", len(PAUSES)), ("failed", 4)])
def test_a_server_that_is_away_is_not_waited_for_when_a_person_waits(
    script: Script, tmp_path: Path, state: str, times: int
) -> None:
    script.answers = [(503, "")]
    assert "503" in call(script, tmp_path, state)[0]
    assert len(script.slept) == times


def test_its_end_is_told_until_it_was_heard(script: Script, tmp_path: Path) -> None:
    script.answers = [(200, TEXT), (0, ""), (503, ""), (204, "")]
    call(script, tmp_path, "installed")
    assert len({path for path, _, _ in script.asked[1:]}) == 1


def test_what_is_cut_short_runs_nothing(script: Script, tmp_path: Path) -> None:
    script.answers = [(200, TEXT[:-3]), (204, "")]
    lines = call(script, tmp_path, "installed")
    assert not any("10all.a" in line for line in lines)
    assert script.asked[1][0].endswith("&code=2")
