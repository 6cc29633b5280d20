"""Events reach other programs: in order, signed, once they take them, after a restart too; and hold up nobody."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock, deferLater

from imaged.daemon.feed import Feed
from imaged.daemon.webhooks import Webhooks
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent
from imaged.model.settings import Webhook
from imaged.planning import webhooks as planning
from imaged.planning.webhooks import signature
from imaged.store import events
from imaged.store.bookmarks import Bookmarks
from imaged.store.database import open_database
from imaged.store.nodes import Nodes
from tests.daemon.test_feed import listening

URL = "http://alerts.example/hook/s3cret"
DAY = 86_400.0


class Site:
    """A database and its webhooks; ``answers`` are what the receivers say next, 200 when there are none."""

    def __init__(self, path, monkeypatch, *hooks):
        self.path, self.hooks, self.clock = path, hooks or (Webhook(URL),), Clock()
        monkeypatch.setattr(events.time, "time", self.clock.seconds)
        self.nodes = Nodes(open_database(path))
        self.nodes.add(Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef("tiny")))
        self.answers, self.posted = [], []
        self.restart()

    def restart(self):
        engine = open_database(self.path)
        self.feed = Feed(engine, self.clock, in_thread=maybeDeferred)
        bookmarks = Bookmarks(engine)
        self.webhooks = Webhooks(
            self.hooks, "http://10.0.0.1:8080", self.feed, bookmarks, self.clock, self.clock.seconds, self.post
        )
        self.webhooks.start()

    def stop(self):
        self.webhooks.stop()
        self.feed.stop()

    def post(self, url, body, headers):
        said = json.loads(body)
        self.posted.append((said["what"], said["after"]))
        self.last = url, body, headers
        answer = self.answers.pop(0) if self.answers else 200
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    def act(self, action):
        self.nodes.set_action(["n1"], BootAction(action))

    def after(self, seconds, step=1):
        """What is posted meanwhile, in steps so that the feed looks."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
        posted, self.posted = self.posted, []
        return [after.get("action", after.get("state")) for _, after in posted]


@pytest.fixture
def site(tmp_path, monkeypatch):
    return Site(tmp_path / "db.sqlite", monkeypatch)


def test_an_event_is_posted_once_and_signed(tmp_path, monkeypatch):
    site = Site(tmp_path / "db.sqlite", monkeypatch, Webhook(URL, ("next *",), "key"))
    site.act("local")
    site.nodes.record("n1", NodeEvent.CLAIMED)
    assert site.after(5) == ["local"]
    url, body, headers = site.last
    said = json.loads(body)
    assert (url, headers["Imaged-Signature"]) == (URL, signature("key", body))
    assert (headers["Content-Type"], headers["Imaged-Event"]) == ("application/json", "next boot")
    assert headers["Imaged-Delivery"] == str(said.pop("id"))
    assert (said.pop("who") != "", said.pop("time")) == (True, 0.0)
    assert said == {
        "server": "http://10.0.0.1:8080", "what": "next boot", "subject": "n1", "before": {"action": "install"},
        "after": {"action": "local"},
    }  # fmt: skip


def test_without_a_secret_nothing_is_signed(site):
    site.act("local")
    site.after(1)
    assert "Imaged-Signature" not in site.last[2]


def test_what_is_not_taken_is_tried_again_in_order_and_said_once(site):
    site.answers = [ConnectionRefusedError(111, "Connection refused"), 503, 429, TimeoutError("timed out")]
    site.act("local")
    site.act("rescue")
    with listening() as log:
        assert site.after(2) == ["local", "local"]
        assert site.webhooks.waiting == 1
        assert site.after(60) == ["local", "local", "local", "rescue"]
    assert site.webhooks.waiting == 0
    assert site.webhooks.counts == {"posted": 2, "failed": 4, "given up": 0}
    lines = [entry["log_format"].format(**entry) for entry in log]
    assert lines == ["webhook http://alerts.example: [Errno 111] Connection refused; it is tried again for a day"]


@pytest.mark.parametrize("status", [302, 400, 410])
def test_what_is_refused_is_not_tried_again(site, status):
    site.answers = [status]
    site.act("local")
    site.act("rescue")
    assert site.after(60) == ["local", "rescue"]
    assert site.webhooks.counts == {"posted": 1, "failed": 1, "given up": 1}


def test_nobody_is_told_today_what_failed_yesterday(site):
    site.answers = [OSError("down")] * 10_000
    site.act("local")
    site.after(DAY - 100, step=100)
    assert 250 < site.webhooks.counts["failed"] < 320
    site.act("rescue")
    site.after(700, step=100)
    assert site.webhooks.counts["given up"] == 1
    site.answers = []
    assert site.after(400, step=100) == ["rescue"]


def test_a_restart_loses_nothing_and_repeats_nothing(site):
    site.act("local")
    assert site.after(1) == ["local"]
    site.answers = [503] * 100
    site.act("rescue")
    site.after(3)
    site.stop()
    assert site.clock.getDelayedCalls() == []
    site.act("install")  # while it is down
    site.answers = []
    site.restart()
    assert site.after(3) == ["rescue", "install"]


def test_other_events_begin_anew(site):
    site.stop()
    site.act("local")
    site.hooks = (Webhook(URL, ("next boot",)),)
    site.restart()
    site.act("rescue")
    assert site.after(3) == ["rescue"]


def test_a_receiver_that_hangs_holds_up_no_other(tmp_path, monkeypatch):
    other = "http://other.example/"
    site = Site(tmp_path / "db.sqlite", monkeypatch, Webhook(URL), Webhook(other))
    hangs = {URL: Deferred()}
    told = []

    def post(url, body, headers):
        told.append(url)
        return hangs.pop(url, None) or succeed(200)

    for receiver in site.webhooks._receivers:
        receiver._post = post
    site.act("local")
    site.act("rescue")
    site.after(3)
    assert sorted(told) == [URL, other, other]
    site.stop()
    assert site.clock.getDelayedCalls() == []


class Receiver:
    """A real one, which answers as ``answers`` say and then with 204."""

    def __init__(self, *answers):
        outer, self.answers, self.got = self, list(answers), []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                status = outer.answers.pop(0) if outer.answers else 204
                if status == "garbage":
                    self.wfile.write(b"\0garbage\r\n\r\n")
                    return
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest_twisted.ensureDeferred
async def test_by_real_http(tmp_path, monkeypatch):
    from twisted.internet import reactor

    monkeypatch.setattr(planning, "pause", lambda tries: 0.0)
    receiver = Receiver(500, "garbage", 302)
    engine = open_database(tmp_path / "db.sqlite")
    nodes = Nodes(engine)
    nodes.add(Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef("tiny")))
    feed = Feed(engine, reactor)
    hook = Webhook(receiver.url, secret="key")
    webhooks = Webhooks((hook,), "http://s", feed, Bookmarks(engine), reactor, reactor.seconds)
    webhooks.start()
    try:
        nodes.set_action(["n1"], BootAction.LOCAL)
        nodes.set_action(["n1"], BootAction.RESCUE)
        while webhooks.counts["posted"] < 1:
            await deferLater(reactor, 0.05)
    finally:
        webhooks.stop()
        feed.stop()
        receiver.close()
    assert webhooks.counts == {"posted": 1, "failed": 3, "given up": 1}
    assert [path for path, _, _ in receiver.got] == ["/hook"] * 4, "a redirection is not followed"
    actions = [json.loads(body)["after"]["action"] for _, _, body in receiver.got]
    assert actions == ["local", "local", "local", "rescue"]
    for _, headers, body in receiver.got:
        assert headers["Imaged-Signature"] == signature("key", body)


@pytest_twisted.ensureDeferred
async def test_nobody_there(tmp_path):
    from twisted.internet import reactor

    receiver = Receiver()
    receiver.close()
    engine = open_database(tmp_path / "db.sqlite")
    nodes = Nodes(engine)
    nodes.add(Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef("tiny")))
    feed = Feed(engine, reactor)
    webhooks = Webhooks((Webhook(receiver.url),), "http://s", feed, Bookmarks(engine), reactor, reactor.seconds)
    webhooks.start()
    nodes.set_action(["n1"], BootAction.LOCAL)
    while not webhooks.counts["failed"]:
        await deferLater(reactor, 0.05)
    webhooks.stop()
    feed.stop()
