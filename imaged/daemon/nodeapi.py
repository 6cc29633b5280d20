"""HTTP as nodes see it: boot scripts, boot files, and the API that the agent reports to. Routes only."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from klein import Klein
from prometheus_client import CONTENT_TYPE_LATEST
from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.web.http import Request, parse_qs
from twisted.web.resource import Resource

from imaged.daemon.asked import Arguments, argument, as_text, label, number, takes_gzip
from imaged.daemon.metrics import Metrics
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.sendfile import FileBody
from imaged.daemon.site import LARGEST, body_of, status_of
from imaged.daemon.states import States
from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.errors import BadInput, Conflict, Denied, ImagedError, NotFound
from imaged.model.net import Mac
from imaged.model.outcome import Drift, Updated
from imaged.model.report import Report, Status
from imaged.model.talk import Claim, MediumBoot, PlanRequest, Problem, Rescue, Told
from imaged.model.vault import KeptFiles
from imaged.store.paths import open_beneath

T = TypeVar("T")
SCRIPTS = "/ipxe/"  # what comes before a MAC
_FILES = b"/boot/"


class NodeApi:
    """The routes. Every error leaves as a status and a Problem; anything else is our bug and keeps its traceback."""

    app = Klein()
    log = Logger()

    def __init__(
        self,
        provisioning: Provisioning,
        states: States,
        logs: NodeLogs,
        boot: Path,
        on_claim: Callable[[str], None],
        metrics: Metrics | None = None,
    ) -> None:
        self.sent = 0  # bytes of boot files and manifests
        self._metrics = metrics
        self._provisioning = provisioning
        self._states = states
        self._on_claim = on_claim
        self._logs = logs
        self._boot = boot
        self._manifests = DeferredLock()

    @classmethod
    def first_words(cls) -> frozenset[str]:
        """How paths of nodes begin: ``/ipxe``, ``/v1/claim``."""
        parts = (rule.rule.split("/") for rule in cls.app.url_map.iter_rules())
        return frozenset("/".join(each[: 3 if each[1] == "v1" else 2]) for each in parts)

    def resource(self) -> Resource:
        """All routes."""
        return _Nodes(self)

    @app.handle_errors(ImagedError)
    def _problem(self, request: Request, failure: Any) -> str:
        return self.problem(request, failure.value)

    def problem(self, request: Request, error: ImagedError) -> str:
        """The answer to what went wrong."""
        request.setResponseCode(status_of(error))
        request.setHeader("Content-Type", "application/json")
        self.log.warn(
            "{method} {path}: {error}", method=as_text(request.method), path=as_text(request.path), error=error
        )
        return to_json(Problem(error.what, error.where, error.hint))

    @app.route("/ipxe/<mac>", methods=["GET", "HEAD"])
    def boot_script(self, request: Request, mac: str) -> str:
        """What iPXE on this machine runs next; ``?uuid=`` is the machine's SMBIOS UUID. ``&vendor=`` and the others are
        there when it was asked what it is."""
        request.setHeader("Content-Type", "text/plain")
        return self._script(request, mac)

    def quick(self, target: bytes) -> bytes | None:
        """The boot script that a plain GET of ``target`` is answered with, where there is one."""
        path, _, query = target.partition(b"?")
        try:
            mac = unquote_to_bytes(path[len(SCRIPTS) :]).decode("latin-1")
            return self._script(Arguments(parse_qs(query, True) if query else {}), mac).encode()
        except ImagedError:
            return None  # and the route says what is wrong

    def _script(self, asked: Any, mac: str) -> str:
        if not asked.args:
            return self._provisioning.boot_script(Mac.parse(mac), "")
        return self._provisioning.boot_script(Mac.parse(mac), argument(asked, "uuid"), label(asked))

    @app.route("/boot/<path:name>", methods=["GET", "HEAD"])
    def boot_file(self, request: Request, name: str) -> Any:
        """Boot loader, kernel, ramdisk; ranges and HEAD included."""
        descriptor = open_beneath(self._boot, name)
        self._count(request)
        return FileBody(descriptor, "application/octet-stream")

    @app.route("/metrics", methods=["GET"])
    async def metrics(self, request: Request) -> bytes:
        """What Prometheus reads."""
        if self._metrics is None:
            raise NotFound("there are no metrics here")
        self._metrics.admit(request.getHeader("Authorization") or "")
        text = await self._metrics.scrape()
        request.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        return text

    @app.route("/v1/claim", methods=["POST"])
    def claim(self, request: Request) -> str:
        """One-time token in, node name out."""
        claimed = self._provisioning.claim(_body(request, Claim))
        self._on_claim(claimed.node)
        return self._answer(request, claimed)

    @app.route("/v1/medium", methods=["POST"])
    def medium(self, request: Request) -> str:
        """A boot medium's token in, a boot token of this machine's node out."""
        return self._answer(request, self._provisioning.boot_by_medium(_body(request, MediumBoot)))

    @app.route("/v1/rescue", methods=["POST"])
    def rescue(self, request: Request) -> str:
        """A boot token in, the keys of those who may come in by ssh out."""
        return self._answer(request, self._provisioning.rescue(_body(request, Rescue)))

    @app.route("/v1/inventory", methods=["POST"])
    def inventory(self, request: Request) -> str:
        """A boot token and the machine's hardware in, what it does then out."""
        _refuse_other_dialect(request)
        return self._answer(request, self._provisioning.strangers.told(_body(request, Told)))

    @app.route("/v1/reinstall", methods=["GET"])
    async def reinstall(self, request: Request) -> str:
        """Kernel, ramdisk and arguments with which a running node starts its own install."""
        return self._answer(request, await deferToThread(self._provisioning.reinstall, _secret(request)))

    @app.route("/v1/plan", methods=["POST"])
    def plan(self, request: Request) -> str:
        """Inventory in, plan out."""
        name = self._node(request)
        _refuse_other_dialect(request)
        return self._answer(request, self._provisioning.answer_plan(name, _body(request, PlanRequest).inventory))

    @app.route("/v1/found", methods=["POST"])
    def found(self, request: Request) -> None:
        """What the machine has after its install."""
        name = self._node(request)
        self._provisioning.record_inventory(name, _body(request, PlanRequest).inventory)
        request.setResponseCode(204)

    @app.route("/v1/key/<device>", methods=["GET"])
    def key(self, request: Request, device: str) -> str:
        """The key of an encrypted device that is being installed."""
        key = self._provisioning.key(self._node(request), device)
        request.setHeader("Content-Type", "text/plain")
        request.setHeader("Cache-Control", "no-store")
        return key

    @app.route("/v1/report", methods=["POST"])
    def report(self, request: Request) -> None:
        """One line of the install's log."""
        report = _body(request, Report)
        name = self._provisioning.reporter(_secret(request), report)
        self._provisioning.record_report(name, report)
        if report.status is not Status.PROGRESS:
            line = f"[{report.uptime:8.1f}] {report.phase} {report.status.value} {report.message}"
            self._logs.append(name, line.rstrip())
        request.setResponseCode(204)

    @app.route("/v1/log", methods=["POST"])
    def node_log(self, request: Request) -> None:
        """Text for the node's log file."""
        self._logs.append(self._node(request), _raw(request).decode("utf-8", "replace"))
        request.setResponseCode(204)

    @app.route("/v1/console", methods=["POST"])
    def node_console(self, request: Request) -> None:
        """What the kernel of a node that is in the installer has said."""
        self._logs.append(self._node(request), _raw(request).decode("utf-8", "replace"), "console")
        request.setResponseCode(204)

    @app.route("/v1/hostkeys", methods=["POST"])
    def host_keys(self, request: Request) -> None:
        """The node's ssh public host keys, a line each."""
        self._provisioning.record_host_keys(self._node(request), _raw(request).decode("ascii", "replace"))
        request.setResponseCode(204)

    @app.route("/v1/identity", methods=["GET"])
    def identity(self, request: Request) -> str:
        """What is kept of the identity of a node that is being installed."""
        files = self._provisioning.identity(self._node(request))
        request.setHeader("Cache-Control", "no-store")
        return self._answer(request, files)

    @app.route("/v1/identity", methods=["POST"])
    def keep_identity(self, request: Request) -> None:
        """The node's private ssh host keys, for its next install."""
        self._provisioning.keep_identity(self._node(request), _body(request, KeptFiles))
        request.setResponseCode(204)

    @app.route("/v1/up", methods=["POST"])
    def up(self, request: Request) -> None:
        """The installed system is up."""
        name = self._node(request)
        self._provisioning.record_up(name)
        self._logs.append(name, "up: the node runs from its own disk")
        request.setResponseCode(204)

    @app.route("/v1/update", methods=["GET"])
    async def update(self, request: Request) -> str | None:
        """Is this node in step? ``?serial=`` of its last update, ``&to=`` a version of its image: 204, or the plan.

        ``&look=1``: it only wants to see the plan, and will fetch no contents.
        """
        secret, serial, to = _secret(request), argument(request, "serial"), number(argument(request, "to"))
        updates = self._provisioning.updates
        if updates.in_step(secret, serial, to):
            request.setResponseCode(204)
            return None
        look = argument(request, "look") == "1"
        plan = await deferToThread(updates.answer_plan, secret, serial, to, look=look)
        if plan is None:
            request.setResponseCode(204)
            return None
        return self._answer(request, plan)

    @app.route("/v1/manifest/<image>/<int:number>", methods=["GET"])
    async def manifest(self, request: Request, image: str, number: int) -> Any:
        """A version's manifest; ``?from=`` the sha256 of the one that the node has: what is different, if we can."""
        name, basis = self._node(request), argument(request, "from")
        compressed = takes_gzip(request.getHeader("Accept-Encoding") or "")
        # One at a time: a rack asks for the same at once, and all but the first find it made.
        manifest = await self._manifests.run(
            deferToThread, self._provisioning.updates.manifest, name, image, number, basis, compressed=compressed
        )
        request.setHeader("Imaged-Manifest", "delta" if manifest.delta else "full")
        self._count(request)
        descriptor = os.open(manifest.path, os.O_RDONLY | os.O_CLOEXEC)
        return FileBody(descriptor, "text/plain", "gzip" if manifest.path.suffix == ".gz" else "")

    @app.route("/v1/updated", methods=["POST"])
    def updated(self, request: Request) -> None:
        """An update has ended."""
        name = self._node(request)
        updated = _body(request, Updated)
        self._provisioning.updates.record_updated(name, updated)
        self._logs.append(name, f"update to {updated.image} {updated.outcome.value} {updated.message}".rstrip())
        request.setResponseCode(204)

    @app.route("/v1/drift", methods=["POST"])
    def drift(self, request: Request) -> None:
        """A node has compared itself with its version."""
        name = self._node(request)
        self._provisioning.updates.record_drift(name, _body(request, Drift))
        request.setResponseCode(204)

    @app.route("/v1/state/<state>", methods=["GET"])
    async def state(self, request: Request, state: str) -> str | None:
        """What a node that has come to ``state`` shall run: a shell script. 204: nothing; 202: ask again.

        ``?run=`` is the node's own name for this time.
        """
        name = self._node(request)
        now = self._provisioning.nodes.get(name).state
        text = await self._states.ask(name, now, state, argument(request, "run"))
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        if not text:
            request.setResponseCode(202 if text is None else 204)
            return None
        return text

    @app.route("/v1/state/<state>", methods=["POST"])
    def state_ended(self, request: Request, state: str) -> None:
        """It was run: ``?run=`` as it was asked for, ``&code=`` how it ended; what it printed is the body."""
        name, code = self._node(request), argument(request, "code")
        if not re.fullmatch(r"-?\d{1,3}", code, re.ASCII):
            raise BadInput(f"{code[:40]!r} is no exit code", where="code")
        said = _raw(request).decode("utf-8", "replace")
        self._states.ended(name, state, argument(request, "run"), int(code), said)
        request.setResponseCode(204)

    def _count(self, request: Any) -> None:
        def add(_: object) -> None:
            self.sent += request.sentLength

        request.notifyFinish().addBoth(add)

    def _node(self, request: Request) -> str:
        return self._provisioning.holder(_secret(request))

    def _answer(self, request: Request, value: object) -> str:
        request.setHeader("Content-Type", "application/json")
        return to_json(value)


class _Nodes(Resource):
    """The routes by klein, but for what whole racks ask at once: files to boot, and then a report every other second.
    To find the route would cost as much as all that is done."""

    isLeaf = True

    def __init__(self, api: NodeApi) -> None:
        super().__init__()
        self._api = api
        self._klein = api.app.resource()

    def render(self, request: Any) -> Any:
        """Called by Twisted."""
        try:
            said = self._at_once(request)
        except ImagedError as error:
            return self._api.problem(request, error).encode()
        return self._klein.render(request) if said is None else said

    def _at_once(self, request: Any) -> Any:
        """None: klein knows what to do. Raises ImagedError."""
        method, path = request.method, request.path
        if method == b"POST" and path == b"/v1/report":
            self._api.report(request)
            return b""
        if method in (b"GET", b"HEAD") and path.startswith(_FILES):
            name = unquote_to_bytes(path[len(_FILES) :]).decode("utf-8", "surrogateescape")
            return self._api.boot_file(request, name).render(request)
        return None


def _secret(request: Request) -> str:
    scheme, _, secret = (request.getHeader("Authorization") or "").partition(" ")
    if scheme != "Bearer" or not secret:
        raise Denied("this needs 'Authorization: Bearer SECRET'")
    return secret


def _raw(request: Request) -> bytes:
    """Raises BadInput for more than we take."""
    data, too_large = body_of(request)
    if too_large:
        raise BadInput(f"a body of more than {LARGEST} bytes")
    return data


def _body(request: Request, kind: Callable[..., T]) -> T:
    return from_json(_raw(request), kind, where="request body")  # type: ignore[arg-type]


def _refuse_other_dialect(request: Request) -> None:
    """A plan of ours means something else, or nothing, to an agent of another release."""
    if as_text(request.getHeader(HEADER.lower().encode()) or b"") != dialect():
        raise Conflict(
            "the boot ramdisk was made by another release of imaged than this server",
            hint="Run `imaged mkramdisk`, then start the machine again.",
        )
