"""A node's network as its file says it, and as the links of one machine: which NIC is meant, what stands on what."""

from collections.abc import Iterator, Sequence
from enum import Enum
from ipaddress import ip_address
from typing import Any, TypeVar
from uuid import UUID, uuid5

from attrs import evolve, frozen

from imaged.model.codec import decode
from imaged.model.errors import BadInput, CannotPlan
from imaged.model.hardware import Inventory
from imaged.model.net import AnyAddress, AnyInterface, Mac
from imaged.model.network import Bond, Bridge, Interface, Ip, Ipv6, Network, Vlan
from imaged.model.node import Node
from imaged.planning.network_rules import link_faults, network_faults

T = TypeVar("T")
AnyLink = Interface | Bond | Vlan | Bridge


_LISTS: dict[str, type[Any]] = {"interfaces": Interface, "bonds": Bond, "vlans": Vlan, "bridges": Bridge}
_BOOT_NIC = {"name": "lan0", "boot": True, "rename": False, "ip": {"dhcp4": True}}  # BOOT_NIC, as a file says it


def read(data: object, where: str) -> Network:
    """The network from the plain data of a YAML file. Raises BadInput with every fault and the path of its key.

    Links are read one by one, so that a slip in one does not hide what is wrong with the others; what only the whole
    shows is told once all of them could be read. A file may hold the renderer alone: the rest is then as where nothing
    was said.
    """
    faults: list[str] = []
    if isinstance(data, dict) and data.keys() == {"renderer"}:
        data = {**data, "interfaces": [_BOOT_NIC]}
    for key, kind in _LISTS.items():
        for index, item in enumerate(_items(data, key)):
            link: AnyLink | None
            link, found = decode(item, kind)
            faults += (str(fault.below(f"{key}[{index}]")) for fault in found)
            faults += link_faults(f"{key}[{index}]", link) if link else ()
    if isinstance(data, dict):
        shell = {key: [] if _items(data, key) else value for key, value in data.items() if key in _LISTS}
        faults += map(str, decode({**data, **shell}, Network)[1])
    network, found = decode(data, Network)
    if not isinstance(data, dict):
        faults += map(str, found)
    if network:
        faults += network_faults(network)
    if network is None or faults:
        raise BadInput("\n  ".join(faults), where=where)
    return network


def _items(data: object, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


class Kind(Enum):
    """What a link is; the values are the kernel's words (ip-link(8)), save the first."""

    ETHERNET = "ethernet"
    BOND = "bond"
    VLAN = "vlan"
    BRIDGE = "bridge"


@frozen
class Link:
    """One link of one machine. ``mac`` and ``path`` are of NICs only; one of them is there.

    ``address`` is the MAC that a bond or bridge shall bear; None: whatever it gets.
    ``given`` is what was said of it; ``addresses`` are concrete. ``master`` has this link as a member; ``vlans`` are
    the names of those that stand on it. ``id`` is its own for good, for renderers that want a UUID.
    """

    name: str
    kind: Kind
    given: AnyLink
    addresses: tuple[AnyInterface, ...] = ()
    mac: Mac | None = None
    path: str = ""
    rename: bool = False
    master: str = ""
    vlans: tuple[str, ...] = ()
    id: str = ""
    address: Mac | None = None

    @property
    def ip(self) -> Ip:
        """What was said of its addresses; of a member's, that it has none."""
        return Ip(ipv6=Ipv6.OFF) if self.master else self.given.ip

    @property
    def mtu(self) -> int | None:
        """In bytes; None: as the kernel has it."""
        return self.given.mtu

    @property
    def members(self) -> tuple[str, ...]:
        """Of a bond or a bridge."""
        return self.given.members if isinstance(self.given, Bond | Bridge) else ()

    def of(self, version: int) -> tuple[AnyInterface, ...]:
        """Its addresses of IP ``version``."""
        return tuple(each for each in self.addresses if each.version == version)


@frozen
class Wiring:
    """The links of one machine, each after those it stands on. Resolvers and domains as they were said, and as the
    node's subnet has them, which a link by DHCP is told anyway."""

    links: tuple[Link, ...]
    dns: tuple[AnyAddress, ...] = ()
    search: tuple[str, ...] = ()
    subnet_dns: tuple[AnyAddress, ...] = ()
    subnet_search: tuple[str, ...] = ()

    def link(self, name: str) -> Link:
        """The link of that name."""
        return next(link for link in self.links if link.name == name)

    def master_of(self, link: Link) -> Link | None:
        """The bond or bridge that ``link`` is a member of."""
        return self.link(link.master) if link.master else None

    def dns_of(self, link: Link) -> tuple[AnyAddress, ...]:
        """The resolvers that this link's configuration names."""
        return self._told(link, self.dns, self.subnet_dns)

    def search_of(self, link: Link) -> tuple[str, ...]:
        """The domains that this link's configuration names."""
        return self._told(link, self.search, self.subnet_search)

    @staticmethod
    def _told(link: Link, said: tuple[T, ...], subnet: tuple[T, ...]) -> tuple[T, ...]:
        if link.ip.dhcp4:
            return said
        return (said or subnet) if link.addresses else ()

    @property
    def leases(self) -> bool:
        """Whether some link is told its resolvers by DHCP or by router advertisements."""
        return any(link.ip.dhcp4 or link.ip.ipv6 is Ipv6.DHCP for link in self.links)


def wiring(
    network: Network, node: Node, inventory: Inventory, site: UUID, dns: tuple[str, ...] = (), domain: str = ""
) -> Wiring:
    """``network`` on this machine, whose subnet has ``dns`` and ``domain``.

    Raises CannotPlan that names every NIC that is not there, and an address that the node does not have.
    """
    faults: list[str] = []
    above: tuple[Bond | Bridge, ...] = (*network.bonds, *network.bridges)
    masters = {member: each.name for each in above for member in each.members}
    links: list[Link] = []
    for given in _lower_first(network):
        mac, path = _nic(given, node, inventory, faults) if isinstance(given, Interface) else (None, "")
        links.append(
            Link(
                name=given.name,
                kind=_KINDS[type(given)],
                given=given,
                addresses=() if given.name in masters else tuple(_addresses(given, node, faults)),
                mac=mac,
                path=path,
                rename=isinstance(given, Interface) and (given.rename or bool(path)),
                master=masters.get(given.name, ""),
                vlans=tuple(vlan.name for vlan in network.vlans if vlan.parent == given.name),
                id=str(uuid5(site, f"{node.name}:link:{given.name}")),
            )
        )
    taken: dict[Mac, str] = {}
    for link in links:
        if link.mac and link.mac in taken:
            faults.append(f"{link.name} and {taken[link.mac]} are the same NIC, {link.mac}")
        if link.mac:
            taken.setdefault(link.mac, link.name)
    if faults:
        has = ", ".join(f"{nic.name} {nic.mac}" for nic in inventory.nics) or "none"
        raise CannotPlan("\n  ".join(faults), where=f"network of {node.name}", hint=f"The machine's NICs: {has}.")
    subnet = tuple(ip_address(server) for server in dns), (domain,) if domain else ()
    boot = inventory.boot_mac or node.macs[0]
    addressed = tuple(evolve(link, address=_address(link, links, boot)) for link in links)
    return Wiring(addressed, network.dns.servers, network.dns.search, *subnet)


def named(wired: Wiring) -> Wiring:
    """For renderers that know links by name only: every NIC gets its name."""
    return evolve(wired, links=tuple(evolve(link, rename=link.kind is Kind.ETHERNET) for link in wired.links))


_KINDS: dict[type, Kind] = {
    Interface: Kind.ETHERNET,
    Bond: Kind.BOND,
    Vlan: Kind.VLAN,
    Bridge: Kind.BRIDGE,
}


def _lower_first(network: Network) -> Iterator[AnyLink]:
    """Each link after those it stands on; the rules have refused circles."""
    links = {link.name: link for link in network.links}
    done: dict[str, AnyLink] = {}

    def visit(link: AnyLink) -> None:
        below = (link.parent,) if isinstance(link, Vlan) else link.members if isinstance(link, Bond | Bridge) else ()
        for name in below:
            visit(links[name])
        done.setdefault(link.name, link)

    for link in network.links:
        visit(link)
    yield from done.values()


def _address(link: Link, links: Sequence[Link], boot: Mac) -> Mac | None:
    """By DHCP a bond or bridge of the NIC that the node boots from asks as that NIC: firmware, ramdisk and system get
    one lease. Else udev makes up a MAC (systemd.link(5), MACAddressPolicy), or it is that of whichever NIC came first.
    """
    if link.kind not in (Kind.BOND, Kind.BRIDGE) or not (link.ip.dhcp4 or link.ip.ipv6 is Ipv6.DHCP):
        return None
    macs = [nic.mac for nic in _nics_below(link, links) if nic.mac]
    return boot if boot in macs else next(iter(macs), None)


def _nics_below(link: Link, links: Sequence[Link]) -> Iterator[Link]:
    lower = (link.given.parent,) if isinstance(link.given, Vlan) else link.members
    for each in links:
        if each.name in lower:
            yield from (each,) if each.kind is Kind.ETHERNET else _nics_below(each, links)


def _nic(given: Interface, node: Node, inventory: Inventory, faults: list[str]) -> tuple[Mac | None, str]:
    """Known by MAC wherever it has one of its own; by where it is plugged in if that was asked for, or if firmware gave
    all ports the same MAC and it is clear which one is meant."""
    if given.path:
        there = [nic.name for nic in inventory.nics if nic.by_path == given.path]
        if not there:
            faults.append(f"{given.name}: no NIC is at {given.path}")
        elif len(there) > 1:  # ports of one PCI function
            faults.append(f"{given.name}: {', '.join(there)} all are at {given.path}; say mac instead")
        return None, given.path
    if given.index is not None:
        if given.index >= len(inventory.nics):
            faults.append(
                f"{given.name}: there is no NIC {given.index}, they count from 0 to {len(inventory.nics) - 1}"
            )
            return None, ""
        meant = inventory.nics[given.index]
        alone = sum(nic.mac == meant.mac for nic in inventory.nics) == 1
        at_its_own = sum(nic.by_path == meant.by_path for nic in inventory.nics) == 1
        return (meant.mac, "") if alone or not (meant.by_path and at_its_own) else (None, meant.by_path)
    mac = (inventory.boot_mac or node.macs[0]) if given.boot else given.mac
    same = [nic.name for nic in inventory.nics if nic.mac == mac]
    if not same and not given.boot:
        faults.append(f"{given.name}: no NIC has the address {mac}")
    elif len(same) > 1:  # firmware that gives every port the same
        faults.append(f"{given.name}: {', '.join(same)} all have the address {mac}; say path instead")
    return mac, ""


def _addresses(given: AnyLink, node: Node, faults: list[str]) -> Iterator[AnyInterface]:
    for address in given.ip.addresses:
        if address.ip is None and node.address is None:
            faults.append(f"{given.name}: {address} needs an address of the node (`imaged addnode --address`)")
        else:
            yield address.on(node.address)
