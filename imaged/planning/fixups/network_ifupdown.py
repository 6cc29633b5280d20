"""interfaces(5), of Debian's ifupdown, ifupdown2, ifupdown-ng and BusyBox alike.

Bonds, VLANs and bridges are made with ip(8) and sysfs, which all of these have: what else makes them (ifenslave, vlan,
bridge-utils) is each in a package of its own, understands other words in each implementation, and takes VLANs only by
names of its own.
"""

from collections.abc import Iterator

from imaged.model.network import Bond, Bridge, Ipv6, Vlan
from imaged.model.plan import Step, WriteFile
from imaged.planning.network import Kind, Link, Wiring

INTERFACES = "/etc/network/interfaces"
_HEAD = """\
# Written when the node was installed.
source-directory /etc/network/interfaces.d

auto lo
iface lo inet loopback
"""


def ifupdown(wired: Wiring, *, hotplug: bool) -> tuple[Step, ...]:
    """The whole file; each link after those it stands on, in which order ``ifup -a`` takes them.

    ``hotplug``: udev brings up what is marked so, when it is there, and nothing waits for it.
    """
    stanzas = "".join(f"\n{_link(link, wired, hotplug)}" for link in _upright(wired))
    return (WriteFile(INTERFACES, f"{_HEAD}{stanzas}", reason="the node's own network"),)


def loopback() -> Step:
    """For an image whose network another program sets up: no stanza of the golden client's stays."""
    return WriteFile(INTERFACES, _HEAD, reason="another program sets up the network")


def _upright(wired: Wiring) -> tuple[Link, ...]:
    """Members are brought up by their master, but one that carries VLANs or is itself made must be there before."""
    return tuple(link for link in wired.links if not (link.master and link.kind is Kind.ETHERNET))


def _link(link: Link, wired: Wiring, hotplug: bool) -> str:
    later = hotplug and link.given.optional and link.kind is Kind.ETHERNET
    lines = [f"{'allow-hotplug' if later else 'auto'} {link.name}"]
    first = True
    for version in (4, 6):
        method = _method(link, version)
        if method is None:
            continue
        lines.append(f"iface {link.name} inet{'6' if version == 6 else ''} {method}")
        if first:
            lines += (f"    {line}" for line in _made(link, wired))
        lines += (f"    {line}" for line in _addressed(link, version))
        first = False
    return "\n".join(lines) + "\n"


def _method(link: Link, version: int) -> str | None:
    ip = link.ip
    if version == 4:
        return "dhcp" if ip.dhcp4 else "static" if link.of(4) else "manual"
    if link.of(6):
        return "static"
    return "dhcp" if ip.ipv6 is Ipv6.DHCP else None


def _made(link: Link, wired: Wiring) -> Iterator[str]:
    """What makes the link, if it is none of the machine's own."""
    name, given = link.name, link.given
    match given:
        case Bond():
            yield f"pre-up ip link show dev {name} >/dev/null 2>&1 || ip link add dev {name} type bond"
            yield from _own_mac(link)
            yield from _bond(given)
        case Bridge(stp=stp, forward_delay=delay):
            yield f"pre-up ip link show dev {name} >/dev/null 2>&1 || ip link add dev {name} type bridge"
            yield from _own_mac(link)
            yield f"pre-up echo {int(stp)} >/sys/class/net/{name}/bridge/stp_state"
            # In hundredths of a second. Without STP a port need not listen before it forwards: DHCP would time out.
            yield f"pre-up echo {delay * 100 if stp else 0} >/sys/class/net/{name}/bridge/forward_delay"
            for member in given.members:
                mtu = wired.link(member).mtu
                if mtu:
                    yield f"pre-up ip link set dev {member} mtu {mtu}"
                yield f"pre-up ip link set dev {member} master {name}"
                yield f"pre-up ip link set dev {member} up"
        case Vlan(parent=parent, id=number):
            add = f"ip link add link {parent} name {name} type vlan id {number}"
            yield f"pre-up ip link show dev {name} >/dev/null 2>&1 || {add}"
    if link.mtu:
        yield f"pre-up ip link set dev {name} mtu {link.mtu}"
    if link.ip.ipv6 in (Ipv6.OFF, Ipv6.STATIC) and not link.master:
        key, value = ("disable_ipv6", 1) if link.ip.ipv6 is Ipv6.OFF else ("accept_ra", 0)
        yield f"pre-up echo {value} >/proc/sys/net/ipv6/conf/{name}/{key}"
    if _method(link, 4) == "manual":
        yield f"up ip link set dev {name} up"
        yield f"down ip link set dev {name} down"
    if link.kind is not Kind.ETHERNET:
        yield f"post-down ip link del dev {name}"


def _own_mac(link: Link) -> Iterator[str]:
    if link.address:
        yield f"pre-up ip link set dev {link.name} address {link.address}"


def _bond(bond: Bond) -> Iterator[str]:
    """Its options by sysfs before its members, which must be down to become members (bonding.rst, section 3.4)."""
    home = f"/sys/class/net/{bond.name}/bonding"
    options = {
        "mode": bond.mode.value,
        "miimon": bond.miimon,
        "updelay": bond.updelay,
        "downdelay": bond.downdelay,
        "min_links": bond.min_links,
        "lacp_rate": bond.lacp_rate.value if bond.lacp_rate else "",
        "xmit_hash_policy": bond.hash.value if bond.hash else "",
    }
    for key, value in options.items():
        if value:
            yield f"pre-up echo {value} >{home}/{key}"
    for member in bond.members:
        yield f"pre-up ip link set dev {member} down"
        yield f"pre-up ip link set dev {member} master {bond.name}"
    if bond.primary:
        yield f"pre-up echo {bond.primary} >{home}/primary"


def _addressed(link: Link, version: int) -> Iterator[str]:
    addresses, ip = link.of(version), link.ip
    dash = "-6 " if version == 6 else ""
    if addresses:
        first, *others = addresses
        yield f"address {first.ip}"
        yield f"netmask {first.netmask if version == 4 else first.network.prefixlen}"
        gateway = ip.gateway4 if version == 4 else ip.gateway6
        if gateway:
            yield f"gateway {gateway}"
        for each in others:
            yield f"up ip {dash}addr add {each} dev {link.name}"
            yield f"down ip {dash}addr del {each} dev {link.name} || true"
    for route in ip.routes:
        metric = "" if route.metric is None else f" metric {route.metric}"
        if route.to.version == version:
            yield f"up ip {dash}route add {route.to} via {route.via} dev {link.name}{metric}"
