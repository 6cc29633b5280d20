"""What a node's network shall be, in the words of YAML: interfaces, bonds, VLANs, bridges, and their addresses."""

from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from imaged.model.net import Address, AnyAddress, AnyNetwork, Mac


class Renderer(Enum):
    """What sets the network up when the node starts."""

    NETPLAN = "netplan"
    NETWORK_MANAGER = "networkmanager"
    IFCFG = "ifcfg"
    WICKED = "wicked"
    NETWORKD = "networkd"
    IFUPDOWN = "ifupdown"


class BondMode(Enum):
    """The kernel's words (Documentation/networking/bonding.rst)."""

    BALANCE_RR = "balance-rr"
    ACTIVE_BACKUP = "active-backup"
    BALANCE_XOR = "balance-xor"
    BROADCAST = "broadcast"
    LACP = "802.3ad"
    BALANCE_TLB = "balance-tlb"
    BALANCE_ALB = "balance-alb"


class HashPolicy(Enum):
    """``xmit_hash_policy``: what of a packet decides which member sends it."""

    LAYER2 = "layer2"
    LAYER23 = "layer2+3"
    LAYER34 = "layer3+4"
    ENCAP23 = "encap2+3"
    ENCAP34 = "encap3+4"


class LacpRate(Enum):
    """How often the partner is asked to send: every 30 seconds, or every second."""

    SLOW = "slow"
    FAST = "fast"


class Ipv6(Enum):
    """``auto``: by router advertisements, and by DHCPv6 where they say so. ``static``: only the addresses given."""

    AUTO = "auto"
    DHCP = "dhcp"
    STATIC = "static"
    OFF = "off"


@frozen
class Route:
    """Packets to ``to`` go to ``via``. The default route is a gateway, not one of these."""

    to: AnyNetwork
    via: AnyAddress
    metric: int | None = None


@frozen
class Ip:
    """What a link has of the Internet protocol. Gateways are for links whose addresses are given here."""

    dhcp4: bool = False
    ipv6: Ipv6 = Ipv6.AUTO
    addresses: tuple[Address, ...] = ()
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    routes: tuple[Route, ...] = ()


@frozen
class Interface:
    """A NIC, found by exactly one of ``mac`` (its permanent address), ``boot`` (the one that the node boots from),
    ``index`` (which of the inventory, from 0) and ``path`` (udev's ID_PATH: for what has no lasting MAC).

    It is called ``name`` from then on, unless ``rename`` is false and what sets it up can do without. ``optional``: the
    node's start does not wait for it.
    """

    name: str
    mac: Mac | None = None
    boot: bool = False
    index: int | None = None
    path: str = ""
    rename: bool = True
    ip: Ip = Ip()
    mtu: int | None = None
    optional: bool = False


@frozen
class Bond:
    """Several NICs as one. Times in milliseconds; ``primary`` is one of ``members``."""

    name: str
    members: tuple[str, ...]
    mode: BondMode = BondMode.ACTIVE_BACKUP
    miimon: int = 100
    updelay: int = 0
    downdelay: int = 0
    min_links: int = 0
    lacp_rate: LacpRate | None = None
    hash: HashPolicy | None = None
    primary: str = ""
    ip: Ip = Ip()
    mtu: int | None = None
    optional: bool = False


@frozen
class Vlan:
    """An IEEE 802.1Q VLAN on a link that is called ``parent``."""

    name: str
    parent: str
    id: int
    ip: Ip = Ip()
    mtu: int | None = None
    optional: bool = False


@frozen
class Bridge:
    """A bridge of links. ``forward_delay`` in seconds counts with ``stp`` only."""

    name: str
    members: tuple[str, ...] = ()
    stp: bool = False
    forward_delay: int = 15
    ip: Ip = Ip()
    mtu: int | None = None
    optional: bool = False


@frozen
class Dns:
    """Resolvers besides those that DHCP names; empty: those of the node's subnet."""

    servers: tuple[AnyAddress, ...] = ()
    search: tuple[str, ...] = ()


@frozen
class Network:
    """All of it. NICs that are not named are left alone. ``renderer``: None is what the image has enabled."""

    interfaces: tuple[Interface, ...]
    bonds: tuple[Bond, ...] = ()
    vlans: tuple[Vlan, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    dns: Dns = Dns()
    renderer: Renderer | None = None

    @property
    def links(self) -> tuple[Interface | Bond | Vlan | Bridge, ...]:
        """Every link that is set up."""
        return (*self.interfaces, *self.bonds, *self.vlans, *self.bridges)


# The NIC that a node boots from, by DHCP; its name is what the kernel chose wherever a name is not needed.
BOOT_NIC = Network((Interface("lan0", boot=True, rename=False, ip=Ip(dhcp4=True)),))
