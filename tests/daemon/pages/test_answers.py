"""What browsers are answered, without one: who may see and send what, forged forms, no faults of ours."""

import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaged.admin import people, tokens
from imaged.admin.desk import Desk
from imaged.daemon.asked import Asked
from imaged.daemon.pages.answering import Front, Reply
from imaged.daemon.pages.table import FOLLOWED, RESTLESS, ROUTES
from imaged.daemon.provisioning import Provisioning
from imaged.model.access import Role
from imaged.model.codec import to_json
from imaged.model.machine import Machine
from imaged.model.node import BootAction
from imaged.planning import access, sessions
from imaged.store.apitokens import ApiTokens
from imaged.store.events import Events
from imaged.web.sheet import Sheet
from tests.admin.site import mac, make
from tests.daemon.test_provisioning import MACHINE

NOW = 2_000_000_000.0
HOST = "10.0.0.1:8080"
NAMES = {"{name}": "n1", "{step}": "nodes"}


class Lobby:
    """A front, and somebody of each role who has logged in."""

    def __init__(self, root: Path) -> None:
        self.now = NOW
        self.desk: Desk = make(root)
        self.desk.machines.saw(Machine(mac(8), uuid="u8", arch="bios", last_seen=5.0))
        self.desk.nodes.keep("n1", inventory=to_json(MACHINE))
        provisioning = Provisioning(self.desk.settings, lambda: self.now)
        self.front = Front(self.desk, provisioning, lambda: self.now)
        self.tokens = {role: ApiTokens(self.desk.engine).add(role.value, role, None) for role in Role}
        self.cookies = {role: people.log_in(self.desk, "", token, NOW) for role, token in self.tokens.items()}

    def get(self, path: str, role: Role | None = Role.ADMIN, **headers: str) -> Reply:
        path, _, query = path.partition("?")
        return self.front.answer(Asked("GET", path, query, self._headers(role, headers), address="10.0.0.9"))

    def post(self, path: str, role: Role | None = Role.ADMIN, fields: dict | None = None, **headers: str) -> Reply:
        """Its form is of this session, unless the fields say otherwise."""
        sent = dict(fields or {})
        if role and "csrf" not in sent:
            sent["csrf"] = sessions.form_token(self.cookies[role])
        said = self._headers(role, {"content-type": "application/x-www-form-urlencoded", "host": HOST, **headers})
        return self.front.answer(Asked("POST", path, "", said, urlencode(sent).encode(), address="10.0.0.9"))

    def _headers(self, role: Role | None, headers: dict[str, str]) -> dict[str, str]:
        cookie = {"cookie": f"{sessions.COOKIE}={self.cookies[role]}"} if role else {}
        return {**cookie, **{name.replace("_", "-"): text for name, text in headers.items()}}


@pytest.fixture
def lobby(tmp_path: Path) -> Lobby:
    return Lobby(tmp_path / "state")


def header(reply: Reply, name: str) -> str:
    return next((text for key, text in reply.headers if key == name), "")


def text(reply: Reply) -> str:
    return reply.body.decode()


def filled(path: str) -> str:
    name = "tiny" if path.startswith("/images") else "one-disk" if path.startswith("/layouts") else "n1"
    return path.replace("{name}", name).replace("{step}", "nodes")


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method == "GET"], ids=lambda each: each.path)
def test_each_page_is_seen_by_its_roles_and_by_nobody_else(lobby: Lobby, route) -> None:
    path = filled(route.path) + {
        "/confirm": "?do=local&nodes=n1", "/images/{name}/diff": "?old=1&new=2",
        "/images/{name}/publish": "?version=1&channel=stable",
    }.get(route.path, "")  # fmt: skip
    stranger = lobby.get(path, None)
    assert (stranger.status, header(stranger, "Location").partition("?")[0]) == (303, "/login")
    for role in Role:
        reply = lobby.get(path, role)
        fine = 303 if route.path == "/setup" else 200
        assert reply.status == (fine if access.may(role, route.role) else 403), text(reply)
        assert "default-src 'self'" in header(reply, "Content-Security-Policy")
        assert header(reply, "Cache-Control") == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|javascript:", text(reply))


FORMS = {
    "/selected": {"do": "install", "node": "n1"},
    "/do": {"do": "local", "nodes": "n1"},
    "/nodes/{name}/change": {"image": "tiny@1", "layout": "one-disk", "groups": "rack"},
    "/discovery/places": {"names": "p[1-3]", "image": "tiny", "layout": "one-disk", "action": "install"},
    "/discovery/start": {}, "/discovery/stop": {}, "/discovery/name": {"mac": str(mac(8)), str(mac(8)): "p1"},
    "/discovery/ignore": {"ignore": str(mac(8))}, "/discovery/approve": {},
    "/images/{name}/publish": {"channel": "stable", "version": "1", "before": "2"},
    "/groups": {"name": "new"},
}  # fmt: skip


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method == "POST"], ids=lambda each: each.path)
def test_each_form_is_taken_from_its_roles_and_from_nobody_else(lobby: Lobby, route) -> None:
    path, fields = filled(route.path), FORMS[route.path]
    if route.path.startswith("/discovery/") and route.path != "/discovery/places":
        lobby.post("/discovery/places", Role.ADMIN, FORMS["/discovery/places"])
    before = Events(lobby.desk.engine).last(1)[0].id
    forged = (
        lobby.post(path, None, fields),
        lobby.post(path, Role.ADMIN, {**fields, "csrf": ""}),
        lobby.post(path, Role.ADMIN, {**fields, "csrf": sessions.form_token(lobby.cookies[Role.READ])}),
        lobby.post(path, Role.ADMIN, fields, origin="http://evil.example"),
        lobby.post(path, Role.ADMIN, fields, content_type="text/plain"),
        *(lobby.post(path, role, fields) for role in Role if not access.may(role, route.role)),
    )
    assert [reply.status for reply in forged] == [303, 403, 403, 403, 400, *([403] * (len(forged) - 5))]
    assert Events(lobby.desk.engine).last(1)[0].id == before, "nothing happened"
    reply = lobby.post(path, Role.ADMIN, fields, origin=f"http://{HOST}")
    assert reply.status == 303, text(reply)
    assert header(reply, "Location") != "/login"


def test_logging_in_and_out(lobby: Lobby) -> None:
    page = lobby.get("/login?next=/nodes/n1", None)
    assert 'value="/nodes/n1"' in text(page)
    reply = lobby.post("/login", None, {"secret": lobby.tokens[Role.READ], "next": "/nodes/n1"})
    assert (reply.status, header(reply, "Location")) == (303, "/nodes/n1")
    cookie = header(reply, "Set-Cookie")
    assert "HttpOnly; SameSite=Strict" in cookie and "Secure" not in cookie
    secret = cookie.partition(";")[0].partition("=")[2]
    assert lobby.tokens[Role.READ] not in cookie
    caller = people.caller(lobby.desk, secret, NOW)
    assert caller and (caller.name, caller.role) == ("token:read", Role.READ)
    assert lobby.post("/logout", Role.READ).status == 303
    assert lobby.get("/", Role.READ).status == 303
    assert lobby.get("/", Role.ADMIN).status == 200
    assert lobby.post("/logout", Role.ADMIN, {"csrf": "x"}).status == 403


@pytest.mark.parametrize("goes", ["//evil.example", "https://evil.example", "/\\evil", "/a\nb", ""])
def test_nobody_is_sent_elsewhere(lobby: Lobby, goes: str) -> None:
    reply = lobby.post("/login", None, {"secret": lobby.tokens[Role.READ], "next": goes})
    assert header(reply, "Location") == "/"
    reply = lobby.post("/do", Role.ADMIN, {"do": "local", "nodes": "n1", "back": goes})
    assert header(reply, "Location") == "/"


def test_who_tries_too_often_waits(lobby: Lobby) -> None:
    for _ in range(5):
        assert lobby.post("/login", None, {"secret": "no"}).status == 403
    assert lobby.post("/login", None, {"secret": lobby.tokens[Role.READ]}).status == 429
    lobby.now += 10
    assert lobby.post("/login", None, {"secret": lobby.tokens[Role.READ]}).status == 303
    assert lobby.post("/login", None, {"secret": lobby.tokens[Role.READ]}, origin="http://evil").status == 403


def test_a_session_ends(lobby: Lobby) -> None:
    lobby.now += lobby.desk.settings.web.session + 1
    assert lobby.get("/").status == 303
    lobby.now = NOW
    tokens.remove(lobby.desk, ["admin"])
    assert lobby.get("/").status == 303
    ApiTokens(lobby.desk.engine).add("admin", Role.ADMIN, None)
    assert lobby.get("/").status == 303, "another token of the same name is somebody else's"


def test_what_was_done_is_told_once(lobby: Lobby) -> None:
    reply = lobby.post("/do", Role.OPERATOR, {"do": "rescue", "nodes": "n[1-2]"})
    assert lobby.desk.nodes.get("n2").action is BootAction.RESCUE
    assert Events(lobby.desk.engine).last(1)[0].who == "token:operator"
    said = next(each for key, each in reply.headers if key == "Set-Cookie").partition(";")[0]
    cookies = f"{sessions.COOKIE}={lobby.cookies[Role.ADMIN]}; {said}"
    page = lobby.front.answer(Asked("GET", "/", "", {"cookie": cookies}))
    assert "n[1-2] will start the rescue system" in text(page)
    assert any(key == "Set-Cookie" and "Max-Age=0" in each for key, each in page.headers)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"do": "install", "nodes": "n[1-2]"}, "not confirmed for 2 nodes"),
        ({"do": "install", "nodes": "n[1-3]", "sure": "2"}, "not confirmed for 3 nodes"),
        ({"do": "install", "nodes": "n1", "sure": "x"}, "is not a number"),
        ({"do": "wipe", "nodes": "n1"}, "nothing that can be done"),
        ({"do": "local", "nodes": "n9"}, "no node"),
        ({"do": "local", "nodes": "@none"}, "no group"),
        ({"do": "local", "nodes": "n["}, "n["),
        ({"do": "install", "nodes": "n1", "sure": "1", "plan": "zz"}, "is not the hash of a plan"),
    ],
)
def test_what_is_refused_changes_nothing(lobby: Lobby, fields: dict[str, str], why: str) -> None:
    before = Events(lobby.desk.engine).last(1)[0].id
    reply = lobby.post("/do", Role.ADMIN, fields)
    assert 400 <= reply.status < 500 and why in text(reply).replace("&#39;", "'")
    assert Events(lobby.desk.engine).last(1)[0].id == before


def test_forms_with_faults_keep_what_was_typed(lobby: Lobby) -> None:
    bad = {**FORMS["/discovery/places"], "names": "<b>[", "address": "10.0.0.7"}
    reply = lobby.post("/discovery/places", Role.ADMIN, bad)
    assert reply.status == 422
    assert 'value="&lt;b&gt;["' in text(reply) and 'value="10.0.0.7"' in text(reply) and "<b>[" not in text(reply)
    reply = lobby.post("/nodes/n1/change", Role.ADMIN, {"image": "no@1", "layout": "one-disk", "console": "ttyS9"})
    assert reply.status == 422
    assert "there is no image" in text(reply) and 'value="ttyS9"' in text(reply)


def test_a_channel_that_moved_meanwhile_stays(lobby: Lobby) -> None:
    fields = {**FORMS["/images/{name}/publish"], "before": "1"}
    assert lobby.post("/images/tiny/publish", Role.ADMIN, fields).status == 409
    assert lobby.desk.images.channels("tiny") == {"stable": 2}
    back = {"channel": "stable", "version": "1", "before": "2", "back": "1"}
    assert lobby.post("/images/tiny/publish", Role.ADMIN, back).status == 303
    assert lobby.desk.images.channels("tiny") == {"stable": 1}


def test_static_files_are_good_for_ever_under_their_hash_alone(lobby: Lobby) -> None:
    paths = re.findall(r'(?:src|href)="(/static/[^"]+)"', text(lobby.get("/")))
    assert len(paths) == 5
    for path in paths:
        reply = lobby.get(path, None)
        assert reply.status == 200 and "immutable" in header(reply, "Cache-Control") and reply.body
    for path in (
        "/static/x/page.css",
        "/static/page.css",
        "/static/",
        "/static/../answering.py",
        "/static//VENDORED.txt",
    ):
        assert lobby.get(path, None).status == 404


def live_of(reply: Reply) -> str:
    found = re.search(r'sse-connect="([^"]+)"', text(reply))
    return found[1].replace("&amp;", "&") if found else ""


def message(data: bytes | None) -> dict:
    assert data
    kind, content = re.fullmatch(rb"id: [0-9a-f]{16}\nevent: (.*)\ndata: (.*)\n\n", data).groups()
    return {"event": kind.decode(), **json.loads(content)}


def test_a_page_is_followed_from_what_its_reader_has(lobby: Lobby) -> None:
    page = lobby.get("/")
    live, sheet = lobby.get(live_of(page)).live, Sheet()
    assert live and lobby.front.turn(live, sheet) == b"", "it has everything"
    assert lobby.front.turn(live, sheet) == b""
    lobby.desk.nodes.set_action(["n2"], BootAction.LOCAL)
    lobby.desk.nodes.keep("n2", state="ready", action="local")
    told = message(lobby.front.turn(live, sheet))
    assert (told["event"], told["blocks"]) == ("change", None)
    assert [re.search(r'id="([^"]+)"', part)[1] for part in told["parts"]] == ["summary", "g-rack-head", "n-n2"]
    again = message(lobby.front.turn(lobby.get(live_of(page)).live, Sheet()))
    assert again["blocks"] == ["summary", "urgent", "g-rack", "g-"], "who comes back is given all of it"
    back = lobby.get(live_of(page), last_event_id=sheet.mark).live
    assert back and lobby.front.turn(back, Sheet()) == b"", "unless it has that already"
    lobby.desk.groups.remove("rack", force=True)
    assert message(lobby.front.turn(live, sheet))["blocks"] == ["summary", "urgent", "g-"]
    lobby.post("/logout", Role.ADMIN)
    assert lobby.front.turn(live, sheet) is None


@pytest.mark.parametrize("path", FOLLOWED)
def test_every_page_that_is_followed_has_the_blocks_that_it_is_told_of(lobby: Lobby, path: str) -> None:
    page = lobby.get(filled(path))
    live = lobby.get(live_of(page)).live
    assert live and live.restless == (path in RESTLESS)
    ids = set(re.findall(r'id="([^"]+)"[^>]*data-block', text(page)))
    sheet = Sheet()
    assert lobby.front.turn(live, sheet) == b""
    found = message(lobby.front.turn(lobby.get(live_of(page).rpartition("=")[0] + "=0").live, Sheet()))
    assert set(found["blocks"]) == ids
    whole = text(page)
    for part in found["parts"]:
        assert part.strip() in whole, "what is sent is what is on the page"


def test_what_cannot_be_followed(lobby: Lobby) -> None:
    for path in ("/images", "/do", "/nothing", "//evil", ""):
        assert lobby.get(f"/live?{urlencode({'page': path})}").status == 404
    lobby.desk.nodes.remove("n1")
    live = lobby.get("/live?page=/nodes/n1").live
    assert live and lobby.front.turn(live, Sheet()) is None
    nobody = lobby.get("/live?page=/", None).live
    assert nobody and lobby.front.turn(nobody, Sheet()) is None


def test_behind_a_proxy_the_cookie_is_for_tls(tmp_path: Path) -> None:
    from attrs import evolve

    lobby = Lobby(tmp_path / "state")
    fields = {"secret": lobby.tokens[Role.READ]}
    assert "; Secure" not in header(lobby.post("/login", None, fields, x_forwarded_proto="https"), "Set-Cookie")
    settings = lobby.desk.settings
    lobby.desk.settings = evolve(settings, web=evolve(settings.web, forwarded=True))
    reply = lobby.post("/login", None, fields, x_forwarded_proto="https")
    assert "; Secure" in header(reply, "Set-Cookie") and header(reply, "Strict-Transport-Security")


_text = st.text(max_size=40)
_paths = st.sampled_from([filled(route.path) for route in ROUTES] + ["/live", "/login", "/logout", "/static/x"])
_fields = st.sampled_from((
    "do", "nodes", "node", "range", "sure", "plan", "back", "image", "layout", "names", "address", "skip", "relay",
    "console", "groups", "action", "mac", "name", "channel", "version", "before", "old", "new", "below", "open",
    "state", "of", "next", "user", "secret", "page", "have", "seen",
))  # fmt: skip


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Lobby:
    return Lobby(tmp_path_factory.mktemp("busy") / "state")


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT"]), _paths, st.dictionaries(_fields, _text, max_size=6), st.binary()
)
def test_no_input_is_a_fault_of_ours(busy: Lobby, method: str, path: str, fields: dict[str, str], junk: bytes) -> None:
    if path == "/logout":
        fields = {**fields, "csrf": "x"}
    body = urlencode({k: v.encode("utf-8", "surrogatepass") for k, v in fields.items()})
    said = {
        "cookie": f"{sessions.COOKIE}={busy.cookies[Role.ADMIN]}",
        "content-type": "application/x-www-form-urlencoded",
    }
    csrf = urlencode({"csrf": sessions.form_token(busy.cookies[Role.ADMIN])})
    for query, content in ((body, junk), (junk.decode("latin-1"), f"{csrf}&{body}".encode()), (body, b"")):
        reply = busy.front.answer(Asked(method, path, query, said, content, address="x"))
        assert reply.status < 500, (reply, query)
