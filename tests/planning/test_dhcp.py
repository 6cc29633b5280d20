"""Every kind of DHCP request and its answer, in both modes."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from attrs import evolve

from imaged.model.lease import LeaseState
from imaged.model.names import ImageRef
from imaged.model.net import AddressRange, Mac
from imaged.model.node import BootAction, Node
from imaged.model.settings import DhcpMode, DhcpSettings, Settings, Subnet
from imaged.planning.dhcp import decide
from imaged.planning.dhcp_reply import Arrival, Broadcast, Request, ToClient, ToHardware, ToRelay, ToSender
from imaged.planning.leases import LeaseBook
from imaged.wire import dhcp_options as opt
from imaged.wire import pxe
from imaged.wire.dhcp import BROADCAST_FLAG, NO_ADDRESS, Op, Packet, decode, encode
from imaged.wire.dhcp_options import MessageType as T

MAC = Mac.parse("52:54:00:12:34:56")
OTHER_MAC = Mac.parse("52:54:00:00:00:99")
SERVER, ELSEWHERE = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.250")
NODES_OWN = IPv4Address("10.0.0.7")
HERE = Subnet(
    IPv4Network("10.0.0.0/24"),
    AddressRange.parse("10.0.0.100-10.0.0.103"),
    router=IPv4Address("10.0.0.254"),
    dns=(IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")),
    ntp=(IPv4Address("10.0.0.4"),),
    domain="cluster.test",
)
RACK = Subnet(IPv4Network("10.0.9.0/24"), AddressRange.parse("10.0.9.100-10.0.9.110"))
RELAY = IPv4Address("10.0.9.1")
POOLS = IPv4Address("10.0.0.102")
LINK_9 = (82, b"\x05\x04\x0a\0\x09\0")  # RFC 3527: a client on 10.0.9.0
SETTINGS = Settings(SERVER, dhcp=DhcpSettings(mode=DhcpMode.AUTHORITATIVE, subnets=(HERE, RACK)))
PROXY = evolve(SETTINGS, dhcp=DhcpSettings(mode=DhcpMode.PROXY))
ARRIVAL = Arrival("br0", (IPv4Interface("10.0.0.1/24"),), (NO_ADDRESS, 68))
ON_4011 = Arrival("br0", (IPv4Interface("10.0.0.1/24"),), (IPv4Address("10.0.0.50"), 4011), on_proxy_port=True)
BACK = ToSender(*ON_4011.source)
NODE = Node("node07", (MAC,), ImageRef("compute"), address=NODES_OWN)
LOCAL = evolve(NODE, action=BootAction.LOCAL)

BIOS = (opt.VENDOR_CLASS.of("PXEClient:Arch:00000:UNDI:002001"), opt.CLIENT_ARCH.of((0,)))
UEFI = (opt.VENDOR_CLASS.of("PXEClient:Arch:00007:UNDI:003016"), opt.CLIENT_ARCH.of((7,)))
HTTP = (opt.VENDOR_CLASS.of("HTTPClient:Arch:00016:UNDI:003001"), opt.CLIENT_ARCH.of((16,)))
IPXE = (*UEFI, (opt.USER_CLASS.code, b"iPXE"))
UUID = (opt.CLIENT_UUID.code, b"\0" + bytes(range(1, 17)))


def packet(kind, *options, **fields):
    return Packet(Op.REQUEST, 0xDEADBEEF, MAC.packed, dict((opt.MESSAGE_TYPE.of(kind), *options)), **fields)


def wanted(address):
    return opt.REQUESTED_ADDRESS.of(IPv4Address(address))


def server(address=SERVER):
    return opt.SERVER_ID.of(address)


def ask(what, book=None, *, node=None, settings=SETTINGS, arrival=ARRIVAL, now=0.0, taken=()):
    reserved = {NODES_OWN, *taken}
    request = Request(what, pxe.read(what), node, arrival, now, reserved.__contains__)
    return decide(request, book if book is not None else LeaseBook(), settings)


def answered(decision):
    """(kind, yiaddr, to) of a decision's answer, which must stand being encoded."""
    if decision.answer is None:
        return None
    reply = decode(encode(decision.answer.reply, decision.answer.limit))
    assert (reply.op, reply.xid, reply.chaddr, reply.hops, reply.secs) == (Op.REPLY, 0xDEADBEEF, MAC.packed, 0, 0)
    return reply.get(opt.MESSAGE_TYPE), str(reply.yiaddr), decision.answer.to


def to(address):
    return ToHardware(IPv4Address(address), MAC.packed)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (packet(T.DISCOVER), (T.OFFER, "10.0.0.7", to("10.0.0.7"))),
        (packet(T.DISCOVER, flags=BROADCAST_FLAG), (T.OFFER, "10.0.0.7", Broadcast())),
        (packet(T.DISCOVER, giaddr=RELAY), (T.OFFER, "10.0.9.108", ToRelay(RELAY))),  # its own is on another link
        (packet(T.DISCOVER, giaddr=ELSEWHERE), (T.OFFER, "10.0.0.7", ToRelay(ELSEWHERE))),
        (packet(T.DISCOVER, LINK_9, giaddr=ELSEWHERE), (T.OFFER, "10.0.9.108", ToRelay(ELSEWHERE))),
        (packet(T.DISCOVER, (82, b"\x05\x03\x0a\0\x09"), giaddr=ELSEWHERE), (T.OFFER, "10.0.0.7", ToRelay(ELSEWHERE))),
        (packet(T.DISCOVER, giaddr=IPv4Address("192.168.1.1")), None),
        (packet(T.DISCOVER, giaddr=IPv4Address("255.255.255.255")), None),
        # SELECTING
        (packet(T.REQUEST, server(), wanted("10.0.0.7")), (T.ACK, "10.0.0.7", to("10.0.0.7"))),
        (packet(T.REQUEST, server(), wanted("10.0.0.200")), (T.NAK, "0.0.0.0", Broadcast())),
        (packet(T.REQUEST, server(), wanted("10.0.0.1")), (T.NAK, "0.0.0.0", Broadcast())),
        (packet(T.REQUEST, server(ELSEWHERE), wanted("10.0.0.7")), None),
        (packet(T.REQUEST, server()), None),
        # INIT-REBOOT
        (packet(T.REQUEST, wanted("10.0.0.7")), (T.ACK, "10.0.0.7", to("10.0.0.7"))),
        (packet(T.REQUEST, wanted("10.0.0.101")), (T.NAK, "0.0.0.0", Broadcast())),  # 10.0.0.7 is reserved for it
        (packet(T.REQUEST, wanted("192.168.1.7")), (T.NAK, "0.0.0.0", Broadcast())),
        (packet(T.REQUEST, wanted("192.168.1.7"), giaddr=RELAY), (T.NAK, "0.0.0.0", ToRelay(RELAY))),
        (packet(T.REQUEST, wanted("192.168.1.7"), giaddr=IPv4Address("172.16.0.1")), None),  # not our link
        # RENEWING and REBINDING
        (packet(T.REQUEST, ciaddr=NODES_OWN), (T.ACK, "10.0.0.7", ToClient(NODES_OWN))),
        (packet(T.REQUEST, ciaddr=POOLS), (T.ACK, "10.0.0.102", ToClient(POOLS))),
        (packet(T.REQUEST, ciaddr=IPv4Address("10.0.0.200")), (T.NAK, "0.0.0.0", Broadcast())),
        (packet(T.REQUEST, ciaddr=IPv4Address("192.168.1.7")), None),
        (packet(T.REQUEST), None),
        (packet(T.INFORM, ciaddr=IPv4Address("10.0.0.33")), (T.ACK, "0.0.0.0", ToClient(IPv4Address("10.0.0.33")))),
        (packet(T.INFORM), None),
        (packet(T.OFFER), None),
        (packet(T.ACK), None),
        (packet(T.DISCOVER, hops=17), None),
        (packet(T.DISCOVER, hops=16), (T.OFFER, "10.0.0.7", to("10.0.0.7"))),
        (packet(T.DISCOVER, (82, bytes(256))), None),
        (packet(T.DISCOVER)._replace(op=Op.REPLY), None),
        (packet(T.DISCOVER)._replace(options={}), None),  # BOOTP
        (packet(T.DISCOVER)._replace(chaddr=b"\xff" * 6), None),
        (packet(T.DISCOVER)._replace(htype=32, chaddr=b""), None),
    ],
)  # fmt: skip
def test_a_node_with_a_reserved_address(what, expected):
    assert answered(ask(what, node=NODE)) == expected


def test_a_relayed_nak_is_broadcast_by_the_relay():
    assert ask(packet(T.REQUEST, wanted("192.168.1.7"), giaddr=RELAY)).answer.reply.wants_broadcast


@pytest.mark.parametrize(
    ("client", "node", "expected"),
    [
        (UEFI, NODE, b"loaders/snponly.efi"),
        (BIOS, NODE, b"loaders/undionly.kpxe"),
        (BIOS, LOCAL, b""),
        (BIOS, None, b""),
        (UEFI, LOCAL, b"loaders/snponly.efi"),
        (IPXE, LOCAL, b"http://10.0.0.1:8080/ipxe/52:54:00:12:34:56"),
        (IPXE, None, b"http://10.0.0.1:8080/ipxe/52:54:00:12:34:56"),
        (HTTP, NODE, b"http://10.0.0.1:8080/boot/loaders/snponly.efi"),
        ((), NODE, b""),
    ],
)
@pytest.mark.parametrize("kind", [T.DISCOVER, T.REQUEST])
def test_the_program_is_in_the_header_and_in_the_options(client, node, expected, kind):
    extra = (server(), wanted("10.0.0.100")) if kind is T.REQUEST else ()
    reply = ask(packet(kind, *client, *extra), node=node, taken=()).answer.reply
    assert (reply.file, reply.raw(67) or b"") == (expected, expected)
    assert reply.siaddr == (SERVER if expected else NO_ADDRESS)
    assert reply.get(opt.TFTP_SERVER_NAME) == ("10.0.0.1" if expected else None)


@pytest.mark.parametrize(
    ("client", "node", "vendor_class", "etherboot"),
    [
        (UEFI, NODE, None, None),
        (IPXE, NODE, None, {176: b"\x01"}),  # do not wait for a proxy
        (HTTP, NODE, "HTTPClient", None),
        (BIOS, None, None, None),
    ],
)
def test_what_firmware_is_told_beside(client, node, vendor_class, etherboot):
    reply = ask(packet(T.DISCOVER, *client), node=node).answer.reply
    assert (reply.get(opt.VENDOR_CLASS), reply.get(opt.ETHERBOOT)) == (vendor_class, etherboot)


def network_options(reply):
    return {code: value for code, value in reply.options.items() if code in (1, 3, 6, 12, 15, 28, 42)}


EVERYTHING = {
    1: b"\xff\xff\xff\0", 3: b"\x0a\0\0\xfe", 6: b"\x0a\0\0\2\x0a\0\0\3", 12: b"node07",
    15: b"cluster.test", 28: b"\x0a\0\0\xff", 42: b"\x0a\0\0\4",
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, set(EVERYTHING)),
        (b"", set(EVERYTHING)),
        (bytes((3, 1, 6)), {1, 3, 6}),
        (bytes(range(1, 255)), set(EVERYTHING)),
        (bytes((26, 119)), set()),
    ],
)
def test_a_client_gets_what_it_asks_for(asked, expected):
    extra = () if asked is None else ((55, asked),)
    reply = ask(packet(T.DISCOVER, *extra), node=NODE).answer.reply
    assert network_options(reply) == {code: EVERYTHING[code] for code in expected}
    codes = list(reply.options)
    assert not {1, 3} <= set(codes) or codes.index(1) < codes.index(3)
    assert (reply.get(opt.LEASE_TIME), reply.get(opt.RENEWAL_TIME), reply.get(opt.REBINDING_TIME)) == (3600, 1800, 3150)


def test_an_unknown_machine_has_no_name_from_us():
    assert 12 not in network_options(ask(packet(T.DISCOVER, opt.HOST_NAME.of("evil"))).answer.reply)


def test_inform_gives_neither_address_nor_times():
    what = packet(T.INFORM, ciaddr=IPv4Address("10.0.0.33"))
    decision = ask(what, node=NODE)
    reply = decision.answer.reply
    assert network_options(reply) == EVERYTHING
    assert not set(reply.options) & {51, 58, 59} and reply.ciaddr == what.ciaddr
    assert decision.leases == ()


def test_what_came_goes_back():
    echoed = ((61, b"\x01\x52\x54\0\x12\x34\x56"), UUID, (82, b"\x01\x03abc\x02\x02de"))
    for what in (packet(T.DISCOVER, *UEFI, *echoed), packet(T.REQUEST, *UEFI, *echoed, server(), wanted("1.2.3.4"))):
        reply = ask(what, node=NODE).answer.reply
        assert [pair for pair in reply.options.items() if pair[0] in (61, 97, 82)] == list(echoed)
        assert encode(reply).rstrip(b"\0").endswith(b"\x52\x09\x01\x03abc\x02\x02de\xff")


@pytest.mark.parametrize(
    ("ours", "fields", "options", "expected"),
    [
        (("10.0.0.1/24",), {}, (), "10.0.0.1"),
        (("10.0.0.5/24", "10.0.0.1/24"), {}, (), "10.0.0.1"),
        (("10.0.0.5/24",), {}, (), "10.0.0.5"),  # settings.address is not on this link
        (("10.0.0.5/24",), {"giaddr": RELAY}, (), "10.0.0.1"),
        (("10.0.0.5/24",), {"giaddr": RELAY}, ((82, b"\x0b\x04\x0a\0\x09\x01"),), "10.0.9.1"),  # RFC 5107
        (("10.0.0.5/24",), {}, ((82, b"\x0b\x04\x0a\0\x09\x01"),), "10.0.0.5"),
    ],
)
def test_what_we_call_ourselves(ours, fields, options, expected):
    arrival = Arrival("eth0", tuple(map(IPv4Interface, ours)), (NO_ADDRESS, 68))
    book = LeaseBook()
    offer = ask(packet(T.DISCOVER, *options, **fields), book, arrival=arrival).answer.reply
    assert str(offer.get(opt.SERVER_ID)) == expected
    selecting = packet(T.REQUEST, *options, server(offer.get(opt.SERVER_ID)), wanted(offer.yiaddr), **fields)
    assert answered(ask(selecting, book, arrival=arrival))[0] is T.ACK


def test_the_lease_is_in_the_decision_of_the_ack_only():
    book = LeaseBook()
    offer = ask(packet(T.DISCOVER), book)
    address = offer.answer.reply.yiaddr
    assert offer.leases == ()
    (lease,) = ask(packet(T.REQUEST, server(), wanted(address)), book, now=5).leases
    assert (lease.address, lease.mac, lease.state, lease.expires) == (address, MAC, LeaseState.BOUND, 3605)
    (lease,) = ask(packet(T.REQUEST, ciaddr=address), book, now=1805).leases
    assert lease.expires == 5405


def test_another_server_was_chosen():
    book = LeaseBook()
    address = ask(packet(T.DISCOVER), book).answer.reply.yiaddr
    assert ask(packet(T.REQUEST, server(ELSEWHERE), wanted("10.0.0.9")), book, now=1).answer is None
    theirs = packet(T.DISCOVER, wanted(address))._replace(chaddr=OTHER_MAC.packed)
    assert ask(theirs, book, now=2).answer.reply.yiaddr == address


@pytest.mark.parametrize(
    ("what", "source", "gone"),
    [
        (packet(T.RELEASE, server(), ciaddr=NODES_OWN), NODES_OWN, True),
        (packet(T.RELEASE, ciaddr=NODES_OWN), NODES_OWN, True),
        (packet(T.RELEASE, server(), ciaddr=NODES_OWN), ELSEWHERE, False),  # forged
        (packet(T.RELEASE, server(ELSEWHERE), ciaddr=NODES_OWN), NODES_OWN, False),
        (packet(T.RELEASE, server(), ciaddr=NODES_OWN)._replace(chaddr=OTHER_MAC.packed), NODES_OWN, False),
        (packet(T.DECLINE, server(), wanted(NODES_OWN)), NO_ADDRESS, True),
        (packet(T.DECLINE, server()), NO_ADDRESS, False),
        (packet(T.DECLINE, server(ELSEWHERE), wanted(NODES_OWN)), NO_ADDRESS, False),
        (packet(T.DECLINE, server(), wanted(NODES_OWN))._replace(chaddr=OTHER_MAC.packed), NO_ADDRESS, False),
    ],
)
def test_only_its_own_lease_is_given_back(what, source, gone):
    book = LeaseBook()
    ask(packet(T.REQUEST, server(), wanted(NODES_OWN)), book, node=NODE)
    decision = ask(what, book, node=NODE, arrival=evolve(ARRIVAL, source=(source, 68)), now=10)
    assert decision.answer is None and bool(decision.leases) is gone
    assert (book.lease_of(MAC, NODES_OWN).expires <= 10) is gone


def test_a_declined_address_is_not_offered_again():
    book = LeaseBook()
    address = ask(packet(T.DISCOVER), book).answer.reply.yiaddr
    ask(packet(T.REQUEST, server(), wanted(address)), book)
    assert ask(packet(T.DECLINE, server(), wanted(address)), book, now=1).odd
    assert ask(packet(T.DISCOVER, wanted(address)), book, now=12).answer.reply.yiaddr != address


def test_the_servers_own_addresses_are_nobodys():
    pool = evolve(HERE, pool=AddressRange.parse("10.0.0.1-10.0.0.2"))
    settings = evolve(SETTINGS, dhcp=evolve(SETTINGS.dhcp, subnets=(pool,)))
    assert str(ask(packet(T.DISCOVER, wanted("10.0.0.1")), settings=settings).answer.reply.yiaddr) == "10.0.0.2"
    wrong = evolve(NODE, address=SERVER)
    assert str(ask(packet(T.DISCOVER), node=wrong, settings=settings).answer.reply.yiaddr) == "10.0.0.2"


def test_an_exhausted_pool_is_worth_a_warning_and_a_missing_one_is_not():
    no_pool = evolve(SETTINGS, dhcp=evolve(SETTINGS.dhcp, subnets=(evolve(HERE, pool=None),)))
    decision = ask(packet(T.DISCOVER), settings=no_pool)
    assert (decision.answer, decision.odd) == (None, False)
    tiny = evolve(
        SETTINGS, dhcp=evolve(SETTINGS.dhcp, subnets=(evolve(HERE, pool=AddressRange.parse("10.0.0.7-10.0.0.7")),))
    )
    assert ask(packet(T.DISCOVER), settings=tiny).odd


def test_off_says_nothing():
    assert ask(packet(T.DISCOVER, *IPXE), settings=Settings(SERVER)).answer is None


@pytest.mark.parametrize(
    ("what", "arrival", "node", "expected"),
    [
        (packet(T.DISCOVER, *UEFI), ARRIVAL, NODE, (T.OFFER, b"loaders/snponly.efi", Broadcast())),
        (packet(T.DISCOVER, *UEFI, giaddr=RELAY), ARRIVAL, NODE, (T.OFFER, b"loaders/snponly.efi", ToRelay(RELAY))),
        (packet(T.DISCOVER, *UEFI), ARRIVAL, LOCAL, None),
        (packet(T.DISCOVER, *UEFI), ARRIVAL, None, None),
        (packet(T.DISCOVER), ARRIVAL, NODE, None),
        (packet(T.REQUEST, *UEFI), ARRIVAL, NODE, None),
        (packet(T.INFORM, *UEFI), ARRIVAL, NODE, None),
        (packet(T.REQUEST, *UEFI), ON_4011, NODE, (T.ACK, b"loaders/snponly.efi", BACK)),
        (packet(T.REQUEST, *UEFI, flags=BROADCAST_FLAG), ON_4011, NODE, (T.ACK, b"loaders/snponly.efi", BACK)),
        (packet(T.REQUEST, *UEFI), ON_4011, LOCAL, None),
        (packet(T.RELEASE, *UEFI), ON_4011, NODE, None),
        (packet(T.REQUEST), ON_4011, NODE, None),
    ],
)  # fmt: skip
def test_a_proxy_names_the_program_only(what, arrival, node, expected):
    decision = ask(what, node=node, settings=PROXY, arrival=arrival)
    kind, address, destination = answered(decision) or (None, None, None)
    assert ((kind, decision.answer.reply.file, destination) if decision.answer else None) == expected
    assert decision.leases == () and address in (None, "0.0.0.0")
    if decision.answer:
        reply = decision.answer.reply
        assert reply.get(opt.VENDOR_CLASS) == "PXEClient" and reply.get(opt.PXE_OPTIONS) == {6: b"\x08"}
        assert reply.siaddr == SERVER and reply.get(opt.SERVER_ID) == SERVER
        assert not set(reply.options) & {1, 3, 6, 12, 51, 58, 59}


def test_a_proxy_repeats_the_boot_item_and_the_uuid():
    what = packet(T.REQUEST, *UEFI, UUID, opt.PXE_OPTIONS.of({71: b"\0\0\0\0", 9: b"menu"}))
    reply = ask(what, node=NODE, settings=PROXY, arrival=ON_4011).answer.reply
    assert reply.get(opt.PXE_OPTIONS) == {6: b"\x08", 71: b"\0\0\0\0"}
    assert UUID in reply.options.items()


def test_an_http_client_is_named_by_a_proxy_too():
    reply = ask(packet(T.DISCOVER, *HTTP), node=NODE, settings=PROXY).answer.reply
    assert reply.get(opt.VENDOR_CLASS) == "HTTPClient"
    assert reply.get(opt.PXE_OPTIONS) is None


def test_4011_is_silent_in_authoritative_mode():
    assert ask(packet(T.REQUEST, *UEFI), node=NODE, arrival=ON_4011).answer is None
