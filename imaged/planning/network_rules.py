"""The rules that a network must keep, whatever the machine. Each fault begins with the path of its key."""

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import pairwise

from imaged.model.net import Address, AnyNetwork
from imaged.model.network import Bond, BondMode, Bridge, Interface, Ip, Ipv6, Network, Route, Vlan

AnyLink = Interface | Bond | Vlan | Bridge

# IFNAMSIZ is 16 with its NUL (if(7)); `:` marks aliases; the kernel refuses `/` and fills in `%`.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
_KERNELS = re.compile(r"(eth|ib|wlan|usb)\d+")
_RESERVED = frozenset(("lo", "all", "default", "bonding_masters", "dev", "node", "via"))
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?")
_ID_PATH = re.compile(r"[A-Za-z0-9:._+-]*")
_WITH_PRIMARY = (BondMode.ACTIVE_BACKUP, BondMode.BALANCE_TLB, BondMode.BALANCE_ALB)
_WITH_HASH = (BondMode.LACP, BondMode.BALANCE_XOR, BondMode.BALANCE_TLB)
_MTU = (68, 65535)  # RFC 791, section 3.2; ip-link(8)
_MTU6 = 1280  # RFC 8200, section 5


def link_faults(at: str, link: AnyLink) -> Iterator[str]:
    """What is wrong with one link in itself, as ``path: what is wrong``."""
    yield from _mtu_range(at, link)
    yield from _ip_faults(f"{at}.ip", link.ip)
    if isinstance(link, Interface):
        yield from _nic_faults(at, link)
    elif isinstance(link, Bond):
        yield from _bond_faults(at, link)
    elif isinstance(link, Vlan) and not 1 <= link.id <= 4094:
        yield f"{at}.id: {link.id} is not between 1 and 4094"
    elif isinstance(link, Bridge) and link.stp and not 2 <= link.forward_delay <= 30:
        yield f"{at}.forward_delay: {link.forward_delay} is not between 2 and 30 (IEEE 802.1D)"


def network_faults(network: Network) -> Iterator[str]:
    """What only the whole shows: names, references, circles, who has the default route."""
    links = tuple(_paths(network))
    yield from _name_faults(links)
    yield from _same_nic_faults(network)
    for index, bond in enumerate(network.bonds):
        yield from _missing_members(f"bonds[{index}]", bond, {each.name for each in network.interfaces}, "interface")
    for index, vlan in enumerate(network.vlans):
        yield from _vlan_faults(f"vlans[{index}]", vlan, network, index)
    for index, bridge in enumerate(network.bridges):
        yield from _bridge_faults(f"bridges[{index}]", bridge, network)
    yield from _member_faults(links)
    yield from _loop_faults(links)
    yield from _mtu_faults(links)
    yield from _gateway_faults(links)
    for index, domain in enumerate(network.dns.search):
        if not _DOMAIN.fullmatch(domain) or len(domain) > 253:
            yield f"dns.search[{index}]: {domain[:80]!r} is not a domain name"
    inside = {member for _, link in links for member in _members(link)}
    if not any(_reachable(link.ip) for _, link in links if link.name not in inside):
        yield "interfaces: no link has an address or asks for one: nothing could reach the node"


def _paths(network: Network) -> Iterator[tuple[str, AnyLink]]:
    for key in ("interfaces", "bonds", "vlans", "bridges"):
        for index, link in enumerate(getattr(network, key)):
            yield f"{key}[{index}]", link


def _reachable(ip: Ip) -> bool:
    return ip.dhcp4 or bool(ip.addresses) or ip.ipv6 in (Ipv6.AUTO, Ipv6.DHCP)


def _name_faults(links: tuple[tuple[str, AnyLink], ...]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for at, link in links:
        name = link.name
        if not _NAME.fullmatch(name) or name in _RESERVED:
            yield f"{at}.name: {name[:40]!r} is not a link's name (a letter, then at most 14 of letters, 0-9 _ . -)"
        elif _KERNELS.fullmatch(name):
            yield f"{at}.name: the kernel gives {name} to any NIC itself; take another, such as lan0"
        if name in seen:
            yield f"{at}.name: {seen[name]} is called {name} already"
        seen.setdefault(name, at)


def _mtu_range(at: str, link: AnyLink) -> Iterator[str]:
    if link.mtu is None:
        return
    low, high = _MTU
    if not low <= link.mtu <= high:
        yield f"{at}.mtu: {link.mtu} is not between {low} and {high}"
    elif link.mtu < _MTU6 and any(each.ip is not None and each.ip.version == 6 for each in link.ip.addresses):
        yield f"{at}.mtu: IPv6 needs at least {_MTU6}"


def _ways(interface: Interface) -> dict[str, object]:
    """How it says which NIC it is."""
    said = {"mac": interface.mac, "boot": interface.boot or None, "index": interface.index, "path": interface.path}
    return {key: value for key, value in said.items() if value not in (None, "")}


def _nic_faults(at: str, interface: Interface) -> Iterator[str]:
    ways = tuple(_ways(interface))
    if len(ways) != 1:
        said = f"it has {' and '.join(ways)}" if ways else "it has none"
        yield f"{at}: say which NIC it is by exactly one of mac, boot, index and path ({said})"
    if interface.index is not None and interface.index < 0:
        yield f"{at}.index: counts from 0"
    if not _ID_PATH.fullmatch(interface.path):
        yield f"{at}.path: {interface.path[:80]!r} is no ID_PATH such as pci-0000:03:00.0"


def _same_nic_faults(network: Network) -> Iterator[str]:
    found: dict[tuple[str, object], str] = {}
    for index, interface in enumerate(network.interfaces):
        for way in _ways(interface).items():
            if way in found:
                yield f"interfaces[{index}].{way[0]}: is the NIC of {found[way]} already"
            found.setdefault(way, f"interfaces[{index}]")


def _ip_faults(at: str, ip: Ip) -> Iterator[str]:
    for address, times in Counter(ip.addresses).items():
        if times > 1:
            yield f"{at}.addresses: {address} is there twice"
    for index, address in enumerate(ip.addresses):
        yield from _address_faults(f"{at}.addresses[{index}]", address, ip)
    for key, gateway in (("gateway4", ip.gateway4), ("gateway6", ip.gateway6)):
        if gateway is None or gateway.is_link_local:
            continue
        mine = [each for each in ip.addresses if _version(each) == gateway.version]
        if not mine:
            yield f"{at}.{key}: there is no address of its kind on this link"
        known = [f"{each.ip}/{each.prefix}" for each in mine if each.ip is not None]
        if known and len(known) == len(mine) and not any(gateway in _network(each) for each in mine):
            yield f"{at}.{key}: {gateway} is in none of {', '.join(known)}"
        if any(each.ip == gateway for each in mine):
            yield f"{at}.{key}: {gateway} is the link's own address"
    for index, route in enumerate(ip.routes):
        yield from _route_faults(f"{at}.routes[{index}]", route)


def _address_faults(at: str, address: Address, ip: Ip) -> Iterator[str]:
    version = _version(address)
    if version == 4 and ip.dhcp4:
        yield f"{at}: dhcp4 and IPv4 addresses exclude each other"
    if version == 6 and ip.ipv6 in (Ipv6.DHCP, Ipv6.OFF):
        yield f"{at}: ipv6 is {ip.ipv6.value}; with addresses it is auto or static"
    if address.ip is None:
        return
    if address.ip.is_multicast or address.ip.is_unspecified or address.ip.is_loopback:
        yield f"{at}: {address.ip} is no address of a host"
    network = _network(address)
    if version == 4 and address.prefix < 31 and address.ip in (network.network_address, network.broadcast_address):
        yield f"{at}: {address.ip} is the network's or the broadcast address of {network}"


def _route_faults(at: str, route: Route) -> Iterator[str]:
    if route.to.version != route.via.version:
        yield f"{at}: {route.to} is IPv{route.to.version}, {route.via} is IPv{route.via.version}"
    if not route.to.prefixlen:
        yield f"{at}.to: the default route is gateway{route.to.version}"
    if route.metric is not None and not 0 <= route.metric < 2**32:
        yield f"{at}.metric: {route.metric} is not between 0 and {2**32 - 1}"


def _bond_faults(at: str, bond: Bond) -> Iterator[str]:
    if not bond.members:
        yield f"{at}.members: a bond has at least one"
    if bond.primary and bond.primary not in bond.members:
        yield f"{at}.primary: {bond.primary!r} is not one of its members"
    mode = bond.mode
    if bond.primary and mode not in _WITH_PRIMARY:
        yield f"{at}.primary: has no meaning in mode {mode.value}"
    if bond.lacp_rate and mode is not BondMode.LACP:
        yield f"{at}.lacp_rate: has no meaning in mode {mode.value}"
    if bond.hash and mode not in _WITH_HASH:
        yield f"{at}.hash: has no meaning in mode {mode.value}"
    if bond.min_links and mode is not BondMode.LACP:
        yield f"{at}.min_links: has no meaning in mode {mode.value}"
    for key, value in (("miimon", bond.miimon), ("updelay", bond.updelay), ("downdelay", bond.downdelay)):
        if value < 0:
            yield f"{at}.{key}: {value} is less than 0"
        elif key != "miimon" and value and (not bond.miimon or value % bond.miimon):
            yield f"{at}.{key}: must be a multiple of miimon ({bond.miimon} ms)"
    if not 0 <= bond.min_links <= len(bond.members):
        yield f"{at}.min_links: {bond.min_links} is not between 0 and the number of members"


def _vlan_faults(at: str, vlan: Vlan, network: Network, index: int) -> Iterator[str]:
    if vlan.parent not in {each.name for each in network.links}:
        yield f"{at}.parent: there is no link {vlan.parent!r}"
    for other in range(index):
        if (network.vlans[other].parent, network.vlans[other].id) == (vlan.parent, vlan.id):
            yield f"{at}.id: vlans[{other}] is VLAN {vlan.id} of {vlan.parent} already"


def _bridge_faults(at: str, bridge: Bridge, network: Network) -> Iterator[str]:
    bridges = {each.name for each in network.bridges}
    for index, member in enumerate(bridge.members):
        if member in bridges:
            yield f"{at}.members[{index}]: a bridge cannot be part of a bridge"
    yield from _missing_members(at, bridge, {each.name for each in network.links}, "link")


def _missing_members(at: str, link: Bond | Bridge, names: set[str], kind: str) -> Iterator[str]:
    for index, member in enumerate(link.members):
        if member not in names:
            yield f"{at}.members[{index}]: there is no {kind} {member!r}"


def _members(link: AnyLink) -> tuple[str, ...]:
    return link.members if isinstance(link, Bond | Bridge) else ()


def _member_faults(links: tuple[tuple[str, AnyLink], ...]) -> Iterator[str]:
    """A member has no address: its master has."""
    masters: dict[str, str] = {}
    for at, link in links:
        for index, member in enumerate(_members(link)):
            if member in masters:
                yield f"{at}.members[{index}]: {member} is a member of {masters[member]} already"
            masters.setdefault(member, at)
    for at, link in links:
        ip = link.ip
        plain = ip == Ip() or ip == Ip(ipv6=Ipv6.OFF)
        if link.name in masters and not plain:
            yield f"{at}.ip: it is a member of {masters[link.name]}, which has the addresses"
        if isinstance(link, Vlan) and link.parent in masters:
            yield f"{at}.parent: {link.parent} is a member of {masters[link.parent]}, so its packets go there"


def _below(link: AnyLink) -> tuple[str, ...]:
    return (link.parent,) if isinstance(link, Vlan) else _members(link)


def _loop_faults(links: tuple[tuple[str, AnyLink], ...]) -> Iterator[str]:
    below = {link.name: _below(link) for _, link in links}
    for at, link in links:
        way, todo = set[str](), list(below[link.name])
        while todo:
            name = todo.pop()
            if name == link.name:
                yield f"{at}: {link.name} would stand on itself"
                break
            if name not in way:
                way.add(name)
                todo += below.get(name, ())


def _mtu_faults(links: tuple[tuple[str, AnyLink], ...]) -> Iterator[str]:
    """What stands on a link cannot send more than it; the kernel's own is 1500."""
    known = {link.name: link for _, link in links}
    for at, link in links:
        for name in _below(link):
            lower = known.get(name)
            if lower and link.mtu and link.mtu > (lower.mtu or 1500):
                yield f"{at}.mtu: {link.mtu} is more than {name} below it has ({lower.mtu or 1500})"


def _gateway_faults(links: tuple[tuple[str, AnyLink], ...]) -> Iterator[str]:
    for key in ("gateway4", "gateway6"):
        having = [at for at, link in links if getattr(link.ip, key)]
        for first, second in pairwise(having):
            yield f"{second}.ip.{key}: {first} has one already; write the others as routes"


def _version(address: Address) -> int:
    return address.ip.version if address.ip else 4


def _network(address: Address) -> AnyNetwork:
    return ip_network(f"{address.ip}/{address.prefix}", strict=False)
