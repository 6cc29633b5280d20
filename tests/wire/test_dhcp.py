"""The DHCP codec: tables of packets, and what holds for any packet."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaged.model.errors import MalformedPacket
from imaged.model.net import Mac
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp import NO_ADDRESS, Op, Packet, decode, encode, reply_limit
from imaged.wire.dhcp_options import MessageType

MAC = bytes.fromhex("525400123456")
COOKIE = bytes.fromhex("63825363")


def raw(options: bytes, *, op=1, htype=1, hlen=6, chaddr=MAC, sname=b"", file=b"", cookie=COOKIE) -> bytes:
    """A packet put together by hand, so that the encoder is not its own judge."""
    zero = bytes(4)
    fields = (op, htype, hlen, 0, 0xDEADBEEF, 0, 0, zero, zero, zero, zero, chaddr, sname, file)
    return struct.pack("!BBBBIHH4s4s4s4s16s64s128s", *fields) + cookie + options


DISCOVER = b"\x35\x01\x01"


@pytest.mark.parametrize(
    ("options", "fields", "expected"),
    [
        (b"\xff", {}, {}),
        (DISCOVER + b"\xff", {}, {53: b"\x01"}),
        (b"\0\0\0" + DISCOVER + b"\0\0\xff", {}, {53: b"\x01"}),
        (DISCOVER + b"\xff\x0c\x01x", {}, {53: b"\x01"}),  # nothing counts after the end
        (b"\x0c\x00\xff", {}, {12: b""}),
        (b"\x0c\x02ab\x0f\x01x\x0c\x02cd\xff", {}, {12: b"abcd", 15: b"x"}),  # RFC 3396
        (b"\x34\x01\x01\xff", {"file": b"\x0c\x02hi\xff"}, {12: b"hi"}),
        (b"\x34\x01\x02\xff", {"sname": b"\x0c\x02hi\xff"}, {12: b"hi"}),
        (b"\x34\x01\x03\x0c\x01a\xff", {"file": b"\x0c\x01b", "sname": b"\x0c\x01c\xff"}, {12: b"abc"}),
        (b"\x34\x01\x01\xff", {"file": b"\x34\x01\x02\xff", "sname": b"\x0c\x01x"}, {}),  # no overload from within
    ],
)
def test_options_are_gathered_from_all_fields(options, fields, expected):
    assert decode(raw(options, **fields)).options == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        raw(b"")[:239],
        raw(b""),  # no end
        raw(DISCOVER),
        raw(b"\x35\x01\x01\x0c"),
        raw(b"\x35\x01\x01\x0c\x05ab\xff"),
        raw(b"\xff", cookie=b"\x63\x82\x53\x62"),
        raw(b"\xff", op=0),
        raw(b"\xff", op=3),
        raw(b"\xff", hlen=17),
        raw(b"\xff", hlen=255),
        raw(b"\x35\x00\xff"),
        raw(b"\x35\x01\x00\xff"),
        raw(b"\x35\x01\x63\xff"),
        raw(b"\x35\x01\x01\x35\x01\x01\xff"),  # twice: two bytes long
        raw(b"\x32\x03\x0a\x00\x00\xff"),
        raw(b"\x36\x05\x0a\x00\x00\x01\x01\xff"),
        raw(b"\x39\x01\x05\xff"),
        raw(b"\x34\x01\x00\xff"),
        raw(b"\x34\x01\x04\xff"),
        raw(b"\x34\x02\x01\x01\xff"),
        raw(b"\x34\x01\x01\xff", file=b"\x0c\xffx"),  # past the end of its field
    ],
)
def test_what_is_no_packet_is_refused(data):
    with pytest.raises(MalformedPacket):
        decode(data)


@pytest.mark.parametrize(
    ("htype", "hlen", "chaddr", "expected"),
    [
        (1, 6, MAC, Mac.parse("52:54:00:12:34:56")),
        (1, 6, bytes(6), None),
        (1, 6, b"\xff" * 6, None),
        (1, 6, b"\x01\0\x5e\0\0\1", None),  # multicast
        (1, 0, MAC, None),
        (1, 16, MAC + bytes(10), None),
        (32, 0, b"", None),  # IP over InfiniBand
        (6, 6, MAC, None),
    ],
)
def test_only_a_machine_has_a_mac(htype, hlen, chaddr, expected):
    assert decode(raw(b"\xff", htype=htype, hlen=hlen, chaddr=chaddr)).mac == expected


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        (opt.HOST_NAME, b"node01\0", "node01"),
        (opt.HOST_NAME, b"a\x1b[2J\n\xff", "a?[2J??"),  # no escape sequence reaches a terminal
        (opt.ROUTERS, b"\x0a\0\0\1\x0a\0\0\2", (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"))),
        (opt.ROUTERS, b"\x0a\0\0", None),
        (opt.ROUTERS, b"", None),
        (opt.CLIENT_ARCH, b"\0\x07\0\x09", (7, 9)),
        (opt.CLIENT_ARCH, b"\0", None),
        (opt.LEASE_TIME, b"\0\0\x0e\x10", 3600),
        (opt.LEASE_TIME, b"\0\x0e\x10", None),
        (opt.RELAY_INFORMATION, b"\x01\x02ab\x05\x04\x0a\0\0\0", {1: b"ab", 5: b"\x0a\0\0\0"}),
        (opt.RELAY_INFORMATION, b"\x01\x03ab", None),
        (opt.RELAY_INFORMATION, b"\x01", None),
        (opt.PXE_OPTIONS, b"\x06\x01\x08\xff", {6: b"\x08"}),
        (opt.ETHERBOOT, b"\xb0\x01\x01", {176: b"\x01"}),
    ],
)
def test_options_are_read_or_do_not_count(option, value, expected):
    packet = Packet(Op.REQUEST, 1, MAC, options={option.code: value})
    assert packet.get(option) == expected


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 548), (0, 548), (300, 548), (576, 548), (1472, 1444), (1500, 1472), (65280, 1472)]
)
def test_reply_size_stays_within_reason(asked, expected):
    options = {} if asked is None else dict([opt.MAX_SIZE.of(asked)])
    assert reply_limit(Packet(Op.REQUEST, 1, MAC, options=options)) == expected


def test_a_reply_has_at_least_bootps_size():
    assert len(encode(Packet(Op.REPLY, 1, MAC, options=dict([opt.MESSAGE_TYPE.of(MessageType.ACK)])))) == 300


def test_a_long_value_is_split_and_joined():
    packet = Packet(Op.REPLY, 1, MAC, options={43: bytes(range(256)) * 2})
    data = encode(packet, 1472)
    assert data[240:242] == b"\x2b\xff" and data[240 + 257 : 240 + 259] == b"\x2b\xff"
    assert decode(data) == packet


def test_options_flow_over_into_unused_fields_and_the_relays_stays_last():
    relay = (82, b"\x01\x04port")
    many = (opt.MESSAGE_TYPE.of(MessageType.ACK), (43, b"x" * 250), (15, b"y" * 100), (12, b"z" * 50), relay)
    data = encode(Packet(Op.REPLY, 1, MAC, options=dict(many)), 548)
    assert len(data) <= 548
    assert b"\x34\x01\x03" in data[240:]
    assert data.rstrip(b"\0").endswith(b"\x52\x06\x01\x04port\xff")
    assert decode(data).options == dict(many)


def test_a_used_field_is_not_overloaded_and_the_least_important_is_left_out():
    many = (opt.MESSAGE_TYPE.of(MessageType.ACK), (43, b"x" * 250), (15, b"y" * 100), (12, b"z" * 50))
    packet = Packet(Op.REPLY, 1, MAC, options=dict(many), file=b"loaders/undionly.kpxe")
    decoded = decode(encode(packet, 548))
    assert decoded.file == b"loaders/undionly.kpxe"
    assert decoded.options == dict(many[:2] + many[3:])  # 100 bytes fit nowhere, 50 into sname


addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
text_fields = st.binary(max_size=63).map(lambda value: value.split(b"\0")[0])
options = st.dictionaries(
    st.integers(1, 254).filter(lambda code: code not in (50, 52, 53, 54, 57, 82)), st.binary(max_size=600), max_size=40
)
packets = st.builds(
    Packet,
    op=st.sampled_from(Op),
    xid=st.integers(0, 2**32 - 1),
    chaddr=st.binary(max_size=16),
    options=options,
    htype=st.integers(0, 255),
    hops=st.integers(0, 255),
    secs=st.integers(0, 65535),
    flags=st.integers(0, 65535),
    ciaddr=addresses,
    yiaddr=addresses,
    siaddr=addresses,
    giaddr=addresses,
    sname=text_fields,
    file=text_fields,
)


@given(packets)
def test_what_fits_comes_back_as_it_was(packet):
    assert decode(encode(packet, 1 << 16)) == packet


@given(packets, st.binary(max_size=200), st.integers(548, 1472))
def test_any_reply_keeps_to_its_size_and_brings_the_relays_words_back(packet, relay, limit):
    packet = packet._replace(options={53: b"\x05", **packet.options, 82: relay})
    data = encode(packet, limit)
    assert 300 <= len(data) <= limit
    decoded = decode(data)
    assert decoded.raw(82) == relay and decoded.raw(53) == b"\x05"
    assert decoded.options.items() <= packet.options.items()
    assert (decoded.yiaddr, decoded.file, decoded.sname) == (packet.yiaddr, packet.file, packet.sname)


@settings(max_examples=500)
@given(st.binary(max_size=700))
def test_random_bytes_are_a_packet_or_malformed(data):
    for candidate in (data, raw(data)):
        try:
            packet = decode(candidate)
        except MalformedPacket:
            continue
        assert isinstance(packet, Packet)
        for value in vars(opt).values():
            if isinstance(value, opt.Option):
                packet.get(value)  # a value or None


@given(packets, st.data())
def test_a_truncated_packet_is_malformed(packet, data):
    whole = encode(packet, 1 << 16)
    end = len(whole.rstrip(b"\0")) if len(whole) == 300 else len(whole)
    cut = data.draw(st.integers(0, end - 1))
    with pytest.raises(MalformedPacket):
        # One end byte after another could be all that is cut off; then the packet is still whole.
        decode(whole[:cut] if b"\xff" not in whole[240:cut] else b"")


def test_an_unset_address_is_zero():
    assert decode(raw(b"\xff")).yiaddr == NO_ADDRESS
