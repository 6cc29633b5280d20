"""Magic packets on a wire: one end of a cable is ours, a raw socket listens on the other."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaged.model.net import Mac
from imaged.planning.power import magic_packet
from tests.daemon.lab import Lab, Namespace, lab, missing

_WHY_NOT = missing()
pytestmark = [pytest.mark.clients, pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)]
MACS = ("52:54:00:12:34:56", "52:54:00:12:34:57")

_LISTEN = """
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
wire.bind(("card", 0))
print("listening", flush=True)
while True:
    frame = wire.recv(2000)
    if frame[12:14] == b"\\x08\\x00" and frame[23] == 17:
        print(frame[:6].hex(), frame[30:34].hex(), frame[36:38].hex(), frame[42:].hex(), flush=True)
"""
_SEND = """
import sys
from imaged.model.net import Mac
from imaged.power.wake import wake
from ipaddress import IPv4Address
macs, interfaces, broadcasts = (each.split(",") if each else [] for each in sys.argv[1:])
print(wake([Mac.parse(each) for each in macs], interfaces, [IPv4Address(each) for each in broadcasts]))
"""


@pytest.fixture
def wires() -> Iterator[Lab]:
    with lab() as it:
        yield it


def send(server: Namespace, *words: str, check: bool = True) -> str:
    root = str(Path(__file__).parents[2])
    return server.run("env", f"PYTHONPATH={root}", sys.executable, "-c", _SEND, *words, check=check).stdout


def lines(listener: object, count: int) -> list[list[str]]:
    return [listener.stdout.readline().split() for _ in range(count)]  # type: ignore[attr-defined]


def test_a_packet_for_each_card_is_on_the_wire(wires: Lab) -> None:
    server, node = wires.namespace("server"), wires.namespace("node")
    wires.link(server, "eth1", node, "card")
    server.up("eth1", "10.0.0.1/24")
    listener = node.start(sys.executable, "-c", _LISTEN)
    assert lines(listener, 1) == [["listening"]]
    assert send(server, ",".join(MACS), "", "10.0.0.255") == "4\n"
    heard = lines(listener, 4)
    packets = [magic_packet(Mac.parse(mac)).hex() for mac in MACS]
    everybody, subnet = "ffffffff", "0a0000ff"
    assert heard == [["ffffffffffff", address, "0009", packet] for address in (everybody, subnet) for packet in packets]


def test_only_the_interfaces_that_are_served(wires: Lab) -> None:
    server, node, other = (wires.namespace(name) for name in ("server", "node", "other"))
    wires.link(server, "eth1", node, "card")
    wires.link(server, "eth2", other, "card")
    server.up("eth1", "10.0.0.1/24")
    server.up("eth2", "10.1.0.1/24")
    listeners = [each.start(sys.executable, "-c", _LISTEN) for each in (node, other)]
    assert [lines(each, 1) for each in listeners] == [[["listening"]]] * 2
    assert send(server, MACS[0], "eth2", "") == "1\n"
    assert send(server, MACS[1], "", "") == "2\n"
    assert [line[3][-12:] for line in lines(listeners[0], 1)] == ["525400123457"]
    assert [line[3][-12:] for line in lines(listeners[1], 2)] == ["525400123456", "525400123457"]


def test_where_no_packet_can_be_sent_that_is_said(wires: Lab) -> None:
    alone = wires.namespace("alone")
    assert "no magic packet could be sent: there is no interface" in send(alone, MACS[0], "", "", check=False)
    assert "no magic packet could be sent: eth9: No such device" in send(alone, MACS[0], "eth9", "", check=False)
