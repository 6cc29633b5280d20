"""The node API as the agent calls it: HTTP on urllib, patient with a server that is away, final where it says no."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from urllib.parse import quote

from attrs import frozen

from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.errors import BadInput, Conflict, Denied, ImagedError, NotFound, Unreachable
from imaged.model.hardware import Inventory
from imaged.model.report import Claim, Claimed, PlanAnswer, PlanRequest, Problem, Report

# Seconds before each new attempt: ten minutes in all, long enough for a server that is being restarted or upgraded.
PAUSES = (1, 2, 4, 8, 15, *(30,) * 19)
_AT_ONCE: tuple[int, ...] = ()
_TIMEOUT, _BRIEFLY = 60.0, 5.0  # seconds for one answer
_LIMIT = 64 * 2**20  # bytes of an answer
_BUSY = (408, 425, 429)
_KINDS: dict[int, type[ImagedError]] = {400: BadInput, 401: Denied, 403: Denied, 404: NotFound, 409: Conflict}


class _SayNo(urllib.request.HTTPRedirectHandler):
    """The API never redirects; following one would turn a POST into a GET."""

    def redirect_request(self, *_: object) -> None:
        return None


# No proxy from the environment: the server is on the same wire.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _SayNo())


@frozen
class Server:
    """``base`` is the URL without a slash at its end, ``secret`` this install's own. ``say`` tells people of waits."""

    base: str
    secret: str
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def claim(self, token: str) -> Claimed:
        """Trade the boot script's token for the right to install. Raises Denied for a wrong or used one."""
        return from_json(
            self._post("claim", to_json(Claim(token, self.secret)), signed=False), Claimed, where=self.base
        )

    def plan(self, inventory: Inventory) -> PlanAnswer:
        """The plan for this hardware. Raises Conflict with the reason when there can be none."""
        return from_json(self._post("plan", to_json(PlanRequest(inventory))), PlanAnswer, where=self.base)

    def report(self, report: Report) -> None:
        """Tell how a phase stands, and make sure that it was heard."""
        self._post("report", to_json(report))

    def glimpse(self, report: Report) -> None:
        """Tell of progress: one brief attempt. Raises ImagedError when it was not heard."""
        self._post("report", to_json(report), pauses=_AT_ONCE, timeout=_BRIEFLY)

    def log(self, text: str) -> None:
        """Add to the node's log: one brief attempt. Raises ImagedError when it was not heard."""
        self._post("log", text, pauses=_AT_ONCE, timeout=_BRIEFLY)

    def host_keys(self, text: str) -> None:
        """Hand over the node's ssh public host keys."""
        self._post("hostkeys", text)

    def key(self, name: str) -> str:
        """The key of the node's encrypted device ``name``; made by the server when it is first asked for."""
        return self._ask("GET", f"key/{quote(name, safe='')}").decode("ascii", "replace").strip()

    def _post(
        self, name: str, body: str, *, signed: bool = True, pauses: tuple[int, ...] = PAUSES, timeout: float = _TIMEOUT
    ) -> bytes:
        return self._ask("POST", name, body, signed=signed, pauses=pauses, timeout=timeout)

    def _ask(
        self, method: str, name: str, body: str = "", *, signed: bool = True, pauses: tuple[int, ...] = PAUSES,
        timeout: float = _TIMEOUT,
    ) -> bytes:  # fmt: skip
        kind = "application/json" if body[:1] == "{" else "text/plain; charset=utf-8"
        headers = {"Content-Type": kind, HEADER: dialect()}
        if signed:
            headers["Authorization"] = f"Bearer {self.secret}"
        url = f"{self.base}/v1/{name}"
        data = None if method == "GET" else body.encode("utf-8", "replace")
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        for pause in (*pauses, None):
            try:
                return _exchange(request, timeout)
            except Unreachable as error:
                if pause is None:
                    raise
                self.say(f"{error.where}: {error.what}, again in {pause} s")
                self.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _exchange(request: urllib.request.Request, timeout: float) -> bytes:
    """One request. Raises Unreachable where another attempt may help, another ImagedError where the answer is no."""
    url = request.full_url
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            return b"".join(_bounded(iter(lambda: answer.read(65536), b""), url))
    except urllib.error.HTTPError as error:
        with error:
            raise refusal(error.code, error.read(65536), url) from None
    except (OSError, HTTPException) as error:  # URLError is an OSError, and so is every timeout
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"no answer ({reason or type(reason).__name__})", where=url) from None


def _bounded(chunks: Iterator[bytes], url: str) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > _LIMIT:
            raise BadInput(f"the answer has more than {_LIMIT} bytes", where=url)
        yield chunk


def refusal(status: int, body: bytes, url: str) -> ImagedError:
    """The error for an answer that is not 2xx: Unreachable for the server's own trouble, else its Problem."""
    try:
        problem = from_json(body, Problem)
    except BadInput:
        problem = Problem(f"the server answered {status}", where=url)
    if status >= 500 or status in _BUSY:
        return Unreachable(f"the server answered {status}: {problem.what}", where=url)
    return _KINDS.get(status, ImagedError)(problem.what, where=problem.where, hint=problem.hint)
