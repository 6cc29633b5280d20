"""Which route a request means, and what its query says."""

import pytest
from attrs import frozen

from imaged.daemon.api.route import Call, Route, find, of_query
from imaged.model.access import Role
from imaged.model.boot import Chain
from imaged.model.errors import BadInput


def act(call: Call[None, None]) -> None:
    """Nothing."""


ONE = Route("GET", "/v1/things", Role.READ, act)
NAMED = Route("GET", "/v1/things/{name}", Role.READ, act)
PUT = Route("PUT", "/v1/things/{name}/parts/{part}", Role.READ, act)
ROUTES = (ONE, NAMED, PUT)


@pytest.mark.parametrize(
    ("method", "path", "route", "names", "methods"),
    [
        ("GET", "/v1/things", ONE, {}, ()),
        ("HEAD", "/v1/things", ONE, {}, ()),
        ("POST", "/v1/things", None, {}, ("GET", "HEAD")),
        ("GET", "/v1/things/a%20b%2Fc", NAMED, {"name": "a b/c"}, ()),
        ("PUT", "/v1/things/a/parts/b", PUT, {"name": "a", "part": "b"}, ()),
        ("GET", "/v1/things/a/parts/b", None, {}, ("PUT",)),
        ("GET", "/v1/things/", None, {}, ()),
        ("GET", "//v1/things", None, {}, ()),
        ("GET", "v1/things", None, {}, ()),
        ("GET", "", None, {}, ()),
        ("GET", "*", None, {}, ()),
    ],
)
def test_which_route_is_meant(method, path, route, names, methods):
    found = find(ROUTES, method, path)
    assert (found.route, found.names, found.methods) == (route, names, methods)


@frozen
class Query:
    """A query."""

    count: int = 1
    sure: bool = False
    chain: Chain | None = None
    word: str = ""


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], Query()),
        ([("count", "-3"), ("sure", "true"), ("chain", "grub"), ("word", "7")], Query(-3, True, Chain.GRUB, "7")),
    ],
)
def test_what_a_query_says(pairs, expected):
    assert of_query(pairs, Query) == expected


@pytest.mark.parametrize(
    ("pairs", "what"),
    [
        ([("count", "1.5")], "count: expected a whole number"),
        ([("count", "9" * 5000)], "count: expected a whole number"),
        ([("sure", "yes")], "sure: expected true or false"),
        ([("chain", "x")], "chain"),
        ([("word", "a"), ("word", "b")], "twice"),
        ([("wrod", "a")], "unknown key 'wrod'"),
    ],
)
def test_what_no_query_says(pairs, what):
    with pytest.raises(BadInput) as raised:
        of_query(pairs, Query)
    assert what in str(raised.value)
