"""How an answer to a DHCP request is put together, and where it is sent (RFC 2131, tables 3 and 4, section 4.1)."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from attrs import Factory, field, frozen

from imaged.model.boot import BootClient, BootOffer, LocalBoot, Stage
from imaged.model.node import Node
from imaged.model.settings import Settings, Subnet
from imaged.wire import dhcp_options as opt
from imaged.wire import pxe
from imaged.wire.dhcp import BROADCAST_FLAG, NO_ADDRESS, Op, Packet, reply_limit
from imaged.wire.dhcp_options import MessageType

Options = tuple[tuple[int, bytes], ...]

_FILE_MAX = 127  # ``file`` has 128 bytes and ends in NUL
_ECHOED = (opt.CLIENT_ID.code, opt.CLIENT_UUID.code, opt.RELAY_INFORMATION.code)
_USE_BOOT_FILE = b"\x08"  # PXE discovery control, bit 3: no menu, no search for boot servers, load the file named


@frozen
class Arrival:
    """Where a packet came in: interface, our addresses on it (``ours`` without their networks), the sender's address
    and port.

    ``on_proxy_port``: on 4011, where PXE clients ask the boot server that a proxy named.
    """

    interface: str
    addresses: tuple[IPv4Interface, ...]
    source: tuple[IPv4Address, int]
    on_proxy_port: bool = False
    ours: tuple[IPv4Address, ...] = field(
        init=False, default=Factory(lambda self: tuple(each.ip for each in self.addresses), takes_self=True)
    )


class Request(NamedTuple):
    """One packet and all that bears on its answer. ``now`` in seconds since the epoch.

    ``loaders`` are the boot loaders that are there to be served.
    """

    packet: Packet
    client: BootClient | None
    node: Node | None
    arrival: Arrival
    now: float
    is_reserved: Callable[[IPv4Address], bool]
    loaders: frozenset[str] = frozenset()

    @property
    def relayed(self) -> bool:
        """Whether a relay agent brought it from another link."""
        return self.packet.giaddr != NO_ADDRESS

    @property
    def relay(self) -> dict[int, bytes]:
        """The sub-options of option 82, if any agent added some."""
        return self.packet.get(opt.RELAY_INFORMATION) or {}


@frozen
class ToRelay:
    """To the server port of the relay agent."""

    address: IPv4Address


@frozen
class ToClient:
    """To the client port of an address that the client has and answers ARP for."""

    address: IPv4Address


@frozen
class ToHardware:
    """To an address that the client does not have yet: a frame to its hardware address, no ARP."""

    address: IPv4Address
    hardware: bytes


@frozen
class Broadcast:
    """To everybody on the link, client port."""


@frozen
class ToSender:
    """Back to where the packet came from."""

    address: IPv4Address
    port: int


Destination = ToRelay | ToClient | ToHardware | Broadcast | ToSender


class Answer(NamedTuple):
    """``reply`` goes to ``to``; encoded it has at most ``limit`` bytes."""

    reply: Packet
    to: Destination
    limit: int


def is_us(server: IPv4Address, request: Request, settings: Settings) -> bool:
    """Whether a client on this link may call us so."""
    return server == settings.address or server in request.arrival.ours or server == _overriding(request)


def server_id(request: Request, settings: Settings) -> IPv4Address:
    """What we call ourselves to this client: an address that it reaches without a router where there is one."""
    if request.relayed:
        return _overriding(request) or settings.address
    ours = request.arrival.ours
    return ours[0] if ours and settings.address not in ours else settings.address


def _overriding(request: Request) -> IPv4Address | None:
    """What the relay agent wants us to be called (RFC 5107)."""
    override = request.relay.get(opt.RELAY_SERVER_ID_OVERRIDE, b"") if request.relayed else b""
    return IPv4Address(override) if len(override) == 4 else None


def grant(
    kind: MessageType, request: Request, settings: Settings, subnet: Subnet, address: IPv4Address,
    boot: BootOffer | LocalBoot | None,
) -> Answer:  # fmt: skip
    """OFFER or ACK of ``address``, with everything the machine needs on this subnet."""
    return _answer(kind, request, settings, subnet.lease, subnet, boot, yiaddr=address)


@lru_cache
def _leading(kind: MessageType, server: IPv4Address, lease: int | None) -> Options:
    """What each answer begins with; without a lease no times."""
    whose = opt.MESSAGE_TYPE.of(kind), opt.SERVER_ID.of(server)
    if lease is None:
        return whose
    return *whose, opt.LEASE_TIME.of(lease), opt.RENEWAL_TIME.of(lease // 2), opt.REBINDING_TIME.of(lease * 7 // 8)


def inform(request: Request, settings: Settings, subnet: Subnet, boot: BootOffer | LocalBoot | None) -> Answer:
    """ACK of an INFORM: everything but an address and its times (RFC 2131, section 4.3.5)."""
    return _answer(MessageType.ACK, request, settings, None, subnet, boot)


def boot_only(kind: MessageType, request: Request, settings: Settings, boot: BootOffer) -> Answer:
    """What a proxy says: the boot program and no address (PXE 2.1, section 2.2)."""
    return _answer(kind, request, settings, None, None, boot, proxy=True)


def refuse(request: Request, settings: Settings, why: str) -> Answer:
    """NAK: the machine starts over."""
    packet = request.packet
    options = (
        opt.MESSAGE_TYPE.of(MessageType.NAK), opt.SERVER_ID.of(server_id(request, settings)), opt.MESSAGE.of(why),
    )  # fmt: skip
    # Through a relay the client may have to hear it by broadcast: its address is wrong (RFC 2131, section 4.3.2).
    flags = packet.flags | (BROADCAST_FLAG if request.relayed else 0)
    reply = _reply(packet, dict((*options, *_echoes(packet))), flags=flags)
    return Answer(reply, ToRelay(packet.giaddr) if request.relayed else Broadcast(), reply_limit(packet))


def _answer(
    kind: MessageType, request: Request, settings: Settings, lease: int | None, subnet: Subnet | None,
    boot: BootOffer | LocalBoot | None, *, yiaddr: IPv4Address = NO_ADDRESS, proxy: bool = False,
) -> Answer:  # fmt: skip
    packet = request.packet
    program = boot.program.encode("ascii") if isinstance(boot, BootOffer) else b""
    asked = packet.raw(opt.PARAMETERS.code) or b""
    options = (
        *_leading(kind, server_id(request, settings), lease),
        *_boot_options(request, settings, program, proxy=proxy),
        *(_network_options(subnet, request.node.name if request.node else "", asked) if subnet else ()),
        *_echoes(packet),
    )
    reply = _reply(
        packet, dict(options), flags=packet.flags, yiaddr=yiaddr,
        ciaddr=packet.ciaddr if kind is MessageType.ACK else NO_ADDRESS,
        siaddr=settings.address if program else NO_ADDRESS,
        file=program if len(program) <= _FILE_MAX else b"",
    )  # fmt: skip
    return Answer(reply, _destination(request, yiaddr), reply_limit(packet))


def _reply(
    packet: Packet, options: Mapping[int, bytes], *, flags: int, file: bytes = b"",
    ciaddr: IPv4Address = NO_ADDRESS, yiaddr: IPv4Address = NO_ADDRESS, siaddr: IPv4Address = NO_ADDRESS,
) -> Packet:  # fmt: skip
    return Packet(
        Op.REPLY, packet.xid, packet.chaddr, options, packet.htype, 0, 0, flags,
        ciaddr, yiaddr, siaddr, packet.giaddr, b"", file,
    )  # fmt: skip


def _destination(request: Request, yiaddr: IPv4Address) -> Destination:
    packet = request.packet
    if request.arrival.on_proxy_port:
        # OVMF asks from 4011, iPXE from 68: each waits where it asked from.
        return ToSender(*request.arrival.source)
    if request.relayed:
        return ToRelay(packet.giaddr)
    if packet.ciaddr != NO_ADDRESS:
        return ToClient(packet.ciaddr)
    if packet.wants_broadcast or yiaddr == NO_ADDRESS:
        return Broadcast()
    return ToHardware(yiaddr, packet.chaddr)


def _boot_options(request: Request, settings: Settings, program: bytes, *, proxy: bool) -> Options:
    client = request.client
    if client is None:
        return ()
    options: list[tuple[int, bytes]] = []
    if program and client.stage is Stage.HTTP:
        options.append(opt.VENDOR_CLASS.of(pxe.HTTP_CLASS))  # without it UEFI takes the offer for one of PXE
    elif proxy:
        # From a server that also gives the address PXE's class would start a search for boot servers on 4011.
        picked = (request.packet.get(opt.PXE_OPTIONS) or {}).get(opt.PXE_BOOT_ITEM)
        pxe_options = {opt.PXE_DISCOVERY_CONTROL: _USE_BOOT_FILE}
        if picked is not None:
            pxe_options[opt.PXE_BOOT_ITEM] = picked
        options += [opt.VENDOR_CLASS.of(pxe.PXE_CLASS), opt.PXE_OPTIONS.of(pxe_options)]
    elif client.stage is Stage.IPXE:
        options.append(opt.ETHERBOOT.of({opt.IPXE_NO_PXEDHCP: b"\x01"}))  # do not wait for a proxy's offer
    if program:
        # Both here and in the header: U-Boot and old ROMs read only siaddr and file, UEFI prefers the options.
        options += [(opt.BOOT_FILE.code, program), opt.TFTP_SERVER_NAME.of(str(settings.address))]
    return tuple(options)


@lru_cache(maxsize=16_384)  # the nodes of a site; machines of one kind ask for the same
def _network_options(subnet: Subnet, name: str, asked: bytes) -> Options:
    """What the client asked for (option 55) of what we know; all of it when it asked for nothing in particular."""
    network = subnet.network
    known = [
        opt.SUBNET_MASK.of(network.netmask),  # before the routers (RFC 2132, section 3.3)
        *([opt.ROUTERS.of((subnet.router,))] if subnet.router else []),
        *([opt.DNS_SERVERS.of(subnet.dns)] if subnet.dns else []),
        *([opt.HOST_NAME.of(name)] if name else []),
        *([opt.DOMAIN_NAME.of(subnet.domain)] if subnet.domain else []),
        opt.BROADCAST_ADDRESS.of(network.broadcast_address),
        *([opt.NTP_SERVERS.of(subnet.ntp)] if subnet.ntp else []),
    ]
    return tuple(pair for pair in known if not asked or pair[0] in asked)


def _echoes(packet: Packet) -> Options:
    """What goes back as it came: 61 (RFC 6842), 97 (RFC 4578, section 2.3), 82 (RFC 3046, section 2.2)."""
    options = packet.options
    return tuple([(code, options[code]) for code in _ECHOED if code in options])
