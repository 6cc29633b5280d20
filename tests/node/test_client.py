"""What the update verb of a node tells, and when it asks the server for more than one small question."""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imaged.model.codec import from_plain
from imaged.model.outcome import Updated
from imaged.model.report import Report
from imaged.model.update import UpdatePlan
from installer.node.actions import ADD, ATTRIBUTES, PROTECTED, Action
from installer.node.answer import Outcome, answer
from installer.node.client import Wish, _Log, _Telling, _told, updateclient
from installer.node.errors import NoServer
from installer.node.server import Server
from installer.node.state import State
from installer.node.update import Options
from tests.node.serve_api import SECRET, Api, serving


def test_what_the_server_is_told_is_what_it_reads() -> None:
    outcome = Outcome((Action(ADD, b"a"), Action(ATTRIBUTES, b"b\xff"), Action(PROTECTED, b"c")), ("said",), True)
    told = from_plain(_told({"image": "c@1", "serial": "s"}, answer("c@1", outcome)), Updated)
    assert (told.image, told.serial, told.message, told.reboot) == ("c@1", "s", "said", True)
    assert (told.added, told.changed, told.deleted, told.protected) == (1, 1, 0, 1)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    with serving(api):
        yield api


@pytest.mark.processes
def test_phases_that_are_over_in_a_moment_are_not_told(api: Api) -> None:
    tell = _Telling(Server(api.url, SECRET))
    tell("compare", "started", "")
    tell("compare", "done", "")
    assert api.told == []
    tell("fetch", "failed", "why")
    assert [(each.phase, each.message) for each in api.told if isinstance(each, Report)] == [("fetch", "why")]
    assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer)]


@pytest.mark.processes
def test_a_dry_run_only_looks(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = b"#mtree\n. type=dir mode=0755 time=1.0\n./new type=dir mode=0755 time=1.0\n"
    digest = hashlib.sha256(text).hexdigest()
    api.manifests["/m"] = text
    api.plan = UpdatePlan("n1", "c@1", "s", "/m", digest, 2, 0, 1)
    state = State(str(tmp_path))
    with state.locked():
        state.keep("secret", SECRET)
        state.keep("server", api.url)
    capsys.readouterr()
    assert updateclient(Wish(str(tmp_path), Options(dry_run=True), as_json=True)) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"action": "add", "path": "/new", "reason": "missing"} in said["changes"]
    assert api.asked[0] == "/v1/update?serial=&look=1"
    assert api.told == [] and not (tmp_path / "new").exists() and state.text("serial") == ""


@pytest.mark.processes
def test_no_server_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    with state.locked():
        state.keep("secret", SECRET)
        state.keep("server", "http://127.0.0.1:1")
    with pytest.raises(NoServer, match="does not answer"):
        updateclient(Wish(str(tmp_path), Options(), sleep=lambda _: None))
    assert [path.name for path in tmp_path.iterdir()] == ["var"]


def test_the_log_begins_anew_when_it_is_large(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(5 << 20))
    _Log(str(path)).say("na\udcffme")
    assert path.read_text().endswith(" na\\udcffme\n") and (tmp_path / "log.1").stat().st_size == 5 << 20
    _Log(str(tmp_path / "none/log")).say("stops nothing")
