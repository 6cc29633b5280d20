"""TFTP packets: what is on the wire and what it means."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import MalformedPacket
from imaged.wire.tftp import Ack, Data, Error, OptionAck, ReadRequest, WriteRequest, decode, encode

PACKETS = [
    (b"\0\1boot/x\0octet\0", ReadRequest("boot/x", "octet")),
    (b"\0\2up\0OCTET\0", WriteRequest("up", "OCTET")),
    (
        b"\0\1a\0octet\0blksize\x001468\0windowsize\x004\0",
        ReadRequest("a", "octet", (("blksize", "1468"), ("windowsize", "4"))),
    ),
    (b"\0\1caf\xe9\0octet\0", ReadRequest("caf\udce9", "octet")),
    (b"\0\1\0octet\0", ReadRequest("", "octet")),
    (b"\0\3\xff\xffabc", Data(65535, b"abc")),
    (b"\0\3\0\1", Data(1, b"")),
    (b"\0\4\0\0", Ack(0)),
    (b"\0\5\0\1File not found\0", Error(1, "File not found")),
    (b"\0\5\0\x63odd\0", Error(99, "odd")),
    (b"\0\6tsize\x005\0", OptionAck((("tsize", "5"),))),
]
TOLERATED = [  # what clients send although no RFC has it
    (b"\0\5\0\0no NUL at the end", Error(0, "no NUL at the end")),
    (b"\0\4\0\7\0\0", Ack(7)),
    (b"\0\1a\0octet\0tsize\0", ReadRequest("a", "octet")),
    (b"\0\1a\0octet\0tsize\x000\0garbage", ReadRequest("a", "octet", (("tsize", "0"),))),
    (b"\0\1a\0octet\0" + bytes(400), ReadRequest("a", "octet")),
    (b"\0\1a\0octet\0\0\0tsize\x000\0", ReadRequest("a", "octet")),
    (b"\0\1a\0b\0octet\0", ReadRequest("a", "b")),  # a NUL within the name makes the mode nonsense
]
MALFORMED = [
    b"", b"\0", b"\0\1", b"\0\4\0", b"\0\1a\0octet", b"\0\1abcdef", b"\0\0\0\0", b"\0\7\0\0", b"\1\0\0\0",
    b"\xff" * 600,
]  # fmt: skip


@pytest.mark.parametrize(("octets", "packet"), PACKETS)
def test_both_ways(octets, packet):
    assert decode(octets) == packet
    assert encode(packet) == octets


@pytest.mark.parametrize(("octets", "packet"), TOLERATED)
def test_what_clients_really_send(octets, packet):
    assert decode(octets) == packet


@pytest.mark.parametrize("octets", MALFORMED)
def test_malformed(octets):
    with pytest.raises(MalformedPacket):
        decode(octets)


LATIN = st.text(st.characters(min_codepoint=1, max_codepoint=255), min_size=1, max_size=20)
OPTIONS = st.lists(st.tuples(LATIN, LATIN), max_size=4).map(tuple)
NAMES = st.binary(max_size=40).map(lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape"))
NUMBERS = st.integers(0, 65535)


@given(
    st.one_of(
        st.builds(ReadRequest, NAMES, LATIN, OPTIONS),
        st.builds(WriteRequest, NAMES, LATIN, OPTIONS),
        st.builds(Data, NUMBERS, st.binary(max_size=600)),
        st.builds(Ack, NUMBERS),
        st.builds(Error, NUMBERS, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
        st.builds(OptionAck, OPTIONS.filter(bool)),
    )
)
def test_every_packet_survives_the_wire(packet):
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=700))
def test_any_bytes_are_a_packet_or_malformed(octets):
    with suppress(MalformedPacket):
        decode(octets)
