"""Files that tell other programs of our nodes: hosts, ethers, DNS zones, other DHCP servers' configurations. Pure.

For sites that keep their own DHCP or DNS. Each is a whole file, or one to include, with nothing of the site's in it.
"""

import json
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from attrs import frozen

from imaged.model.boot import LOADERS, Arch
from imaged.model.errors import BadInput
from imaged.model.net import Mac
from imaged.model.settings import Settings, Subnet

# Options as ISC's servers call them; dnsmasq's names are the keys.
_ISC_NAMES = {"router": "routers", "dns-server": "domain-name-servers", "ntp-server": "ntp-servers"}
_MADE = "made by imaged; changes are lost"


@frozen
class Named:
    """A node as other programs know it. ``macs`` in the order of its cards; its address may be the pool's."""

    name: str
    macs: tuple[Mac, ...]
    address: IPv4Address | None


def hosts(nodes: Sequence[Named], settings: Settings) -> str:
    """hosts(5)."""
    lines = [f"# {_MADE}"]
    for node in nodes:
        if node.address:
            domain = _domain(node.address, settings)
            lines.append(f"{node.address}\t{f'{node.name}.{domain} ' if domain else ''}{node.name}")
    return "\n".join(lines) + "\n"


def ethers(nodes: Sequence[Named], settings: Settings) -> str:
    """ethers(5): every card, by the node's name."""
    return "\n".join([f"# {_MADE}", *(f"{mac} {node.name}" for node in nodes for mac in node.macs)]) + "\n"


def zone(nodes: Sequence[Named], settings: Settings) -> str:
    """A records for a zone file of the nodes' domain (RFC 1035 section 5), to be included; the SOA is the site's."""
    lines = [f"; {_MADE}", *(f"{node.name}\tIN\tA\t{node.address}" for node in nodes if node.address)]
    return "\n".join(lines) + "\n"


def reverse_zone(nodes: Sequence[Named], settings: Settings) -> str:
    """PTR records with whole names, to be included in the zones of in-addr.arpa that they are in."""
    lines = [f"; {_MADE}"]
    for node in nodes:
        if node.address:
            domain = _domain(node.address, settings)
            name = f"{node.name}.{domain}" if domain else node.name
            lines.append(f"{node.address.reverse_pointer}.\tIN\tPTR\t{name}.")
    return "\n".join(lines) + "\n"


def isc(nodes: Sequence[Named], settings: Settings) -> str:
    """dhcpd.conf(5): subnets, reservations, and the loader for each firmware."""
    lines = [f"# {_MADE}", "authoritative;", "option arch code 93 = unsigned integer 16;", ""]
    for subnet in settings.dhcp.subnets:
        lines.append(f"subnet {subnet.network.network_address} netmask {subnet.network.netmask} {{")
        lines += [f"  {text};" for text in _isc_options(subnet)]
        lines += [
            f"  next-server {settings.address};",
            '  if exists user-class and option user-class = "iPXE" {',
            f'    filename "{_script(settings)}";',
            "  } elsif option arch = 00:07 or option arch = 00:09 {",
            f'    filename "{LOADERS[Arch.X86_64]}";',
            "  } else {",
            f'    filename "{LOADERS[Arch.BIOS]}";',
            "  }",
            "}",
        ]
    for node in nodes:
        fixed = f" fixed-address {node.address};" if node.address else ""
        for at, mac in enumerate(node.macs):
            name = node.name if at == 0 else f"{node.name}-{at + 1}"
            option = f' option host-name "{node.name}";'
            lines.append(f"host {name} {{ hardware ethernet {mac};{fixed}{option} }}")
    return "\n".join(lines) + "\n"


def kea(nodes: Sequence[Named], settings: Settings) -> str:
    """Kea's JSON for kea-dhcp4 (Administrator Reference Manual, chapter DHCPv4)."""
    ipxe = "substring(option[77].hex,0,4) == 'iPXE' or substring(option[77].hex,1,4) == 'iPXE'"
    uefi = "not member('ipxe') and (option[93].hex == 0x0007 or option[93].hex == 0x0009)"
    classes = [
        {"name": "ipxe", "test": ipxe, "boot-file-name": _script(settings)},
        {"name": "uefi", "test": uefi, "boot-file-name": LOADERS[Arch.X86_64]},
        {"name": "bios", "test": "not member('ipxe') and not member('uefi')", "boot-file-name": LOADERS[Arch.BIOS]},
    ]
    subnets = [
        {
            "id": at, "subnet": str(subnet.network), "next-server": str(settings.address),
            "valid-lifetime": subnet.lease, "option-data": _kea_options(subnet),
            "pools": [{"pool": f"{subnet.pool.first} - {subnet.pool.last}"}] if subnet.pool else [],
            "reservations": [
                {"hw-address": str(mac), "ip-address": str(node.address), "hostname": node.name}
                for node in nodes if node.address and node.address in subnet.network for mac in node.macs[:1]
            ],
        }
        for at, subnet in enumerate(settings.dhcp.subnets, 1)
    ]  # fmt: skip
    whole = {"Dhcp4": {"client-classes": classes, "subnet4": subnets, "interfaces-config": {"interfaces": ["*"]}}}
    return f"// {_MADE}\n" + json.dumps(whole, indent=2) + "\n"


def dnsmasq(nodes: Sequence[Named], settings: Settings) -> str:
    """dnsmasq.conf(5)."""
    lines = [f"# {_MADE}", "dhcp-userclass=set:ipxe,iPXE", "dhcp-match=set:uefi,option:client-arch,7"]
    lines.append("dhcp-match=set:uefi,option:client-arch,9")
    server = f",imaged,{settings.address}"
    lines += [
        f"dhcp-boot=tag:!ipxe,tag:!uefi,{LOADERS[Arch.BIOS]}{server}",
        f"dhcp-boot=tag:!ipxe,tag:uefi,{LOADERS[Arch.X86_64]}{server}",
        f"dhcp-boot=tag:ipxe,{_script(settings)}",
    ]
    for at, subnet in enumerate(settings.dhcp.subnets):
        reach = f"{subnet.pool.first},{subnet.pool.last}" if subnet.pool else f"{subnet.network.network_address},static"
        lines.append(f"dhcp-range=set:net{at},{reach},{subnet.network.netmask},{subnet.lease}")
        lines += [f"dhcp-option=tag:net{at},option:{name},{value}" for name, value in _options(subnet)]
    for node in nodes:
        where = f",{node.address}" if node.address else ""
        lines.append(f"dhcp-host={','.join(map(str, node.macs))}{where},{node.name}")
    return "\n".join(lines) + "\n"


FORMS: dict[str, Callable[[Sequence[Named], Settings], str]] = {
    "hosts": hosts, "ethers": ethers, "zone": zone, "reverse-zone": reverse_zone, "isc": isc, "kea": kea,
    "dnsmasq": dnsmasq,
}  # fmt: skip
NEED_SUBNETS = ("isc", "kea", "dnsmasq")


def write(form: str, nodes: Sequence[Named], settings: Settings) -> str:
    """The file of that form. Raises BadInput for a DHCP server's where the settings have no subnets."""
    if form in NEED_SUBNETS and not settings.dhcp.subnets:
        hint = "Name them below dhcp.subnets, also where another server gives the addresses."
        raise BadInput("the settings have no subnets", where=form, hint=hint)
    return FORMS[form](nodes, settings)


def _script(settings: Settings) -> str:
    """iPXE puts its own MAC and UUID in (https://ipxe.org/cfg)."""
    return f"{settings.base_url}/ipxe/${{mac}}?uuid=${{uuid}}"


def _domain(address: IPv4Address, settings: Settings) -> str:
    return next((subnet.domain for subnet in settings.dhcp.subnets if address in subnet.network), "")


def _isc_options(subnet: Subnet) -> list[str]:
    found = [f"range {subnet.pool.first} {subnet.pool.last}"] if subnet.pool else []
    found += [f"default-lease-time {subnet.lease}", f"max-lease-time {subnet.lease}"]
    for name, value in _options(subnet):
        found.append(f'option {name} "{value}"' if name == "domain-name" else f"option {_ISC_NAMES[name]} {value}")
    return found


def _kea_options(subnet: Subnet) -> list[dict[str, str]]:
    return [{"name": _ISC_NAMES.get(name, name), "data": value} for name, value in _options(subnet)]


def _options(subnet: Subnet) -> list[tuple[str, str]]:
    found = [("router", str(subnet.router))] if subnet.router else []
    for name, values in (("dns-server", subnet.dns), ("ntp-server", subnet.ntp)):
        found += [(name, ",".join(map(str, values)))] if values else []
    return found + ([("domain-name", subnet.domain)] if subnet.domain else [])
