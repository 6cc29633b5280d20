"""The API over real connections on loopback: statuses and headers, who came by the local socket, streams."""

import json
import os
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.web.pages import notFound

from imaged.daemon.api import peer
from imaged.daemon.api.resource import ApiResource
from imaged.daemon.feed import Feed
from imaged.daemon.nodeapi import NodeApi
from imaged.daemon.site import LARGEST, Fork, QuietSite
from imaged.model.access import Caller, Role
from imaged.store.apitokens import ApiTokens
from imaged.store.hosts import Host
from tests.daemon.api.office import Front, front

__all__ = ["front"]
reactor: Any = installed


class Local(HTTPConnection):
    """HTTP by a local socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


class Door:
    """A daemon's web server: ``connect`` by TCP, ``local`` by its socket."""

    def __init__(self, front: Front, port: int, path: Path, beats: Clock) -> None:
        self.front, self._port, self._path, self.beats = front, port, path, beats

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self._port, timeout=10)

    def local(self) -> HTTPConnection:
        return Local(self._path)

    def bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.front.secrets[role]}"}


@pytest.fixture
def door(front: Front, tmp_path: Path) -> Iterator[Door]:
    feed, beats = Feed(front.desk.engine, reactor), Clock()
    people = ApiResource(front.office, {}, feed, reactor, beats)
    people.start()
    api = NodeApi(front.office.provisioning, None, None, tmp_path, on_claim=print)  # type: ignore[arg-type]
    fork = Fork(api.resource(), people, notFound(), api.first_words())
    port = reactor.listenTCP(0, QuietSite(fork, reactor), interface="127.0.0.1")
    path = tmp_path / "s"
    local = reactor.listenUNIX(str(path), QuietSite(people, reactor))
    yield Door(front, port.getHost().port, path, beats)
    feed.stop()
    people.stop()
    pytest_twisted.blockon(port.stopListening())
    pytest_twisted.blockon(local.stopListening())


def exchange(
    connection: HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
    response = connection.getresponse()
    return response.status, {name.lower(): text for name, text in response.getheaders()}, response.read()


@pytest_twisted.ensureDeferred
async def test_answers_over_http(door: Door) -> None:
    token = door.bearer("read")
    connection = door.connect()
    status, headers, body = await deferToThread(exchange, connection, "GET", "/v1/nodes/n1", **token)
    assert (status, json.loads(body)["name"], headers["content-type"]) == (200, "n1", "application/json")
    again = await deferToThread(exchange, connection, "GET", "/v1/nodes/n1", If_None_Match=headers["etag"], **token)
    assert (again[0], again[2]) == (304, b"")
    head = await deferToThread(exchange, connection, "HEAD", "/v1/nodes/n1", **token)
    assert (head[0], head[1]["content-length"], head[2]) == (200, str(len(body)), b"")
    nobody = await deferToThread(exchange, connection, "GET", "/v1/nodes/n1")
    assert (nobody[0], nobody[1]["www-authenticate"]) == (401, 'Bearer realm="imaged"')
    other = await deferToThread(exchange, connection, "TRACE", "/v1/nodes", **token)
    assert (other[0], other[1]["allow"]) == (405, "DELETE, GET, HEAD, PATCH, POST")


@pytest_twisted.ensureDeferred
async def test_paths_of_nodes_stay_theirs(door: Door) -> None:
    assert (await deferToThread(exchange, door.connect(), "POST", "/v1/up"))[0] == 403, "a node without its secret"
    assert (await deferToThread(exchange, door.connect(), "GET", "/ipxe/52:54:00:00:00:77"))[0] == 200
    status, _, body = await deferToThread(exchange, door.connect(), "GET", "/v1/nothing")
    assert (status, json.loads(body)["what"]) == (404, "there is no such path")
    local = await deferToThread(exchange, door.local(), "GET", "/ipxe/52:54:00:00:00:77")
    assert local[0] == 404, "no node comes by the local socket"


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_too_large_is_not_kept(door: Door) -> None:
    said = {"Content_Type": "application/json", **door.bearer("admin")}
    status, _, body = await deferToThread(exchange, door.connect(), "POST", "/v1/nodes", b" " * (LARGEST + 1), **said)
    assert (status, json.loads(body)["what"]) == (413, f"a body of more than {LARGEST} bytes")
    chunks = iter([b" " * LARGEST, b" "])
    status, _, _ = await deferToThread(exchange, door.connect(), "POST", "/v1/nodes", chunks, **said)  # type: ignore[arg-type]
    assert status == 413, "in pieces, without a word about its length"
    form = {**door.bearer("admin"), "Content_Type": "multipart/form-data; boundary=x"}
    assert (await deferToThread(exchange, door.connect(), "POST", "/v1/nodes", b"--y", **form))[0] == 415


@pytest_twisted.ensureDeferred
async def test_the_daemons_own_user_needs_no_token(door: Door) -> None:
    status, _, body = await deferToThread(exchange, door.local(), "GET", "/v1/whoami")
    assert (status, json.loads(body)["role"]) == (200, "admin")
    status, _, body = await deferToThread(exchange, door.local(), "GET", "/v1/whoami", **door.bearer("read"))
    assert json.loads(body)["name"] == "token:read", "who shows a token wants no more than that"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest_twisted.ensureDeferred
async def test_other_users_are_nobody_unless_the_settings_say_so(front: Front, tmp_path_factory: Any) -> None:
    directory = Path("/tmp") / f"imaged-peer-{os.getpid()}"
    directory.mkdir(mode=0o755)
    people = {"@daemon": Role.OPERATOR}
    ports, resources = [], []
    try:
        for name, roles in (("none", {}), ("some", people)):
            resource = ApiResource(front.office, roles, Feed(front.desk.engine, reactor), reactor)
            resource.start()
            resources.append(resource)
            ports.append(reactor.listenUNIX(str(directory / name), QuietSite(resource, reactor), mode=0o666))
        assert await deferToThread(as_daemon, directory / "none") == "401"
        assert await deferToThread(as_daemon, directory / "some") == '{"name": "daemon", "role": "operator"}\n'
    finally:
        for port in ports:
            await port.stopListening()
        for resource in resources:
            resource.stop()
        directory.rmdir()


def as_daemon(path: Path) -> str:
    """What the user `daemon` (of Debian's base-passwd) is answered to who it is."""
    import subprocess

    line = ("curl", "-s", "--fail", "--unix-socket", str(path), "http://localhost/v1/whoami")
    done = subprocess.run(line, user="daemon", group="daemon", capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else "401" if done.returncode == 22 else done.stderr


def test_groups_of_a_user_who_is_in_no_file() -> None:
    assert peer.caller(2**31 - 7, 2**31 - 7, {"@root": Role.ADMIN}) is None
    assert peer.caller(os.geteuid(), 0, {}) == Caller(peer._name(os.geteuid()), Role.ADMIN)


class Listener:
    """Somebody who listens to the stream, on a thread."""

    def __init__(self, door: Door, query: str = "", role: str = "read", **headers: str) -> None:
        self._connection = door.connect()
        self._connection.request("GET", f"/v1/events/stream{query}", headers={**door.bearer(role), **headers})
        self.response = self._connection.getresponse()

    def message(self) -> list[str]:
        """The lines of the next message or comment; none at the end."""
        lines = []
        while line := self.response.readline().decode().strip():
            lines.append(line)
        return lines

    def close(self) -> None:
        self.response.close()
        self._connection.close()


@pytest_twisted.ensureDeferred
async def test_a_stream_tells_what_changes_and_goes_on_where_it_was_cut_off(door: Door) -> None:
    listener = await deferToThread(Listener, door)
    assert listener.response.status == 200
    assert listener.response.getheader("content-type") == "text/event-stream"
    assert await deferToThread(listener.message) == ["retry: 3000"]
    hosts = door.front.desk.hosts
    await deferToThread(hosts.put_node, "n1", Host(timezone="UTC"))
    place, kind, data = await deferToThread(listener.message)
    event = json.loads(data.removeprefix("data: "))
    assert (kind, event["subject"], event["after"]) == ("event: event", "n1", {"timezone": "UTC"})
    listener.close()
    await deferToThread(hosts.put_node, "n2", Host(timezone="UTC"))
    again = await deferToThread(Listener, door, **{"Last-Event-ID": place.removeprefix("id: ")})
    await deferToThread(again.message)
    _, _, data = await deferToThread(again.message)
    assert json.loads(data.removeprefix("data: "))["subject"] == "n2", "what was missed, and nothing twice"
    again.close()
    lost = await deferToThread(Listener, door, **{"Last-Event-ID": "nonsense"})
    assert lost.response.status == 400
    lost.close()


@pytest_twisted.ensureDeferred
async def test_a_stream_beats_and_ends_with_its_token(door: Door) -> None:
    listener = await deferToThread(Listener, door)
    await deferToThread(listener.message)
    door.beats.advance(15)
    assert await deferToThread(listener.message) == [":"]
    ApiTokens(door.front.desk.engine).remove(["read"])
    door.beats.advance(15)
    assert await deferToThread(listener.message) == []
    listener.close()
