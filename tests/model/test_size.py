"""Amounts of bytes: read as written, written so that they can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.model.size import GIB, MIB, SizeBounds, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (0, 0), (4096, 4096), ("4096", 4096), ("512B", 512), ("1K", 1024), ("512M", 512 * MIB), ("20G", 20 * GIB),
        ("1.5G", 3 * GIB // 2), (" 2 GiB ", 2 * GIB), ("800GB", 800 * 10**9), ("1gb", 10**9), ("4T", 2**42),
        ("0.001K", 1),
    ],
)  # fmt: skip
def test_sizes(text: str | int, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "G", "-1G", -1, "1.5", "1.5B", "1,5G", "1PB", "10%", "1e9", "0x10", "٣G", "1G 1M", "9" * 30, True]
)
def test_what_is_no_size(text: str | int) -> None:
    with pytest.raises(BadInput):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (512 * MIB, "512 MiB"), (2**42, "4 TiB")],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("text", "holds", "not_"),
    [
        (">=8G", (8 * GIB, 2**60), (8 * GIB - 1,)),
        ("<=8G", (0, 8 * GIB), (8 * GIB + 1,)),
        ("400G..2T", (400 * GIB, 2**41), (400 * GIB - 1, 2**41 + 1)),
        ("8G", (8 * GIB,), (8 * GIB - 1, 8 * GIB + 1)),
    ],
)
def test_bounds(text: str, holds: tuple[int, ...], not_: tuple[int, ...]) -> None:
    bounds = SizeBounds.parse(text)
    assert all(bounds.holds(size) for size in holds)
    assert not any(bounds.holds(size) for size in not_)
    assert str(bounds) == text


@pytest.mark.parametrize("text", ["", ">=", "..", "8G..", "2T..400G", ">8G", "8G..9G..10G", ">=<=8G"])
def test_what_are_no_bounds(text: str) -> None:
    with pytest.raises(BadInput):
        SizeBounds.parse(text)


@given(st.integers(0, 2**62), st.none() | st.integers(0, 2**62))
def test_bounds_are_written_as_they_are_read(low: int, more: int | None) -> None:
    bounds = SizeBounds(low, None if more is None else low + more)
    assert SizeBounds.parse(str(bounds)) == bounds


@given(st.text() | st.text(alphabet="0123456789.<>=KMGTiB ", max_size=12))
def test_any_text_is_bounds_or_bad_input(text: str) -> None:
    try:
        bounds = SizeBounds.parse(text)
    except BadInput:
        return
    assert bounds.high is None or bounds.low <= bounds.high
