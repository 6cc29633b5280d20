"""THE table of pages: path, who may see it, what answers it, and what follows it while it is open."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from imaged.daemon.api.route import Route
from imaged.daemon.pages import deeds, images, naming, nodes, setup
from imaged.daemon.pages.visit import Page, Visit
from imaged.model.access import Role
from imaged.web.sheet import Block

_READ, _OPERATOR, _ADMIN = Role.READ, Role.OPERATOR, Role.ADMIN

Follow = Callable[[Visit], Sequence[Block]]


def _blocks(act: Callable[[Visit], Page]) -> Follow:
    return lambda visit: act(visit).blocks


def _page(path: str, act: Callable[[Visit], Any], role: Role = _READ) -> Route:
    return Route("GET", path, role, cast(Any, act))


def _form(path: str, act: Callable[[Visit], Any], role: Role) -> Route:
    return Route("POST", path, role, cast(Any, act))


# What comes first is found first.
ROUTES: tuple[Route, ...] = (
    _page("/", nodes.every),
    _form("/selected", deeds.selected, _OPERATOR),
    _page("/confirm", deeds.ask, _OPERATOR),
    _form("/do", deeds.do, _OPERATOR),
    _page("/nodes/{name}", nodes.summary),
    _page("/nodes/{name}/hardware", nodes.hardware),
    _page("/nodes/{name}/plan", nodes.plan),
    _page("/nodes/{name}/history", nodes.history),
    _page("/nodes/{name}/log", nodes.log),
    _page("/nodes/{name}/change", nodes.ask_change, _ADMIN),
    _form("/nodes/{name}/change", nodes.change, _ADMIN),
    _page("/discovery", naming.discovery),
    _form("/discovery/places", naming.define, _OPERATOR),
    _form("/discovery/start", naming.begin, _OPERATOR),
    _form("/discovery/stop", naming.end, _OPERATOR),
    _form("/discovery/name", naming.name, _OPERATOR),
    _form("/discovery/approve", naming.approve, _OPERATOR),
    _form("/discovery/ignore", naming.ignore, _OPERATOR),
    _page("/images", images.every),
    _page("/images/{name}", images.one),
    _page("/images/{name}/diff", images.difference),
    _page("/images/{name}/publish", images.ask_publish, _ADMIN),
    _form("/images/{name}/publish", images.publish, _ADMIN),
    _page("/layouts/{name}", images.layout),
    _page("/events", nodes.events),
    _page("/setup", setup.begin),
    _page("/setup/{step}", setup.step),
    _form("/groups", naming.add_group, _ADMIN),
)

# Pages that are followed, and by what. Of the others nothing changes while somebody reads them.
FOLLOWED: dict[str, Follow] = {
    "/": _blocks(nodes.every),
    "/nodes/{name}": _blocks(nodes.summary),
    "/nodes/{name}/hardware": nodes.line_of("hardware"),
    "/nodes/{name}/plan": nodes.line_of("plan"),
    "/nodes/{name}/history": _blocks(nodes.history),
    "/nodes/{name}/log": _blocks(nodes.log),
    "/discovery": _blocks(naming.discovery),
    "/events": _blocks(nodes.events),
    "/setup/{step}": _blocks(setup.step),
}

# Those that show what is in no database.
RESTLESS: frozenset[str] = frozenset(("/nodes/{name}/log",))
