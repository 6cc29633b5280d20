"""Every verb of the command line has a route, or docs/api.md says why not; every route is some verb's."""

import re
from pathlib import Path

from imaged.cli.main import VERBS
from imaged.daemon.api.table import ROUTES

PAGE = Path(__file__).parents[3] / "docs/api.md"
_ROW = re.compile(r"^\| ([a-z]+) \| (.+) \|$", re.MULTILINE)
_ROUTE = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE) /v1/[^\s,;|`]*[^\s,;.|`]")


def table() -> dict[str, str]:
    rows = _ROW.findall(PAGE.read_text().partition("## Verbs and routes")[2])
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_every_verb_is_there_with_a_route_or_a_reason() -> None:
    said = table()
    assert list(said) == list(VERBS), "in the order of `imaged --help`"
    assert [
        verb for verb, text in said.items() if not _ROUTE.match(text) and not re.match(r"none: \w+ \w+", text)
    ] == []


def test_the_routes_that_are_named_are_all_there_are() -> None:
    named = {route for text in table().values() for route in _ROUTE.findall(text)}
    assert named == {f"{route.method} {route.path}" for route in ROUTES}


def test_verbs_that_only_look_have_routes_that_only_look() -> None:
    """So that a verb that changes something is never taken for one by the routes that tell about it."""
    changing = {
        verb for verb in VERBS if re.match(r"add|set|rm|mv|publish|rollback|prune|boot|install|power|ignore", verb)
    }
    for verb, text in table().items():
        if verb in changing:
            assert any(not route.startswith("GET") for route in _ROUTE.findall(text)), verb
        if re.match(r"ls|show|log$|monitor|diffimage|plan|export|clist", verb):
            assert all(route.startswith("GET") for route in _ROUTE.findall(text)), verb
