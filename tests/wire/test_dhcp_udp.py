"""Datagrams for clients that cannot answer ARP yet."""

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from imaged.wire.udp import checksum, datagram

addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
ports = st.integers(0, 65535)


def test_a_datagram_worked_out_by_hand():
    expected = "4500001e00004000401126c80a0000010a000007" + "00430044000a82e2" + "6869"
    sent = datagram((IPv4Address("10.0.0.1"), 67), (IPv4Address("10.0.0.7"), 68), b"hi")
    assert sent.hex() == expected


def test_the_checksum_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@given(addresses, ports, addresses, ports, st.binary(max_size=1472))
def test_every_checksum_holds(source, sport, destination, dport, payload):
    sent = datagram((source, sport), (destination, dport), payload)
    assert len(sent) == struct.unpack("!H", sent[2:4])[0] == 28 + len(payload)
    assert checksum(sent[:20]) == 0
    pseudo = source.packed + destination.packed + struct.pack("!BBH", 0, 17, len(sent) - 20)
    assert checksum(pseudo + sent[20:]) == 0 and sent[26:28] != b"\0\0"
    assert sent[28:] == payload
