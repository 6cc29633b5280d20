"""State scripts on a real daemon: real children of it, and a node's own run-state that runs what it is told."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock as Timer
from twisted.internet.threads import deferToThread

from imaged.daemon.app import state_scripts
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.states import PATIENCE, States
from imaged.model.errors import BadInput, Conflict
from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeState
from imaged.model.report import Status
from imaged.model.settings import ScriptSettings
from imaged.model.talk import Claim
from imaged.store.events import Events
from imaged.store.groups import Groups
from imaged.store.stateruns import StateRuns
from tests.daemon.test_layers import write
from tests.daemon.test_nodeapi import Api, api
from tests.daemon.test_provisioning import MACHINE, clock, report, server, settings_in, token_of
from tests.node import test_run_state as run_state

__all__ = ["api", "clock", "server"]
RUN = "11111111-2222"
reactor: Any = installed


def ready(server: Provisioning) -> None:
    """n1 was installed and is up; its secret is as ``test_run_state`` has it."""
    server.claim(Claim(token_of(server), "s3cret"))
    server.answer_plan("n1", MACHINE)
    report(server, "reboot", Status.DONE)
    server.record_up("n1")


def script(home: Path, name: str, text: str, state: str = "ready") -> None:
    write(home, f"scripts/state/{state}/{name}", f"#!/bin/sh\n{text}\n")


def log(home: Path, node: str = "n1") -> list[str]:
    """Without the time."""
    path = home / f"logs/{node}.log"
    return [line.partition(" ")[2] for line in path.read_text().splitlines()] if path.exists() else []


def events(server: Provisioning) -> list[dict[str, str]]:
    return [each.after for each in Events(server.engine).last(50) if each.what == "state scripts"]


@pytest.fixture
def node(api: Api, tmp_path: Path) -> run_state.Node:
    (tmp_path / "node").mkdir()
    return run_state.Node(tmp_path / "node", "bash", api.port)


@pytest_twisted.ensureDeferred
async def test_what_scripts_print_runs_on_the_node(server: Provisioning, node: run_state.Node, tmp_path: Path) -> None:
    ready(server)
    groups = Groups(server.engine)
    groups.add(Group("gpu"))
    groups.put("n1", ["gpu"])
    done = tmp_path / "done"
    script(tmp_path, "20all.who", f'echo "echo $IMAGED_NODE $GROUPNAME \\$IMAGED_STATE >> {done}"; echo said >&2')
    script(tmp_path, "10n1.last", f"pwd > {tmp_path}/where; echo 'echo last; exit 3'")
    script(tmp_path, "10gpu.silent", "true")
    script(tmp_path, "10other.no", "echo false")
    write(tmp_path, "scripts/state/ready/30all.t.j2", "#!/bin/sh\necho 'echo {{ node }} of {{ image }}'\n")
    ended = await deferToThread(node.run)
    assert ended.stdout == "20all.who:\n30all.t:\nn1 of tiny\n10n1.last:\nlast\n10n1.last ended with 3\n"
    assert (ended.returncode, done.read_text()) == (1, "n1 gpu ready\n")
    assert (tmp_path / "where").read_text() == f"{tmp_path}/scripts\n"
    assert log(tmp_path) == [
        f"state/ready: 20all.who on the server: {len(f'echo n1 gpu $IMAGED_STATE >> {done}') + 1} bytes for the node",
        "state/ready:   said",
        "state/ready: 30all.t on the server: 16 bytes for the node",
        "state/ready: 10gpu.silent on the server: 0 bytes for the node",
        "state/ready: 10n1.last on the server: 18 bytes for the node",
        "state/ready: ended with 1 on the node",
        *(f"  {line}" for line in ended.stdout.splitlines()),
    ]
    assert events(server) == [{"ready": "ended with 1 on the node"}]
    assert StateRuns(server.engine).troubles() == {"n1": ("scripts/state/ready: ended with 1 on the node",)}
    kept = StateRuns(server.engine).get("n1", "ready")
    assert kept is not None and kept.text == "", "what was run is not kept"
    assert not list((tmp_path / "run").glob("state-script-*"))


@pytest_twisted.ensureDeferred
async def test_another_end_is_an_event_and_the_same_is_none(
    server: Provisioning, node: run_state.Node, tmp_path: Path
) -> None:
    ready(server)
    script(tmp_path, "10all.a", "echo true")
    for _ in range(3):
        assert (await deferToThread(node.run)).returncode == 0
    assert events(server) == [{"ready": "done"}]
    script(tmp_path, "10all.a", "exit 1")
    assert (await deferToThread(node.run)).returncode == 0, "there is nothing to run"
    assert events(server)[1:] == [{"ready": "10all.a: ended with 1"}]
    (tmp_path / "scripts/state/ready/10all.a").unlink()
    assert (await deferToThread(node.run)).returncode == 0
    assert StateRuns(server.engine).troubles() == {}, "nor does anybody complain of what is gone"


FAULTS = [
    ("exits", "echo 'echo bad'; echo why >&2; exit 3", "10all.x: ended with 3 (why)"),
    ("is killed", "kill -9 $$", "10all.x: was killed by signal 9"),
    ("hangs", "sleep 1000 & trap '' TERM; sleep 1000", "10all.x: gave up after 2 s"),
    ("prints too much", "head -c 100000000 /dev/zero | tr '\\0' x", "10all.x: printed more than 1048576 bytes"),
    ("complains too much", "head -c 100000000 /dev/zero >&2", "10all.x: printed more than 1048576 bytes"),
    ("prints no text", "printf '\\377'", "10all.x: printed what is not UTF-8"),
    ("prints zeros", "head -c 9 /dev/zero", "10all.x: printed a zero byte"),
]  # fmt: skip


@pytest.mark.parametrize(("_", "text", "trouble"), FAULTS, ids=[each[0] for each in FAULTS])
@pytest_twisted.ensureDeferred
async def test_a_script_that_fails_is_passed_over_and_said(
    server: Provisioning, tmp_path: Path, _: str, text: str, trouble: str
) -> None:
    script(tmp_path, "10all.x", text)
    script(tmp_path, "20all.y", "echo 'echo fine'")
    made = await made_by(server, tmp_path, ScriptSettings(timeout=2))
    assert made is not None and "fine" in made and "bad" not in made
    kept = StateRuns(server.engine).get("n1", "ready")
    assert kept is not None and kept.trouble == trouble
    assert any(trouble.replace("10all.x: ", "10all.x on the server: ") in line for line in log(tmp_path))


async def made_by(server: Provisioning, home: Path, settings: ScriptSettings) -> str | None:
    """What a daemon of these settings tells n1."""
    states = daemon(server, home, settings)
    try:
        return await states.ask("n1", NodeState.READY, "ready", RUN)
    finally:
        states.stop()


def daemon(server: Provisioning, home: Path, settings: ScriptSettings, reactor: Any = installed) -> States:
    (home / "run").mkdir(exist_ok=True)
    logs = NodeLogs(home / "logs", lambda: 0.0)
    states = state_scripts(server, logs, evolve(settings_in(home), scripts=settings), reactor)
    states.start()
    return states


def directory(home: Path) -> Path:
    found = home / "scripts/state/ready"
    found.mkdir(parents=True, exist_ok=True)
    return found


BAD = [
    ("README", "#!/bin/sh\n", "README: no such names are run"),
    ("10all.x", "echo true\n", "does not begin with #!"),
    ("10all.x.j2", "#!/bin/sh\n{{ nobody }}\n", "'nobody' is undefined"),
    ("10all.x", None, "cannot be read: No such file"),
]


@pytest.mark.parametrize(("name", "text", "what"), BAD)
@pytest_twisted.ensureDeferred
async def test_a_directory_that_is_wrong_runs_nothing_and_is_said(
    server: Provisioning, tmp_path: Path, name: str, text: str | None, what: str
) -> None:
    script(tmp_path, "00all.fine", f"touch {tmp_path}/ran")
    if text is None:
        (directory(tmp_path) / name).symlink_to("gone")
    else:
        (directory(tmp_path) / name).write_text(text)
    assert await made_by(server, tmp_path, ScriptSettings()) == ""
    assert not (tmp_path / "ran").exists()
    (said,) = StateRuns(server.engine).troubles()["n1"]
    assert what in said and "\n" not in said
    assert events(server) == [{"ready": said.partition(": ")[2]}]
    assert what in log(tmp_path)[0]


@pytest.mark.parametrize(
    ("first", "mode", "trouble"),
    [("#!/bin/sh -e", 0o600, ""), ("#! /usr/bin/env -S sh -e", 0o755, ""), ("#!/nowhere/sh", 0o755, "ended with 127")],
)
@pytest_twisted.ensureDeferred
async def test_its_first_line_says_what_runs_it_and_its_mode_nothing(
    server: Provisioning, tmp_path: Path, first: str, mode: int, trouble: str
) -> None:
    path = directory(tmp_path) / "10all.x"
    path.write_text(f"{first}\necho 'echo one'\nfalse || echo 'echo two'\n")
    path.chmod(mode)
    text = await made_by(server, tmp_path, ScriptSettings())
    kept = StateRuns(server.engine).get("n1", "ready")
    assert kept is not None and trouble in kept.trouble and bool(trouble) == bool(kept.trouble)
    assert ("echo two" in (text or "")) is not bool(trouble)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_was_lost_is_the_same_answer(api: Api, server: Provisioning, tmp_path: Path) -> None:
    ready(server)
    script(tmp_path, "10all.x", f"echo x >> {tmp_path}/times; echo 'echo fine'")
    path = f"/v1/state/ready?run={RUN}"
    first = await api.call("GET", path, secret="s3cret")
    assert first[0] == 200
    assert await api.call("GET", path, secret="s3cret") == first
    for _ in range(2):
        assert (await api.call("POST", f"{path}&code=0", "fine", secret="s3cret"))[0] == 204
    assert (await api.call("GET", path, secret="s3cret")) == (204, b""), "it is over"
    assert (tmp_path / "times").read_text() == "x\n"
    assert log(tmp_path).count("state/ready: ended with 0 on the node") == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "what"),
    [
        ("GET", f"/v1/state/installing?run={RUN}", 409, "a node that is ready does not ask"),
        ("GET", f"/v1/state/drain?run={RUN}", 409, "does not ask for the scripts of 'drain'"),
        ("GET", f"/v1/state/%2e%2e?run={RUN}", 400, "not the name of a state"),
        ("GET", "/v1/state/ready", 400, "names no run"),
        ("GET", "/v1/state/ready?run=../../../x", 400, "names no run"),
        ("POST", f"/v1/state/ready?run={RUN}&code=0", 409, "is no run of this node's"),
        ("POST", f"/v1/state/ready?run={RUN}&code=x", 400, "'x' is no exit code"),
        ("POST", f"/v1/state/ready?run={RUN}", 400, "'' is no exit code"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_refused(
    api: Api, server: Provisioning, tmp_path: Path, method: str, path: str, status: int, what: str
) -> None:
    ready(server)
    script(tmp_path, "10all.x", "echo true")
    found, body = await api.call(method, path, secret="s3cret")
    assert (found, what in json.loads(body)["what"]) == (status, True)
    for secret in ("", "wrong"):
        assert (await api.call(method, path, secret=secret))[0] == 403
    assert StateRuns(server.engine).get("n1", "ready") is None
    assert log(tmp_path) == []


class Half(Timer):
    """Time as the test says, threads as they are."""

    callFromThread = staticmethod(reactor.callFromThread)


def blocking(home: Path) -> Path:
    """Scripts wait until somebody writes to what is returned."""
    gate = home / "gate"
    os.mkfifo(gate)
    script(home, "10all.x", f"echo $$ >> {home}/begun; read word < {gate}; echo echo $word")
    return gate


def until(condition: Any) -> "Deferred[None]":
    """Other threads and processes go on meanwhile."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline

    return deferToThread(wait)


@pytest_twisted.ensureDeferred
async def test_a_node_is_told_to_ask_again_and_nodes_take_their_turn(server: Provisioning, tmp_path: Path) -> None:
    server.nodes.add(Node("n2", (Mac.parse("52:54:00:00:00:02"),), ImageRef.parse("tiny")))
    gate, half = blocking(tmp_path), Half()
    states = daemon(server, tmp_path, ScriptSettings(at_once=1), half)
    asked = {name: ensureDeferred(states.ask(name, NodeState.READY, "ready", RUN)) for name in ("n1", "n2")}
    await until((tmp_path / "begun").exists)
    half.advance(PATIENCE)
    assert [await each for each in asked.values()] == [None, None]
    again = {name: ensureDeferred(states.ask(name, NodeState.READY, "ready", RUN)) for name in ("n1", "n2")}
    other = ensureDeferred(states.ask("n1", NodeState.READY, "ready", "another-run"))
    begun = (tmp_path / "begun").read_text().splitlines()
    assert len(begun) == 1, "one at once"
    await deferToThread(gate.write_text, "one\n")
    assert "echo one" in (await again["n1"] or "")
    assert await other is None, "its own scripts were not run yet"
    await deferToThread(gate.write_text, "two\n")
    assert "echo two" in (await again["n2"] or "")
    third = ensureDeferred(states.ask("n1", NodeState.READY, "ready", "another-run"))
    await deferToThread(gate.write_text, "three\n")
    assert "echo three" in (await third or "")
    assert "echo two" in (await states.ask("n2", NodeState.READY, "ready", RUN) or ""), "kept until it was run"
    states.stop()


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_stops_ends_its_children_and_takes_no_end_for_a_failure(
    server: Provisioning, tmp_path: Path
) -> None:
    blocking(tmp_path)
    states = daemon(server, tmp_path, ScriptSettings())
    asked = ensureDeferred(states.ask("n1", NodeState.READY, "ready", RUN))
    await until((tmp_path / "begun").exists)
    states.stop()
    asked.cancel()
    assert await asked.addErrback(lambda _: "gone") == "gone"
    assert StateRuns(server.engine).get("n1", "ready") is None
    assert log(tmp_path) == [] and not list((tmp_path / "run").glob("state-script-*"))


@pytest_twisted.ensureDeferred
async def test_a_node_that_is_removed_meanwhile(server: Provisioning, tmp_path: Path) -> None:
    script(tmp_path, "10all.x", "echo true")
    await made_by(server, tmp_path, ScriptSettings())
    runs = StateRuns(server.engine)
    kept = runs.get("n1", "ready")
    assert kept is not None
    server.nodes.remove("n1")
    assert runs.get("n1", "ready") is None
    runs.keep(kept)
    assert runs.get("n1", "ready") is None


class Serving:
    """``imaged serve`` as a process, on ports that were free a moment ago."""

    def __init__(self, home: Path) -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.port, rsync, tftp = (each.getsockname()[1] for each in sockets)
        for each in sockets:
            each.close()
        self.settings = home / "imaged.yaml"
        self.settings.write_text(
            f"address: 127.0.0.1\nstate: {home}\nhttp: {{port: {self.port}}}\nrsync: {{port: {rsync}}}\n"
            f"tftp: {{port: {tftp}}}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            (sys.executable, "-m", "imaged", "--settings", self.settings, "serve"), stderr=subprocess.DEVNULL
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 10).close()
                return
            except ConnectionRefusedError:
                assert self.process.poll() is None

    def end(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(60)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_dies_in_the_middle(server: Provisioning, serving: Serving, tmp_path: Path, number: int) -> None:
    """The node asks on, the next daemon begins again, and what the first one started is gone."""
    ready(server)
    gate = blocking(tmp_path)
    serving.start()
    (tmp_path / "node").mkdir()
    mine = run_state.Node(tmp_path / "node", "bash", serving.port)
    (mine.home / "bin/sleep").write_text("#!/bin/sh\nexec /bin/sleep 1\n")
    asking = subprocess.Popen(
        ("bash", mine.home / "run-state", "ready"), env={"PATH": mine._path}, stdout=subprocess.PIPE, text=True
    )
    while not (tmp_path / "begun").exists():
        assert asking.poll() is None
    child = int((tmp_path / "begun").read_text())
    watch = os.pidfd_open(child)
    serving.end(number)
    assert select.select([watch], [], [], 60)[0], "its script does not outlive it"
    os.close(watch)
    serving.start()
    gate.write_text("again\n")
    output, _ = asking.communicate(timeout=120)
    assert (asking.returncode, output) == (0, "10all.x:\nagain\n")
    connection = HTTPConnection("127.0.0.1", serving.port, timeout=10)
    connection.request("GET", f"/v1/state/daily?run={RUN}", headers={"Authorization": "Bearer s3cret"})
    assert connection.getresponse().status == 204
    assert events(server) == [{"ready": "done"}]
    assert not list((tmp_path / "run").glob("state-script-*")), "what a killed one left is cleared"


@pytest_twisted.ensureDeferred
async def test_who_waits_while_the_daemon_stops_is_told_to_ask_again(server: Provisioning, tmp_path: Path) -> None:
    ready(server)
    blocking(tmp_path)
    states = daemon(server, tmp_path, ScriptSettings())
    asked = Deferred.fromCoroutine(states.ask("n1", NodeState.READY, "ready", RUN))
    await until((tmp_path / "begun").exists)
    await deferToThread(states.stop)
    assert await asked is None
    assert await states.ask("n1", NodeState.READY, "ready", RUN) is None


@pytest.mark.parametrize(("state", "run", "kind"), [("Ready", RUN, BadInput), ("failed", RUN, Conflict)])
@pytest_twisted.ensureDeferred
async def test_asked_without_http(server: Provisioning, tmp_path: Path, state: str, run: str, kind: type) -> None:
    states = daemon(server, tmp_path, ScriptSettings())
    with pytest.raises(kind):
        await states.ask("n1", NodeState.READY, state, run)
    states.stop()
