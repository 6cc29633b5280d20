"""The node API over real HTTP on loopback: routes, statuses, and what bad requests are told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from imaged.daemon.nodeapi import NodeApi
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.node import NodeState
from imaged.model.report import Claim, Claimed, PlanAnswer, PlanRequest, Report, Status
from tests.daemon.test_provisioning import CRYPT, MACHINE, Clock, server, token_of  # noqa: F401

reactor: Any = installed


class Api:
    """A client on a thread, as the agent is one on another machine."""

    def __init__(self, port: int, claims: list[str]) -> None:
        self.port = port
        self.claims = claims

    async def call(self, method: str, path: str, body: str = "", secret: str = "", **headers: str) -> tuple[int, bytes]:
        from http.client import HTTPConnection

        def request() -> tuple[int, bytes]:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
            bearer = {"Authorization": f"Bearer {secret}"} if secret else {}
            said = {HEADER: dialect(), **bearer, **headers}
            connection.request(method, path, body.encode() or None, said)
            response = connection.getresponse()
            return response.status, response.read()

        return await deferToThread(request)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(server: Provisioning, tmp_path: Path) -> Iterator[Api]:  # noqa: F811
    boot = tmp_path / "boot"
    (boot / "loaders").mkdir(parents=True)
    (boot / "loaders/undionly.kpxe").write_bytes(bytes(range(256)) * 16)
    (boot / "outside").symlink_to("/etc/passwd")
    claims: list[str] = []
    api = NodeApi(server, NodeLogs(tmp_path / "logs", lambda: 0.0), boot, on_claim=claims.append)
    site = Site(api.app.resource())
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    yield Api(port.getHost().port, claims)
    pytest_twisted.blockon(port.stopListening())


@pytest_twisted.ensureDeferred
async def test_an_install_by_http(api: Api, server: Provisioning, tmp_path: Path) -> None:  # noqa: F811
    status, body = await api.call("POST", "/v1/claim", to_json(Claim(token_of(server), "secret")))
    assert (status, from_json(body, Claimed).node) == (200, "n1")
    assert api.claims == ["n1"], "what an earlier install left running is told to end"
    status, body = await api.call("POST", "/v1/plan", to_json(PlanRequest(MACHINE)), "secret")
    assert (status, from_json(body, PlanAnswer).plan.node) == (200, "n1")
    for phase in ("wipe", "reboot"):
        answer = await api.call("POST", "/v1/report", to_json(Report(phase, Status.DONE, 1.0)), "secret")
        assert answer == (204, b"")
    assert (await api.call("POST", "/v1/log", "hello\n\x1b[31mred", "secret"))[0] == 204
    assert (await api.call("POST", "/v1/hostkeys", "ssh-ed25519 AAAA", "secret"))[0] == 204
    assert (await api.call("POST", "/v1/up", secret="secret"))[0] == 204
    assert server.nodes.get("n1").state is NodeState.READY
    assert server.nodes.fact("n1", "host_keys") == "ssh-ed25519 AAAA"
    log = (tmp_path / "logs/n1.log").read_text()
    assert "1970-01-01T00:00:00Z hello\n1970-01-01T00:00:00Z .[31mred\n" in log


@pytest_twisted.ensureDeferred
async def test_a_key_by_http(api: Api, server: Provisioning, tmp_path: Path) -> None:  # noqa: F811
    await api.call("POST", "/v1/claim", to_json(Claim(token_of(server), "secret")))
    await api.call("POST", "/v1/plan", to_json(PlanRequest(MACHINE)), "secret")
    server.nodes.keep("n1", system=CRYPT)
    status, key = await api.call("GET", "/v1/key/crypt0", secret="secret")
    assert (status, len(key)) == (200, 44)
    assert await api.call("GET", "/v1/key/crypt0", secret="secret") == (200, key)
    assert (await api.call("GET", "/v1/key/crypt0", secret="wrong"))[0] == 403
    assert (await api.call("GET", "/v1/key/crypt0"))[0] == 403
    for other in ("crypt1", "%2e%2e", "x" * 5000, "%00"):
        assert (await api.call("GET", f"/v1/key/{other}", secret="secret"))[0] == 404
    assert (await api.call("POST", "/v1/key/crypt0", secret="secret"))[0] == 405
    log = tmp_path / "logs/n1.log"
    assert not log.exists() or key.decode() not in log.read_text()


@pytest.mark.parametrize(
    ("method", "path", "body", "secret", "status", "said"),
    [
        ("POST", "/v1/claim", '{"token": "x", "secret": "y"}', "", 403, "not known"),
        ("POST", "/v1/claim", '{"token": "x"}', "", 400, "'secret' is missing"),
        ("POST", "/v1/claim", "[", "", 400, "not JSON"),
        ("POST", "/v1/plan", "{}", "", 403, "Bearer"),
        ("POST", "/v1/plan", "{}", "wrong", 403, "no node's"),
        ("POST", "/v1/up", "", "wrong", 403, "no node's"),
        ("GET", "/ipxe/nonsense", "", "", 400, "not a MAC"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_requests_are_told_why(
    api: Api, method: str, path: str, body: str, secret: str, status: int, said: str
) -> None:
    code, answer = await api.call(method, path, body, secret)
    assert code == status
    assert said in json.loads(answer)["what"]


@pytest.mark.parametrize(
    "path",
    ["/boot/../imaged.sqlite", "/boot/%2e%2e/imaged.sqlite", "/boot/outside", "/boot/nothing", "/boot/loaders",
     "/boot/loaders/%00", "/boot/" + "x" * 5000, "/", "/v1/nothing", "/boot/..%5cimaged.sqlite"],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_what_is_not_below_the_boot_directory_is_not_there(api: Api, path: str) -> None:
    assert (await api.call("GET", path))[0] == 404


@pytest_twisted.ensureDeferred
async def test_boot_files_by_range_and_head(api: Api) -> None:
    whole = bytes(range(256)) * 16
    path = "/boot/loaders/undionly.kpxe"
    assert await api.call("GET", path) == (200, whole)
    assert await api.call("HEAD", path) == (200, b"")
    assert await api.call("GET", path, Range="bytes=256-511") == (206, whole[256:512])
    assert (await api.call("GET", path, Range="bytes=99999-"))[0] == 416


@pytest_twisted.ensureDeferred
async def test_an_agent_of_another_release_gets_no_plan(api: Api, server: Provisioning) -> None:  # noqa: F811
    await api.call("POST", "/v1/claim", to_json(Claim(token_of(server), "secret")))
    status, body = await api.call("POST", "/v1/plan", "{}", "secret", **{HEADER: "0123456789abcdef"})
    assert status == 409
    assert b"another release of imaged" in body and b"mkramdisk" in body
