"""The token bucket."""

from imaged.planning.throttle import Throttle


def test_a_burst_then_the_rate():
    throttle = Throttle(rate=2, burst=3)
    moments = [
        (0.0, True),
        (0.0, True),
        (0.0, True),
        (0.0, False),
        (0.4, False),
        (0.5, True),
        (0.5, False),
        (1.0, True),
    ]
    assert [(at, throttle.admits(at)) for at, _ in moments] == moments
    assert throttle.held_back == 3


def test_a_long_silence_fills_no_more_than_the_burst():
    throttle = Throttle(rate=10, burst=2)
    assert throttle.admits(0)
    assert [throttle.admits(3600) for _ in range(3)] == [True, True, False]
