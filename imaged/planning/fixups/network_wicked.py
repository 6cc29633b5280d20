"""wicked of SUSE: ifcfg(5), ifcfg-bonding(5), ifcfg-vlan(5), ifcfg-bridge(5), routes(5). It knows names only."""

from collections.abc import Iterable, Iterator

from imaged.model.network import Bond, Bridge, Ipv6, Vlan
from imaged.model.plan import RunInTarget, Step, WriteFile
from imaged.planning.fixups.network_ifcfg import bond_options
from imaged.planning.network import Link, Wiring

_HOME = "/etc/sysconfig/network"
_IPV6 = {Ipv6.STATIC: "accept_ra = 0", Ipv6.OFF: "disable_ipv6 = 1"}
_CONFIG = f"{_HOME}/config"


def wicked(wired: Wiring, files: tuple[str, ...]) -> tuple[Step, ...]:
    """``files`` are the image's, among them netconfig(8)'s, which makes resolv.conf."""
    steps: list[Step] = []
    for link in wired.links:
        text = "".join(f"{key}='{value}'\n" for key, value in _variables(link))
        steps.append(WriteFile(f"{_HOME}/ifcfg-{link.name}", text, "0600", "the node's own network"))
        if routes := "".join(f"{line}\n" for line in _routes(link)):
            steps.append(WriteFile(f"{_HOME}/ifroute-{link.name}", routes, "0600", "the node's own routes"))
        if setting := _IPV6.get(link.ip.ipv6):
            text = f"net.ipv6.conf.$INTERFACE.{setting}\n"
            steps.append(WriteFile(f"{_HOME}/ifsysctl-{link.name}", text, reason="IPv6 as it was said"))
    if _CONFIG in files:
        steps.append(_netconfig(wired))
    return tuple(steps)


def _netconfig(wired: Wiring) -> Step:
    """Only what the golden client had for itself; the policies around it are the image's."""
    words = {
        "NETCONFIG_DNS_STATIC_SERVERS": _distinct(str(each) for link in wired.links for each in wired.dns_of(link)),
        "NETCONFIG_DNS_STATIC_SEARCHLIST": _distinct(each for link in wired.links for each in wired.search_of(link)),
    }
    script = "; ".join(f's|^{key}=.*|{key}="{value}"|' for key, value in words.items())
    return RunInTarget(("sed", "-i", "-E", script, _CONFIG), reason="the node's own resolvers")


def _distinct(words: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(words))


def _variables(link: Link) -> Iterator[tuple[str, object]]:
    yield "STARTMODE", "hotplug" if link.master or link.given.optional else "auto"
    yield from _stacked(link)
    if link.address:
        yield "LLADDR", link.address
    if link.mtu:
        yield "MTU", link.mtu
    yield "BOOTPROTO", _bootproto(link)
    if link.ip.dhcp4 and (mac := link.mac or link.address):
        yield "DHCLIENT_CLIENT_ID", f"01:{mac}"  # RFC 2132, section 9.14: Ethernet, then the MAC
    for number, address in enumerate(link.addresses):
        yield f"IPADDR_{number}" if number else "IPADDR", address


def _bootproto(link: Link) -> str:
    ip = link.ip
    if ip.dhcp4:
        return "dhcp4" if ip.ipv6 in (Ipv6.OFF, Ipv6.STATIC) else "dhcp"
    if ip.ipv6 is Ipv6.DHCP:
        return "dhcp6"
    return "static" if link.addresses else "none"


def _stacked(link: Link) -> Iterator[tuple[str, object]]:
    match link.given:
        case Bond() as bond:
            yield "BONDING_MASTER", "yes"
            yield "BONDING_MODULE_OPTS", " ".join(bond_options(bond))
            for number, member in enumerate(bond.members):
                yield f"BONDING_SLAVE{number}", member
        case Vlan(parent=parent, id=number):
            yield "ETHERDEVICE", parent
            yield "VLAN_ID", number
        case Bridge(members=members, stp=stp, forward_delay=delay):
            yield "BRIDGE", "yes"
            yield "BRIDGE_PORTS", " ".join(members)
            yield "BRIDGE_STP", "on" if stp else "off"
            yield "BRIDGE_FORWARDDELAY", delay if stp else 0


def _routes(link: Link) -> Iterator[str]:
    """Destination, gateway, netmask, interface, type, options."""
    for gateway in (link.ip.gateway4, link.ip.gateway6):
        if gateway:
            yield f"default {gateway} - {link.name}"
    for route in link.ip.routes:
        metric = "" if route.metric is None else f" - metric {route.metric}"
        yield f"{route.to} {route.via} - {link.name}{metric}"
