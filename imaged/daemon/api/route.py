"""A line of the table of routes, what its function is given, and which line a request means."""

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar, get_args
from urllib.parse import unquote_to_bytes

import attrs
from attrs import frozen

from imaged.admin.desk import Desk
from imaged.daemon.provisioning import Provisioning
from imaged.model.access import Caller, Role
from imaged.model.codec import from_plain
from imaged.model.errors import BadInput
from imaged.planning.openapi import JSON, STREAM, TEXT, Operation

Q = TypeVar("Q")
B = TypeVar("B")
T = TypeVar("T")


@frozen
class Call(Generic[Q, B]):
    """A request that was admitted and understood. ``path`` are the names in its path, ``caller`` is None for nobody.

    ``now`` is the time of the request, in seconds since the epoch.
    """

    desk: Desk
    provisioning: Provisioning
    now: float
    caller: Caller | None
    path: dict[str, str]
    headers: Mapping[str, str]
    query: Q
    body: B


@frozen
class Stream:
    """An answer that does not end: what is new in the feed, from the place ``after`` on (empty: now)."""

    after: str = ""
    reports: bool = True


@frozen
class Route:
    """``act`` answers: a value (JSON), text, or None. Its types say what is in the query, the body and the answer."""

    method: str
    path: str
    role: Role | None
    act: Callable[[Call[Any, Any]], Any]
    status: int = 200

    @cached_property
    def operation(self) -> Operation:
        """What the document says of it."""
        hints = typing.get_type_hints(self.act)
        answer = hints.pop("return")
        query, body = (None if each is type(None) else each for each in get_args(hints["call"]))
        media = TEXT if answer is str else STREAM if answer is Stream else JSON
        return Operation(
            self.method, self.path, f"{self.act.__module__.rpartition('.')[2]}.{self.act.__name__}",
            typing.cast(str, self.act.__doc__), self.role, self.status, query, body,
            None if answer is type(None) else answer, media,
        )  # fmt: skip


@frozen
class Found:
    """The route that a request means and the names in its path; or, without one, the methods that its path has."""

    route: Route | None = None
    names: dict[str, str] = {}
    methods: tuple[str, ...] = ()


def find(routes: Iterable[Route], method: str, path: str) -> Found:
    """``path`` as it was sent, still with its %XX. HEAD is GET. Raises BadInput for what is not UTF-8."""
    sent = [_text(part) for part in path.split("/")]
    methods: list[str] = []
    for route in routes:
        names = _names(route.path.split("/"), sent)
        if names is not None and route.method in (method, {"HEAD": "GET"}.get(method)):
            return Found(route, names)
        if names is not None:
            methods.append(route.method)
    return Found(methods=(*methods, *(("HEAD",) if "GET" in methods else ())))


def _names(template: Sequence[str], sent: Sequence[str]) -> dict[str, str] | None:
    if len(template) != len(sent):
        return None
    names = {}
    for wanted, part in zip(template, sent, strict=True):
        if wanted.startswith("{") and part:
            names[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return names


def conditional(route: Route, routes: Iterable[Route]) -> bool:
    """Whether it heeds `If-Match`: it changes one thing, which can be read at the same path."""
    changes = route.method in ("PUT", "PATCH", "DELETE") and "{" in route.path
    return changes and any((each.method, each.path) == ("GET", route.path) for each in routes)


def of_query(pairs: Iterable[tuple[str, str]], kind: type[T] | None) -> T | None:
    """The values of a query string. Raises BadInput that names what is not known, there twice, or not what it is."""
    plain: dict[str, Any] = {}
    fields = {field.name: field for field in attrs.fields(attrs.resolve_types(kind))} if kind else {}  # type: ignore
    for name, text in pairs:
        if name in plain:
            raise BadInput("is there twice", where=f"?{name[:80]}")
        plain[name] = _value(text, fields[name].type) if name in fields else text
    if kind is None:
        if plain:
            raise BadInput(f"there is no {next(iter(plain))[:80]!r} to ask for here", where="query")
        return None
    return from_plain(plain, kind, where="query")


def _value(text: str, kind: Any) -> Any:
    """As JSON would have it. What is no number stays text, which the codec refuses by name."""
    kinds = get_args(kind) or (kind,)
    if bool in kinds:
        return {"true": True, "false": False}.get(text, text)
    if int in kinds and text.isascii() and text.removeprefix("-").isdigit() and len(text) < 1000:
        return int(text)
    return text


def _text(part: str) -> str:
    try:
        text = str(unquote_to_bytes(part), "utf-8")
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8", where="path") from None
    if "\0" in text:  # no database takes it
        raise BadInput("has a NUL in it", where="path")
    return text
