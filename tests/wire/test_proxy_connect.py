"""The CONNECT of an rsync client and our answers."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.wire.proxy_connect import LONGEST_HEAD, Connect, answer, read


def basic(text):
    return b"Proxy-Authorization: Basic " + base64.b64encode(text.encode() if isinstance(text, str) else text)


LINE = b"CONNECT imaged:873 HTTP/1.0\r\n"
WHOLE = LINE + basic("node07:s3cret") + b"\r\n\r\n"

UNDERSTOOD = [
    (WHOLE, Connect("node07", "s3cret")),
    (WHOLE.replace(b"\r\n", b"\n"), Connect("node07", "s3cret")),
    (LINE + b"Host: x\r\nproxy-authorization:basic " + base64.b64encode(b"n:a:b") + b"\r\n\r\n", Connect("n", "a:b")),
    (LINE + basic("n:") + b"\r\n\r\n", Connect("n", "")),
]
WAITS = [b"", b"C", b"@", b"@RSYNC", b"CONNECT ", LINE, WHOLE[:-1], WHOLE[:-2]]
REFUSED = [
    (b"@RSYNCD: 32.0 sha512\n", b"@RSYNCD: 32.0", b"\n@ERROR: "),
    (LINE + b"\r\n", b"HTTP/1.0 407 ", b"RSYNC_PROXY"),
    (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 400 ", b"no CONNECT"),
    (b"\x16\x03\x01\x02", b"HTTP/1.0 400 ", b""),
    (b"CONNECT imaged HTTP/1.0\r\n\r\n", b"HTTP/1.0 400 ", b"host:port"),
    (b"CONNECT a:1 HTTP/2\r\n\r\n", b"HTTP/1.0 400 ", b"host:port"),
    (LINE + b"Proxy-Authorization: Bearer abc\r\n\r\n", b"HTTP/1.0 400 ", b"not Basic"),
    (LINE + b"Proxy-Authorization: Basic !!!\r\n\r\n", b"HTTP/1.0 400 ", b"not base64"),
    (LINE + basic(b"\xff\xfe:x") + b"\r\n\r\n", b"HTTP/1.0 400 ", b"UTF-8"),
    (LINE + basic("nobody") + b"\r\n\r\n", b"HTTP/1.0 400 ", b"lack"),
    (LINE + basic(":x") + b"\r\n\r\n", b"HTTP/1.0 400 ", b"lack"),
    (WHOLE + b"@RSYNCD: 32.0\n", b"HTTP/1.0 400 ", b"too long"),
    (LINE + b"X: " + b"y" * LONGEST_HEAD, b"HTTP/1.0 400 ", b"does not end"),
    (LINE + b"X: " + b"y" * LONGEST_HEAD + b"\r\n\r\n", b"HTTP/1.0 400 ", b"too long"),
]  # fmt: skip


@pytest.mark.parametrize(("received", "connect"), UNDERSTOOD)
def test_understood(received, connect):
    assert read(received) == connect


@pytest.mark.parametrize("received", WAITS)
def test_waits_for_more(received):
    assert read(received) is None


@pytest.mark.parametrize(("received", "start", "within"), REFUSED)
def test_refused(received, start, within):
    said = read(received)
    assert isinstance(said, bytes)
    assert said.startswith(start)
    assert within in said


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_in_two_pieces(cut):
    assert read(WHOLE[:cut]) is None


def test_the_secret_is_not_shown():
    assert "s3cret" not in repr(read(WHOLE))


def test_an_answer_is_one_printable_line():
    assert answer(200, "go on") == b"HTTP/1.0 200 go on\r\n\r\n"
    said = answer(403, "a\r\nX: evil\x1b[2J é" + "z" * 5000)
    assert said.count(b"\r\n") == 2
    assert said.isascii()
    assert b"\x1b" not in said
    assert len(said) < 1024  # rsync's line buffer


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda tail: LINE + tail)))
def test_any_bytes_get_a_value(received):
    assert isinstance(read(received), Connect | bytes | None)
