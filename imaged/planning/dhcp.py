"""What to answer to a DHCP request, in authoritative and in proxy mode (RFC 2131, section 4.3; PXE 2.1)."""

from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple

from imaged.model.boot import BootClient, BootOffer, Chain, LocalBoot
from imaged.model.lease import Lease
from imaged.model.machine import Machine
from imaged.model.net import Mac, spelled
from imaged.model.settings import DhcpMode, Settings, Subnet
from imaged.planning import boot, dhcp_reply
from imaged.planning.dhcp_reply import Answer, Request
from imaged.planning.leases import Applicant, LeaseBook
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp import NO_ADDRESS, Op
from imaged.wire.dhcp_options import MessageType

_MAX_HOPS = 16  # RFC 1542, section 4.1.1
_MAX_RELAY_INFORMATION = 255  # one option's worth (RFC 3046, section 2.0); we must send it back in every answer


class Decision(NamedTuple):
    """What follows from a request. ``leases`` are to be committed before ``answer`` leaves.

    ``why`` is for the log, in one line; ``odd`` says that an administrator may want to know.
    """

    why: str
    answer: Answer | None = None
    leases: tuple[Lease, ...] = ()
    odd: bool = False


def decide(request: Request, book: LeaseBook, settings: Settings) -> Decision:
    """The one answer to ``request``, or none. ``book`` then has the leases that the decision names."""
    packet = request.packet
    kind, mac = packet.get(opt.MESSAGE_TYPE), packet.mac
    if packet.op is not Op.REQUEST or kind is None or mac is None:
        return Decision("not a request of an Ethernet client")
    if packet.hops > _MAX_HOPS:
        return Decision(f"went through {packet.hops} relays")
    if len(packet.raw(opt.RELAY_INFORMATION.code) or b"") > _MAX_RELAY_INFORMATION:
        return Decision("relay information is too long")
    subnets = link_subnets(request, settings.dhcp.subnets)
    # Beside another server we know no subnets: then by what is known of the machine.
    chain = subnets[0].chain if subnets else Chain.AUTO
    client = request.client
    next_boot = boot.decide(client, request.node, settings, chain, request.loaders) if client else None
    if settings.dhcp.mode is DhcpMode.PROXY:
        return _as_proxy(kind, request, settings, next_boot)
    if settings.dhcp.mode is not DhcpMode.AUTHORITATIVE or request.arrival.on_proxy_port:
        return Decision("not served")
    if not subnets:
        return Decision("no subnet of ours")
    return _Exchange(request, book, settings, mac, next_boot, subnets).decide(kind)


def sighting(client: BootClient, request: Request, answer: Answer | None) -> Machine:
    """What is recorded of a machine that network-boots."""
    packet = request.packet
    address = answer.reply.yiaddr if answer and answer.reply.yiaddr != NO_ADDRESS else packet.ciaddr
    return Machine(
        mac=client.mac,
        uuid=client.uuid,
        arch=client.arch.value,
        vendor_class=(packet.get(opt.VENDOR_CLASS) or "")[:255],
        relay=str(packet.giaddr) if request.relayed else "",
        address=str(address) if address != NO_ADDRESS else "",
        last_seen=request.now,
    )


def link_subnets(request: Request, subnets: tuple[Subnet, ...]) -> tuple[Subnet, ...]:
    """The subnets of the link that the client is on; several when the link is shared."""
    packet = request.packet
    if request.relayed:
        selected = request.relay.get(opt.RELAY_LINK_SELECTION, b"")  # RFC 3527: the relay answers on another link
        link = IPv4Address(selected) if len(selected) == 4 else packet.giaddr
        return _with((link,), subnets)
    if packet.ciaddr != NO_ADDRESS:
        # It uses an address; when that came through a router, ours on the arriving interface say nothing about it.
        return _with((packet.ciaddr,), subnets)
    return _with(request.arrival.ours, subnets)


@lru_cache(maxsize=4096)
def _with(addresses: tuple[IPv4Address, ...], subnets: tuple[Subnet, ...]) -> tuple[Subnet, ...]:
    """Those that have one of these addresses."""
    return tuple(subnet for subnet in subnets if any(address in subnet.network for address in addresses))


def _as_proxy(
    kind: MessageType, request: Request, settings: Settings, next_boot: BootOffer | LocalBoot | None
) -> Decision:
    if not isinstance(next_boot, BootOffer):
        return Decision("nothing to add to another server's offer")
    if request.arrival.on_proxy_port:
        if kind in (MessageType.REQUEST, MessageType.DISCOVER):
            answer = dhcp_reply.boot_only(MessageType.ACK, request, settings, next_boot)
            return Decision(f"told to boot {next_boot.program}", answer)
    elif kind is MessageType.DISCOVER:
        answer = dhcp_reply.boot_only(MessageType.OFFER, request, settings, next_boot)
        return Decision(f"offered {next_boot.program}", answer)
    return Decision(f"{kind.name} is for the server that gives addresses")


class _Exchange(NamedTuple):
    """One request in authoritative mode."""

    request: Request
    book: LeaseBook
    settings: Settings
    mac: Mac
    boot: BootOffer | LocalBoot | None
    subnets: tuple[Subnet, ...]

    def decide(self, kind: MessageType) -> Decision:
        match kind:
            case MessageType.DISCOVER:
                return self._discover()
            case MessageType.REQUEST:
                return self._request()
            case MessageType.DECLINE:
                return self._decline()
            case MessageType.RELEASE:
                return self._release()
            case MessageType.INFORM:
                return self._inform()
        return Decision(f"{kind.name} is not for a server")

    def _discover(self) -> Decision:
        who, wanted = self._applicant(), self.request.packet.get(opt.REQUESTED_ADDRESS)
        lease = self.book.offer(who, self.request.now, wanted)
        subnet = who.subnet_of(lease.address) if lease else None
        if lease is None or subnet is None:
            pool = any(subnet.pool for subnet in who.subnets)
            return Decision("no address left to offer" if pool else "no address reserved and no pool", odd=pool)
        answer = dhcp_reply.grant(MessageType.OFFER, self.request, self.settings, subnet, lease.address, self.boot)
        instead = who.reserved is not None and who.reserved != lease.address
        return Decision(
            f"offered {spelled(lease.address)}{self._program()}"
            + (f" because its own {who.reserved} is in use by another machine or not on this link" if instead else ""),
            answer,
            odd=instead,
        )

    def _request(self) -> Decision:
        """The four states of RFC 2131, section 4.3.2, by what the packet has."""
        packet = self.request.packet
        server, wanted = packet.get(opt.SERVER_ID), packet.get(opt.REQUESTED_ADDRESS)
        if server is not None and not dhcp_reply.is_us(server, self.request, self.settings):
            self.book.withdraw(self.mac, self.request.now)
            return Decision(f"took the offer of {server}")
        if packet.ciaddr != NO_ADDRESS:  # RENEWING by unicast, REBINDING by broadcast
            return self._bind(packet.ciaddr, "renewed")
        if wanted is None:
            return Decision("asks for no address")
        if server is not None:  # SELECTING
            return self._bind(wanted, "given")
        who = self._applicant()  # INIT-REBOOT: the moment at which a machine moves to its reserved address
        if who.reserved not in (None, wanted) and self.book.may_have(who, who.reserved, self.request.now):
            return self._refuse(wanted, f"{who.reserved} is reserved for it")
        return self._bind(wanted, "confirmed")

    def _bind(self, address: IPv4Address, verb: str) -> Decision:
        who = self._applicant()
        subnet = who.subnet_of(address)
        if subnet is None:
            return self._refuse(address, "wrong network")
        # Nobody else gives addresses here, so a machine that we forgot may keep one that is free.
        lease = self.book.bind(who, address, self.request.now)
        if lease is None:
            return self._refuse(address, "address is not available")
        answer = dhcp_reply.grant(MessageType.ACK, self.request, self.settings, subnet, address, self.boot)
        return Decision(f"{verb} {spelled(address)} for {subnet.lease} s{self._program()}", answer, (lease,))

    def _refuse(self, address: IPv4Address, why: str) -> Decision:
        return Decision(f"refused {address}: {why}", dhcp_reply.refuse(self.request, self.settings, why))

    def _decline(self) -> Decision:
        address = self.request.packet.get(opt.REQUESTED_ADDRESS)
        if address is None or not self._meant_for_us():
            return Decision("DECLINE of nothing of ours")
        leases = self.book.decline(self._applicant(), address, self.request.now)
        if not leases:
            return Decision(f"DECLINE of {address}, which is not its own", odd=True)
        return Decision(f"declined {address}: another machine uses it", leases=leases, odd=True)

    def _release(self) -> Decision:
        address = self.request.packet.ciaddr
        # The sender must have the address that it gives back; otherwise anybody could free anybody's.
        genuine = self.request.relayed or self.request.arrival.source[0] == address
        lease = self.book.release(self.mac, address, self.request.now) if genuine and self._meant_for_us() else None
        return Decision(f"released {address}", leases=(lease,)) if lease else Decision("RELEASE of nothing of ours")

    def _inform(self) -> Decision:
        packet = self.request.packet
        if packet.ciaddr == NO_ADDRESS:
            return Decision("INFORM without an address")
        answer = dhcp_reply.inform(self.request, self.settings, self.subnets[0], self.boot)
        return Decision(f"informed {packet.ciaddr}", answer)

    def _applicant(self) -> Applicant:
        reserved = self.request.node.address if self.request.node else None
        if reserved is not None and self._is_ours(reserved):
            reserved = None
        return Applicant(self.mac, self.subnets, is_reserved=self._is_taken, reserved=reserved)

    def _is_ours(self, address: IPv4Address) -> bool:
        return address == self.settings.address or address in self.request.arrival.ours

    def _is_taken(self, address: IPv4Address) -> bool:
        return self._is_ours(address) or self.request.is_reserved(address)

    def _meant_for_us(self) -> bool:
        server = self.request.packet.get(opt.SERVER_ID)
        return server is None or dhcp_reply.is_us(server, self.request, self.settings)

    def _program(self) -> str:
        if isinstance(self.boot, BootOffer):
            return f", boots {self.boot.program}"
        return ", boots locally" if self.boot else ""
