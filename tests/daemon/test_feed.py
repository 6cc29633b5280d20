"""What is written to the database by any process is heard by those who listen, once and in order."""

import pytest
import pytest_twisted
import sqlalchemy as sa
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from imaged.daemon import feed as module
from imaged.daemon.feed import Feed
from imaged.model.errors import BadInput
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent
from imaged.model.report import Report, Status
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from imaged.store.tables import reports


class Home:
    """A database, a feed on it, and another process that writes: it has connections of its own."""

    def __init__(self, path):
        self.clock = Clock()
        self.feed = Feed(open_database(path), self.clock, in_thread=maybeDeferred)
        self.engine = open_database(path)
        self.nodes = Nodes(self.engine)
        self.nodes.add(Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef("tiny")))
        self.heard = []
        self.places = []

    def hear(self, news):
        self.heard += [said(each.item) for each in news]
        self.places += [each.place for each in news]

    def look(self):
        """Time passes until the feed looks."""
        self.clock.advance(1)
        heard, self.heard = self.heard, []
        return heard

    def act(self, action):
        self.nodes.set_action(["n1"], BootAction(action))

    def report(self, phase, time=0.0):
        self.nodes.add_report("n1", time, Report(phase, Status.DONE, 1.0))


def said(item):
    return (item.subject, item.after) if hasattr(item, "what") else (item.node, item.report.phase)


@pytest.fixture
def home(database):
    return Home(database)


def test_events_and_reports_are_heard_once_and_only_from_now_on(home):
    home.feed.subscribe(home.hear)
    assert home.look() == []
    home.act("local")
    home.report("claim", time=1e12)
    assert home.look() == [("n1", {"action": "local"}), ("n1", "claim")]
    assert home.look() == []
    home.report("plan")
    assert home.look() == [("n1", "plan")]


def test_a_place_is_where_a_listener_goes_on(home):
    leave = home.feed.subscribe(home.hear)
    home.act("local")
    home.act("rescue")
    home.report("claim", time=1e12)
    home.look()
    leave()
    first, second, third = home.places
    for place, rest in [
        (first, [("n1", {"action": "rescue"}), ("n1", "claim")]),
        (second, [("n1", "claim")]),
        (third, []),
    ]:
        again = home.feed.subscribe(home.hear, place)
        assert home.look() == rest
        again()


def test_without_reports(home):
    home.feed.subscribe(home.hear, reports=False)
    home.report("claim")
    home.act("local")
    assert home.look() == [("n1", {"action": "local"})]


def test_the_page_that_was_drawn_before_misses_nothing(home):
    place = home.feed.now()
    home.act("local")
    home.feed.subscribe(home.hear, place)
    assert home.look() == [("n1", {"action": "local"})]


def test_who_is_slow_is_waited_for_and_holds_up_nobody(home):
    until, slow = Deferred(), []

    def hear_slowly(news):
        slow.append([said(each.item) for each in news])
        return until

    home.feed.subscribe(hear_slowly)
    home.feed.subscribe(home.hear)
    home.report("claim")
    home.look()
    home.report("plan")
    assert home.look() == [("n1", "plan")]
    assert slow == [[("n1", "claim")]]
    until.callback(None)
    home.look()
    assert slow == [[("n1", "claim")], [("n1", "plan")]]


def test_who_fails_is_dropped_and_the_others_go_on(home):
    def fail(news):
        raise RuntimeError("no")

    home.feed.subscribe(fail)
    home.feed.subscribe(home.hear)
    home.report("claim")
    with listening() as log:
        assert home.look() == [("n1", "claim")]
        home.report("plan")
        assert home.look() == [("n1", "plan")]
    assert [entry["log_format"] for entry in log] == ["a listener of the feed is dropped"]


def test_nobody_looks_where_nobody_listens(home):
    leaves = [home.feed.subscribe(home.hear) for _ in range(2)]
    assert len(home.clock.getDelayedCalls()) == 1
    leaves[0]()
    leaves[0]()
    assert len(home.clock.getDelayedCalls()) == 1
    leaves[1]()
    assert home.clock.getDelayedCalls() == []
    home.feed.subscribe(home.hear)
    home.feed.stop()
    assert home.clock.getDelayedCalls() == []


def test_more_than_is_read_at_once_comes_in_one_look(home, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 3)
    home.feed.subscribe(home.hear)
    for number in range(10):
        home.report(f"phase{number}")
    assert home.look() == [("n1", f"phase{number}") for number in range(10)]


def test_a_new_install_starts_with_an_empty_log_and_is_heard(home):
    home.feed.subscribe(home.hear)
    for phase in ("claim", "plan", "reboot"):
        home.report(phase)
    home.look()
    home.nodes.clear_reports("n1")
    home.report("claim again")
    assert home.look() == [("n1", "claim again")]


def test_a_database_that_went_back_is_followed_from_where_it_is(home):
    home.feed.subscribe(home.hear, "900-900")
    home.act("local")
    assert home.look() == [("n1", {"action": "local"})]


@pytest.mark.parametrize("place", ["x", "1", "1-2-3"])
def test_a_place_that_is_none_is_refused(home, place):
    with pytest.raises(BadInput):
        home.feed.subscribe(home.hear, place)
    assert home.clock.getDelayedCalls() == []


def test_a_database_that_cannot_be_read_is_said_once_and_asked_again(home):
    home.feed.subscribe(home.hear)
    with home.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE reports RENAME TO elsewhere"))
    with listening() as log:
        assert home.look() == home.look() == []
    assert ["reports" in str(entry["error"]) for entry in log] == [
        True
    ]  # SQLite and PostgreSQL have words of their own
    with home.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO reports"))
    home.report("claim")
    assert home.look() == [("n1", "claim")]


def test_a_nodes_life_is_events_and_what_does_not_change_is_none(home):
    home.feed.subscribe(home.hear, reports=False)
    for event, changes in [
        (NodeEvent.CLAIMED, {}),
        (NodeEvent.CLAIMED, {}),
        (NodeEvent.FAILED, {"reason": "mkfs: no"}),
        (NodeEvent.CLAIMED, {}),
        (NodeEvent.INSTALLED, {"action": "local", "installed": "tiny@1"}),
        (NodeEvent.UP, {}),
        (NodeEvent.UP, {}),
    ]:
        home.nodes.record("n1", event, **changes)
    assert [after for _, after in home.look()] == [
        {"state": "installing"},
        {"state": "failed", "reason": "mkfs: no"},
        {"state": "installing"},
        {"state": "installed", "action": "local", "installed": "tiny@1"},
        {"state": "ready"},
    ]


def test_numbers_of_reports_are_never_used_twice(home):
    home.report("claim")
    home.nodes.clear_reports("n1")
    home.report("claim")
    with home.engine.connect() as connection:
        assert connection.scalar(sa.select(reports.c.id)) == 2


class listening:  # noqa: N801
    """Warnings and worse that are logged meanwhile."""

    def __enter__(self):
        self.entries = []
        globalLogPublisher.addObserver(self.observe)
        return self.entries

    def __exit__(self, *_):
        globalLogPublisher.removeObserver(self.observe)

    def observe(self, event):
        if event["log_level"].name in ("warn", "error", "critical"):
            self.entries.append(event)


@pytest_twisted.ensureDeferred
async def test_with_real_time_and_a_thread(tmp_path):
    from twisted.internet import reactor

    home, heard = Home(tmp_path / "db.sqlite"), Deferred()
    feed = Feed(home.engine, reactor)
    feed.subscribe(lambda news: heard.callback([said(each.item) for each in news]))
    Home.act(home, "local")
    assert await heard.addTimeout(60, reactor) == [("n1", {"action": "local"})]
    feed.stop()
