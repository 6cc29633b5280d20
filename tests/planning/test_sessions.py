"""Sessions of the web page, by table: whose they are, what is refused, where somebody goes."""

import pytest

from imaged.model.access import Caller, Role, Token
from imaged.model.errors import Denied
from imaged.model.people import Session, User
from imaged.planning import sessions
from imaged.planning.sessions import TOKEN, USER

TOKEN_CI = Token("ci", Role.OPERATOR, created=5.0)
ANNA = User("anna", Role.ADMIN, changed=7.0)


@pytest.mark.parametrize(
    ("session", "token", "user", "now", "whose"),
    [
        (Session(TOKEN, "ci", 5.0, 100.0), TOKEN_CI, None, 99.0, Caller("token:ci", Role.OPERATOR)),
        (Session(USER, "anna", 7.0, 100.0), None, ANNA, 99.0, Caller("user:anna", Role.ADMIN)),
        (None, TOKEN_CI, ANNA, 1.0, None),
        (Session(TOKEN, "ci", 5.0, 100.0), TOKEN_CI, None, 100.0, None),
        (Session(TOKEN, "ci", 5.0, 100.0), None, None, 1.0, None),
        (Session(TOKEN, "ci", 4.0, 100.0), TOKEN_CI, None, 1.0, None),
        (Session(TOKEN, "ci", 5.0, 100.0), Token("ci", Role.READ, 5.0, expires=50.0), None, 50.0, None),
        (Session(TOKEN, "ci", 5.0, 100.0), Token("ci", Role.READ, 5.0), None, 50.0, Caller("token:ci", Role.READ)),
        (Session(USER, "anna", 6.0, 100.0), None, ANNA, 1.0, None),
        (Session(USER, "anna", 7.0, 100.0), TOKEN_CI, None, 1.0, None),
    ],
)
def test_whose_a_session_is(session, token, user, now, whose):
    assert sessions.resumed(session, token, user, now) == whose


GOOD = sessions.form_token("secret")


@pytest.mark.parametrize(
    ("carried", "origin", "host", "fine"),
    [
        (GOOD, "http://10.0.0.1:8080", "10.0.0.1:8080", True),
        (GOOD, "https://Head.example", "head.example", True),
        (GOOD, "", "10.0.0.1:8080", True),
        (GOOD, "http://evil.example", "10.0.0.1:8080", False),
        (GOOD, "http://10.0.0.1:9999", "10.0.0.1:8080", False),
        (GOOD, "null", "10.0.0.1:8080", False),
        ("", "", "10.0.0.1", False),
        (GOOD[:-1], "", "10.0.0.1", False),
        ("ü" * 64, "", "10.0.0.1", False),
        (sessions.form_token("another"), "", "10.0.0.1", False),
    ],
)
def test_forged_forms(carried, origin, host, fine):
    if fine:
        sessions.refuse_forged("secret", carried, origin, host)
        return
    with pytest.raises(Denied):
        sessions.refuse_forged("secret", carried, origin, host)


@pytest.mark.parametrize(
    ("path", "goes"),
    [
        ("/nodes/n1?x=1", "/nodes/n1?x=1"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil", "/"),
        ("", "/"), ("/a b", "/"), ("/a\r\nSet-Cookie: x", "/"), ("/ü", "/"), ("/" + "x" * 3000, "/"),
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(path, goes):
    assert sessions.inside(path) == goes


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", {"": ""}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1; a=2", {"a": "1"}),
        ("a=x=y;b", {"a": "x=y", "b": ""}),
    ],
)
def test_cookies(header, found):
    assert sessions.cookies(header) == found


def test_a_cookie():
    kept = sessions.cookie("c", "x", secure=True, seconds=60)
    assert kept == "c=x; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
    assert "Secure" not in sessions.cookie("c", "x", secure=False, seconds=None)


@pytest.mark.parametrize(
    ("forwarded", "trusted", "tls"),
    [("https", True, True), ("http, https", True, True), ("https, http", True, False), ("https", False, False)],
)
def test_tls_is_what_a_trusted_proxy_says(forwarded, trusted, tls):
    assert sessions.over_tls(forwarded, trusted=trusted) is tls


@pytest.mark.parametrize(
    ("direct", "forwarded", "trusted", "who"),
    [
        ("10.0.0.1", "1.2.3.4, 5.6.7.8", True, "5.6.7.8"),
        ("10.0.0.1", "", True, "10.0.0.1"),
        ("10.0.0.1", "5.6.7.8", False, "10.0.0.1"),
    ],
)
def test_who_asks(direct, forwarded, trusted, who):
    assert sessions.address(direct, forwarded, trusted=trusted) == who


def test_nothing_from_elsewhere_and_nothing_inline():
    policy = sessions.headers(secure=False)["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert "Strict-Transport-Security" in sessions.headers(secure=True)
    assert "Strict-Transport-Security" not in sessions.headers(secure=False)


PAGES = ("/", "/nodes", "/setup")


@pytest.mark.parametrize(
    ("path", "page"), [("/", "/"), ("/setup/image", "/setup"), ("/setups", "/"), ("/nodes/n1/log", "/nodes")]
)
def test_the_page_of_the_menu(path, page):
    assert sessions.shown_pages(PAGES, path) == page
