"""Updates by HTTP: one small question, the plan, manifests and their differences, reports; and who may ask."""

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor as installed
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from imaged.daemon.app import state_scripts
from imaged.daemon.nodeapi import NodeApi
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json, to_json
from imaged.model.image import Version
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeState
from imaged.model.outcome import Difference, Drift, Outcome, Owner, Updated
from imaged.model.plan import RunInTarget, WriteFile
from imaged.model.report import Report, Status
from imaged.model.system import System
from imaged.model.talk import Claim
from imaged.model.update import UpdatePlan
from imaged.planning.standing import Planned
from tests.daemon.test_provisioning import MACHINE, STRANGER, Clock, fill, server, settings_in  # noqa: F401
from tests.planning.test_delta import applied

SECRET = "secret-of-n1"
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running(server: Provisioning) -> Provisioning:  # noqa: F811
    """A server whose node n1 runs tiny@1, and n2 another image."""
    install(server, "n1", SECRET)
    with server.images.working("other") as working:
        fill(working.tree)
        server.images.publish(server.images.seal(working, origin="test"), "stable")
    server.nodes.add(Node("n2", (STRANGER,), ImageRef.parse("other")))
    install(server, "n2", "secret-of-n2")
    return server


def install(server: Provisioning, name: str, secret: str) -> None:  # noqa: F811
    script = server.boot_script(server.nodes.get(name).macs[0], "")
    server.claim(Claim(script.split("imaged.token=")[1].split()[0], secret))
    server.answer_plan(name, MACHINE)
    server.record_report(name, Report("reboot", Status.DONE, 1.0))
    server.record_up(name)


def publish(server: Provisioning, change: str = "changed") -> Version:  # noqa: F811
    with server.images.working("tiny") as working:
        fill(working.tree)
        for number in range(200):
            (working.tree / f"etc/file{number:03}").write_text("same")
        (working.tree / "etc/motd").write_text(change)
        for path in working.tree.rglob("*"):
            os.utime(path, (1e9, 1e9))
        version = server.images.seal(working, origin="test")
    server.images.publish(version, "stable")
    return version


class Api:
    """A client on a thread, as the node's is on another machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def call(self, method: str, path: str, body: str = "", secret: str = SECRET, **headers: str) -> Answer:
        from http.client import HTTPConnection

        def request() -> Answer:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
            bearer = {"Authorization": f"Bearer {secret}"} if secret else {}
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, path, body.encode() or None, {**bearer, **named})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

        return await deferToThread(request)

    async def plan(self, serial: str = "", secret: str = SECRET, more: str = "") -> UpdatePlan:
        status, _, body = await self.call("GET", f"/v1/update?serial={serial}{more}", secret=secret)
        assert status == 200, body
        return from_json(body, UpdatePlan)


@pytest.fixture
def api(running: Provisioning, tmp_path: Path) -> Iterator[Api]:
    logs = NodeLogs(tmp_path / "logs", lambda: 0.0)
    states = state_scripts(running, logs, settings_in(tmp_path), installed)
    nodes = NodeApi(running, states, logs, tmp_path / "boot", on_claim=lambda _: None)
    port = installed.listenTCP(0, Site(nodes.resource()), interface="127.0.0.1")  # type: ignore[attr-defined]
    yield Api(port.getHost().port)
    pytest_twisted.blockon(port.stopListening())


def granted(server: Provisioning, name: str = "n1", secret: str = SECRET) -> list[str]:  # noqa: F811
    """The version that rsync would show; nothing at all without one."""
    grant = server.grant(name, secret)
    return [f"image={each.path.parent.name}" for each in grant.modules if each.name == "image"] if grant else []


@pytest_twisted.ensureDeferred
async def test_from_a_new_version_to_being_in_step(api: Api, running: Provisioning, tmp_path: Path) -> None:
    assert granted(running) == [], "nothing to read while nothing is under way"
    plan = await api.plan()
    assert (plan.node, plan.image, plan.manifest) == ("n1", "tiny@1", "/v1/manifest/tiny/1")
    assert granted(running) == ["image=1"]
    assert (await api.call("POST", "/v1/updated", to_json(Updated(plan.image, plan.serial, Outcome.DONE))))[0] == 204
    assert granted(running) == []
    assert (await api.call("GET", f"/v1/update?serial={plan.serial}"))[0] == 204

    version = publish(running)
    installed = running.nodes.fact("n1", "touched")
    new = await api.plan(plan.serial)
    (own,) = (each.step for each in new.fixups if getattr(each.step, "path", "") == "/var/lib/imaged/fixups.json")
    assert running.nodes.fact("n1", "touched") == own.content == installed, "one list: of install, update and server"
    assert "/etc/fstab" in {each["path"] for each in json.loads(installed)}
    assert new.image == version.ref
    assert new.serial != plan.serial
    assert new.manifest_sha256 == version.manifest_sha256
    assert granted(running) == ["image=2"]
    restarted = Provisioning(settings_in(tmp_path), Clock())
    assert granted(restarted) == ["image=2"], "an update goes on when the daemon is started again"
    for phase in ("compare", "fetch", "apply", "fixups"):
        report = Report(phase, Status.STARTED, 9.0)
        assert (await api.call("POST", "/v1/report", to_json(report)))[0] == 204
    assert [each.phase for _, each in running.nodes.reports("n1")] == ["compare", "fetch", "apply", "fixups"]
    done = Updated(new.image, new.serial, Outcome.DONE, changed=1)
    assert (await api.call("POST", "/v1/updated", to_json(done)))[0] == 204
    facts = running.nodes.facts("n1")
    assert (facts["installed"], facts["serial"], facts["updating"]) == ("tiny@2", new.serial, None)
    assert from_json(facts["updated"], Updated) == done
    assert running.nodes.get("n1").state is NodeState.READY
    assert "update to tiny@2 done" in (tmp_path / "logs/n1.log").read_text()


@pytest_twisted.ensureDeferred
async def test_nothing_changed_is_known_without_a_plan(api: Api, running: Provisioning) -> None:
    plan = await api.plan()
    shutil.rmtree(running.images.root / "tiny/1/tree")
    (running.images.root / "tiny/1/version.json").rename(running.images.root / "tiny/1/moved")
    assert (await api.call("GET", f"/v1/update?serial={plan.serial}"))[0] == 204
    assert (await api.call("GET", "/v1/update?serial=another"))[0] == 400, "now the version had to be read"


@pytest_twisted.ensureDeferred
async def test_a_restarted_daemon_comes_to_the_same_serial(api: Api, running: Provisioning, tmp_path: Path) -> None:
    plan = await api.plan()
    restarted = Provisioning(settings_in(tmp_path), Clock())
    assert restarted.updates.in_step(SECRET, plan.serial) is False, "it does not know yet"
    assert restarted.updates.answer_plan(SECRET, plan.serial) is None
    assert restarted.updates.in_step(SECRET, plan.serial) is True


@pytest.mark.parametrize("change", ["publish", "console", "address", "image", "new install"])
@pytest_twisted.ensureDeferred
async def test_whatever_a_plan_depends_on_makes_it_another(api: Api, running: Provisioning, change: str) -> None:
    plan = await api.plan()
    if change == "publish":
        publish(running)
    elif change == "new install":
        system = from_json(running.nodes.fact("n1", "system"), System)
        swap = evolve(system.swaps[0], uuid="33333333-3333-5333-8333-333333333333")
        running.nodes.keep("n1", plan_hash="x", system=to_json(evolve(system, swaps=(swap,))))
    else:
        value = {"console": "ttyS7", "address": "10.9.9.9", "image": "other"}[change]
        running.nodes.keep("n1", **{change: value})
    status = (await api.call("GET", f"/v1/update?serial={plan.serial}"))[0]
    # An address of its own is in no file of a node that asks DHCP: a new plan is made, and is the same.
    assert status == (204 if change == "address" else 200)


@pytest_twisted.ensureDeferred
async def test_a_layout_that_changed_since_does_not_change_the_update(
    api: Api, running: Provisioning, tmp_path: Path
) -> None:
    before = await api.plan()
    (tmp_path / "layouts").mkdir()
    (tmp_path / "layouts/one-disk.yaml").write_text("version: 1\ndisks: []\n")
    publish(running)
    after = await api.plan(before.serial)

    def fstab(plan: UpdatePlan) -> str:
        return next(
            e.step.content for e in plan.fixups if isinstance(e.step, WriteFile) and e.step.path == "/etc/fstab"
        )

    assert fstab(after) == fstab(before)


@pytest_twisted.ensureDeferred
async def test_back_to_an_older_version(api: Api, running: Provisioning) -> None:
    publish(running)
    plan = await api.plan(more="&to=1")
    assert plan.image == "tiny@1"
    assert granted(running) == ["image=1"]
    assert (await api.call("GET", f"/v1/update?serial={plan.serial}&to=1"))[0] == 204
    assert (await api.plan(plan.serial)).image == "tiny@2", "without --to the channel counts"


@pytest.mark.parametrize("compressed", [False, True])
@pytest_twisted.ensureDeferred
async def test_manifests_whole_and_as_a_difference(api: Api, running: Provisioning, compressed: bool) -> None:
    first, second = publish(running, "one"), publish(running, "two")
    accepts = {"Accept_Encoding": "br;q=1, gzip;q=0.8" if compressed else "gzip;q=0"}

    async def manifest(query: str) -> tuple[str, bytes, bytes]:
        status, headers, body = await api.call("GET", f"/v1/manifest/tiny/{second.number}{query}", **accepts)
        assert (status, headers.get("Content-Encoding")) == (200, "gzip" if compressed else None)
        return headers["Imaged-Manifest"], gzip.decompress(body) if compressed else body, body

    kind, whole, _ = await manifest("")
    assert (kind, hashlib.sha256(whole).hexdigest()) == ("full", second.manifest_sha256)
    old = running.images.manifest(first).read_bytes().splitlines(keepends=True)
    for _ in range(2):  # made, and found again
        kind, lines, sent = await manifest(f"?from={first.manifest_sha256}")
        assert kind == "delta"
        assert b"".join(applied(old, lines.splitlines(keepends=True))) == whole
        assert len(sent) < 400, "one file of two hundred"
    for unknown in ("?from=" + "0" * 64, "?from=../../etc/passwd", "?from="):
        assert (await manifest(unknown))[:2] == ("full", whole)


@pytest_twisted.ensureDeferred
async def test_a_node_that_is_given_another_image_meanwhile_can_finish(api: Api, running: Provisioning) -> None:
    plan = await api.plan()
    running.nodes.keep("n1", image="other")
    assert (await api.call("GET", plan.manifest))[0] == 200
    assert granted(running) == ["image=1"]
    assert (await api.call("POST", "/v1/updated", to_json(Updated(plan.image, plan.serial, Outcome.DONE))))[0] == 204
    assert (await api.call("GET", plan.manifest))[0] == 403
    assert (await api.plan(plan.serial)).image == "other@1"


@pytest.mark.parametrize(
    ("method", "path", "secret", "status", "said"),
    [
        ("GET", "/v1/update", "", 403, "Bearer"),
        ("GET", "/v1/update?serial=x", "wrong", 403, "no node's"),
        ("GET", "/v1/update?to=9", SECRET, 404, "no version 9"),
        ("GET", "/v1/update?to=-1", SECRET, 400, "not the number"),
        ("GET", "/v1/update?to=%00", SECRET, 400, "not the number"),
        ("GET", "/v1/manifest/tiny/1", "", 403, "Bearer"),
        ("GET", "/v1/manifest/tiny/1", "secret-of-n2", 403, "not the image of n2"),
        ("GET", "/v1/manifest/tiny/9", SECRET, 404, "no version 9"),
        ("GET", "/v1/manifest/../1", SECRET, 403, "not the image"),
        ("GET", "/v1/manifest/tiny/x", SECRET, 404, None),
        ("POST", "/v1/updated", "wrong", 403, "no node's"),
        ("POST", "/v1/updated", SECRET, 400, "not JSON"),
        ("POST", "/v1/drift", "", 403, "Bearer"),
        ("POST", "/v1/drift", SECRET, 400, "not JSON"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_who_may_not_and_what_is_not(
    api: Api, method: str, path: str, secret: str, status: int, said: str | None
) -> None:
    code, _, body = await api.call(method, path, "[" if method == "POST" else "", secret)
    assert code == status
    assert said is None or said in json.loads(body)["what"]


@pytest_twisted.ensureDeferred
async def test_a_node_that_is_being_installed_gets_no_update(api: Api, running: Provisioning) -> None:
    await api.plan()
    publish(running)
    running.nodes.set_action(["n1"], running.nodes.get("n1").action.INSTALL)
    script = running.boot_script(Mac.parse("52:54:00:00:00:01"), "")
    running.claim(Claim(script.split("imaged.token=")[1].split()[0], "new secret"))
    assert granted(running, secret="new secret") == [], "what the update had marked is forgotten"
    assert granted(running) == [], "the old secret is nobody's"
    status, _, body = await api.call("GET", "/v1/update?serial=", secret="new secret")
    assert (status, json.loads(body)["what"]) == (409, "n1 is installing")
    ended = to_json(Updated("tiny@1", "s", Outcome.DONE))
    assert (await api.call("POST", "/v1/updated", ended, "new secret"))[0] == 409


@pytest.mark.parametrize(("name", "secret"), [("n1", "wrong"), ("n2", SECRET), ("n2", "secret-of-n2"), ("", "")])
@pytest_twisted.ensureDeferred
async def test_rsync_is_for_the_node_that_asked(api: Api, running: Provisioning, name: str, secret: str) -> None:
    await api.plan()
    assert granted(running, name, secret) == []


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
@pytest_twisted.ensureDeferred
async def test_a_failed_update_leaves_a_ready_node_with_a_reason(
    api: Api, running: Provisioning, outcome: Outcome
) -> None:
    publish(running)
    plan = await api.plan()
    failed = Report("fetch", Status.FAILED, 5.0, "the disk is full")
    assert (await api.call("POST", "/v1/report", to_json(failed)))[0] == 204
    ended = Updated(plan.image, plan.serial, outcome, "the disk is full")
    assert (await api.call("POST", "/v1/updated", to_json(ended)))[0] == 204
    facts = running.nodes.facts("n1")
    assert (facts["installed"], facts["serial"], facts["updating"]) == ("tiny@1", None, None)
    assert from_json(facts["updated"], Updated).message == "the disk is full"
    assert running.nodes.get("n1").state is NodeState.READY


@pytest.mark.parametrize("image", ["other@1", "tiny", "nonsense/../x"])
@pytest_twisted.ensureDeferred
async def test_a_node_cannot_report_an_image_that_was_never_its_own(api: Api, image: str) -> None:
    await api.plan()
    status = (await api.call("POST", "/v1/updated", to_json(Updated(image, "s", Outcome.DONE))))[0]
    assert status in (400, 409)


@pytest_twisted.ensureDeferred
async def test_drift_is_kept_with_its_first_differences(api: Api, running: Provisioning) -> None:
    found = tuple(Difference(f"/etc/{number}", Owner.IMAGE, "sha256") for number in range(300))
    assert (await api.call("POST", "/v1/drift", to_json(Drift("tiny@1", "s", 300, found))))[0] == 204
    kept = from_json(running.nodes.facts("n1")["drift"], Drift)
    assert (kept.count, kept.differences) == (300, found[:200])
    assert (await api.call("POST", "/v1/drift", to_json(Drift("tiny@1", "s", 0, found))))[0] == 400


@pytest_twisted.ensureDeferred
async def test_the_plan_holds_no_secret_and_no_disk(api: Api) -> None:
    _, _, body = await api.call("GET", "/v1/update?serial=")
    steps = {each["step"]["step"] for part in ("fixups", "bootloader") for each in json.loads(body)[part]}
    assert steps <= {"WriteFile", "RemovePath", "MakeLink", "RunInTarget", "MoveFile", "CheckFile"}
    assert SECRET not in body.decode()
    plan = from_json(body, UpdatePlan)
    menu = next(e for e in plan.bootloader if isinstance(e.step, RunInTarget) and e.step.argv[0] == "update-grub")
    assert "/boot/vmlinu[xz]-*" in menu.when


@pytest_twisted.ensureDeferred
async def test_a_look_gives_nothing_to_read(api: Api, running: Provisioning) -> None:
    plan = await api.plan(more="&look=1")
    assert (plan.image, granted(running)) == ("tiny@1", [])
    status, _, _ = await api.call("GET", plan.manifest)
    assert status == 200, "to compare it needs the manifest"
    assert running.nodes.fact("n1", "updating") is None
    assert await api.plan() == plan
    assert granted(running) == ["image=1"]
    assert await api.plan(more="&look=1") == plan
    assert granted(running) == ["image=1"], "an update under way is not ended by a look"


@pytest_twisted.ensureDeferred
async def test_what_the_last_plan_was_made_from_is_kept(api: Api, running: Provisioning) -> None:
    plan = await api.plan()
    first = Planned.read(running.nodes.fact("n1", "planned"))
    assert first is not None and first.serial == plan.serial
    running.nodes.keep("n1", console="ttyS1")
    other = await api.plan()
    second = Planned.read(running.nodes.fact("n1", "planned"))
    assert second == evolve(first, serial=other.serial, definition=second.definition if second else "")
    assert second != first
