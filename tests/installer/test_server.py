"""The HTTP client against a real server on loopback that answers from a script."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from attrs import define, field

from imaged.model.codec import to_json
from imaged.model.errors import BadInput, CannotPlan, Conflict, Denied, ImagedError, NotFound, Unreachable
from imaged.model.hardware import Firmware, Inventory
from imaged.model.plan import InstallPlan
from imaged.model.report import Report, Status
from imaged.model.talk import Claimed, PlanAnswer, Problem
from installer import server as module
from installer.server import PAUSES, Server, refusal

CLAIMED = Claimed("node07", 8873, ("ssh-ed25519 AAAA admin",))
ANSWER = PlanAnswer(InstallPlan("node07", "compute@3", "one-disk", ()), "abcd")
INVENTORY = Inventory("x86_64", Firmware.UEFI, 2**31, 2, (), ())


@define
class Script:
    """What the server answers, in order, the last for ever; and what it was asked, on which connections.

    It answers so many requests of a connection (``keeps``) before it closes it without a word."""

    answers: list[tuple[int, str]]
    asked: list[tuple[str, str, str]] = field(factory=list)
    lines: list[int] = field(factory=list)
    keeps: int = 1000
    said: list[str] = field(factory=list)
    slept: list[float] = field(factory=list)
    url: str = ""

    def server(self) -> Server:
        return Server(self.url, "s3cret", self.said.append, self.slept.append)


@pytest.fixture
def script() -> Iterator[Script]:
    told = Script([])

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            if told.lines.count(self.client_address[1]) >= told.keeps:
                self.close_connection = True
                return
            told.lines.append(self.client_address[1])
            told.asked.append((self.path, self.headers.get("Authorization", ""), body))
            status, text = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            if status == 0:  # the server dies before it answers
                self.close_connection = True
                return
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as http:
        told.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told
        finally:
            http.shutdown()
            thread.join()


def test_the_whole_conversation(script: Script) -> None:
    script.answers = [(200, to_json(CLAIMED)), (200, to_json(ANSWER)), (204, "")]
    server = script.server()
    report = Report("wipe", Status.DONE, 12.5)
    assert server.claim("t0ken") == CLAIMED
    assert server.plan(INVENTORY) == ANSWER
    server.report(report)
    server.glimpse(report)
    server.log("line one\nlinë two")
    server.host_keys("ssh-ed25519 AAAA root@node07\n")
    server.found(INVENTORY)
    bearer = "Bearer s3cret"
    assert [(path, signed) for path, signed, _ in script.asked] == [
        ("/v1/claim", ""), ("/v1/plan", bearer), ("/v1/report", bearer), ("/v1/report", bearer), ("/v1/log", bearer),
        ("/v1/hostkeys", bearer), ("/v1/found", bearer),
    ]  # fmt: skip
    assert json.loads(script.asked[0][2]) == {"token": "t0ken", "secret": "s3cret", "host_key": ""}
    assert json.loads(script.asked[2][2])["status"] == "done"
    assert script.asked[4][2] == "line one\nlinë two"
    assert (script.said, script.slept) == ([], [])
    assert len(set(script.lines)) == 1, "one connection for all of it"


@pytest.mark.parametrize("keeps", [1, 2])
def test_a_connection_that_the_server_has_closed_is_made_again(script: Script, keeps: int) -> None:
    """As after a minute in which nobody asked anything: no reason to wait, nor to tell people."""
    script.keeps, script.answers = keeps, [(204, "")]
    server = script.server()
    for number in range(4):
        server.report(Report("wipe", Status.DONE, float(number)))
    assert (len(script.asked), len(set(script.lines))) == (4, 4 // keeps)
    assert (script.said, script.slept) == ([], [])
    server.log("brief things as well")
    assert script.asked[-1][2] == "brief things as well"


def test_an_answer_that_is_too_long_does_not_spoil_the_next(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIMIT", 1000)
    script.answers = [(200, "x" * 5000), (200, to_json(CLAIMED))]
    server = script.server()
    with pytest.raises(BadInput, match="more than 1000 bytes"):
        server.claim("t")
    assert server.claim("t") == CLAIMED


def test_an_answer_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BRIEFLY", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as hung:
        server = Server(f"http://127.0.0.1:{hung.getsockname()[1]}", "s", lambda _: None)
        with pytest.raises(Unreachable, match="timed out"):
            server.log("x")


def test_a_key_is_fetched_and_waited_for(script: Script) -> None:
    script.answers = [(503, ""), (200, "bm90IGEga2V5\n")]
    assert script.server().key("crypt 0/x") == "bm90IGEga2V5"
    assert script.asked[1] == ("/v1/key/crypt%200%2Fx", "Bearer s3cret", "")
    assert "bm90" not in repr(script.said)
    script.answers = [(404, to_json(Problem("the plan has no such encrypted device")))]
    with pytest.raises(NotFound, match="no such encrypted device"):
        script.server().key("other")


def test_patient_with_a_server_in_trouble_and_says_so(script: Script) -> None:
    busy = to_json(Problem("starting up"))
    script.answers = [(503, busy), (0, ""), (0, ""), (500, "<html>"), (429, busy), (200, to_json(CLAIMED))]
    assert script.server().claim("t") == CLAIMED
    assert script.slept == [1, 2, 4, 8]
    assert script.said[0] == f"{script.url}/v1/claim: the server answered 503: starting up, again in 1 s"
    assert len({body for _, _, body in script.asked}) == 1, "a repeated claim must be the same claim"


def test_not_for_ever(script: Script) -> None:
    script.answers = [(502, "")]
    with pytest.raises(Unreachable, match="502"):
        script.server().report(Report("wipe", Status.DONE, 1.0))
    assert script.slept == list(PAUSES)
    assert len(script.asked) == len(PAUSES) + 1


def test_progress_and_log_are_never_tried_twice(script: Script) -> None:
    script.answers = [(503, "")]
    server, report = script.server(), Report("x", Status.PROGRESS, 1.0)
    for call in (lambda: server.glimpse(report), lambda: server.log("x"), lambda: server.console("x")):
        with pytest.raises(Unreachable):
            call()
    assert (len(script.asked), script.slept) == (3, [])


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadInput), (401, Denied), (403, Denied), (404, NotFound), (409, Conflict), (418, ImagedError)],
)
def test_no_is_final_and_keeps_the_servers_words(script: Script, status: int, kind: type[ImagedError]) -> None:
    script.answers = [(status, to_json(Problem("the disk is too small", "/dev/sda", "Use a larger one.")))]
    with pytest.raises(kind) as caught:
        script.server().plan(INVENTORY)
    assert str(caught.value) == "/dev/sda: the disk is too small\n  Use a larger one."
    assert (len(script.asked), script.slept) == (1, [])
    assert not isinstance(caught.value, CannotPlan | Unreachable)


@pytest.mark.parametrize("text", ["", "no json", "{}", '{"node": 7}', "[" * 5000])
def test_nonsense_is_no_answer(script: Script, text: str) -> None:
    script.answers = [(200, text)]
    with pytest.raises(ImagedError):
        script.server().claim("t")


def test_no_redirect_is_followed(script: Script) -> None:
    script.answers = [(302, "")]
    with pytest.raises(ImagedError, match="302"):
        script.server().claim("t")
    assert [path for path, _, _ in script.asked] == ["/v1/claim"]


def test_nobody_there() -> None:
    slept: list[float] = []
    with pytest.raises(Unreachable, match="refused"):
        Server("http://127.0.0.1:1", "s", lambda _: None, slept.append).claim("t")
    assert slept == list(PAUSES)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b'{"what": 1}'])
def test_an_error_without_a_problem_still_names_the_status(body: bytes) -> None:
    assert str(refusal(403, body, "http://h/v1/plan")) == "http://h/v1/plan: the server answered 403"
