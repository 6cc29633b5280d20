"""Whether the settings fit this machine's interfaces and routes."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from attrs import frozen

from imaged.model.settings import DhcpMode, Settings, Subnet
from imaged.planning.doctor.finding import Finding, Voice

_SAY = Voice("network")


@frozen
class Link:
    """An interface with its IPv4 addresses. ``carrier`` None: the kernel does not say."""

    name: str
    addresses: tuple[IPv4Interface, ...]
    carrier: bool | None = None

    @property
    def loopback(self) -> bool:
        """Nobody else is on it."""
        return all(address.is_loopback for address in self.addresses)


@frozen
class Route:
    """Of /proc/net/route. ``gateway`` None: the network is on the link itself."""

    network: IPv4Network
    interface: str
    gateway: IPv4Address | None = None


def served(links: Sequence[Link], settings: Settings) -> tuple[Link, ...]:
    """Those on which machines are answered."""
    wanted = settings.interfaces
    return tuple(link for link in links if (link.name in wanted if wanted else not link.loopback))


def read_routes(text: str) -> tuple[Route, ...]:
    """The kernel's IPv4 routes, from /proc/net/route, where addresses are little-endian words."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 8:
            continue
        destination, gateway, mask = (_word(words[at]) for at in (1, 2, 7))
        network = IPv4Network(f"{destination}/{bin(int(mask)).count('1')}", strict=False)
        found.append(Route(network, words[0], gateway if int(gateway) else None))
    return tuple(found)


def findings(settings: Settings, links: Sequence[Link], routes: Sequence[Route]) -> Iterator[Finding]:
    """Of address, interfaces and subnets."""
    mine = served(links, settings)
    yield from _address(settings, links, mine)
    known = {link.name for link in links}
    for name in settings.interfaces:
        if name not in known:
            yield _SAY.error(
                "there is no such interface with an IPv4 address", name, "See `interfaces` in the settings."
            )
    if not mine:
        yield _SAY.error("no interface has an IPv4 address, but the loopback", "interfaces")
    for link in mine:
        if link.carrier is False:
            yield _SAY.warning("has no link", link.name, "Look at cable and switch port.")
    if settings.dhcp.mode is DhcpMode.AUTHORITATIVE:
        for subnet in settings.dhcp.subnets:
            yield from _subnet(subnet, settings, links, mine, routes)


def _address(settings: Settings, links: Sequence[Link], mine: Sequence[Link]) -> Iterator[Finding]:
    address = settings.address
    holder = next((link for link in links if any(each.ip == address for each in link.addresses)), None)
    if holder is None:
        shown = ", ".join(f"{each} on {link.name}" for link in links if not link.loopback for each in link.addresses)
        yield _SAY.error(f"no interface has {address}", "address", f"Here are {shown or 'none'}.")
    elif holder.loopback:
        todo = "Set `address` to what nodes reach this server by."
        yield _SAY.warning(f"{address} is the loopback's: no other machine reaches it", "address", todo)
    elif holder not in mine:
        yield _SAY.warning(f"{address} is on {holder.name}, which is not in `interfaces`", "address")
    else:
        yield _SAY.ok(f"{address} is on {holder.name}", "address")


def _subnet(
    subnet: Subnet, settings: Settings, links: Sequence[Link], mine: Sequence[Link], routes: Sequence[Route]
) -> Iterator[Finding]:
    where = f"subnet {subnet.network}"
    local = [(link, each) for link in links for each in link.addresses if each.ip in subnet.network]
    answering = [(link, each) for link, each in local if link in mine]
    for link, each in answering:
        if each.network != subnet.network:
            todo = f"Set `network` to {each.network}, or the prefix of {link.name}."
            yield _SAY.warning(f"{link.name} has {each}: machines and server disagree who is on the link", where, todo)
            return
    if answering:
        yield _SAY.ok(f"on {answering[0][0].name}", where)
    elif local:
        todo = f"Add {local[0][0].name} to `interfaces`."
        yield _SAY.error(f"is on {local[0][0].name}, where nobody is answered", where, todo)
    else:
        yield _routed(subnet, settings, routes, where)


def _routed(subnet: Subnet, settings: Settings, routes: Sequence[Route], where: str) -> Finding:
    fitting = [route for route in routes if subnet.network.subnet_of(route.network)]
    best = max(fitting, key=lambda route: route.network.prefixlen, default=None)
    if best is None:
        return _SAY.error("is on no interface, and no route leads there", where, "Add an address or a route.")
    if best.gateway is None:
        todo = f"Give {best.interface} an address in it, or add a route by its router."
        return _SAY.warning(f"is taken for a part of {best.network} on {best.interface}", where, todo)
    return _SAY.note(f"is behind {best.gateway}: it needs a DHCP relay to {settings.address} there", where)


def _word(text: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(text)[::-1])
