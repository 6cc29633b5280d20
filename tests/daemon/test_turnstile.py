"""The queue in front of a limited number of slots."""

from imaged.daemon.turnstile import Ticket, Turnstile


class Hall:
    """A turnstile with named tickets; ``events`` are the admissions in order."""

    def __init__(self, slots):
        self.turnstile = Turnstile(slots)
        self.events = []
        self.tickets = {}

    def enter(self, name, node=""):
        self.tickets[name] = Ticket(node or name, lambda: self.events.append(name))
        return self.turnstile.enter(self.tickets[name])

    def leave(self, *names):
        for name in names:
            self.turnstile.leave(self.tickets[name])


def test_first_come_first_served():
    hall = Hall(2)
    assert [hall.enter(name) for name in "abcde"] == [0, 0, 1, 2, 3]
    assert (hall.events, hall.turnstile.waiting) == (["a", "b"], ("c", "d", "e"))
    hall.leave("b")
    hall.leave("a")
    assert hall.events == ["a", "b", "c", "d"]
    assert sorted(hall.turnstile.inside) == ["c", "d"]


def test_who_hangs_up_while_waiting_is_passed_over():
    hall = Hall(1)
    for name in "abc":
        hall.enter(name)
    hall.leave("b")
    assert hall.turnstile.waiting == ("c",)
    hall.leave("a")
    assert hall.events == ["a", "c"]


def test_leaving_twice_frees_one_slot():
    hall = Hall(1)
    for name in "abc":
        hall.enter(name)
    hall.leave("a", "a", "a")
    assert hall.events == ["a", "b"]


def test_a_greedy_node_waits_behind_the_others():
    hall = Hall(2)
    for number in range(4):
        hall.enter(f"greedy{number}", node="greedy")
    hall.enter("modest")
    hall.leave("greedy0")
    assert hall.events == ["greedy0", "greedy1", "modest"]
    hall.leave("modest")
    assert hall.events[-1] == "greedy2"


def test_a_thousand_that_leave_as_soon_as_they_are_admitted():
    """Refused after the wait: no recursion, nobody is forgotten."""
    hall = Hall(1)
    hall.enter("first")
    names = [str(number) for number in range(1000)]
    for name in names:
        hall.enter(name)
        hall.tickets[name].admitted = lambda name=name: hall.events.append(name) or hall.leave(name)
    hall.leave("first")
    assert hall.events == ["first", *names]
    assert (hall.turnstile.waiting, hall.turnstile.inside) == ((), ())
