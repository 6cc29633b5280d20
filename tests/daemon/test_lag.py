"""How late the event loop is, by a clock that jumps."""

from twisted.internet.task import Clock

from imaged.daemon.lag import Lag


def test_lag():
    clock = Clock()
    lag = Lag(clock)
    lag.start()
    clock.advance(1)
    clock.advance(1.3)
    clock.advance(1)
    assert (round(lag.late.sum, 3), lag.late.buckets()[-1]) == (0.3, ("+Inf", 3.0))
    lag.stop()
    lag.stop()
    assert clock.getDelayedCalls() == []
