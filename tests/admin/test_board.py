"""The board shows what a whole reading would, whatever was written meanwhile and however it was followed."""

import pytest

from imaged.admin.board import Board
from imaged.model.group import Group
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, Node, NodeEvent
from imaged.model.report import Report, Status
from imaged.model.setup import Setup
from imaged.planning.course import Standing
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.images import Images
from imaged.store.lives import Lives
from imaged.store.machines import Machines
from imaged.store.nodes import Nodes


def mac(number):
    return Mac.parse(f"52:54:00:00:00:0{number}")


class Site:
    def __init__(self, path):
        self.engine = open_database(path / "db.sqlite")
        self.writer = open_database(path / "db.sqlite")  # another process, as far as SQLite can tell
        self.images = Images(path / "images")
        self.nodes, self.groups, self.machines = Nodes(self.writer), Groups(self.writer), Machines(self.writer)
        for number in (1, 2, 3):
            self.nodes.add(Node(f"n{number}", (mac(number),), ImageRef("tiny")))
        self.groups.add(Group("rack"))
        self.board = Board(self.engine, self.images)

    def begin(self, name):
        self.nodes.record(name, NodeEvent.CLAIMED)
        self.nodes.keep(name, installing="tiny@1")
        self.nodes.add_report(name, 100.0, Report("claim", Status.STARTED, 0.0))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


CHANGES = {
    "a node more": lambda s: s.nodes.add(Node("n9", (mac(9),), ImageRef("tiny"))),
    "a node less": lambda s: s.nodes.remove("n2"),
    "another image": lambda s: s.nodes.change([Definition("n2", (mac(2),), Setup(ImageRef("other")))]),
    "what a group says": lambda s: s.groups.change(Group("rack", setup=Setup(console="ttyS0"))),
    "another next boot": lambda s: s.nodes.set_action(["n1", "n2"], BootAction.LOCAL),
    "an install that begins": lambda s: s.begin("n2"),
    "a report": lambda s: s.nodes.add_report("n1", 101.0, Report("mkfs", Status.STARTED, 0.0)),
    "progress": lambda s: s.nodes.add_progress([("n1", 102.0, Report("transfer", Status.PROGRESS, 0.0, percent=5.0))]),
    "a failure": lambda s: s.nodes.record("n1", NodeEvent.FAILED, reason="mkfs: no room"),
    "a membership": lambda s: s.groups.put("n1", ["rack"]),
    "a group less": lambda s: s.groups.remove("rack"),
    "a flood": lambda s: [s.nodes.set_action(["n3"], list(BootAction)[number % 2]) for number in range(1001)],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_followed_is_what_is_read(site, change):
    site.begin("n1")
    before = site.board.look(103.0)
    change(site)
    after, fresh = site.board.look(105.0), Board(site.engine, site.images).look(105.0)
    assert (after.lives, after.courses, after.groups) == (fresh.lives, fresh.courses, fresh.groups)
    assert list(after.groups) == list(fresh.groups)
    assert after.number > before.number


def test_nothing_happens(site):
    first = site.board.look(100.0)
    assert site.board.look(101.0) is first
    site.nodes.keep("n1", host_keys="ssh-ed25519 AAAA")
    assert site.board.look(102.0).number == first.number + 1, "somebody may have a use for what was written"


def test_who_is_under_way_goes_on_with_time(site):
    site.begin("n1")
    assert site.board.look(101.0).courses["n1"].standing is Standing.INSTALLING
    later = site.board.look(5000.0)
    assert later.courses["n1"].standing is Standing.STALLED
    assert site.board.look(5000.0).number == later.number


def test_who_says_nothing_is_looked_at_every_other_second(site):
    site.begin("n1")
    site.begin("n2")
    before = site.board.look(101.0)
    site.nodes.add_report("n2", 102.0, Report("mkfs", Status.STARTED, 0.0))
    told = site.board.look(102.0)
    assert (told.courses["n1"].seen, told.courses["n2"].seen) == (before.courses["n1"].seen, 0.0)
    assert site.board.look(103.0).courses["n1"].seen == before.courses["n1"].seen + 2.0


def test_what_a_failed_look_has_heard_is_not_lost(site, monkeypatch):
    site.board.look(100.0)
    site.nodes.set_action(["n2"], BootAction.LOCAL)
    with monkeypatch.context() as broken:
        broken.setattr(Lives, "of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            site.board.look(101.0)
    assert site.board.look(102.0).lives == Board(site.engine, site.images).look(102.0).lives


def test_a_network_boot_is_seen_in_time(site):
    site.board.look(100.0)
    site.machines.saw(Machine(mac(1), last_seen=110.0))
    assert site.board.look(111.0).lives["n1"].last_seen is None
    site.machines.saw(Machine(mac(1), last_seen=125.0))
    assert site.board.look(126.0).lives["n1"].last_seen == 125.0
