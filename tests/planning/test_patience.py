"""Who tries in vain waits longer each time, and nobody else does."""

from hypothesis import given
from hypothesis import strategies as st

from imaged.planning.patience import Patience


def test_waiting():
    patience = Patience()
    waits = []
    for _ in range(9):
        patience.failed("a", 100.0)
        waits.append(patience.wait("a", 100.0))
    assert waits == [0, 0, 0, 0, 2, 4, 8, 16, 32]
    assert patience.wait("a", 110.0) == 22
    assert patience.wait("b", 100.0) == 0
    assert patience.wait("a", 1000.0) == 0
    patience.failed("a", 1001.0)
    assert patience.wait("a", 1001.0) == 0, "all was forgotten"


def test_a_success_forgives():
    patience = Patience()
    for _ in range(10):
        patience.failed("a", 1.0)
    patience.succeeded("a")
    assert patience.wait("a", 1.0) == 0


@given(st.integers(1, 5000))
def test_nobody_waits_for_ever(count):
    patience = Patience()
    for _ in range(count):
        patience.failed("a", 1.0)
    assert patience.wait("a", 1.0) <= 300


def test_memory_has_an_end():
    patience = Patience()
    for _ in range(6):
        patience.failed("first", 1.0)
    for number in range(10_001):
        patience.failed(str(number), 1.0)
    assert patience.wait("first", 1.0) == 0
    assert patience.wait("10000", 1.0) == 0
