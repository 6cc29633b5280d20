"""What switches the power of nodes and groups, and switching it, which nobody waits for."""

from typing import Any

from attrs import field, frozen

from imaged.admin import power, ranges
from imaged.admin.jobs import Job
from imaged.admin.power import Limits
from imaged.daemon.api.nodes import Names, Ranged
from imaged.daemon.api.route import Call
from imaged.model.errors import BadInput, NotFound
from imaged.model.node import Node
from imaged.model.power import STARTING, PowerAccess, PowerAction, PowerAddress, fingerprint, password
from imaged.model.wishes import Then, Wishes, parse_breaks, parse_plan
from imaged.store.powers import Powers


@frozen
class PowerShown:
    """``url`` is ipmi://USER@HOST, redfish://USER@HOST[/PATH] or ``wol:``. The password is told to nobody.

    ``fingerprint``: the only certificate that is taken; ``verify`` false: any is.
    """

    url: str
    fingerprint: str
    verify: bool


@frozen
class PowerSaid:
    """As `PowerShown`, with the password; ``wol:`` has none. ``{name}`` in the URL is the node's own name."""

    url: str
    password: str = field(default="", repr=False)
    fingerprint: str = ""
    verify: bool = True


@frozen
class Switching:
    """``network``: what starts them starts them from the network, once; it goes with on, cycle and reset."""

    action: PowerAction
    network: bool = False
    limits: Limits = Limits()


@frozen
class Installing:
    """``breaks`` (``transfer:before``), ``then`` and ``plan`` (its hash) as for the next network boot."""

    breaks: tuple[str, ...] = ()
    then: Then = Then.REBOOT
    plan: str = ""
    limits: Limits = Limits()


def of_node(call: Call[None, None]) -> PowerShown:
    """What switches the node's power, said of it or of a group; a magic packet where nothing was said."""
    node = call.desk.nodes.get(call.path["name"])
    return _shown(power.accesses(call.desk, (node,))[node.name])


def set_node(call: Call[None, PowerSaid]) -> PowerShown:
    """Say what switches the node's power, instead of what was said before."""
    power.define(call.desk, (call.desk.nodes.get(call.path["name"]).name,), _access(call.body))
    return of_node(call)  # type: ignore[arg-type]


def clear_node(call: Call[None, None]) -> None:
    """Forget what was said of the node's power: it is as its groups have it."""
    power.define(call.desk, (call.desk.nodes.get(call.path["name"]).name,), None)


def set_nodes(call: Call[Ranged, PowerSaid]) -> Names:
    """Say what switches the power of nodes, instead of what was said before: of all of them, or of none."""
    return Names(power.define(call.desk, (call.query.nodes,), _access(call.body)))


def switch(call: Call[Ranged, Switching]) -> Job:
    """Switch the power of nodes, or ask for it, many at once. What runs on them is not asked for."""
    body = call.body
    if body.network and body.action not in STARTING:
        raise BadInput(f"nothing starts by {body.action.value}", where="network")
    return power.begin(call.desk, _nodes(call), body.action, power.checked(body.limits), network=body.network)


def install(call: Call[Ranged, Installing]) -> Job:
    """Let nodes be installed now: off and on again, from the network once; woken where there is no BMC.

    One whose power could not be switched boots as it would have.
    """
    body = call.body
    wishes = Wishes(parse_breaks(body.breaks), body.then, parse_plan(body.plan))
    return power.begin_install(call.desk, _nodes(call), power.checked(body.limits), wishes)


def _nodes(call: Call[Ranged, Any]) -> tuple[Node, ...]:
    found = ranges.named(call.desk, (call.query.nodes,))
    if not found:
        raise NotFound("there are no such nodes", where=call.query.nodes)
    return found


def of_group(call: Call[None, None]) -> PowerShown:
    """What switches the power of the group's nodes of which nothing else is said."""
    return _shown(_of_group(call))


def set_group(call: Call[None, PowerSaid]) -> PowerShown:
    """Say what switches the power of the group's nodes, instead of what was said before."""
    power.define_group(call.desk, call.desk.groups.get(call.path["name"]).name, _access(call.body))
    return _shown(_of_group(call))


def clear_group(call: Call[None, None]) -> None:
    """Forget what was said of the power of the group's nodes."""
    power.define_group(call.desk, call.desk.groups.get(call.path["name"]).name, None)


def _of_group(call: Call[Any, Any]) -> PowerAccess:
    name = call.desk.groups.get(call.path["name"]).name
    found = Powers(call.desk.engine).groups().get(name)
    if found is None:
        raise NotFound("nothing is said of what switches their power", where=name)
    return found


def _access(said: PowerSaid) -> PowerAccess:
    address = PowerAddress.parse(said.url)
    word = password(said.password, address.kind) if said.password else ""
    return PowerAccess(address, word, fingerprint(said.fingerprint) if said.fingerprint else "", said.verify)


def _shown(access: PowerAccess) -> PowerShown:
    return PowerShown(str(access.address), access.fingerprint, access.verify)
