"""updateclient --plain: what it gives to nodes, keeps in the database, and refuses."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imaged.cli import plain
from imaged.cli.updateclient import understood
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json
from imaged.model.errors import BadInput
from imaged.model.outcome import Outcome, Updated
from imaged.model.report import Report, Status
from imaged.model.talk import Claim
from imaged.planning.plain import Plain
from imaged.remote.fanout import Answer
from tests.daemon.test_provisioning import MACHINE, Clock, server, settings_in  # noqa: F401

GIVEN: dict[str, Any] = {
    "dry_run": True, "checksum": True, "full": False, "no_delete": True, "no_bootloader": False, "directory": None,
    "version": None, "reboot": "never", "yes": True,
}  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(server: Provisioning, tmp_path: Path) -> Any:  # noqa: F811
    """A server whose node n1 runs."""
    script = server.boot_script(server.nodes.get("n1").macs[0], "")
    server.claim(Claim(script.split("imaged.token=")[1].split()[0], "secret"))
    server.answer_plan("n1", MACHINE)
    server.record_report("n1", Report("reboot", Status.DONE, 1.0))
    server.record_up("n1")
    return SimpleNamespace(settings=settings_in(tmp_path))


def test_the_options(site: Any) -> None:
    assert plain.wish(site, GIVEN) == Plain(str(site.settings.address), True, True, False, True, True)
    for name, value in (("full", True), ("directory", "/etc"), ("reboot", "cold")):
        with pytest.raises(BadInput, match=f"--{name} needs the agent"):
            plain.wish(site, {**GIVEN, name: value})


def test_an_update_from_its_script_to_the_database(site: Any, server: Provisioning) -> None:  # noqa: F811
    updating = plain.Updating(site, Plain("10.0.0.1"), None)
    assert server.grant("n1", "secret") is None
    assert b"RSYNC_PROXY=n1:" in updating.script("n1")
    assert server.grant("n1", "secret") is not None, "now it may fetch"
    heard = updating.ended(Answer("n1", 0, "imaged-plain 1 2 3 0", ""))
    assert heard.answer is not None and (heard.fault, heard.answer.deleted) == ("", 3)
    assert server.grant("n1", "secret") is None
    assert server.nodes.fact("n1", "installed") == "tiny@1"
    assert from_json(server.nodes.fact("n1", "updated"), Updated).outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("answer", "outcome", "fault"),
    [
        (Answer("n1", 3, "", "imaged: 9 paths would be deleted"), Outcome.REFUSED, "9 paths would be deleted"),
        (Answer("n1", 1, "", "imaged: rsync ended with 11"), Outcome.FAILED, "rsync ended with 11"),
        (Answer("n1", 0, "half", ""), Outcome.FAILED, "did not come to the end"),
        (Answer("n1", 255, "", "no route"), Outcome.FAILED, "not reached by ssh"),
    ],
)
def test_an_update_that_fails(site: Any, server: Provisioning, answer: Answer, outcome: Outcome, fault: str) -> None:  # noqa: F811
    updating = plain.Updating(site, Plain("10.0.0.1"), None)
    updating.script("n1")
    assert fault in updating.ended(answer).fault
    kept = from_json(server.nodes.fact("n1", "updated"), Updated)
    assert (kept.outcome, fault in kept.message, server.grant("n1", "secret")) == (outcome, True, None)


def test_a_dry_run_leaves_nothing(site: Any, server: Provisioning) -> None:  # noqa: F811
    updating = plain.Updating(site, Plain("10.0.0.1", dry_run=True), None)
    updating.script("n1")
    updating.ended(Answer("n1", 0, "imaged-plain 1 2 3 0", ""))
    assert (server.nodes.fact("n1", "updated"), server.grant("n1", "secret")) == (None, None)


def test_a_node_that_cannot_be_planned_for(site: Any) -> None:
    updating = plain.Updating(site, Plain("10.0.0.1"), 99)
    assert b"exit 1" in updating.script("n1") and b"99" in updating.script("n1")
    assert updating.ended(Answer("n1", 1, "", "tiny has no version 99")).fault == "ended with 1: tiny has no version 99"


def test_a_node_without_the_agent_is_told_how() -> None:
    for code, said in ((127, "sh: 1: /usr/sbin/imaged: not found"), (127, "env: 'python3': No such file")):
        assert understood(Answer("n1", code, "", said)).fault == f"has no agent: {said}; --plain does without"
