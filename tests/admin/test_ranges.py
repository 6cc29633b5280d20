"""Ranges of nodes: what they mean, and what they are told that mean nothing."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.admin import ranges
from imaged.admin.desk import Desk
from imaged.model.errors import BadInput, ImagedError, NotFound
from imaged.planning.ranges import unfolded
from tests.admin.site import desk

__all__ = ["desk"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n1", ("n1",)),
        ("n[1-3]", ("n1", "n2", "n3")),
        ("n[1-3]!n2", ("n1", "n3")),
        ("@rack", ("n1", "n2")),
        ("@*", ("n1", "n2", "n3")),
        ("@*!@rack", ("n3",)),
        ("n3,n1", ("n1", "n3")),
    ],
)
def test_what_ranges_mean(desk: Desk, text: str, expected: tuple[str, ...]) -> None:
    assert tuple(node.name for node in ranges.named(desk, (text,))) == expected
    assert ranges.among(text, desk.groups.members(), [node.name for node in desk.nodes.all()]) == set(expected)


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ("n9", NotFound, "no node 'n9'"), ("@none", NotFound, "no group 'none'"), ("n[1-", BadInput, "n[1-"),
        ("n[1-4]", NotFound, "no node 'n4'"), ("n[0-999999999999999]", BadInput, "more than 100000"),
        ("a[1-1000]b[1-1000]", BadInput, "more than"), ("a[1-99999],b[1-99999]", BadInput, "more than"),
        ("a[0-9999999999/2]", BadInput, "more than"), ("a[5,1-99999,200000-299999]", BadInput, "more than"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_named(desk: Desk, text: str, kind: type[ImagedError], what: str) -> None:
    with pytest.raises(kind) as raised:
        ranges.named(desk, (text,))
    assert what in str(raised.value)


@pytest.mark.parametrize(
    ("text", "found"), [("n[2-9]", {"n2", "n3"}), ("n9", set()), ("@*!n9", {"n1", "n2", "n3"}), ("@rack,n9", {"n1"})]
)
def test_among_those_that_are_known(text: str, found: set[str]) -> None:
    assert ranges.among(text, {"rack": ("n1",)}, ["n1", "n2", "n3"]) == found


@pytest.mark.parametrize(("text", "kind"), [("@none", NotFound), ("n[1-", BadInput), ("n[0-99999999]", BadInput)])
def test_what_is_not_among_them(text: str, kind: type[ImagedError]) -> None:
    with pytest.raises(kind):
        ranges.among(text, {"rack": ("n1",)}, ["n1"])


def test_high_numbers_are_numbers() -> None:
    assert unfolded("n[1000000-1000002]") == ("n1000000", "n1000001", "n1000002")


@given(st.text(max_size=40))
def test_any_text_is_a_range_or_bad_input(text: str) -> None:
    with suppress(BadInput):
        unfolded(text)
