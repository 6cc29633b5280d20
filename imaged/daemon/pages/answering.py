"""A browser's request in, a page out: who asks, which page, forged forms, errors. Blocking, without a transport."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode

from attrs import evolve, frozen
from twisted.logger import Logger

import imaged.web
from imaged.admin import people
from imaged.admin.board import Board
from imaged.admin.desk import Desk
from imaged.daemon.api.route import Found, find
from imaged.daemon.asked import Asked
from imaged.daemon.pages.table import FOLLOWED, RESTLESS, ROUTES
from imaged.daemon.pages.visit import Fields, Page, See, Visit
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.site import status_of
from imaged.model.access import Caller, Role
from imaged.model.errors import BadInput, CannotPlan, Conflict, Denied, ImagedError, NotFound
from imaged.planning import access, sessions
from imaged.planning.patience import Patience
from imaged.store.events import speaking_as
from imaged.store.templates import Html
from imaged.web import words
from imaged.web.sheet import Block, Sheet

_TITLES: tuple[tuple[type[ImagedError], str], ...] = (
    (BadInput, "That does not work"),
    (Denied, "Not allowed"),
    (NotFound, "Not there"),
    (CannotPlan, "That cannot be planned"),
    (Conflict, "That is not possible now"),
    (ImagedError, "That went wrong"),
)
_MENU = ("/", "/discovery", "/images", "/events", "/setup")
_HOMES = {"/nodes": "/", "/confirm": "/", "/layouts": "/setup"}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FORM = "application/x-www-form-urlencoded"
_YEAR = 31536000
_SAYS = 30  # seconds in which what was done is told on the next page
_WORDS: dict[str, Callable[..., object]] = {
    "iso": words.iso, "stamp": words.stamp, "count": words.count, "thousands": "{:,}".format,
}  # fmt: skip


@frozen
class Live:
    """A page that is to be followed. ``have`` is the mark of what its reader has, ``restless``: also when nothing was
    written to the database."""

    page: Asked
    have: str
    restless: bool


@frozen
class Reply:
    """What is sent back; of what is ``live`` the body is still to come."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    live: Live | None = None


class Front:
    """Answers browsers. One for all threads."""

    _log = Logger()

    def __init__(self, desk: Desk, provisioning: Provisioning, clock: Callable[[], float] = time.time) -> None:
        self.desk = desk
        self.board = Board(desk.engine, desk.images)
        self._provisioning = provisioning
        self._clock = clock
        root = Path(imaged.web.__file__).parent
        self._static = {path.name: path.read_bytes() for path in (root / "static").iterdir() if path.suffix in _TYPES}
        self._tags = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in self._static.items()}
        self._html = Html(root / "templates", {**_WORDS, "static": lambda name: f"/static/{self._tags[name]}/{name}"})
        self._patience = Patience()
        self._turn = threading.Lock()

    def answer(self, asked: Asked) -> Reply:
        """Whatever comes, there is an answer: what is not the reader's fault is our bug, logged with its traceback."""
        secure = self._secure(asked)
        try:
            reply = self._answer(asked)
        except ImagedError as error:
            reply = self._problem(asked, error)
        except Exception:
            self._log.failure("{method} {path}", method=asked.method, path=asked.path[:200])
            reply = self._problem(
                asked, ImagedError("this should not happen: a fault of imaged", hint="The daemon's log has more.")
            )
        return evolve(reply, headers=(*sessions.headers(secure=secure).items(), *reply.headers))

    def turn(self, live: Live, sheet: Sheet) -> bytes | None:
        """The next message of a page that is followed, empty for none; None: it is nobody's to look at any more."""
        caller = people.caller(self.desk, self._secret(live.page), self._clock())
        found = find(ROUTES, "GET", live.page.path)
        if caller is None or found.route is None or not access.may(caller.role, cast(Role, found.route.role)):
            return None
        first, before = not sheet.begun, sheet.mark
        try:
            blocks = FOLLOWED[found.route.path](self._visit(live.page, found, caller))
        except ImagedError:  # it is gone: loaded again, the page says so
            return None
        turn = sheet.turn(blocks)
        if (first and sheet.mark == live.have) or (not first and sheet.mark == before):
            return b""
        said = {
            "blocks": [each.id for each in turn.changes if isinstance(each, Block)] if turn.whole else None,
            "parts": [self._html.part(each) for each in turn.changes],
        }
        return f"id: {sheet.mark}\nevent: change\ndata: {json.dumps(said)}\n\n".encode()

    def _answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/static/"):
            return self._file(asked)
        secret = self._secret(asked)
        caller = people.caller(self.desk, secret, self._clock())
        if asked.path == "/login":
            return self._login(asked) if asked.method == "POST" else self._ask_who(asked)
        if asked.path == "/live":
            return self._follow(asked)
        if asked.path == "/logout" and asked.method == "POST":
            self._form(asked, secret)
            people.log_out(self.desk, secret)
            return self._see(asked, See("/login"), cookies=(self._cookie(asked, sessions.COOKIE, "", 0),))
        if caller is None:
            return self._stranger(asked)
        found = find(ROUTES, asked.method, asked.path)
        if found.route is None:
            raise NotFound("there is no such page")
        form = self._form(asked, secret) if asked.method == "POST" else Fields()
        access.admit(caller, cast(Role, found.route.role))
        visit = self._visit(asked, found, caller, form)
        with speaking_as(caller.name):
            done = found.route.act(cast(Any, visit))
        return self._see(asked, done) if isinstance(done, See) else self._page(asked, done, caller, found)

    def _visit(self, asked: Asked, found: Found, caller: Caller, form: Fields = Fields()) -> Visit:  # noqa: B008
        return Visit(
            self.desk, self._provisioning, self.board, caller, self._clock(), found.names,
            Fields.parse(asked.query), form,
        )  # fmt: skip

    def _form(self, asked: Asked, secret: str) -> Fields:
        """Raises BadInput, and Denied for what no page of ours has sent."""
        fields = _sent(asked)
        sessions.refuse_forged(secret, fields.text("csrf"), asked.header("origin"), asked.header("host"))
        return fields

    def _page(self, asked: Asked, page: Page, caller: Caller | None, found: Found | None = None) -> Reply:
        live = ""
        if found and found.route and found.route.path in FOLLOWED and asked.method in ("GET", "HEAD"):
            sheet = Sheet()
            sheet.turn(page.blocks)
            whole = f"{asked.path}?{asked.query}" if asked.query else asked.path
            live = f"/live?{urlencode({'page': whole, 'have': sheet.mark})}"
        said = unquote(sessions.cookies(asked.header("cookie")).get(sessions.SAID, ""))
        shown = sessions.shown_pages((*_MENU, *_HOMES), asked.path)
        text = self._html.page(
            page.template, it=page.it, problem=page.problem, me=caller, live=live, said=said,
            csrf=sessions.form_token(self._secret(asked)) if caller else "", now=f"{self._clock():.3f}",
            here=_HOMES.get(shown, shown),
            may=lambda role: caller is not None and access.may(caller.role, Role(role)), **page.more,
        )  # fmt: skip
        headers = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"))
        cookies = (self._cookie(asked, sessions.SAID, "", 0),) if said else ()
        return Reply(page.status, text.encode("utf-8", "replace"), (*headers, *cookies))

    def _see(self, asked: Asked, see: See, cookies: tuple[tuple[str, str], ...] = ()) -> Reply:
        said = (self._cookie(asked, sessions.SAID, quote(see.said[:800]), _SAYS),) if see.said else ()
        return Reply(303, b"", (("Location", see.path), ("Cache-Control", "no-store"), *said, *cookies))

    def _problem(self, asked: Asked, error: ImagedError) -> Reply:
        status, title = status_of(error), next(title for kind, title in _TITLES if isinstance(error, kind))
        if status >= 500 or asked.method == "POST":
            self._log.warn("{method} {path}: {error}", method=asked.method, path=asked.path[:200], error=error)
        caller = people.caller(self.desk, self._secret(asked), self._clock())
        back = sessions.inside(_path_of(asked.header("referer")), "/")
        it = {"title": title, "what": error.what, "where": error.where, "hint": error.hint, "back": back}
        return self._page(asked, Page("problem", it, status=status), caller)

    def _file(self, asked: Asked) -> Reply:
        """Each has its hash in its address, and is good for ever."""
        name = asked.path.rpartition("/")[2]
        if asked.path != f"/static/{self._tags.get(name, '')}/{name}" or name not in self._static:
            return Reply(404, b"", (("Content-Type", "text/plain"),))
        kind = _TYPES[Path(name).suffix]
        headers = (("Content-Type", f"{kind}; charset=utf-8"), ("Cache-Control", f"max-age={_YEAR}, immutable"))
        return Reply(200, self._static[name], headers)

    def _stranger(self, asked: Asked) -> Reply:
        whole = f"{asked.path}?{asked.query}" if asked.query else asked.path
        goes = sessions.inside(whole) if asked.method == "GET" else "/"
        path = "/login" if goes == "/" else f"/login?{urlencode({'next': goes})}"
        if asked.header("hx-request"):  # a redirect would be followed in the middle of a page
            return Reply(200, b"", (("HX-Redirect", path),))
        return self._see(asked, See(path))

    def _ask_who(self, asked: Asked, user: str = "", problem: str = "", status: int = 200) -> Reply:
        goes = (_sent(asked) if asked.method == "POST" else Fields.parse(asked.query)).text("next", "/")
        it = {"next": sessions.inside(goes), "user": user, "problem": problem}
        return self._page(asked, Page("login", it, status=status), None)

    def _login(self, asked: Asked) -> Reply:
        sessions.refuse_elsewhere(asked.header("origin"), asked.header("host"))
        form, now = _sent(asked), self._clock()
        web = self.desk.settings.web
        who = sessions.address(asked.address, asked.header("x-forwarded-for"), trusted=web.forwarded)
        user = form.text("user")
        with self._turn:
            wait = self._patience.wait(who, now)
            if wait <= 0:
                self._patience.failed(who, now)  # until it is known better: tries at the same time count too
        if wait > 0:
            return self._ask_who(asked, user, f"Too many tries. The next one counts in {wait:.0f} s.", 429)
        try:
            secret = people.log_in(self.desk, user, form.text("secret"), now)
        except Denied as error:
            self._log.warn("login of {user!r} from {who} refused", user=user[:80], who=who)
            return self._ask_who(asked, user, f"This did not work: {error.what}.", 403)
        with self._turn:
            self._patience.succeeded(who)
        goes = See(sessions.inside(form.text("next")))
        return self._see(asked, goes, (self._cookie(asked, sessions.COOKIE, secret, web.session),))

    def _follow(self, asked: Asked) -> Reply:
        query = Fields.parse(asked.query)
        path, _, rest = query.text("page").partition("?")
        found = find(ROUTES, "GET", path)
        if found.route is None or found.route.path not in FOLLOWED:
            raise NotFound("there is no such page that could be followed")
        page = evolve(asked, path=path, query=rest)
        have = asked.header("last-event-id") or query.text("have")
        headers = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
        return Reply(200, b"", headers, Live(page, have, found.route.path in RESTLESS))

    def _secret(self, asked: Asked) -> str:
        return sessions.cookies(asked.header("cookie")).get(sessions.COOKIE, "")

    def _secure(self, asked: Asked) -> bool:
        return sessions.over_tls(asked.header("x-forwarded-proto"), trusted=self.desk.settings.web.forwarded)

    def _cookie(self, asked: Asked, name: str, text: str, seconds: int) -> tuple[str, str]:
        return "Set-Cookie", sessions.cookie(name, text, secure=self._secure(asked), seconds=seconds)


def _sent(asked: Asked) -> Fields:
    if asked.too_large or asked.header("content-type").partition(";")[0].strip().lower() != _FORM:
        raise BadInput("this is not what a form of ours sends")
    try:
        return Fields.parse(asked.body.decode("ascii"))
    except UnicodeDecodeError:
        raise BadInput("is not what a form sends", where="form") from None


def _path_of(url: str) -> str:
    rest = url.partition("://")[2]
    return f"/{rest.partition('/')[2]}" if rest else ""
