"""What the doctor says of interfaces, routes, ports and other DHCP servers, as tables."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from attrs import evolve

from imaged.model.machine import PROBE_MACS
from imaged.model.settings import DhcpMode, DhcpSettings, MonitorSettings, Settings, Subnet
from imaged.planning.doctor import dhcp, network, ports, service
from imaged.planning.doctor.dhcp import Offer, offer, probe
from imaged.planning.doctor.network import Link, Route
from imaged.planning.doctor.ports import Listener, Process, Wanted
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp import Op, Packet, decode, encode
from imaged.wire.dhcp_options import MessageType
from tests.planning.doctor.said import said

NET = IPv4Network("10.0.0.0/24")
SETTINGS = Settings(
    IPv4Address("10.0.0.1"), dhcp=DhcpSettings(DhcpMode.AUTHORITATIVE, (Subnet(NET),)),
)  # fmt: skip
LO = Link("lo", (IPv4Interface("127.0.0.1/8"),))
ETH0 = Link("eth0", (IPv4Interface("10.0.0.1/24"),), True)
ETH1 = Link("eth1", (IPv4Interface("192.168.1.2/24"),), True)
FAR = evolve(SETTINGS, dhcp=DhcpSettings(DhcpMode.AUTHORITATIVE, (Subnet(IPv4Network("10.5.0.0/24")),)))
DEFAULT = Route(IPv4Network("0.0.0.0/0"), "eth1", IPv4Address("192.168.1.1"))


@pytest.mark.parametrize(
    ("settings", "links", "routes", "expected"),
    [
        (SETTINGS, (LO, ETH0), (), ["ok address: 10.0.0.1 is on eth0", "ok subnet 10.0.0.0/24: on eth0"]),
        (SETTINGS, (LO, ETH1), (), ["error address: no interface has 10.0.0.1 (Here are 192.168.1.2/24 on eth1.)",
                                    "error subnet 10.0.0.0/24: is on no interface, and no route leads there"]),
        (SETTINGS, (LO,), (), ["error address: no interface has 10.0.0.1 (Here are none.)",
                               "error interfaces: no interface has an IPv4 address, but the loopback"]),
        (evolve(SETTINGS, address=IPv4Address("127.0.0.1")), (LO, ETH0), (),
         ["warning address: 127.0.0.1 is the loopback's"]),
        (evolve(SETTINGS, interfaces=("eth1",)), (LO, ETH0, ETH1), (),
         ["warning address: 10.0.0.1 is on eth0, which is not in `interfaces`",
          "error subnet 10.0.0.0/24: is on eth0, where nobody is answered (Add eth0"]),
        (evolve(SETTINGS, interfaces=("eth0", "eth7")), (LO, ETH0), (),
         ["error eth7: there is no such interface with an IPv4 address"]),
        (SETTINGS, (LO, evolve(ETH0, carrier=False)), (), ["warning eth0: has no link"]),
        (SETTINGS, (LO, evolve(ETH0, addresses=(IPv4Interface("10.0.0.1/16"),))), (),
         ["warning subnet 10.0.0.0/24: eth0 has 10.0.0.1/16: machines and server disagree"]),
        (FAR, (LO, ETH0, ETH1), (DEFAULT,), ["note subnet 10.5.0.0/24: is behind 192.168.1.1: it needs a DHCP relay"]),
        (FAR, (LO, ETH0), (DEFAULT, Route(IPv4Network("10.0.0.0/8"), "eth0")),
         ["warning subnet 10.5.0.0/24: is taken for a part of 10.0.0.0/8 on eth0"]),
        (evolve(FAR, dhcp=DhcpSettings(DhcpMode.PROXY, FAR.dhcp.subnets)), (LO, ETH0), (), ["ok address"]),
    ],
)  # fmt: skip
def test_settings_against_interfaces(settings, links, routes, expected):
    found = said(network.findings(settings, links, routes))
    for line in expected:
        assert any(each.startswith(line) for each in found), found
    if not any(line.startswith(("error", "warning")) for line in expected):
        assert not any(each.startswith(("error", "warning")) for each in found), found


def test_routes_of_the_kernel():
    text = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "br0\t00000000\tFE01010A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "br0\t0001010A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "br0\t0000020A\tFD01010A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n\n"
    )
    assert network.read_routes(text) == (
        Route(IPv4Network("0.0.0.0/0"), "br0", IPv4Address("10.1.1.254")),
        Route(IPv4Network("10.1.1.0/24"), "br0"),
        Route(IPv4Network("10.2.0.0/16"), "br0", IPv4Address("10.1.1.253")),
    )


SS = """\
udp   UNCONN 0      0                  0.0.0.0%br0:67        0.0.0.0:*    users:(("dnsmasq",pid=31582,fd=3))
udp   UNCONN 0      0                 127.0.0.53%lo:53        0.0.0.0:*
tcp   LISTEN 0      128          0.0.0.0:8080      0.0.0.0:*    users:(("nginx",pid=7,fd=6),("nginx",pid=8,fd=6))
tcp   LISTEN 0      50                        [::]:873          [::]:*    users:(("python3",pid=9,fd=19))
tcp   LISTEN 0      50                           *:http            *:*
"""


def test_sockets_as_ss_prints_them():
    assert ports.read_sockets(SS) == (
        Listener("udp", "0.0.0.0", 67, "br0", (31582,)),
        Listener("udp", "127.0.0.53", 53, "lo"),
        Listener("tcp", "0.0.0.0", 8080, "", (7, 8)),
        Listener("tcp", "::", 873, "", (9,)),
    )
    assert ports.read_sockets("") == ()


def test_ports_that_are_wanted():
    proxy = evolve(
        SETTINGS, dhcp=DhcpSettings(DhcpMode.PROXY), monitor=MonitorSettings(port=8181, netconsole=6666)
    )  # fmt: skip
    assert [str(each) for each in ports.wanted(proxy, ["eth0", "eth1"])] == [
        "TCP 8080", "TCP 873", "UDP 69", "TCP 8181", "UDP 6666", "UDP 67 on eth0", "UDP 67 on eth1",
        "UDP 4011 on eth0", "UDP 4011 on eth1",
    ]  # fmt: skip
    assert len(ports.wanted(evolve(SETTINGS, dhcp=DhcpSettings()), ["eth0"])) == 3


OURS = Process(9, "python3 -m imaged serve", ours=True)
NGINX = Process(7, "nginx")
HTTP, DHCP = Wanted("tcp", 8080, "http.port"), Wanted("udp", 67, "dhcp.port", "br0")


@pytest.mark.parametrize(
    ("port", "listeners", "daemon", "expected"),
    [
        (HTTP, [], None, ["note the daemon does not run", "ok TCP 8080: free"]),
        (HTTP, [Listener("tcp", "::", 8080, pids=(9,))], OURS, ["ok TCP 8080: our daemon listens"]),
        (HTTP, [Listener("tcp", "::", 8080, pids=(7,))], None,
         ["error TCP 8080: is held by nginx (process 7) (End it, or set `http.port`"]),
        (HTTP, [Listener("tcp", "127.0.0.1", 8080, pids=(7,))], OURS, ["error TCP 8080: is held by nginx (process 7)"]),
        (HTTP, [], OURS, ["error TCP 8080: our daemon runs (process 9) and does not listen (Start it anew"]),
        (HTTP, [Listener("tcp", "::", 8080)], None, ["note TCP 8080: is held by a process that only root may look at"]),
        (HTTP, [Listener("udp", "::", 8080, pids=(7,))], None, ["note the daemon does not run", "ok TCP 8080: free"]),
        (DHCP, [Listener("udp", "0.0.0.0", 67, "br0", (7,))], None, ["error UDP 67 on br0: is held by nginx"]),
        (DHCP, [Listener("udp", "0.0.0.0", 67, "", (7,))], None, ["error UDP 67 on br0: is held by nginx"]),
        (DHCP, [Listener("udp", "0.0.0.0", 67, "eth9", (7,))], None, ["ok UDP 67 on br0: free"]),
    ],
)  # fmt: skip
def test_who_holds_a_port(port, listeners, daemon, expected):
    found = said(ports.findings([port], listeners, {7: NGINX, 9: OURS}, daemon))
    for line in expected:
        assert any(each.startswith(line) for each in found), found
    assert sum(each.startswith("error") for each in found) == sum(line.startswith("error") for line in expected)


GIVES = Offer("eth0", IPv4Address("10.0.0.9"), IPv4Address("10.0.0.50"), router=IPv4Address("10.0.0.254"))
PROXY = Offer("eth0", IPv4Address("10.0.0.8"), program="pxelinux.0")
BOTH = evolve(GIVES, program="ipxe.efi")


@pytest.mark.parametrize(
    ("mode", "offers", "expected"),
    [
        (DhcpMode.AUTHORITATIVE, [], ["ok eth0: no other DHCP server answers"]),
        (DhcpMode.AUTHORITATIVE, [GIVES],
         ["error eth0: another DHCP server: 10.0.0.9 offers 10.0.0.50 with router 10.0.0.254 (End it"]),
        (DhcpMode.AUTHORITATIVE, [PROXY], ["error eth0: another DHCP server: 10.0.0.8 offers the boot program"]),
        (DhcpMode.AUTHORITATIVE, [evolve(GIVES, server=IPv4Address("10.0.0.1"))], ["ok eth0: no other"]),
        (DhcpMode.PROXY, [], ["warning eth0: no server gives addresses"]),
        (DhcpMode.PROXY, [GIVES], ["ok eth0: 10.0.0.9 offers 10.0.0.50"]),
        (DhcpMode.PROXY, [BOTH], ["warning eth0: another boot server: 10.0.0.9 offers 10.0.0.50"]),
        (DhcpMode.PROXY, [GIVES, PROXY], ["warning eth0: another boot server: 10.0.0.8", "ok eth0: 10.0.0.9"]),
        (DhcpMode.OFF, [], ["note eth0: no server answers"]),
        (DhcpMode.OFF, [BOTH], ["note eth0: 10.0.0.9 offers 10.0.0.50"]),
    ],
)  # fmt: skip
def test_other_dhcp_servers(mode, offers, expected):
    found = said(dhcp.findings(mode, offers, {IPv4Address("10.0.0.1")}, ["eth0"], {}))
    assert len(found) == len(expected)
    for line in expected:
        assert any(each.startswith(line) for each in found), found


def test_where_nobody_could_be_asked():
    found = said(dhcp.findings(DhcpMode.AUTHORITATIVE, [], (), [], {"eth0": "Operation not permitted"}))
    assert found == ["note eth0: could not look for other DHCP servers: Operation not permitted (Run this as root.)"]


def test_the_question_is_of_a_machine_that_nobody_has():
    asked = decode(encode(probe(0x12345678)))
    assert asked.chaddr == PROBE_MACS + b"\x56\x78"
    assert asked.get(opt.MESSAGE_TYPE) is MessageType.DISCOVER
    assert asked.wants_broadcast, "who answers by unicast answers nobody"
    assert asked.get(opt.REQUESTED_ADDRESS) is None


def test_what_is_an_answer():
    asked = probe(7)
    server = IPv4Address("10.0.0.9")
    options = (opt.MESSAGE_TYPE.of(MessageType.OFFER), opt.SERVER_ID.of(server), opt.ROUTERS.of((IPv4Address(9),)))
    answer = Packet(Op.REPLY, 7, asked.chaddr, dict(options), yiaddr=IPv4Address("10.0.0.50"), file=b"a\x1bb")
    assert offer(answer, asked, "eth0", server) == Offer(
        "eth0", server, IPv4Address("10.0.0.50"), "a?b", IPv4Address(9)
    )
    for other in (
        answer._replace(xid=8), answer._replace(chaddr=b"\x02imd\0\1"), answer._replace(op=Op.REQUEST),
        answer._replace(options=dict([opt.MESSAGE_TYPE.of(MessageType.ACK)])), answer._replace(options={}),
    ):  # fmt: skip
        assert offer(other, asked, "eth0", server) is None


def test_what_is_fetched():
    fetched = [service.Fetched("a", 5), service.Fetched("b"), service.Fetched("c", error="no answer")]
    found = said(service.findings(fetched, ["d"]))
    assert found[0].startswith("note d: could not be tried from here")
    assert found[1:3] == ["ok a: answers (5 bytes)", "ok b: answers"]
    assert found[3].startswith("error c: no answer")
