"""`imaged monitor`: what is first, what fits a screen, what is a line, and how it is left."""

import fcntl
import json
import os
import pty
import struct
import sys
import termios
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console, ConsoleDimensions

from imaged.admin.monitor import Monitor
from imaged.cli import courses
from imaged.cli.main import imaged
from imaged.cli.monitor import changes
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeEvent
from imaged.model.report import Report, Status
from imaged.planning.course import Course, Standing
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.nodes import Nodes
from tests.daemon.test_provisioning import fill

S = Standing
RACK = (
    Course("n1", S.READY, seen=10.0),
    Course("n2", S.INSTALLING, "transfer", 26.4, 2.5 * 2**20, 130.0, 1.0, "c@3"),
    Course("n3", S.FAILED, "mkfs", 6.0, None, None, 600.0, "mkfs: the device is in use, and that is a long story"),
    Course("n4", S.DEFINED),
    Course("n5", S.STALLED, "transfer", 26.0, None, None, 95.0, "nothing heard for 95 s"),
    Course("n6", S.READY, seen=5.0, message="next boot: install"),
)


def drawn(found, width=200, height=50, everything=False):
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(courses.table(found, ConsoleDimensions(width, height), everything=everything))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_table():
    assert courses.lines(RACK, everything=False) == drawn(RACK)
    assert drawn(RACK) == [
        "6 nodes: 1 failed, 1 stalled, 1 installing, 1 defined, 2 ready",
        "node  state       phase                  %      speed   left    seen",
        "n3    failed      mkfs      ╌╌╌╌╌╌╌╌╌╌   6                    10 min"
        "  mkfs: the device is in use, and that is a long story",
        "n5    stalled     transfer  ━━╌╌╌╌╌╌╌╌  26                      95 s  nothing heard for 95 s",
        "n2    installing  transfer  ━━╌╌╌╌╌╌╌╌  26  2.5 MiB/s  2 min     1 s  c@3",
        "n6    ready                                                      5 s  next boot: install",
    ]


def test_everything_and_nothing():
    assert [line[:2] for line in drawn(RACK, everything=True)[2:]] == ["n3", "n5", "n2", "n4", "n1", "n6"]
    assert drawn(()) == courses.lines((), everything=True) == ["0 nodes"]
    assert drawn(RACK[:1]) == courses.lines(RACK[:1], everything=False) == ["1 node: 1 ready"]


@pytest.mark.parametrize(
    ("width", "height", "last"),
    [(60, 7, "n6    ready                     next boot: install"), (60, 6, "... and 2 more"),
     (40, 1, "... and 4 more")],
)  # fmt: skip
def test_a_screen_is_never_overfilled(width, height, last):
    lines = drawn(RACK, width, height)
    assert len(lines) <= max(2, height)
    assert all(len(line) <= width for line in lines)
    assert lines[-1] == last


def test_what_a_narrow_screen_leaves_out():
    lines = drawn(RACK, 60, 20)
    assert lines[2] == "n3    failed      mkfs       6  mkfs: the device is in use,…"


def test_a_name_cannot_steer_the_terminal():
    evil = Course("n1", S.FAILED, message="\x1b[2J[bold]x")
    assert "\\033[2J[bold]x" in drawn((evil,))[-1]
    assert "\\033[2J[bold]x" in courses.lines((evil,), everything=False)[-1]
    assert courses.line(evil) == "n1 failed: \\033[2J[bold]x"


def test_lines_are_of_what_is_new():
    looks = [
        RACK,
        (*RACK[:4], Course("n5", S.STALLED, "transfer", 26.0, message="nothing heard for 96 s"), RACK[5]),
        (Course("n1", S.READY), Course("n2", S.INSTALLING, "transfer", 30.0, message="c@3"), *RACK[2:]),
        (Course("n1", S.UPDATING, "compare"), Course("n2", S.INSTALLING, "fixups", 51.0, message="c@3"), *RACK[2:]),
    ]
    shown = [courses.line(each) for each in islice(changes(iter(looks).__next__, lambda: None), 6)]
    assert shown == [
        "n3 failed mkfs 6 %: mkfs: the device is in use, and that is a long story",
        "n5 stalled transfer 26 %: nothing heard for 95 s",
        "n2 installing transfer 26 %: c@3",
        "n6 ready: next boot: install",
        "n2 installing fixups 51 %: c@3",
        "n1 updating compare",
    ]


@pytest.fixture
def site(tmp_path):
    """A settings file of a site with three nodes, of which one installs a version of 1,000 bytes and one has failed."""
    images = Images(tmp_path / "state/images")
    with images.working("tiny") as working:
        fill(working.tree)
        images.publish(images.seal(working, origin="test"), "stable")
    (tmp_path / "imaged.yaml").write_text(f"address: 10.0.0.1\nstate: {tmp_path}/state\n")
    nodes = Nodes(open_database(tmp_path / "state/imaged.sqlite"))
    for number in (1, 2, 3):
        nodes.add(Node(f"n{number}", (Mac.parse(f"52:54:00:00:00:0{number}"),), ImageRef("tiny")))
    nodes.record("n1", NodeEvent.CLAIMED)
    nodes.keep("n1", installing="tiny@1")
    nodes.record("n2", NodeEvent.CLAIMED)
    nodes.record("n2", NodeEvent.FAILED, reason="mkfs: no")
    return tmp_path / "imaged.yaml"


def test_a_look_at_a_site(site):
    def monitor(*words):
        return CliRunner().invoke(imaged, ["--settings", str(site), "monitor", *words])

    shown = monitor("--once").output
    assert shown.splitlines()[0] == "3 nodes: 1 failed, 1 installing, 1 defined"
    assert "mkfs: no" in shown.splitlines()[2]
    assert "n3" not in shown
    assert [each["node"] for each in json.loads(monitor("--once", "--json", "n[2-3]").output)] == ["n2", "n3"]
    assert "n3    defined" in monitor("--once", "n3").output
    assert monitor("--once", "n9").exit_code != 0


def test_the_database_is_followed(site):
    state = site.parent / "state"
    nodes, monitor = Nodes(open_database(state / "imaged.sqlite")), None
    nodes.add_report("n1", 100.0, Report("transfer", Status.STARTED, 0.0))
    monitor = Monitor(open_database(state / "imaged.sqlite"), Images(state / "images"))

    def look(now):
        return next(each for each in monitor.look(now) if each.node == "n1")

    assert (look(101.0).phase, look(101.0).speed) == ("transfer", None)
    nodes.add_progress([("n1", 110.0, Report("transfer", Status.PROGRESS, 0.0, percent=50.0))])
    size = Images(state / "images").resolve(ImageRef.parse("tiny@1")).bytes
    assert look(110.0).speed == size * 0.05
    assert look(250.0).standing is S.STALLED
    nodes.add_report("n1", 260.0, Report("transfer", Status.DONE, 0.0))
    assert look(260.0).standing is S.INSTALLING
    nodes.record("n1", NodeEvent.INSTALLED)
    nodes.record("n1", NodeEvent.UP)
    nodes.add_report("n1", 300.0, Report("up", Status.DONE, 0.0))
    nodes.remove("n2")
    assert [(each.node, each.standing) for each in monitor.look(301.0)] == [("n1", S.READY), ("n3", S.DEFINED)]


def test_on_a_terminal_it_is_live_and_ctrl_c_leaves_it(site):
    child, terminal = pty.fork()
    if child == 0:
        environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path.cwd())}
        argv = [sys.executable, "-m", "imaged", "--settings", str(site), "monitor"]
        os.execve(sys.executable, argv, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 100, 0, 0))
    shown = b""
    try:
        while b"mkfs: no" not in shown:
            shown += os.read(terminal, 65536)
        os.write(terminal, b"\x03")
        while True:
            shown += os.read(terminal, 65536)
    except OSError:  # the other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    on, off = shown.index(b"\x1b[?1049h"), shown.index(b"\x1b[?1049l")
    assert on < off
    assert b"mkfs: no" in shown[off:]
    assert b"Traceback" not in shown
