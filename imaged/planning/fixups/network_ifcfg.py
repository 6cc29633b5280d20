"""ifcfg files of the Red Hat family up to release 9, read by NetworkManager's ifcfg-rh plugin and by network-scripts.

(nm-settings-ifcfg-rh(5) and initscripts' sysconfig.txt.)
"""

from collections.abc import Iterator

from imaged.model.network import Bond, Bridge, Ipv6, Vlan
from imaged.model.plan import Step, WriteFile
from imaged.planning.network import Kind, Link, Wiring

_HOME = "/etc/sysconfig/network-scripts"


def ifcfg(wired: Wiring, *, manager: bool) -> tuple[Step, ...]:
    """HWADDR is what a NIC is known by; udev's rename_device and NetworkManager both give it the name of DEVICE.

    ``manager``: NetworkManager reads them.
    """
    steps: list[Step] = []
    for link in wired.links:
        text = "".join(f"{key}={_quoted(value)}\n" for key, value in _variables(link, wired, manager=manager))
        steps.append(WriteFile(f"{_HOME}/ifcfg-{link.name}", text, reason="the node's own network, by MAC"))
        for version, stem in ((4, "route"), (6, "route6")):
            if routes := "".join(f"{line}\n" for line in _routes(link, version)):
                steps.append(WriteFile(f"{_HOME}/{stem}-{link.name}", routes, reason="the node's own routes"))
    return tuple(steps)


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if set(text) & set(" ;") else text


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _variables(link: Link, wired: Wiring, *, manager: bool) -> Iterator[tuple[str, object]]:
    yield "DEVICE", link.name
    yield "NAME", f"imaged-{link.name}"
    yield "UUID", link.id
    yield "ONBOOT", "yes"
    if link.mac:
        yield "HWADDR", str(link.mac).upper()
    if link.address:
        yield "MACADDR", str(link.address).upper()
    yield from _stacked(link)
    if master := wired.master_of(link):
        bonded = master.kind is Kind.BOND
        yield ("MASTER" if bonded else "BRIDGE"), master.name
        if bonded:
            yield "SLAVE", "yes"
    if link.mtu:
        yield "MTU", link.mtu
    if not link.master:
        yield from _ipv4(link)
        if link.ip.dhcp4 and manager:  # network-scripts would send the word itself, every node the same
            yield "DHCP_CLIENT_ID", "mac"
        yield from _ipv6(link)
        yield from ((f"DNS{number}", server) for number, server in enumerate(wired.dns_of(link), start=1))
        if search := wired.search_of(link):
            yield "DOMAIN", " ".join(search)


def _stacked(link: Link) -> Iterator[tuple[str, object]]:
    match link.given:
        case Bond() as bond:
            yield "TYPE", "Bond"
            yield "BONDING_MASTER", "yes"
            yield "BONDING_OPTS", " ".join(bond_options(bond))
        case Vlan(parent=parent, id=number):
            yield "TYPE", "Vlan"
            yield "VLAN", "yes"
            yield "PHYSDEV", parent
            yield "VLAN_ID", number
        case Bridge(stp=stp, forward_delay=delay):
            yield "TYPE", "Bridge"
            yield "STP", _yes(stp)
            yield "DELAY", delay if stp else 0
        case _:
            yield "TYPE", "Ethernet"


def bond_options(bond: Bond) -> Iterator[str]:
    """The kernel's own words (bonding.rst)."""
    yield f"mode={bond.mode.value}"
    for key in ("miimon", "updelay", "downdelay", "min_links"):
        if value := getattr(bond, key):
            yield f"{key}={value}"
    if bond.lacp_rate:
        yield f"lacp_rate={bond.lacp_rate.value}"
    if bond.hash:
        yield f"xmit_hash_policy={bond.hash.value}"
    if bond.primary:
        yield f"primary={bond.primary}"


def _ipv4(link: Link) -> Iterator[tuple[str, object]]:
    yield "BOOTPROTO", "dhcp" if link.ip.dhcp4 else "none"
    for number, address in enumerate(link.of(4)):
        yield f"IPADDR{number or ''}", address.ip
        yield f"PREFIX{number or ''}", address.network.prefixlen
    if link.ip.gateway4:
        yield "GATEWAY", link.ip.gateway4


def _ipv6(link: Link) -> Iterator[tuple[str, object]]:
    ipv6, addresses = link.ip.ipv6, link.of(6)
    yield "IPV6INIT", _yes(ipv6 is not Ipv6.OFF)
    if ipv6 is Ipv6.OFF:
        yield "IPV6_DISABLED", "yes"
        return
    yield "IPV6_AUTOCONF", _yes(ipv6 is Ipv6.AUTO)
    if ipv6 is Ipv6.DHCP:
        yield "DHCPV6C", "yes"
    if addresses:
        first, *others = addresses
        yield "IPV6ADDR", first
        if others:
            yield "IPV6ADDR_SECONDARIES", " ".join(map(str, others))
    if link.ip.gateway6:
        yield "IPV6_DEFAULTGW", link.ip.gateway6


def _routes(link: Link, version: int) -> Iterator[str]:
    """As ip-route(8) takes them."""
    for route in link.ip.routes:
        if route.to.version == version:
            metric = "" if route.metric is None else f" metric {route.metric}"
            yield f"{route.to} via {route.via} dev {link.name}{metric}"
