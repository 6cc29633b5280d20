"""Reading on in a numbered table: nothing twice, nothing left out, whatever order its transactions end in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput
from imaged.planning.following import Bookmark, Place


def test_what_was_passed_over_is_looked_for_ten_times():
    place = Place(5).after([6, 9], ordered=False)
    assert (place.last, place.wanted) == (9, (7, 8))
    place = place.after([8], ordered=False)
    assert place.wanted == (7,)
    for _ in range(8):
        place = place.after([], ordered=False)
    assert place.wanted == (7,)
    assert place.after([], ordered=False).wanted == ()


def test_where_numbers_are_in_order_nothing_is_looked_for():
    assert Place(5).after([6, 9], ordered=True) == Place(9)


def test_a_gap_of_what_was_deleted_is_not_looked_for_as_a_whole():
    assert len(Place(0).after([10**9], ordered=False).wanted) == 100


@given(st.permutations(range(1, 40)), st.lists(st.integers(0, 8), min_size=50))
def test_every_row_is_read_once_in_whatever_order_it_is_committed(order, steps):
    place, read, committed, rest = Place(0), [], set(), list(order)
    for step in (*steps, 40):
        committed |= {rest.pop(0) for _ in range(min(step, len(rest)))}
        found = sorted(number for number in committed if number > place.last or number in place.wanted)
        assert not set(found) & set(read)
        read += found
        place = place.after(found, ordered=False)
        place = Place(place.last, tuple((number, 10) for number in place.wanted))  # as often as is needed
    assert sorted(read) == list(range(1, 40))


def test_a_bookmark_is_text_and_back():
    mark = Bookmark(Place(120), Place(4711))
    assert str(mark) == "120-4711"
    assert Bookmark.parse("120-4711") == mark


@pytest.mark.parametrize("text", ["", "1", "1-2-3", "-1-2", "a-b", "1-٣", "1-" + "9" * 19, " 1-2"])
def test_what_is_no_bookmark_is_said(text):
    with pytest.raises(BadInput, match="no place in the feed"):
        Bookmark.parse(text)
