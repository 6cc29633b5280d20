"""netplan: one YAML file for all links (https://netplan.readthedocs.io, "YAML configuration").

Written by hand, as planning has no YAML library; ``netplan generate`` reads it in the tests.
"""

import re
from collections.abc import Iterator
from typing import Any

from imaged.model.network import Bond, Bridge, Ip, Ipv6, Vlan
from imaged.model.plan import Step, WriteFile
from imaged.planning.fixups.network_names import path_files
from imaged.planning.network import Kind, Link, Wiring

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_WORDS = ("true", "false", "yes", "no", "on", "off", "y", "n", "null")
_SECTIONS = ((Kind.ETHERNET, "ethernets"), (Kind.BOND, "bonds"), (Kind.BRIDGE, "bridges"), (Kind.VLAN, "vlans"))


def netplan(wired: Wiring, renderer: str) -> tuple[Step, ...]:
    """``renderer`` is ``networkd`` or ``NetworkManager``. 0600: netplan warns of files that others can read.

    A NIC that is found by where it is plugged in has a name of ours from a .link file, and is matched by that.
    """
    data: dict[str, Any] = {"version": 2, "renderer": renderer}
    for kind, section in _SECTIONS:
        links = {link.name: _link(link, wired) for link in wired.links if link.kind is kind}
        if links:
            data[section] = links
    text = "\n".join(("# Written when the node was installed.", *_lines({"network": data}, "")))
    return (
        *path_files(wired),
        WriteFile("/etc/netplan/90-imaged.yaml", text + "\n", "0600", "the node's own network, by MAC"),
    )


def _link(link: Link, wired: Wiring) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if link.mac:
        found["match"] = {"macaddress": str(link.mac)}
        if link.rename:
            found["set-name"] = link.name
    found |= _stacked(link)
    if link.address:
        found["macaddress"] = str(link.address)
    ip = link.ip
    found["dhcp4"] = ip.dhcp4
    if ip.dhcp4:
        found["dhcp-identifier"] = "mac"  # a DUID would ask for a second address beside that of firmware and ramdisk
    found["dhcp6"] = ip.ipv6 is Ipv6.DHCP
    found["accept-ra"] = ip.ipv6 in (Ipv6.AUTO, Ipv6.DHCP)
    if ip.ipv6 is Ipv6.OFF:
        found["link-local"] = []
    if link.addresses:
        found["addresses"] = [str(each) for each in link.addresses]
    if routes := list(_routes(ip)):
        found["routes"] = routes
    resolvers = {"addresses": [str(each) for each in wired.dns_of(link)], "search": list(wired.search_of(link))}
    if any(resolvers.values()):
        found["nameservers"] = {key: values for key, values in resolvers.items() if values}
    if link.mtu:
        found["mtu"] = link.mtu
    if link.given.optional:
        found["optional"] = True
    return found


def _routes(ip: Ip) -> Iterator[dict[str, Any]]:
    for gateway in (ip.gateway4, ip.gateway6):
        if gateway:
            yield {"to": "default", "via": str(gateway)}
    for route in ip.routes:
        metric = {} if route.metric is None else {"metric": route.metric}
        yield {"to": str(route.to), "via": str(route.via), **metric}


def _stacked(link: Link) -> dict[str, Any]:
    match link.given:
        case Bond() as bond:
            return {"interfaces": list(bond.members), "parameters": dict(_bond(bond))}
        case Vlan(parent=parent, id=number):
            return {"id": number, "link": parent}
        case Bridge(members=members, stp=stp, forward_delay=delay):
            return {"interfaces": list(members), "parameters": {"stp": stp} | ({"forward-delay": delay} if stp else {})}
    return {}


def _bond(bond: Bond) -> Iterator[tuple[str, Any]]:
    """Times without a unit are milliseconds."""
    yield "mode", bond.mode.value
    if bond.miimon:
        yield "mii-monitor-interval", bond.miimon
    if bond.updelay:
        yield "up-delay", bond.updelay
    if bond.downdelay:
        yield "down-delay", bond.downdelay
    if bond.min_links:
        yield "min-links", bond.min_links
    if bond.lacp_rate:
        yield "lacp-rate", bond.lacp_rate.value
    if bond.hash:
        yield "transmit-hash-policy", bond.hash.value
    if bond.primary:
        yield "primary", bond.primary


def _lines(value: dict[str, Any], indent: str) -> Iterator[str]:
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield f"{indent}{_word(key)}:"
            yield from _lines(each, indent + "  ")
        elif isinstance(each, list) and each:
            yield f"{indent}{key}:"
            for item in each:
                yield f"{indent}  - {_flow(item)}"
        else:
            yield f"{indent}{_word(key)}: {_flow(each)}"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _word(value) if isinstance(value, str) else str(value)


def _word(text: str) -> str:
    """Quoted wherever YAML 1.1 could see something else: MACs are numbers to the base of 60, `on` is true."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else f'"{text}"'
