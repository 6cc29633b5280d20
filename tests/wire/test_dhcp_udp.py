"""Datagrams for clients that cannot answer ARP yet."""

import struct
from contextlib import suppress
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import MalformedPacket
from imaged.wire.udp import checksum, datagram, undo

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


@given(addresses, ports, addresses, ports, st.binary(max_size=1472), st.binary(max_size=50))
def test_what_is_packed_is_unpacked_also_with_padding_behind_it(source, sport, destination, dport, payload, padding):
    sent = datagram((source, sport), (destination, dport), payload)
    assert undo(sent + padding) == ((source, sport), (destination, dport), payload)
    options = bytes((0x46,)) + sent[1:2] + struct.pack("!H", len(sent) + 4) + sent[4:20] + b"\x94\x04\0\0" + sent[20:]
    assert undo(options)[2] == payload, "an IP header with an option"


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: b"\x45" + rest))
def test_whatever_comes_is_a_datagram_or_malformed(packet):
    with suppress(MalformedPacket):
        undo(packet)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sent: sent[:27],
        lambda sent: b"\x65" + sent[1:],
        lambda sent: b"\x44" + sent[1:],
        lambda sent: sent[:9] + b"\x06" + sent[10:],
        lambda sent: sent[:6] + b"\x20\0" + sent[8:],
        lambda sent: sent[:6] + b"\0\x01" + sent[8:],
        lambda sent: sent[:24] + b"\xff\xff" + sent[26:],
        lambda sent: sent[:24] + b"\0\x07" + sent[26:],
    ],
)
def test_what_is_no_whole_datagram(spoil):
    sent = datagram((IPv4Address("10.0.0.1"), 67), (IPv4Address("10.0.0.7"), 68), b"hi")
    with pytest.raises(MalformedPacket):
        undo(spoil(sent))
