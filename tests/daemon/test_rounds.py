"""What is done again and again goes on when it failed once, and is never begun twice."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from imaged.daemon.rounds import Rounds


def test_rounds():
    clock, done = Clock(), []
    rounds = Rounds(clock)
    rounds.every(1, lambda: done.append("a"))
    rounds.every(3, lambda: done.append("b"))
    clock.advance(5)
    assert done == []
    rounds.start()
    clock.pump([1, 1, 1])
    assert sorted(done) == ["a", "a", "a", "b"]
    rounds.stop()
    clock.advance(5)
    assert clock.getDelayedCalls() == []


def test_a_round_that_fails_comes_again():
    clock, done, log = Clock(), [], []
    rounds = Rounds(clock)
    rounds.every(1, lambda: done.append(1) or 1 / 0)
    rounds.start()
    globalLogPublisher.addObserver(log.append)
    try:
        clock.pump([1, 1])
    finally:
        globalLogPublisher.removeObserver(log.append)
        rounds.stop()
    assert len(done) == 2
    assert [entry["log_failure"].type for entry in log] == [ZeroDivisionError] * 2


def test_a_round_that_takes_long_is_waited_for():
    clock, begun = Clock(), []
    rounds = Rounds(clock)
    rounds.every(1, lambda: begun.append(Deferred()) or begun[-1])
    rounds.start()
    clock.pump([1, 1, 1])
    assert len(begun) == 1
    begun[0].callback(None)
    clock.advance(1)
    assert len(begun) == 2
