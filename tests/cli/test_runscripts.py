"""State scripts by hand: real ones here, and what they print on nodes that are a real sshd of this test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from imaged.store.database import open_database
from imaged.store.events import Events
from imaged.store.images import Images
from imaged.store.nodes import Nodes
from imaged.store.stateruns import StateRuns
from tests.cli.test_cluster import call, needs_sshd, said, site
from tests.daemon.test_provisioning import fill

__all__ = ["call", "site"]
pytestmark = needs_sshd


@pytest.fixture
def scripts(site: Path) -> Callable[[str, str], None]:
    """Writes one. There is an image, too."""
    images = Images(site.parent / "state/images")
    with images.working("tiny") as working:
        fill(working.tree)
        images.publish(images.seal(working, origin="test"), "stable")

    def write(name: str, text: str) -> None:
        place = site.parent / "state/scripts/state" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"#!/bin/sh\n{text}\n")

    return write


def test_what_is_printed_here_runs_there(
    site: Path, call: Callable[..., Result], scripts: Callable[[str, str], None]
) -> None:
    scripts("drain/10all.a", "echo 'echo drained; test $NODE = $IMAGED_NODE'")
    scripts("drain/20rack1.b", "echo 'exit 7'")
    scripts("drain/30node01.c", "echo why >&2; exit 3")
    done = call("runscripts", "@*", "drain")
    assert sorted(block.strip() for block in done.output.replace("\nnode", "\n\nnode").split("\n\n")) == [
        "node01: ended with 1\n  10all.a:\n  drained\n  20rack1.b:\n  20rack1.b ended with 7\n"
        "  on the server: 30node01.c: ended with 3 (why)",
        "node02: ended with 1\n  10all.a:\n  drained\n  20rack1.b:\n  20rack1.b ended with 7",
        "node03:\n  10all.a:\n  drained",
    ]
    assert "2 of 3 nodes failed" in said(done) and "node[01-02]" in said(done)
    engine = open_database(site.parent / "state/imaged.sqlite")
    runs = StateRuns(engine)
    assert runs.troubles() == {
        "node01": ("scripts/state/drain: 30node01.c: ended with 3 (why); ended with 1 on the node",),
        "node02": ("scripts/state/drain: ended with 1 on the node",),
    }
    assert [run.text for name in ("node01", "node03") for run in runs.of(name)] == ["", ""]
    assert {each.subject: each.after for each in Events(engine).last(9) if each.what == "state scripts"}["node03"] == {
        "drain": "done"
    }
    log = (site.parent / "state/logs/node01.log").read_text()
    assert "30node01.c on the server: ended with 3 (why)" in log and "  drained" in log


def test_nodes_without_any_have_nothing_to_run(
    site: Path, call: Callable[..., Result], scripts: Callable[[str, str], None]
) -> None:
    scripts("drain/10node01.a", "true")
    assert call("runscripts", "@*", "drain").output == "node[01-03]:\n  nothing to run\n"
    runs = StateRuns(open_database(site.parent / "state/imaged.sqlite"))
    assert [len(runs.of(name)) for name in ("node01", "node02")] == [1, 0]
    printed = call("runscripts", "--print", "@*", "drain").output
    assert printed == "node[02-03]:\n  nothing to run\nnode01:\n  10node01.a:\n"


def test_a_look_runs_nothing(call: Callable[..., Result], scripts: Callable[[str, str], None], tmp_path: Path) -> None:
    scripts("drain/10all.a", f"touch {tmp_path}/ran")
    scripts("drain/10rack1.b", f"touch {tmp_path}/ran")
    done = call("runscripts", "--dry-run", "@*", "drain")
    assert done.output == (
        "node[01-02]:\n  state/drain/10all.a\n  state/drain/10rack1.b\nnode03:\n  state/drain/10all.a\n"
    )
    assert not (tmp_path / "ran").exists()


def test_what_they_print_is_shown_without_a_node(
    site: Path, call: Callable[..., Result], scripts: Callable[[str, str], None], tmp_path: Path
) -> None:
    scripts("ready/10all.a", "echo touch " + str(tmp_path / "ran"))
    scripts("ready/10node02.b", "exit 1")
    done = call("runscripts", "--print", "@*", "ready")
    assert done.output == (
        f"node[01,03]:\n  10all.a:\n    touch {tmp_path}/ran\n"
        f"node02: ended with 1\n  10all.a:\n    touch {tmp_path}/ran\n  10node02.b: ended with 1\n"
    )
    assert "node02: 1 of 3 nodes failed" in said(done)
    assert not (tmp_path / "ran").exists()
    assert StateRuns(open_database(site.parent / "state/imaged.sqlite")).of("node02") == ()


def test_a_node_that_is_not_reached_keeps_what_it_was(
    site: Path, call: Callable[..., Result], scripts: Callable[[str, str], None]
) -> None:
    scripts("drain/10all.a", "echo true")
    engine = open_database(site.parent / "state/imaged.sqlite")
    assert call("runscripts", "node01", "drain").output == "node01:\n  10all.a:\n"
    (before,) = StateRuns(engine).of("node01")
    wrong = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJw4HqTJ1yYxN0CzYzWvXkqkYy4u8Xb1mXbXzQyX3J0k"
    Nodes(engine).keep("node01", host_keys=wrong)
    assert "not reached by ssh" in call("runscripts", "node01", "drain").output
    assert StateRuns(engine).of("node01") == (before,)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("@*", "drian"), "there are no such scripts"),
        (("@*", "../drain"), "not the name of a state"),
        (("node99", "drain"), "node99"),
    ],
)
def test_refused(
    call: Callable[..., Result], scripts: Callable[[str, str], None], words: tuple[str, ...], what: str
) -> None:
    scripts("drain/10all.a", "echo true")
    done = call("runscripts", *words)
    assert done.exit_code and what in said(done)


def test_a_wrong_name_is_said_for_every_node(
    site: Path, call: Callable[..., Result], scripts: Callable[[str, str], None]
) -> None:
    scripts("drain/README", "")
    done = call("runscripts", "@*", "drain")
    assert done.output.startswith(
        "node[01-03]: ended with 1\n  nothing to run\n  on the server: scripts/state/drain: README: no such"
    )
