"""systemd-networkd: systemd.network(5) for every link, systemd.netdev(5) for those that it makes."""

from collections.abc import Iterator

from imaged.model.network import Bond, Bridge, Ipv6, Vlan
from imaged.model.plan import Step, WriteFile
from imaged.planning.fixups.network_names import link_files
from imaged.planning.network import Kind, Link, Wiring

_HOME = "/etc/systemd/network"
_DHCP = {(False, False): "no", (True, False): "ipv4", (False, True): "ipv6", (True, True): "yes"}


def networkd(wired: Wiring) -> tuple[Step, ...]:
    """One .network per link, before any of the image's own: the first that matches is the only one."""
    steps: list[Step] = list(link_files(wired))
    for link in wired.links:
        stem = f"{_HOME}/10-imaged-{link.name}"
        if link.kind is not Kind.ETHERNET:
            steps.append(WriteFile(f"{stem}.netdev", _netdev(link), reason=f"the node's own {link.kind.value}"))
        steps.append(WriteFile(f"{stem}.network", _network(link, wired), reason="the node's own network, by MAC"))
    return tuple(steps)


def _section(name: str, lines: list[str]) -> str:
    return "\n".join((f"[{name}]", *lines)) + "\n" if lines else ""


def _joined(*sections: str) -> str:
    return "\n".join(section for section in sections if section)


def _network(link: Link, wired: Wiring) -> str:
    own = [f"MTUBytes={link.mtu}"] if link.mtu else []
    if link.given.optional:
        own.append("RequiredForOnline=no")
    elif not _has_address(link):  # systemd-networkd-wait-online(8) would wait two minutes for one
        own.append("RequiredForOnline=carrier")
    return _joined(
        _section("Match", _match(link)),
        _section("Link", own),
        _section("Network", list(_ip(link, wired))),
        # The DUID that is the default would ask for a second address beside that of firmware and ramdisk.
        _section("DHCPv4", ["ClientIdentifier=mac", "UseDomains=yes"] if link.ip.dhcp4 else []),
        *(
            _section("Route", [f"Destination={each.to}", f"Gateway={each.via}"] + (
                [f"Metric={each.metric}"] if each.metric is not None else []))
            for each in link.ip.routes
        ),
    )  # fmt: skip


def _has_address(link: Link) -> bool:
    """A member, too, counts as online (networkctl(1), enslaved)."""
    return bool(link.master or link.addresses or link.ip.dhcp4 or link.ip.ipv6 is not Ipv6.OFF)


def _match(link: Link) -> list[str]:
    """Type=ether leaves out bonds, bridges and VLANs, which have the MAC of a NIC below them."""
    if link.kind is not Kind.ETHERNET:
        return [f"Name={link.name}"]
    if link.path:
        return [f"Path={link.path}"]
    return [f"{'PermanentMACAddress' if link.master else 'MACAddress'}={link.mac}", "Type=ether"]


def _ip(link: Link, wired: Wiring) -> Iterator[str]:
    master = wired.master_of(link)
    if master:
        yield f"{'Bond' if master.kind is Kind.BOND else 'Bridge'}={master.name}"
        if isinstance(master.given, Bond) and master.given.primary == link.name:
            yield "PrimarySlave=yes"
    ip = link.ip
    yield f"DHCP={_DHCP[ip.dhcp4, ip.ipv6 is Ipv6.DHCP]}"
    yield f"IPv6AcceptRA={'yes' if ip.ipv6 in (Ipv6.AUTO, Ipv6.DHCP) else 'no'}"
    if ip.ipv6 is Ipv6.OFF:
        yield "LinkLocalAddressing=no"
    yield from (f"Address={each}" for each in link.addresses)
    yield from (f"Gateway={each}" for each in (ip.gateway4, ip.gateway6) if each)
    yield from (f"DNS={each}" for each in wired.dns_of(link))
    if search := wired.search_of(link):
        yield f"Domains={' '.join(search)}"
    yield from (f"VLAN={name}" for name in link.vlans)


def _netdev(link: Link) -> str:
    head = [f"Name={link.name}", f"Kind={link.kind.value}", *([f"MTUBytes={link.mtu}"] if link.mtu else [])]
    head += [f"MACAddress={link.address}"] if link.address else []
    match link.given:
        case Bond():
            return _joined(_section("NetDev", head), _section("Bond", list(_bond(link.given))))
        case Vlan():
            return _joined(_section("NetDev", head), _section("VLAN", [f"Id={link.given.id}"]))
        case Bridge(stp=True):
            stp = ["STP=yes", f"ForwardDelaySec={link.given.forward_delay}"]
            return _joined(_section("NetDev", head), _section("Bridge", stp))
    return _joined(_section("NetDev", head), _section("Bridge", ["STP=no"]))


def _bond(bond: Bond) -> Iterator[str]:
    yield f"Mode={bond.mode.value}"
    if bond.miimon:
        yield f"MIIMonitorSec={bond.miimon}ms"
    if bond.updelay:
        yield f"UpDelaySec={bond.updelay}ms"
    if bond.downdelay:
        yield f"DownDelaySec={bond.downdelay}ms"
    if bond.min_links:
        yield f"MinLinks={bond.min_links}"
    if bond.lacp_rate:
        yield f"LACPTransmitRate={bond.lacp_rate.value}"
    if bond.hash:
        yield f"TransmitHashPolicy={bond.hash.value}"
