"""The node API over real HTTP on loopback: routes, statuses, and what bad requests are told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor as installed
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from imaged.daemon import sendfile
from imaged.daemon.app import state_scripts
from imaged.daemon.nodeapi import NodeApi
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.model.access import Role
from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.node import NodeState
from imaged.model.report import Report, Status
from imaged.model.talk import Claim, Claimed, PlanAnswer, PlanRequest, Problem
from imaged.model.vault import KeptFiles, kept
from imaged.store.apitokens import ApiTokens
from tests.daemon.test_provisioning import CRYPT, MACHINE, Clock, server, settings_in, token_of  # noqa: F401

reactor: Any = installed


class Api:
    """A client on a thread, as the agent is one on another machine."""

    def __init__(self, port: int, claims: list[str], served: NodeApi) -> None:
        self.port = port
        self.claims = claims
        self.served = served

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
    logs = NodeLogs(tmp_path / "logs", lambda: 0.0)
    (tmp_path / "run").mkdir(exist_ok=True)
    states = state_scripts(server, logs, settings_in(tmp_path), reactor)
    states.start()
    api = NodeApi(server, states, logs, boot, on_claim=claims.append)
    site = Site(api.resource())
    port = sendfile.listen(reactor, 0, site, interface="127.0.0.1")
    yield Api(port.getHost().port, claims, api)
    pytest_twisted.blockon(port.stopListening())
    states.stop()


@pytest_twisted.ensureDeferred
async def test_an_install_by_http(api: Api, server: Provisioning, tmp_path: Path) -> None:  # noqa: F811
    status, body = await api.call("POST", "/v1/claim", to_json(Claim(token_of(server), "secret")))
    assert (status, from_json(body, Claimed).node) == (200, "n1")
    assert api.claims == ["n1"], "what an earlier install left running is told to end"
    status, body = await api.call("POST", "/v1/plan", to_json(PlanRequest(MACHINE)), "secret")
    assert (status, from_json(body, PlanAnswer).plan.node) == (200, "n1")
    written = evolve(MACHINE, disks=tuple(evolve(disk, contents="gpt") for disk in MACHINE.disks))
    assert (await api.call("POST", "/v1/found", to_json(PlanRequest(written)), "secret"))[0] == 204
    assert server.nodes.inventory("n1") == written
    for phase in ("wipe", "reboot"):
        answer = await api.call("POST", "/v1/report", to_json(Report(phase, Status.DONE, 1.0)), "secret")
        assert answer == (204, b"")
    assert (await api.call("POST", "/v1/log", "hello\n\x1b[31mred", "secret"))[0] == 204
    assert (await api.call("POST", "/v1/console", "[    1.5] sda: I/O error", "secret"))[0] == 204
    assert (await api.call("POST", "/v1/hostkeys", "ssh-ed25519 AAAA", "secret"))[0] == 204
    assert (await api.call("POST", "/v1/up", secret="secret"))[0] == 204
    assert server.nodes.get("n1").state is NodeState.READY
    assert server.nodes.fact("n1", "host_keys") == "ssh-ed25519 AAAA"
    assert (await api.call("POST", "/v1/found", to_json(PlanRequest(MACHINE)), "secret"))[0] == 409
    log = (tmp_path / "logs/n1.log").read_text()
    assert "1970-01-01T00:00:00Z hello\n1970-01-01T00:00:00Z .[31mred\n" in log
    assert (tmp_path / "logs/n1.console").read_text() == "1970-01-01T00:00:00Z [    1.5] sda: I/O error\n"


@pytest_twisted.ensureDeferred
async def test_bytes_of_boot_files_are_counted(api: Api) -> None:
    for _ in range(2):
        assert (await api.call("GET", "/boot/loaders/undionly.kpxe"))[0] == 200
    assert api.served.sent == 2 * 4096


@pytest_twisted.ensureDeferred
async def test_reports_that_are_refused(api: Api, server: Provisioning) -> None:  # noqa: F811
    body = to_json(Report("wipe", Status.DONE, 1.0))
    status, said = await api.call("POST", "/v1/report", body, "wrong")
    assert (status, from_json(said, Problem).what) == (403, "this secret is no node's")
    assert (await api.call("POST", "/v1/report", body))[0] == 403
    assert (await api.call("POST", "/v1/report", "{", "secret"))[0] == 400
    assert (await api.call("GET", "/v1/report"))[0] == 405


OPEN = {"/ipxe/<mac>", "/boot/<path:name>", "/metrics", "/v1/claim", "/v1/medium", "/v1/rescue", "/v1/inventory"}


@pytest_twisted.ensureDeferred
async def test_no_token_of_a_person_is_a_nodes_secret(api: Api, server: Provisioning) -> None:  # noqa: F811
    """Those that are open take what proves somebody in the body, if at all."""
    admin = ApiTokens(server.engine).add("ci", Role.ADMIN, None)
    rules = [rule for rule in NodeApi.app.url_map.iter_rules() if rule.rule not in OPEN]
    assert len(rules) >= 15
    for rule in rules:
        path = rule.rule.replace("<int:number>", "1")
        for secret in ("", "wrong", admin, token_of(server)):
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                body = to_json(Report("wipe", Status.DONE, 1.0)) if path == "/v1/report" else ""
                status, _ = await api.call(method, path.replace("<", "").replace(">", ""), body, secret)
                assert status == 403, (method, path, secret)


@pytest_twisted.ensureDeferred
async def test_progress_is_believed_for_a_moment(api: Api, server: Provisioning, clock: Clock) -> None:  # noqa: F811
    await api.call("POST", "/v1/claim", to_json(Claim(token_of(server), "secret")))
    progress = to_json(Report("transfer", Status.PROGRESS, 1.0, percent=5.0))
    assert (await api.call("POST", "/v1/report", progress, "secret"))[0] == 204
    server.glimpses.flush()
    assert [report.percent for _, report in server.nodes.reports("n1")] == [5.0]
    server.nodes.remove("n1")
    assert (await api.call("POST", "/v1/report", progress, "secret"))[0] == 204, "nothing follows from it"
    assert (await api.call("POST", "/v1/report", to_json(Report("x", Status.DONE, 1.0)), "secret"))[0] == 403
    clock.now += 61
    assert (await api.call("POST", "/v1/report", progress, "secret"))[0] == 403
    server.glimpses.flush()


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


@pytest_twisted.ensureDeferred
async def test_an_identity_by_http(api: Api, server: Provisioning, tmp_path: Path) -> None:  # noqa: F811
    files = KeptFiles((kept("/etc/ssh/ssh_host_ed25519_key", 0o600, b"PRIVATE"),))
    await api.call("POST", "/v1/claim", to_json(Claim(token_of(server), "secret")))
    assert await api.call("GET", "/v1/identity", secret="secret") == (200, to_json(KeptFiles()).encode())
    assert (await api.call("POST", "/v1/identity", to_json(files), "secret"))[0] == 204
    status, body = await api.call("GET", "/v1/identity", secret="secret")
    assert (status, from_json(body, KeptFiles)) == (200, files)
    assert (await api.call("GET", "/v1/identity"))[0] == 403
    assert (await api.call("GET", "/v1/identity", secret="wrong"))[0] == 403
    strange = KeptFiles((kept("/etc/shadow", 0o600, b""),))
    status, body = await api.call("POST", "/v1/identity", to_json(strange), "secret")
    assert (status, json.loads(body)["where"]) == (400, "/etc/shadow")
    await api.call("POST", "/v1/plan", to_json(PlanRequest(MACHINE)), "secret")
    await api.call("POST", "/v1/report", to_json(Report("reboot", Status.DONE, 1.0)), "secret")
    assert (await api.call("GET", "/v1/identity", secret="secret"))[0] == 409, "a running node has its own"
    assert (await api.call("POST", "/v1/identity", to_json(files), "secret"))[0] == 409
    log = (tmp_path / "logs/n1.log").read_text()
    assert "PRIVATE" not in log and files.files[0].content not in log


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
