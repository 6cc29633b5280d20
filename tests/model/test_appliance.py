"""The stream from the appliance: it comes out as it went in, and a part of it is never taken for the whole."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.appliance import LARGEST, Kind, frame, frames
from imaged.model.errors import BadInput

FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=50)), min_size=1, max_size=8)


@given(FRAMES)
def test_frames_come_out_as_they_went_in(sent: list[tuple[Kind, bytes]]) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in sent)
    assert list(frames(io.BytesIO(stream).read)) == sent


@given(FRAMES, st.data())
def test_a_stream_that_is_cut_lacks_frames(sent: list[tuple[Kind, bytes]], data: st.DataObject) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in sent)
    cut = data.draw(st.integers(0, len(stream) - 1))
    got = list(frames(io.BytesIO(stream[:cut]).read))
    assert got == sent[: len(got)]
    assert len(got) < len(sent)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"X\0\0\0\0", "b'X' is no kind of frame"),
        (b"D\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (frame(Kind.SAID, b"fine") + b"XXXXX", "b'X' is no kind of frame"),
    ],
)
def test_what_is_no_frame_is_refused(stream: bytes, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        list(frames(io.BytesIO(stream).read))
    assert caught.value.what == reason


def test_no_frame_is_larger_than_a_reader_expects() -> None:
    with pytest.raises(ValueError, match="1048577"):
        frame(Kind.DATA, bytes(LARGEST + 1))
