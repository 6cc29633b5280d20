"""HTTP as nodes see it: boot scripts, boot files, and the API that the agent reports to. Routes only."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from klein import Klein
from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.web.http import Request
from twisted.web.static import File

from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.errors import BadInput, CannotPlan, Conflict, Denied, ImagedError, NotFound
from imaged.model.net import Mac
from imaged.model.report import Claim, PlanRequest, Problem, Report, Status
from imaged.model.update import Drift, Updated
from imaged.store.paths import find_beneath

T = TypeVar("T")
_STATUS: tuple[tuple[type[ImagedError], int], ...] = (
    (BadInput, 400),
    (Denied, 403),
    (NotFound, 404),
    (CannotPlan, 409),
    (Conflict, 409),
    (ImagedError, 500),
)
_LIMIT = 4 * 2**20  # bytes of a request body: an inventory of a machine with 200 disks has 100 KB


class NodeApi:
    """The routes. Every error leaves as a status and a Problem; anything else is our bug and keeps its traceback."""

    app = Klein()
    log = Logger()

    def __init__(self, provisioning: Provisioning, logs: NodeLogs, boot: Path, on_claim: Callable[[str], None]) -> None:
        self._provisioning = provisioning
        self._on_claim = on_claim
        self._logs = logs
        self._boot = boot
        self._manifests = DeferredLock()

    @app.handle_errors(ImagedError)
    def _problem(self, request: Request, failure: Any) -> str:
        error: ImagedError = failure.value
        request.setResponseCode(next(code for kind, code in _STATUS if isinstance(error, kind)))
        request.setHeader("Content-Type", "application/json")
        self.log.warn("{method} {path}: {error}", method=_text(request.method), path=_text(request.path), error=error)
        return to_json(Problem(error.what, error.where, error.hint))

    @app.route("/ipxe/<mac>", methods=["GET", "HEAD"])
    def boot_script(self, request: Request, mac: str) -> str:
        """What iPXE on this machine runs next; ``?uuid=`` is the machine's SMBIOS UUID."""
        uuid = _text(request.args.get(b"uuid", [b""])[0])
        request.setHeader("Content-Type", "text/plain")
        return self._provisioning.boot_script(Mac.parse(mac), uuid)

    @app.route("/boot/<path:name>", methods=["GET", "HEAD"])
    def boot_file(self, request: Request, name: str) -> Any:
        """Boot loader, kernel, ramdisk; ranges and HEAD included."""
        path = find_beneath(self._boot, name)
        if not path.is_file():
            raise NotFound("no such file")
        cast(Any, request).postpath = []  # klein leaves the matched path there, and the file would look for children
        return File(str(path), defaultType="application/octet-stream")

    @app.route("/v1/claim", methods=["POST"])
    def claim(self, request: Request) -> str:
        """One-time token in, node name out."""
        claimed = self._provisioning.claim(_body(request, Claim))
        self._on_claim(claimed.node)
        return self._answer(request, claimed)

    @app.route("/v1/plan", methods=["POST"])
    def plan(self, request: Request) -> str:
        """Inventory in, plan out."""
        name = self._node(request)
        _refuse_other_dialect(request)
        return self._answer(request, self._provisioning.answer_plan(name, _body(request, PlanRequest).inventory))

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
        name = self._node(request)
        report = _body(request, Report)
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

    @app.route("/v1/hostkeys", methods=["POST"])
    def host_keys(self, request: Request) -> None:
        """The node's ssh public host keys, a line each."""
        self._provisioning.record_host_keys(self._node(request), _raw(request).decode("ascii", "replace"))
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
        secret, serial, to = _secret(request), _argument(request, "serial"), _number(_argument(request, "to"))
        updates = self._provisioning.updates
        if updates.in_step(secret, serial, to):
            request.setResponseCode(204)
            return None
        look = _argument(request, "look") == "1"
        plan = await deferToThread(updates.answer_plan, secret, serial, to, look=look)
        if plan is None:
            request.setResponseCode(204)
            return None
        return self._answer(request, plan)

    @app.route("/v1/manifest/<image>/<int:number>", methods=["GET"])
    async def manifest(self, request: Request, image: str, number: int) -> Any:
        """A version's manifest; ``?from=`` the sha256 of the one that the node has: what is different, if we can."""
        name, basis = self._node(request), _argument(request, "from")
        compressed = _takes_gzip(request.getHeader("Accept-Encoding") or "")
        # One at a time: a rack asks for the same at once, and all but the first find it made.
        manifest = await self._manifests.run(
            deferToThread, self._provisioning.updates.manifest, name, image, number, basis, compressed=compressed
        )
        request.setHeader("Imaged-Manifest", "delta" if manifest.delta else "full")
        cast(Any, request).postpath = []
        return File(str(manifest.path), defaultType="text/plain")  # .gz: it says Content-Encoding by itself

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

    def _node(self, request: Request) -> str:
        return self._provisioning.holder(_secret(request))

    def _answer(self, request: Request, value: object) -> str:
        request.setHeader("Content-Type", "application/json")
        return to_json(value)


def _secret(request: Request) -> str:
    scheme, _, secret = (request.getHeader("Authorization") or "").partition(" ")
    if scheme != "Bearer" or not secret:
        raise Denied("this needs 'Authorization: Bearer SECRET'")
    return secret


def _argument(request: Request, name: str) -> str:
    return _text(request.args.get(name.encode(), [b""])[0])


def _number(text: str) -> int | None:
    """Of a version; None when it is not given. Raises BadInput."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise BadInput(f"{text[:40]!r} is not the number of a version", where="to")
    return int(text)


def _takes_gzip(header: str) -> bool:
    """RFC 9110, section 12.5.3: ``q=0`` means not at all."""
    for each in header.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() == "gzip":
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


def _raw(request: Request) -> bytes:
    """The body, which Twisted keeps in memory or in a temporary file by its size."""
    assert request.content is not None  # set before a request is rendered
    data: bytes = request.content.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise BadInput(f"a body of more than {_LIMIT} bytes")
    return data


def _body(request: Request, kind: Callable[..., T]) -> T:
    return from_json(_raw(request), kind, where="request body")  # type: ignore[arg-type]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _refuse_other_dialect(request: Request) -> None:
    """A plan of ours means something else, or nothing, to an agent of another release."""
    if _text(request.getHeader(HEADER.lower().encode()) or b"") != dialect():
        raise Conflict(
            "the boot ramdisk was made by another release of imaged than this server",
            hint="Run `imaged mkramdisk`, then start the machine again.",
        )
