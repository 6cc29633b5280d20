"""NetworkManager: nm-settings-keyfile(5), a profile per link, mode 0600, or NetworkManager ignores it."""

from collections.abc import Iterator

from imaged.model.network import Bond, Bridge, Ipv6, Vlan
from imaged.model.plan import Step, WriteFile
from imaged.planning.fixups.network_names import link_files
from imaged.planning.network import Kind, Link, Wiring

_HOME = "/etc/NetworkManager/system-connections"
_METHOD6 = {Ipv6.AUTO: "auto", Ipv6.DHCP: "dhcp", Ipv6.STATIC: "manual", Ipv6.OFF: "disabled"}


def keyfiles(wired: Wiring) -> tuple[Step, ...]:
    """Members and VLANs name what they belong to by its profile's UUID, so that no name is needed for it to work.

    What runs when a profile of ours and another fit a NIC is the one of the higher priority.
    """
    profiles = (
        WriteFile(f"{_HOME}/imaged-{link.name}.nmconnection", _profile(link, wired), "0600",
                  "the node's own network, by MAC")
        for link in wired.links
    )  # fmt: skip
    return (*link_files(wired), *profiles)


def _profile(link: Link, wired: Wiring) -> str:
    sections = {
        "connection": list(_connection(link, wired)),
        "ethernet": list(_ethernet(link)),
        **_stacked(link, wired),
    }
    if not link.master:
        sections |= {"ipv4": list(_ipv4(link, wired)), "ipv6": list(_ipv6(link, wired))}
    return "\n".join("\n".join((f"[{name}]", *lines)) + "\n" for name, lines in sections.items() if lines)


def _connection(link: Link, wired: Wiring) -> Iterator[str]:
    yield f"id=imaged-{link.name}"
    yield f"uuid={link.id}"
    yield f"type={link.kind.value}"
    if link.kind is not Kind.ETHERNET or link.rename:
        yield f"interface-name={link.name}"
    yield "autoconnect-priority=100"
    if master := wired.master_of(link):
        yield f"master={master.id}"
        yield f"slave-type={master.kind.value}"
    if link.members:
        yield "autoconnect-slaves=1"


def _ethernet(link: Link) -> Iterator[str]:
    if link.mac:
        yield f"mac-address={link.mac}"
    if link.address:
        yield f"cloned-mac-address={link.address}"
    if link.mtu:
        yield f"mtu={link.mtu}"


def _stacked(link: Link, wired: Wiring) -> dict[str, list[str]]:
    match link.given:
        case Bond() as bond:
            return {"bond": list(_bond(bond))}
        case Vlan(parent=parent, id=number):
            # flags 1 is REORDER_HDR, NetworkManager's own default
            return {"vlan": ["flags=1", f"id={number}", f"parent={wired.link(parent).id}"]}
        case Bridge(stp=False):
            return {"bridge": ["stp=false"]}
        case Bridge(forward_delay=delay):
            return {"bridge": ["stp=true", f"forward-delay={delay}"]}
    return {}


def _bond(bond: Bond) -> Iterator[str]:
    """The kernel's own words for options."""
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


def _ipv4(link: Link, wired: Wiring) -> Iterator[str]:
    ip, addresses = link.ip, link.of(4)
    yield f"method={'auto' if ip.dhcp4 else 'manual' if addresses else 'disabled'}"
    if ip.dhcp4:
        yield "dhcp-client-id=mac"  # one lease for firmware, ramdisk and system
    yield from _common(link, wired, 4, str(ip.gateway4 or ""))


def _ipv6(link: Link, wired: Wiring) -> Iterator[str]:
    method = _METHOD6[link.ip.ipv6]
    # "manual" without an address is refused; link-local alone is what is meant.
    yield f"method={'link-local' if method == 'manual' and not link.of(6) else method}"
    yield from _common(link, wired, 6, str(link.ip.gateway6 or ""))


def _common(link: Link, wired: Wiring, version: int, gateway: str) -> Iterator[str]:
    for number, address in enumerate(link.of(version), start=1):
        yield f"address{number}={address}"
    if gateway:
        yield f"gateway={gateway}"
    routes = (each for each in link.ip.routes if each.to.version == version)
    for number, route in enumerate(routes, start=1):
        metric = "" if route.metric is None else f",{route.metric}"
        yield f"route{number}={route.to},{route.via}{metric}"
    mine = [str(each) for each in wired.dns_of(link) if each.version == version]
    if mine and _takes_dns(link, version):
        yield f"dns={';'.join(mine)};"
    search = wired.search_of(link)
    if search and _takes_dns(link, version):
        yield f"dns-search={';'.join(search)};"


def _takes_dns(link: Link, version: int) -> bool:
    """NetworkManager refuses resolvers where the protocol is off."""
    return link.ip.ipv6 is not Ipv6.OFF if version == 6 else link.ip.dhcp4 or bool(link.of(4))
