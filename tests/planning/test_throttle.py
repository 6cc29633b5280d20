"""A token bucket against a list of times."""

import pytest

from imaged.planning.throttle import Throttle


@pytest.mark.parametrize(
    ("rate", "burst", "times", "admitted"),
    [
        (1, 2, [0, 0, 0], [True, True, False]),
        (1, 1, [0, 0.5, 1.6, 1.7], [True, False, True, False]),
        (0.1, 1, [0, 9, 11], [True, False, True]),
        (1, 1, [100, 50, 50.5, 51.1], [True, False, False, True]),
        (1000, 3, [0, 10, 10, 10, 10], [True, True, True, True, False]),
    ],
    ids=["burst", "refill", "slow", "clock set back", "never more than the burst"],
)
def test_throttle(rate: float, burst: int, times: list[float], admitted: list[bool]) -> None:
    throttle = Throttle(rate, burst)
    assert [throttle.admits(now) for now in times] == admitted
    assert throttle.count_held_back() == admitted.count(False)
    assert throttle.count_held_back() == 0
