"""The server's API as a node sees it: one small question, and more only when something is to be done."""

import contextlib
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
import zlib
from typing import Any, Callable, ContextManager, Dict, Iterator, NamedTuple, Optional, Tuple
from urllib.parse import quote, urlencode, urlparse

from installer.node.errors import Broken, Failed, NoServer
from installer.node.words import local, readable

SILENCE = 60.0  # seconds after which a server counts as hung
_PAUSES = (1, 2, 4, 8)  # seconds before it is asked again: one that is being restarted answers soon
_BLOCK = 1 << 16


class Download(NamedTuple):
    """A manifest on its way: whether it is a difference to the one we have, and its blocks."""

    delta: bool
    blocks: Iterator[bytes]


class Server(object):
    """``url`` without a slash at the end. ``sleep`` waits between attempts, ``silence`` is the longest in seconds."""

    def __init__(
        self, url: str, secret: str, sleep: Callable[[float], None] = time.sleep, silence: float = SILENCE
    ) -> None:
        self.url = url
        self.secret = secret
        self._sleep = sleep
        self._silence = silence

    @property
    def host(self) -> str:
        """The name or address in ``url``."""
        return urlparse(self.url).hostname or ""

    def update(self, serial: str, to: Optional[int] = None, look: bool = False) -> Optional[Dict[str, Any]]:
        """The plan that brings the node into step; None when ``serial`` says that it is. Raises NoServer, Failed.

        ``look``: the plan is only looked at. rsync will show us nothing for it.
        """
        asked = {"serial": serial}
        if to is not None:
            asked["to"] = str(to)
        if look:
            asked["look"] = "1"
        answer = self._whole("/v1/update?" + urlencode(asked))
        return None if answer is None else _plan(answer, self.url)

    def manifest(self, path: str, basis: str) -> ContextManager[Download]:
        """``path`` as the plan says it; ``basis`` is the sha256 of the manifest that we have, empty for none."""
        return self._download(path + ("?from=" + quote(basis) if basis else ""))

    def report(self, phase: str, status: str, message: str = "", percent: Optional[float] = None) -> None:
        """Tell how the update goes. Nobody waits for a server that is away: what matters comes with ``updated``."""
        body = {"phase": phase, "status": status, "uptime": _uptime(), "message": message[:2000], "percent": percent}
        with contextlib.suppress(NoServer, Failed):
            self._tell("/v1/report", body, ())

    def updated(self, body: Dict[str, Any]) -> None:
        """How the update ended. Raises NoServer, Failed."""
        self._tell("/v1/updated", body, _PAUSES)

    def drift(self, body: Dict[str, Any]) -> None:
        """What is not as it should be. Raises NoServer, Failed."""
        self._tell("/v1/drift", body, _PAUSES)

    def reinstall(self) -> Dict[str, Any]:
        """What starts the installer on this node: {"kernel": {"path", "sha256"}, "ramdisk": ..., "arguments"}.

        Raises NoServer, Failed.
        """
        answer = self._whole("/v1/reinstall")
        try:
            found = json.loads((answer or b"").decode("utf-8"))
            for part in ("kernel", "ramdisk"):
                if not all(isinstance(found[part][key], str) for key in ("path", "sha256")):
                    raise ValueError(part)
            if not isinstance(found["arguments"], str):
                raise ValueError("arguments")
        except (ValueError, KeyError, TypeError) as error:
            raise NoServer("answers in another way than imaged does: {}".format(error), where=self.url) from None
        result: Dict[str, Any] = found
        return result

    def blocks(self, path: str) -> Iterator[bytes]:
        """A large file, block by block. Raises NoServer, Failed."""
        with self._ask(path) as answer:
            for block in _blocks(answer, False):
                yield block

    @contextlib.contextmanager
    def _download(self, path: str) -> Iterator[Download]:
        with self._ask(path, headers={"Accept-Encoding": "gzip"}) as answer:
            packed = answer.headers.get("Content-Encoding") == "gzip"
            yield Download(answer.headers.get("Imaged-Manifest") == "delta", _blocks(answer, packed))

    def _tell(self, path: str, body: Dict[str, Any], pauses: Tuple[int, ...]) -> None:
        headers = {"Content-Type": "application/json"}
        body = {key: readable(value) if isinstance(value, str) else value for key, value in body.items()}
        self._whole(path, json.dumps(body).encode("ascii"), headers, pauses)

    def _whole(
        self, path: str, body: Optional[bytes] = None, headers: Optional[Dict[str, str]] = None,
        pauses: Tuple[int, ...] = _PAUSES,
    ) -> Optional[bytes]:  # fmt: skip
        """The content of a small answer, None for 204; asked for again also when it breaks off."""

        def read(answer: Any) -> Optional[bytes]:
            with answer:
                content: bytes = answer.read()
                return None if answer.status == 204 else content

        found: Optional[bytes] = self._ask(path, body, headers, pauses, read)
        return found

    def _ask(
        self, path: str, body: Optional[bytes] = None, headers: Optional[Dict[str, str]] = None,
        pauses: Tuple[int, ...] = _PAUSES, read: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:  # fmt: skip
        """What ``read`` makes of an open answer. A server that is away, hangs or says 5xx is asked again; 4xx is
        final."""
        for pause in pauses + (0,):
            try:
                request = urllib.request.Request(
                    self.url + path, body, dict(headers or {}, Authorization="Bearer " + self.secret)
                )
                return read(_OPENER.open(request, timeout=self._silence))
            except urllib.error.HTTPError as error:
                problem = _problem(error)
                if error.code < 500:
                    raise problem from None
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
                what = "does not answer: {}".format(getattr(reason, "strerror", None) or reason)
                problem = NoServer(what, where=self.url, hint="Is `imaged serve` running there?")
            if not pause:
                raise problem
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")


# Never a proxy of the environment's: the server is on the node's own network, and the secret is for it alone.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _blocks(answer: Any, packed: bool) -> Iterator[bytes]:
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if packed else None
    try:
        while True:
            block = answer.read(_BLOCK)
            if not block:
                break
            yield unpack.decompress(block) if unpack else block
        if unpack:
            yield unpack.flush()
    except (OSError, zlib.error, http.client.HTTPException, socket.timeout) as error:
        raise Broken("broke off in the middle of a manifest: {}".format(error), where="server") from None


def _problem(error: urllib.error.HTTPError) -> Failed:
    """The server's own words, see imaged.model.report.Problem."""
    try:
        said = json.loads(error.read().decode("utf-8"))
        what, where, hint = said["what"], said["where"], said["hint"]
    except (ValueError, KeyError, TypeError, OSError):
        what, where, hint = "answered {} {}".format(error.code, error.reason), "server", ""
    return (NoServer if error.code >= 500 else Failed)(what, where=where or "server", hint=hint)


def _plan(data: bytes, url: str) -> Dict[str, Any]:
    try:
        found = local(json.loads(data.decode("utf-8")))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(key), kind) for key, kind in _NEEDED.items()):
        raise NoServer("answered with something that is no plan", where=url, hint="Is that an imaged server?")
    return found


_NEEDED: Dict[str, type] = {
    "node": str, "image": str, "serial": str, "manifest": str, "manifest_sha256": str, "rsync_port": int,
}  # fmt: skip


def _uptime() -> float:
    try:
        with open("/proc/uptime", encoding="ascii") as file:
            return float(file.read().split()[0])
    except OSError:
        return 0.0
