"""The node API as the agent calls it: HTTP on one connection, patient with a server that is away, final where it says
no."""

import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import Factory, field, frozen

from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.errors import BadInput, Conflict, Denied, ImagedError, NotFound, Unreachable
from imaged.model.hardware import Inventory
from imaged.model.report import Report
from imaged.model.talk import (
    BootToken,
    Claim,
    Claimed,
    MediumBoot,
    PlanAnswer,
    PlanRequest,
    Problem,
    Rescue,
    Rescued,
    Told,
    ToldAnswer,
)
from imaged.model.vault import KeptFiles

# Seconds before each new attempt: ten minutes in all, long enough for a server that is being restarted or upgraded.
PAUSES = (1, 2, 4, 8, 15, *(30,) * 19)
_AT_ONCE: tuple[int, ...] = ()
_TIMEOUT, _BRIEFLY = 60.0, 5.0  # seconds for one answer
_LIMIT = 64 * 2**20  # bytes of an answer
_BUSY = (408, 425, 429)
_KINDS: dict[int, type[ImagedError]] = {400: BadInput, 401: Denied, 403: Denied, 404: NotFound, 409: Conflict}


def _connection(server: "Server") -> HTTPConnection:
    """Not open yet, and open again by itself when the next request finds it closed. The server is on the same wire: no
    proxy."""
    url = urlsplit(server.base)
    return (HTTPSConnection if url.scheme == "https" else HTTPConnection)(url.netloc)


@frozen
class Server:
    """``base`` is the URL without a slash at its end, ``secret`` this install's own. ``say`` tells people of waits.
    ``host_key`` is the ramdisk's own for ssh, if it has one."""

    base: str
    secret: str
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    host_key: str = ""
    _line: HTTPConnection = field(init=False, eq=False, repr=False, default=Factory(_connection, takes_self=True))
    _turn: threading.Lock = field(init=False, eq=False, repr=False, factory=threading.Lock)

    def claim(self, token: str) -> Claimed:
        """Trade the boot script's token for the right to install. Raises Denied for a wrong or used one."""
        return from_json(
            self._post("claim", to_json(Claim(token, self.secret, self.host_key)), signed=False),
            Claimed,
            where=self.base,
        )

    def trade(self, asked: MediumBoot) -> BootToken:
        """A boot medium's token for one of this machine's node. Raises Denied, NotFound and Conflict, each a no."""
        return from_json(self._post("medium", to_json(asked), signed=False), BootToken, where=self.base)

    def rescue(self, token: str) -> Rescued:
        """Who may come in by ssh. Raises Denied."""
        return from_json(
            self._post("rescue", to_json(Rescue(token, self.host_key)), signed=False), Rescued, where=self.base
        )

    def tell(self, told: Told) -> ToldAnswer:
        """The hardware of a machine that is not installed, or a question what it may do now. Raises Denied."""
        return from_json(self._post("inventory", to_json(told), signed=False), ToldAnswer, where=self.base)

    def plan(self, inventory: Inventory) -> PlanAnswer:
        """The plan for this hardware. Raises Conflict with the reason when there can be none."""
        return from_json(self._post("plan", to_json(PlanRequest(inventory))), PlanAnswer, where=self.base)

    def found(self, inventory: Inventory) -> None:
        """Tell what the machine has now that it was installed: what the next plan will find."""
        self._post("found", to_json(PlanRequest(inventory)))

    def report(self, report: Report) -> None:
        """Tell how a phase stands, and make sure that it was heard."""
        self._post("report", to_json(report))

    def glimpse(self, report: Report) -> None:
        """Tell of progress: one brief attempt. Raises ImagedError when it was not heard."""
        self._post("report", to_json(report), pauses=_AT_ONCE, timeout=_BRIEFLY)

    def log(self, text: str) -> None:
        """Add to the node's log: one brief attempt. Raises ImagedError when it was not heard."""
        self._post("log", text, pauses=_AT_ONCE, timeout=_BRIEFLY)

    def console(self, text: str) -> None:
        """Add to the log of the node's kernel, as ``log``."""
        self._post("console", text, pauses=_AT_ONCE, timeout=_BRIEFLY)

    def host_keys(self, text: str) -> None:
        """Hand over the node's ssh public host keys."""
        self._post("hostkeys", text)

    def identity(self) -> KeptFiles:
        """What the server keeps of this node's identity."""
        return from_json(self._ask("GET", "identity"), KeptFiles, where=self.base)

    def keep_identity(self, files: KeptFiles) -> None:
        """Let the server keep it for the next install."""
        self._post("identity", to_json(files))

    def wanted(self, state: str, run: str, pauses: tuple[int, ...] = PAUSES) -> str:
        """What this node shall run now that it has come to ``state``: a shell script, empty for nothing.

        ``run`` is our own name for this time: asked again, the answer is the same.
        """
        return self._ask("GET", f"state/{state}?run={run}", pauses=pauses).decode("utf-8", "replace")

    def was_run(self, state: str, run: str, code: int, pauses: tuple[int, ...] = PAUSES) -> None:
        """Tell how it ended."""
        self._post(f"state/{state}?run={run}&code={code}", "", pauses=pauses)

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
        data = None if method == "GET" else body.encode("utf-8", "replace")
        url = f"{self.base}/v1/{name}"
        target = f"{urlsplit(self.base).path}/v1/{name}"
        for pause in (*pauses, None):
            try:
                return self._exchange(url, timeout, (method, target, data, headers))
            except Unreachable as error:
                if pause is None:
                    raise
                self.say(f"{error.where}: {error.what}, again in {pause} s")
                self.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, url: str, timeout: float, request: tuple[Any, ...]) -> bytes:
        """One request, on the connection of the one before; if the server has closed that meanwhile, on a new one.

        Raises Unreachable where another attempt may help, another ImagedError where the answer is no."""
        line = self._line
        with self._turn:
            for used in (line.sock is not None, False):
                try:
                    line.timeout = timeout
                    if line.sock:
                        line.sock.settimeout(timeout)
                    line.request(*request)
                    answer = line.getresponse()
                    status, content = answer.status, answer.read(_LIMIT + 1)
                    if not answer.isclosed():  # what is left of it would be taken for the next answer
                        line.close()
                    break
                except (OSError, HTTPException) as error:
                    line.close()
                    if not used or not isinstance(error, ConnectionError):
                        raise Unreachable(f"no answer ({error or type(error).__name__})", where=url) from None
        if status == 202:
            raise Unreachable("the answer is not ready yet", where=url)
        if not 200 <= status < 300:  # the API never redirects; following would turn a POST into a GET
            raise refusal(status, content, url)
        if len(content) > _LIMIT:
            raise BadInput(f"the answer has more than {_LIMIT} bytes", where=url)
        return content


def refusal(status: int, body: bytes, url: str) -> ImagedError:
    """The error for an answer that is not 2xx: Unreachable for the server's own trouble, else its Problem."""
    try:
        problem = from_json(body, Problem)
    except BadInput:
        problem = Problem(f"the server answered {status}", where=url)
    if status >= 500 or status in _BUSY:
        return Unreachable(f"the server answered {status}: {problem.what}", where=url)
    return _KINDS.get(status, ImagedError)(problem.what, where=problem.where, hint=problem.hint)
