"""The server's API as a node asks it: what faults become, and what is told."""

from collections.abc import Iterator

import pytest

from imaged.model.report import Report, Status
from installer.node.errors import Failed, NoServer
from installer.node.server import Server
from tests.node.serve_api import SECRET, Api, serving

pytestmark = pytest.mark.processes


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    with serving(api):
        yield api


def test_a_problem_is_said_in_the_server_s_words(api: Api) -> None:
    pauses: list[float] = []
    with pytest.raises(Failed) as caught:
        Server(api.url, SECRET, pauses.append).update("")
    error = caught.value
    assert (error.what, error.where, error.hint) == ("there is no such thing", "/v1/update?serial=", "Ask for another.")
    assert (error.code, pauses) == (1, []), "4xx is final"


def test_who_it_is(api: Api) -> None:
    with pytest.raises(Failed, match="answered 401 Unauthorized"):
        Server(api.url, "wrong").update("")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://nowhere.invalid:8080"])
def test_nobody_there(url: str) -> None:
    pauses: list[float] = []
    with pytest.raises(NoServer, match="does not answer") as caught:
        Server(url, SECRET, pauses.append).update("")
    assert (caught.value.where, pauses) == (url, [1, 2, 4, 8])


def test_questions(api: Api) -> None:
    server = Server(api.url, SECRET)
    for words in (("s",), ("s", 3), ("s", None, True), ("a b&c",)):
        with pytest.raises(Failed):
            server.update(*words)  # type: ignore[arg-type]
    assert api.asked == [
        "/v1/update?serial=s", "/v1/update?serial=s&to=3", "/v1/update?serial=s&look=1", "/v1/update?serial=a+b%26c",
    ]  # fmt: skip
    assert server.host == "127.0.0.1"


def test_a_report_waits_for_nobody(api: Api) -> None:
    pauses: list[float] = []
    api.faults = [("/v1/report", "503")]
    server = Server(api.url, SECRET, pauses.append)
    server.report("fetch", "done")
    server.report("fetch", "failed", "na\udcffme " + "x" * 5000)
    assert pauses == []
    (told,) = api.told[-1:]
    assert isinstance(told, Report) and (told.phase, told.status) == ("fetch", Status.FAILED)
    assert told.message.startswith("na\\xffme x") and len(told.message) <= 2010
