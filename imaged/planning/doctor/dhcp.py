"""Which other DHCP servers answered, and whether they may: judged by what this server is to do."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Address

from attrs import frozen

from imaged.model.machine import PROBE_MACS
from imaged.model.settings import DhcpMode
from imaged.planning.doctor.finding import Finding, Voice
from imaged.wire import dhcp_options as opt
from imaged.wire import pxe
from imaged.wire.dhcp import BROADCAST_FLAG, NO_ADDRESS, Op, Packet
from imaged.wire.dhcp_options import MessageType

_SAY = Voice("dhcp")
_BIOS = 0  # of option 93: what every boot server has something for
_ASKED = bytes((1, 3, 6, 15, 28, 43, 51, 54, 60, 66, 67))


@frozen
class Offer:
    """What a server offered on an interface. ``address`` None: it is a proxy, which adds a boot program only."""

    interface: str
    server: IPv4Address
    address: IPv4Address | None = None
    program: str = ""
    router: IPv4Address | None = None

    def __str__(self) -> str:
        router = f" with router {self.router}" if self.router else ""
        program = f"the boot program {self.program}" if self.program else ""
        offered = " and ".join(word for word in (f"{self.address}{router}" if self.address else "", program) if word)
        return f"{self.server} offers {offered or 'nothing'}"


def probe(number: int) -> Packet:
    """A DISCOVER as of a machine that network-boots: so that proxies answer too. Nobody will ask for what is offered.

    ``number`` makes up MAC and transaction. Answers are to be broadcast, for nobody has that MAC.
    """
    mac = PROBE_MACS + (number & 0xFFFF).to_bytes(2, "big")
    options = (
        opt.MESSAGE_TYPE.of(MessageType.DISCOVER),
        opt.PARAMETERS.of(_ASKED),
        opt.VENDOR_CLASS.of(f"{pxe.PXE_CLASS}:Arch:{_BIOS:05}:UNDI:002001"),
        opt.CLIENT_ARCH.of((_BIOS,)),
    )
    return Packet(Op.REQUEST, number & 0xFFFFFFFF, mac, dict(options), flags=BROADCAST_FLAG)


def offer(packet: Packet, asked: Packet, interface: str, sender: IPv4Address) -> Offer | None:
    """What an answer to ``asked`` says; None for any other packet."""
    if packet.op is not Op.REPLY or (packet.xid, packet.chaddr) != (asked.xid, asked.chaddr):
        return None
    if packet.get(opt.MESSAGE_TYPE) is not MessageType.OFFER:
        return None
    program = packet.get(opt.BOOT_FILE) or packet.file.decode("ascii", "replace")
    routers = packet.get(opt.ROUTERS) or ()
    return Offer(
        interface, packet.get(opt.SERVER_ID) or sender, packet.yiaddr if packet.yiaddr != NO_ADDRESS else None,
        "".join(each if each.isprintable() else "?" for each in program), next(iter(routers), None),
    )  # fmt: skip


def findings(
    mode: DhcpMode, offers: Sequence[Offer], ours: Collection[IPv4Address], asked: Sequence[str],
    unasked: Mapping[str, str],
) -> Iterator[Finding]:  # fmt: skip
    """``asked`` are the interfaces where a question went out, ``unasked`` others with the reason."""
    for name, reason in unasked.items():
        yield _SAY.note(f"could not look for other DHCP servers: {reason}", name, "Run this as root.")
    for name in asked:
        here = tuple(dict.fromkeys(each for each in offers if each.interface == name and each.server not in ours))
        yield from _judged(mode, name, here)


def _judged(mode: DhcpMode, name: str, here: Sequence[Offer]) -> Iterator[Finding]:
    if mode is DhcpMode.OFF:
        shown = "; ".join(map(str, here)) or "no server answers"
        yield _SAY.note(f"{shown} (`dhcp.mode` is off: what machines boot, another server says)", name)
        return
    for each in here:
        if mode is DhcpMode.AUTHORITATIVE:
            todo = f"End it on this network, or set `dhcp.mode` to proxy{'' if each.address else ' there'}."
            yield _SAY.error(f"another DHCP server: {each}", name, todo)
        elif each.program:
            todo = "Take the boot program out of its configuration: machines may load that one."
            yield _SAY.warning(f"another boot server: {each}", name, todo)
        else:
            yield _SAY.ok(str(each), name)
    if mode is DhcpMode.PROXY and not any(each.address for each in here):
        yield _SAY.warning("no server gives addresses, and a proxy does not either", name)
    elif not here:
        yield _SAY.ok("no other DHCP server answers", name)
