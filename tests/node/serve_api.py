"""The server's API for the tests of a node: real answers by the real codec, without a daemon around them."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imaged.model.codec import from_json, to_json
from imaged.model.outcome import Drift, Updated
from imaged.model.report import Report
from imaged.model.talk import Problem
from imaged.model.update import UpdatePlan
from imaged.planning.delta import delta

SECRET = "s"
_TOLD = {"/v1/report": Report, "/v1/updated": Updated, "/v1/drift": Drift}


class Api:
    """What one node is answered. ``plan`` and ``manifests`` (by path) may be changed between two questions."""

    def __init__(self) -> None:
        self.plan: UpdatePlan | None = None
        self.manifests: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.told: list[object] = []
        self.url = ""
        self.faults: list[tuple[str, str]] = []
        self.ended = threading.Event()

    def fault(self, target: str) -> str:
        """What is to go wrong with this answer, once: the first of ``faults`` whose path this one begins with.

        ``drop``: no answer. ``half``: the body breaks off. ``short``, ``long``: another length than it has.
        ``garbage``: other bytes. ``hang``: nothing until the test is over. A number is a status.
        """
        found = next((each for each in self.faults if target.startswith(each[0])), None)
        if found is None:
            return ""
        self.faults.remove(found)
        return found[1]

    def answer(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a GET."""
        self.asked.append(target)
        asked = urlsplit(target)
        words = {key: values[0] for key, values in parse_qs(asked.query, keep_blank_values=True).items()}
        if asked.path == "/v1/update" and self.plan is not None:
            if words["serial"] == self.plan.serial:
                return 204, {}, b""
            return 200, {}, to_json(self.plan).encode()
        if asked.path in self.manifests:
            return self._manifest(asked.path, words.get("from", ""))
        return 404, {}, to_json(Problem("there is no such thing", target, "Ask for another.")).encode()

    def _manifest(self, path: str, basis: str) -> tuple[int, dict[str, str], bytes]:
        new = self.manifests[path]
        old = {hashlib.sha256(text).hexdigest(): text for text in self.manifests.values()}.get(basis)
        text = b"".join(delta(old.splitlines(True), new.splitlines(True))) if old is not None else new
        headers = {"Content-Encoding": "gzip", "Imaged-Manifest": "full" if old is None else "delta"}
        return 200, headers, gzip.compress(text)


@contextmanager
def serving(api: Api) -> Iterator[None]:
    """The API on a port of loopback, which ``api.url`` tells, as long as the context lasts."""

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(*api.answer(self.path) if self._known() else (401, {}, b""))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self._known():
                api.told.append(from_json(body, _TOLD[self.path]))
            self._say(204 if self._known() else 401, {}, b"")

        def _known(self) -> bool:
            return self.headers["Authorization"] == f"Bearer {SECRET}"

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            fault = api.fault(self.path)
            if fault == "hang":
                api.ended.wait()
            if fault in ("drop", "hang"):
                return
            if fault.isdigit():
                status, headers, body = int(fault), {}, b""
            if fault == "garbage":
                body = bytes(range(256)) * (len(body) // 256 + 1)
            length = len(body) + {"short": -len(body) // 2, "long": 10}.get(fault, 0)
            self.send_response(status)
            for each in headers.items():
                self.send_header(*each)
            if status != 204:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body[: length // 2 if fault == "half" else length])

        def log_message(self, *_: Any) -> None:
            """A test's output is the test's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as server:
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            api.ended.set()
            server.shutdown()
            thread.join()
