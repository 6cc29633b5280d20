"""THE table of routes: requests are answered by it, and the OpenAPI document is made of it."""

from functools import cache

from attrs import evolve

from imaged import __version__
from imaged.daemon.api import boots, groups, images, machines, nodes, people, power, site, works
from imaged.daemon.api.route import Call, Route, conditional
from imaged.model.access import Role
from imaged.planning.openapi import document

_READ, _OPERATOR, _ADMIN = Role.READ, Role.OPERATOR, Role.ADMIN


def openapi(call: Call[None, None]) -> dict[str, object]:
    """This document."""
    return described(ROUTES, call.desk.settings.base_url)


@cache
def described(routes: tuple[Route, ...], server: str) -> dict[str, object]:
    """The OpenAPI document of ``routes``."""
    operations = [evolve(route.operation, conditional=conditional(route, routes)) for route in routes]
    return document(operations, version=__version__, server=server)


# What comes first is found first. Static paths of a method stand before those with names in them.
ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/openapi.json", None, openapi),
    Route("GET", "/v1/whoami", _READ, people.who_am_i),
    Route("GET", "/v1/nodes", _READ, nodes.every),
    Route("POST", "/v1/nodes", _ADMIN, nodes.add, 201),
    Route("PATCH", "/v1/nodes", _ADMIN, nodes.change_many),
    Route("DELETE", "/v1/nodes", _ADMIN, nodes.remove_many),
    Route("GET", "/v1/nodes/{name}", _READ, nodes.one),
    Route("PATCH", "/v1/nodes/{name}", _ADMIN, nodes.change),
    Route("DELETE", "/v1/nodes/{name}", _ADMIN, nodes.remove, 204),
    Route("POST", "/v1/nodes/{name}/replace", _ADMIN, nodes.replace),
    Route("GET", "/v1/nodes/{name}/boot", _READ, boots.one),
    Route("PUT", "/v1/nodes/{name}/boot", _OPERATOR, boots.choose_one),
    Route("GET", "/v1/nodes/{name}/facts", _READ, nodes.facts),
    Route("GET", "/v1/nodes/{name}/explained", _READ, nodes.explained),
    Route("GET", "/v1/nodes/{name}/inventory", _READ, nodes.inventory),
    Route("GET", "/v1/nodes/{name}/plan", _READ, nodes.plan),
    Route("GET", "/v1/nodes/{name}/log", _READ, nodes.log),
    Route("GET", "/v1/nodes/{name}/reports", _READ, nodes.reports),
    Route("GET", "/v1/nodes/{name}/host", _READ, nodes.host),
    Route("PUT", "/v1/nodes/{name}/host", _ADMIN, nodes.put_host),
    Route("PATCH", "/v1/nodes/{name}/host", _ADMIN, nodes.change_host),
    Route("GET", "/v1/nodes/{name}/overrides", _READ, nodes.overrides),
    Route("GET", "/v1/nodes/{name}/scripts", _READ, nodes.scripts),
    Route("GET", "/v1/nodes/{name}/syncfiles", _READ, nodes.synced),
    Route("GET", "/v1/nodes/{name}/keys", _READ, nodes.keys),
    Route("GET", "/v1/nodes/{name}/power", _READ, power.of_node),
    Route("PUT", "/v1/nodes/{name}/power", _ADMIN, power.set_node),
    Route("DELETE", "/v1/nodes/{name}/power", _ADMIN, power.clear_node, 204),
    Route("GET", "/v1/monitor", _READ, site.courses),
    Route("POST", "/v1/boot", _OPERATOR, boots.choose_many),
    Route("PUT", "/v1/power", _ADMIN, power.set_nodes),
    Route("POST", "/v1/power", _OPERATOR, power.switch, 202),
    Route("POST", "/v1/install", _OPERATOR, power.install, 202),
    Route("GET", "/v1/jobs", _READ, works.every),
    Route("GET", "/v1/jobs/{number}", _READ, works.one),
    Route("POST", "/v1/jobs/{number}/stop", _OPERATOR, works.stop),
    Route("GET", "/v1/doctor", _READ, works.examination),
    Route("POST", "/v1/doctor", _OPERATOR, works.examine, 202),
    Route("POST", "/v1/doctor/repair", _ADMIN, works.repair, 202),
    Route("GET", "/v1/groups", _READ, groups.every),
    Route("POST", "/v1/groups", _ADMIN, groups.add, 201),
    Route("GET", "/v1/groups/{name}", _READ, groups.one),
    Route("PATCH", "/v1/groups/{name}", _ADMIN, groups.change),
    Route("DELETE", "/v1/groups/{name}", _ADMIN, groups.remove, 204),
    Route("GET", "/v1/groups/{name}/host", _READ, groups.host),
    Route("PUT", "/v1/groups/{name}/host", _ADMIN, groups.put_host),
    Route("PATCH", "/v1/groups/{name}/host", _ADMIN, groups.change_host),
    Route("GET", "/v1/groups/{name}/power", _READ, power.of_group),
    Route("PUT", "/v1/groups/{name}/power", _ADMIN, power.set_group),
    Route("DELETE", "/v1/groups/{name}/power", _ADMIN, power.clear_group, 204),
    Route("GET", "/v1/images", _READ, images.every),
    Route("GET", "/v1/images/{name}", _READ, images.one),
    Route("DELETE", "/v1/images/{name}", _ADMIN, images.remove, 204),
    Route("POST", "/v1/images/{name}/rename", _ADMIN, images.rename),
    Route("POST", "/v1/images/{name}/prune", _ADMIN, images.prune),
    Route("POST", "/v1/images/{name}/syncfiles", _ADMIN, images.sync, 202),
    Route("GET", "/v1/images/{name}/versions", _READ, images.versions),
    Route("GET", "/v1/images/{name}/versions/{number}", _READ, images.version),
    Route("DELETE", "/v1/images/{name}/versions/{number}", _ADMIN, images.remove_version, 204),
    Route("GET", "/v1/images/{name}/diff", _READ, images.difference),
    Route("GET", "/v1/images/{name}/channels/{channel}", _READ, images.channel),
    Route("PUT", "/v1/images/{name}/channels/{channel}", _ADMIN, images.publish),
    Route("POST", "/v1/images/{name}/channels/{channel}/rollback", _ADMIN, images.roll_back),
    Route("GET", "/v1/machines", _READ, machines.every),
    Route("GET", "/v1/machines/{mac}", _READ, machines.one),
    Route("DELETE", "/v1/machines/{mac}", _ADMIN, machines.remove, 204),
    Route("POST", "/v1/machines/{mac}/assign", _OPERATOR, machines.assign, 201),
    Route("PUT", "/v1/machines/{mac}/ignored", _OPERATOR, machines.ignore),
    Route("GET", "/v1/rules", _READ, machines.rules),
    Route("POST", "/v1/approve", _OPERATOR, machines.approve),
    Route("POST", "/v1/places", _OPERATOR, machines.places),
    Route("POST", "/v1/collect", _OPERATOR, machines.collect),
    Route("GET", "/v1/events", _READ, site.events),
    Route("GET", "/v1/events/stream", _READ, site.stream),
    Route("GET", "/v1/layouts", _READ, site.layout_names),
    Route("GET", "/v1/layouts/{name}", _READ, site.layout),
    Route("GET", "/v1/states", _READ, site.states),
    Route("GET", "/v1/export/{form}", _READ, site.export),
    Route("POST", "/v1/import", _ADMIN, site.import_nodes),
    Route("GET", "/v1/tokens", _ADMIN, people.every_token),
    Route("POST", "/v1/tokens", _ADMIN, people.add_token, 201),
    Route("DELETE", "/v1/tokens/{name}", _ADMIN, people.remove_token, 204),
    Route("GET", "/v1/users", _ADMIN, people.every_user),
    Route("POST", "/v1/users", _ADMIN, people.add_user, 201),
    Route("PUT", "/v1/users/{name}/password", _ADMIN, people.set_password, 204),
    Route("DELETE", "/v1/users/{name}", _ADMIN, people.remove_user, 204),
)
