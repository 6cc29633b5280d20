"""What arrays and groups leave: never more than is there, and enough where it was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.size import GIB, MIB
from imaged.planning import capacity

LEVELS = st.sampled_from([(0, 1), (1, 2), (5, 3), (5, 8), (6, 4), (6, 12), (10, 4), (10, 5)])


@pytest.mark.parametrize(
    ("level", "members", "nominal"),
    [(0, 3, 300), (1, 2, 100), (5, 3, 200), (6, 4, 200), (10, 4, 200), (10, 5, 250), (4, 3, 200)],
)
def test_arrays(level, members, nominal):
    size = capacity.of_array(level, [100 * GIB] * members)
    assert 0.995 * nominal * GIB < size < nominal * GIB


@given(LEVELS, st.integers(64 * MIB, 2**45))
def test_members_for_a_size_hold_that_size(shape, wanted):
    level, count = shape
    assert capacity.of_array(level, [capacity.member_for(level, count, wanted)] * count) >= wanted


@given(st.lists(st.integers(0, 2**44), max_size=6), st.floats(0, 99))
def test_a_group_never_gives_more_than_it_has(members, reserve):
    size = capacity.of_group(members, 4 * MIB, reserve)
    assert 0 <= size <= sum(members) and size % (4 * MIB) == 0
