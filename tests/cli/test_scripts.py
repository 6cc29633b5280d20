"""Scripts and confirmed plans as a person types them."""

import json
from pathlib import Path

import pytest

from imaged.model.codec import from_json, to_json
from imaged.model.states import ScriptEnd, StateRun
from imaged.model.wishes import Wishes
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.stateruns import StateRuns
from tests.cli.test_nodes import ADD, call, said, site
from tests.daemon.test_provisioning import MACHINE

__all__ = ["site"]


def test_what_runs_and_why(site: Path) -> None:
    call(site, "addgroup", "lab")
    call(site, *ADD, "--group", "lab")
    assert call(site, "lsscript", "n1").output == "n1 has no scripts\n"
    for path in ("pre-install/10all.x", "post-install/50lab.y", "post-install/90all.z.j2", "post-update/10n2.no"):
        place = site.parent / "state/scripts" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("#!/bin/sh\n")
    listed = call(site, "lsscript", "n1")
    assert [line.split() for line in listed.output.splitlines()[1:]] == [
        ["pre-install", "all", "scripts/pre-install/10all.x"],
        ["post-install", "all", "scripts/post-install/90all.z.j2"],
        ["post-install", "group/lab", "scripts/post-install/50lab.y"],
    ], said(listed)
    found = json.loads(call(site, "lsscript", "n1", "--json").output)
    assert found["pre-install"] == [{"file": "scripts/pre-install/10all.x", "for": "all"}]
    assert (found["post-install"][1]["for"], found["post-update"]) == ("group/lab", [])
    (site.parent / "state/scripts/post-install/README").write_text("")
    assert "README: no such names are run" in said(call(site, "lsscript", "n1"))
    assert "no node 'none'" in said(call(site, "lsscript", "none"))


def test_how_state_scripts_went(site: Path) -> None:
    call(site, *ADD)
    runs = StateRuns(open_database(site.parent / "state/imaged.sqlite"))
    for state in ("ready", "drain"):
        place = site.parent / f"state/scripts/state/{state}/10all.x"
        place.parent.mkdir(parents=True)
        place.write_text("#!/bin/sh\n")
    listed = call(site, "lsscript", "n1").output.splitlines()
    assert [line.split()[0] for line in listed[1:]] == ["state/ready", "state/drain"]
    runs.keep(StateRun("n1", "ready", "r", 1e9, (ScriptEnd("10all.x", 0, "ended with 1"),), text="s3cret"))
    runs.keep(StateRun("n1", "drain", "r", 2e9, (ScriptEnd("10all.x", 7),), code=0))
    listed = call(site, "lsscript", "n1").output.splitlines()
    assert [line.partition(" ")[0] for line in listed[3:]] == ["state/ready", "state/drain"]
    assert listed[3].endswith(": 10all.x: ended with 1; given to the node, which has not told of its end")
    assert listed[4].endswith(": done")
    found = json.loads(call(site, "lsscript", "n1", "--json").output)
    assert found["state/ready"] == [{"file": "scripts/state/ready/10all.x", "for": "all"}]
    assert [(run["state"], run["over"], run["trouble"], run["text"]) for run in found["runs"]] == [
        ("ready", False, "10all.x: ended with 1", ""), ("drain", True, "", "")
    ]  # fmt: skip
    assert "10all.x" not in call(site, "lsnode").output, "it is not over"
    runs.keep(StateRun("n1", "ready", "r", 1e9, (ScriptEnd("10all.x", 0, "ended with 1"),), code=0))
    assert "n1: scripts/state/ready: 10all.x: ended with 1\n" in call(site, "lsnode").output
    (node,) = json.loads(call(site, "lsnode", "n1", "--json").output)["nodes"]
    assert node["scripts"] == ["scripts/state/ready: 10all.x: ended with 1"]


def test_a_script_is_not_shown_in_a_plan(site: Path) -> None:
    call(site, *ADD)
    place = site.parent / "state/scripts/post-install/10all.x"
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\necho s3cret\n")
    inventory = site.parent / "inventory.json"
    inventory.write_text(to_json(MACHINE))
    for words in ((), ("--json",)):
        shown = call(site, "plan", "n1", "--inventory", str(inventory), *words)
        assert shown.exit_code == 0, said(shown)
        assert "10all.x" in shown.output and "s3cret" not in shown.output


def wishes(site: Path) -> Wishes:
    text = Nodes(open_database(site.parent / "state/imaged.sqlite")).fact("n1", "wishes")
    return from_json(text, Wishes) if text else Wishes()


def test_a_plan_is_confirmed_until_the_next_word(site: Path) -> None:
    call(site, *ADD)
    done = call(site, "boot", "n1", "install", "--plan", "0123456789abcdef")
    assert done.output == "n1: next network boot: install, only as plan 0123456789abcdef\n"
    assert wishes(site).plan == "0123456789abcdef"
    assert call(site, "boot", "n1", "install").exit_code == 0
    assert wishes(site).plan == ""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("n1", "install", "--plan", "x"), "not the hash of a plan"),
        (("n1", "install", "--plan", "0123456789ABCDEF"), "not the hash of a plan"),
        (("n1", "local", "--plan", "0123456789abcdef"), "go with install"),
        (("n1", "n2", "install", "--plan", "0123456789abcdef"), "of one node only"),
    ],
)
def test_what_is_refused_changes_nothing(site: Path, words: tuple[str, ...], what: str) -> None:
    call(site, *ADD)
    call(site, "addnode", "n2", "--mac", "52:54:00:00:00:02", "--image", "tiny")
    refused = call(site, "boot", *words)
    assert refused.exit_code != 0 and what in said(refused)
    assert wishes(site) == Wishes()
