"""Breakpoints as people write them."""

import pytest

from imaged.model.errors import BadInput
from imaged.model.wishes import Break, Wishes, parse_breaks


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), ()),
        (("fixups",), (Break("fixups"),)),
        (("fixups:before", "fixups:after"), (Break("fixups"), Break("fixups", before=False))),
        (("wipe,mkfs:after", "wipe"), (Break("wipe"), Break("mkfs", before=False))),
    ],
)
def test_parse(texts: tuple[str, ...], expected: tuple[Break, ...]) -> None:
    assert parse_breaks(texts) == expected
    assert parse_breaks(map(str, expected)) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("claim", "no phase to wait at"),
        ("Fixups", "no phase to wait at"),
        (":after", "no phase to wait at"),
        ("wipe:during", "neither before nor after"),
        ("reboot:after", "the installer is gone"),
    ],
)
def test_bad(text: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        Break.parse(text)


def test_waits_only_where_it_is_wanted() -> None:
    wishes = Wishes((Break("wipe"), Break("mkfs", before=False)))
    places = [("wipe", True), ("wipe", False), ("mkfs", True), ("mkfs", False)]
    assert [wishes.at(phase, before=before) for phase, before in places] == [True, False, False, True]
