"""What is written when, in which groups, and who hears of it."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imaged.daemon.group_commit import GroupCommit


class Disk:
    """Keeps the groups in order; a write ends when the test says so."""

    def __init__(self):
        self.clock, self.events, self.writing = Clock(), [], []
        self.commits = GroupCommit(self.write, self.done, self.clock, self.in_thread)

    def in_thread(self, write, items):
        write(items)
        self.writing.append(Deferred())
        return self.writing[-1]

    def write(self, items):
        self.events.append(("write", *items))

    def done(self, items, fault):
        self.events.append(("lost" if fault else "kept", *items))

    def end(self, result=None):
        self.writing.pop(0).callback(result)


def test_the_first_is_written_at_once_with_those_of_the_same_turn():
    disk = Disk()
    disk.commits.put("a")
    disk.commits.put("b")
    assert disk.events == []
    disk.clock.advance(0)
    assert disk.events == [("write", "a", "b")]
    disk.end()
    assert disk.events[1:] == [("kept", "a", "b")]


def test_who_comes_meanwhile_goes_together_when_the_disk_is_free_and_the_window_over():
    disk = Disk()
    disk.commits.put("a")
    disk.clock.advance(0)
    disk.commits.put("b")
    disk.clock.advance(0.02)
    disk.commits.put("c")
    assert disk.events == [("write", "a")]  # one at a time
    disk.end()
    disk.clock.advance(0)
    assert disk.events[1:] == [("kept", "a"), ("write", "b", "c")]
    disk.end()
    disk.commits.put("d")
    disk.clock.advance(0.004)
    assert disk.events[-1] == ("kept", "b", "c")
    disk.clock.advance(0.001)
    assert disk.events[-1] == ("write", "d")


def test_what_may_wait_goes_with_the_next_that_may_not():
    disk = Disk()
    disk.commits.put("later", 0.5)
    disk.clock.advance(0.4)
    assert disk.events == []
    disk.commits.put("now")
    disk.clock.advance(0)
    assert disk.events == [("write", "later", "now")]
    disk.end()
    disk.commits.put("later", 0.5)
    disk.clock.advance(0.5)
    assert disk.events[-1] == ("write", "later")


def test_what_was_not_kept_is_told_and_the_next_goes_on():
    disk = Disk()
    disk.commits.put("a")
    disk.clock.advance(0)
    disk.writing.pop().errback(OSError("full"))
    disk.commits.put("b")
    disk.clock.advance(0.005)
    disk.end()
    assert disk.events == [("write", "a"), ("lost", "a"), ("write", "b"), ("kept", "b")]


def test_at_the_end_everything_is_written_and_told():
    disk, over = Disk(), []
    disk.commits.put("a")
    disk.clock.advance(0)
    disk.commits.put("b", 10.0)
    disk.commits.stop().addCallback(over.append)
    disk.end()
    assert disk.events == [("write", "a"), ("kept", "a"), ("write", "b")] and over == []
    disk.end()
    assert disk.events[-1] == ("kept", "b") and over == [None]
    assert disk.clock.getDelayedCalls() == []


def test_an_idle_one_ends_at_once():
    over = []
    Disk().commits.stop().addCallback(over.append)
    assert over == [None]
