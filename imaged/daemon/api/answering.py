"""A request in, an answer out: who asks, which route, what is asked, and the errors. Blocking, without a transport."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

from attrs import evolve, field, frozen
from twisted.logger import Logger

from imaged.admin.desk import Desk
from imaged.daemon.api.route import Call, Found, Route, Stream, conditional, find, of_query
from imaged.daemon.asked import Asked
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.site import LARGEST, status_of
from imaged.model.access import Caller, Role
from imaged.model.codec import from_json, from_plain, to_json
from imaged.model.errors import BadInput, ImagedError
from imaged.model.talk import Problem
from imaged.planning import access
from imaged.planning.openapi import JSON, STREAM, TEXT
from imaged.store.events import speaking_as


@frozen
class Answer:
    """What is sent back. Without ``body`` there is no content; of a ``stream`` the body is still to come."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    stream: Stream | None = None


class Refused(Exception):
    """An answer that no ImagedError stands for."""

    def __init__(self, status: int, what: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(what)
        self.answer = _problem(status, Problem(what, "", hint), headers or {})


@frozen
class Office:
    """Answers by a table of routes."""

    desk: Desk
    provisioning: Provisioning
    routes: Sequence[Route]
    clock: Callable[[], float] = time.time
    _turn: threading.Lock = field(factory=threading.Lock)  # between a comparison with If-Match and the change
    _log = Logger()

    def answer(self, asked: Asked) -> Answer:
        """Whatever comes, there is an answer: what is not the caller's fault is our bug, logged with its traceback."""
        try:
            return self._answer(asked)
        except Refused as refused:
            return refused.answer
        except ImagedError as error:
            status = status_of(error)
            self._log.warn("{method} {path}: {error}", method=asked.method, path=asked.path[:200], error=error)
            headers = {"WWW-Authenticate": 'Bearer realm="imaged"'} if status == 401 else {}
            return _problem(status, Problem(error.what, error.where, error.hint), headers)
        except Exception:
            self._log.failure("{method} {path}", method=asked.method, path=asked.path[:200])
            hint = "The daemon's log has the details."
            return _problem(500, Problem("this should not happen: a fault of imaged", hint=hint), {})

    def admitted(self, asked: Asked, needed: Role) -> Caller:
        """Who asks. Raises Nobody, Denied."""
        return access.admit(self._caller(asked), needed)

    def found(self, asked: Asked) -> Found:
        """Which route is meant. Raises Refused, BadInput."""
        found = find(self.routes, asked.method, asked.path)
        if found.route is None and found.methods:
            methods = ", ".join(sorted(found.methods))
            what = f"{asked.method[:20]} is nothing that can be done here"
            raise Refused(405, what, f"There are: {methods}.", {"Allow": methods})
        if found.route is None:
            raise Refused(404, "there is no such path", "/v1/openapi.json lists them.")
        return found

    def _answer(self, asked: Asked) -> Answer:
        found = self.found(asked)
        route = cast(Route, found.route)
        caller = self.admitted(asked, route.role) if route.role else None
        operation = route.operation
        query = of_query(_pairs(asked.query), operation.query)
        body = _body(asked, operation.body) if operation.body else None
        call = Call(self.desk, self.provisioning, self.clock(), caller, found.names, asked.headers, query, body)
        with speaking_as(caller.name if caller else ""):
            wanted = asked.headers.get("if-match")
            if wanted and conditional(route, self.routes):
                with self._turn:
                    self._compare(asked, wanted)
                    return self._done(route, call, asked)
            return self._done(route, call, asked)

    def _done(self, route: Route, call: Call[Any, Any], asked: Asked) -> Answer:
        try:
            value = route.act(call)
        except BadInput as error:
            if not call.body:
                raise
            # JSON that says something impossible: RFC 9110, section 15.5.21
            return _problem(422, Problem(error.what, error.where, error.hint), {})
        if value is None:
            return Answer(204)
        if isinstance(value, Stream):
            return Answer(route.status, headers={"Content-Type": STREAM}, stream=value)
        if isinstance(value, str):
            return Answer(route.status, value.encode("utf-8", "replace"), {"Content-Type": f"{TEXT}; charset=utf-8"})
        answer = Answer(route.status, _json(value), {"Content-Type": JSON})
        if route.method != "GET":
            return answer
        tag = _tag(answer.body)
        answer = evolve(answer, headers={**answer.headers, "ETag": tag})
        unchanged = _names(asked.headers.get("if-none-match", ""), tag)
        return Answer(304, headers={"ETag": tag}) if unchanged else answer

    def _compare(self, asked: Asked, wanted: str) -> None:
        """Raises Refused when what is at this path is not what the caller has seen."""
        headers = {key: text for key, text in asked.headers.items() if not key.startswith("if-")}
        now = self.answer(evolve(asked, method="GET", query="", body=b"", headers=headers))
        if "ETag" not in now.headers or not _names(wanted, now.headers["ETag"]):
            raise Refused(412, "it is not what it was", "Read it again, then change it.")

    def _caller(self, asked: Asked) -> Caller | None:
        scheme, _, secret = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            now = self.clock()
            return access.by_token(self.desk.tokens.find(secret.strip(), now), now)
        return asked.peer() if asked.peer else None


def _body(asked: Asked, kind: type) -> Any:
    if asked.too_large:
        raise Refused(413, f"a body of more than {LARGEST} bytes")
    if asked.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Refused(415, f"the body must be {JSON}", "Say so: 'Content-Type: application/json'.")
    try:
        plain = json.loads(asked.body)
    except (ValueError, RecursionError):
        return from_json(asked.body, kind, where="request body")  # says what is wrong with it
    try:
        return from_plain(plain, kind, where="request body")
    except BadInput as error:
        raise Refused(422, error.what) from None


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise BadInput("is not what a query should be", where="query") from None
    if any("\0" in name + text for name, text in pairs):  # no database takes it
        raise BadInput("has a NUL in it", where="query")
    return pairs


def _problem(status: int, problem: Problem, headers: dict[str, str]) -> Answer:
    return Answer(status, _json(problem), {"Content-Type": JSON, **headers})


def _json(value: object) -> bytes:
    return to_json(value).encode() + b"\n"


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def _names(header: str, tag: str) -> bool:
    """RFC 9110, section 13.1: a list of tags, or ``*`` for any."""
    return header.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in header.split(","))
