"""What holds for a node, thing by thing, and where each was said. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Address

from attrs import fields, frozen

from imaged.model.group import Group
from imaged.model.host import Host
from imaged.model.node import Definition, Node
from imaged.model.power import PowerAccess
from imaged.model.settings import Settings
from imaged.model.setup import DEFAULTS, effective, origins
from imaged.planning.boot import chain_of_node
from imaged.planning.power import access

NODE, DEFAULT, SETTINGS, LEASE = "node", "default", "settings", "lease"
_USUAL = {
    "network": "the NIC it boots from, by DHCP", "identity": "keep", "cloud_init": "off", "timezone": "the image's",
    "locale": "the image's", "keyboard": "the image's",
}  # fmt: skip


@frozen
class Explained:
    """``what`` (``image``, ``var.rack``) is ``value``, as was said in ``source``: node, group NAME, settings, default.

    A lease is what the node was given for the moment.
    """

    what: str
    value: str
    source: str


@frozen
class Said:
    """Everything that was said of one node. ``groups`` are its own, the winner last; so are the others by name.

    ``leased`` is the address that it was given last where it has none of its own.
    """

    node: Node
    definition: Definition
    groups: Sequence[Group]
    own_host: Host
    hosts: Mapping[str, Host]
    own_power: PowerAccess | None
    powers: Mapping[str, PowerAccess]
    leased: IPv4Address | None = None


def explained(said: Said, settings: Settings) -> Iterator[Explained]:
    """In the order in which people read it."""
    yield from _setup(said)
    yield from _identity(said)
    yield from _host(said)
    yield from _network(said.node, settings)
    powers = [(f"group {group.name}", said.powers[group.name]) for group in said.groups if group.name in said.powers]
    source = NODE if said.own_power else powers[-1][0] if powers else DEFAULT
    yield Explained("power", str(access(said.own_power, (each for _, each in powers), said.node.name).address), source)


def _setup(said: Said) -> Iterator[Explained]:
    node = said.node
    layers = [*((f"group {group.name}", group.setup) for group in said.groups), (NODE, said.definition.setup)]
    values = {"image": str(node.image), "layout": node.layout or DEFAULTS.layout, "console": node.console}
    values |= {f"var.{name}": text for name, text in sorted(node.variables.items())}
    values["first-boot"] = effective(setup for _, setup in layers).first
    where = origins(layers)
    where["first-boot"] = where["first"]
    for what, value in values.items():
        yield Explained(what, value, where[what])


def _identity(said: Said) -> Iterator[Explained]:
    node = said.node
    yield Explained("groups", " ".join(node.groups), NODE)
    for mac in node.macs:
        yield Explained("mac", str(mac), NODE)
    if node.uuid:
        yield Explained("uuid", node.uuid, NODE)
    if node.address:
        yield Explained("address", str(node.address), NODE)
    else:
        yield Explained("address", str(said.leased or "one of the pool"), LEASE if said.leased else SETTINGS)


def _host(said: Said) -> Iterator[Explained]:
    layers = [(f"group {group.name}", said.hosts.get(group.name, Host())) for group in said.groups]
    layers.append((NODE, said.own_host))
    for field in fields(Host):
        found = [(source, getattr(host, field.name)) for source, host in layers]
        said_last = next(((source, value) for source, value in reversed(found) if value is not None), None)
        source, value = said_last or (DEFAULT, _USUAL[field.name])
        yield Explained(field.name.replace("_", "-"), _shown(value), source)


def _shown(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    links: Iterable[object] | None = getattr(value, "links", None)
    return str(value) if links is None else ", ".join(str(getattr(link, "name", link)) for link in links)


def _network(node: Node, settings: Settings) -> Iterator[Explained]:
    """A node without an address of its own is told of the first subnet."""
    subnets = settings.dhcp.subnets
    own = next((each for each in subnets if node.address and node.address in each.network), None)
    subnet = own or next(iter(subnets), None)
    if subnet:
        pairs = (
            ("domain", subnet.domain), ("router", str(subnet.router or "")), ("dns", " ".join(map(str, subnet.dns))),
            ("ntp", " ".join(map(str, subnet.ntp))),
        )  # fmt: skip
        yield from (Explained(what, value, SETTINGS) for what, value in pairs if value)
    yield Explained("chain", chain_of_node(node, settings).value, SETTINGS if own else DEFAULT)
