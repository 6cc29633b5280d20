"""What is told to whom, in which order."""

import io
import threading

import pytest
from attrs import define, field

from imaged.model.errors import ImagedError, Unreachable
from imaged.model.report import Report, Status
from installer.console import Console
from installer.reports import Journal, Reporter


class Terminal(io.StringIO):
    """A screen that says it is one."""

    def isatty(self) -> bool:
        return True


@define
class Told:
    """Stands where Server does; keeps what it is told, in order."""

    events: list[tuple[str, object]] = field(factory=list)
    away: bool = False
    glimpsed: threading.Event = field(factory=threading.Event)

    def report(self, report: Report) -> None:
        if self.away:
            raise Unreachable("no answer")
        self.events.append((report.phase, report.status))

    def glimpse(self, report: Report) -> None:
        self.events.append((report.phase, report.percent))
        self.glimpsed.set()

    def log(self, text: str) -> None:
        if self.away:
            raise Unreachable("no answer")
        self.events.append(("log", text))

    def console(self, text: str) -> None:
        if self.away:
            raise Unreachable("no answer")
        self.events.append(("console", text))


def reporter(told: Told, screen: io.StringIO, now: list[float]) -> Reporter:
    console = Console((screen,), lambda: now[0])
    return Reporter(told, console, Journal(), lambda: now[0])  # type: ignore[arg-type]


def test_reports_around_a_phase_and_the_log_with_them() -> None:
    told, screen, now = Told(), io.StringIO(), [10.0]
    reports = reporter(told, screen, now)
    reports.journal.add("step: wait")  # one request less at the start of each phase; it goes at its end
    with reports.phase("wipe"):
        reports.journal.add("+ wipefs")
        now[0] = 12.5
    assert told.events == [("wipe", Status.STARTED), ("wipe", Status.DONE), ("log", "step: wait\n+ wipefs")]
    assert screen.getvalue() == "[    10.0] wipe ...\n[    12.5] wipe done in 2.5 s\n"


def test_what_the_kernel_said_goes_with_the_log_to_a_place_of_its_own() -> None:
    told, screen, now = Told(), io.StringIO(), [10.0]
    reports = reporter(told, screen, now)
    with reports.phase("mkfs"):
        reports.kernel.add("[    1.500000] sda: I/O error")
    assert told.events[-1] == ("console", "[    1.500000] sda: I/O error")


def test_a_phase_that_fails_is_not_done() -> None:
    told, screen, now = Told(), io.StringIO(), [10.0]
    reports = reporter(told, screen, now)
    with pytest.raises(ImagedError), reports.phase("mkfs"):
        raise ImagedError("no such program")
    reports.failed("no such program")
    assert told.events == [
        ("mkfs", Status.STARTED), ("mkfs", Status.FAILED), ("log", "FAILED in mkfs: no such program")
    ]  # fmt: skip


def test_the_reason_is_on_the_screen_even_when_the_server_is_away() -> None:
    told, screen = Told(away=True), Terminal()
    reporter(told, screen, [1.0]).failed("the server is gone")
    assert "\x1b[1;31mFAILED: the server is gone\x1b[0m" in screen.getvalue()


def test_progress_at_most_every_two_seconds_and_before_done() -> None:
    told, screen, now = Told(), io.StringIO(), [10.0]
    reports = reporter(told, screen, now)
    with reports.phase("transfer"):
        for at, percent in ((12.0, 1.0), (12.2, 2.0), (13.9, 3.0), (14.1, 40.0)):
            now[0] = at
            told.glimpsed.clear()
            reports.progress(percent)
            if percent in (1.0, 40.0):
                assert told.glimpsed.wait(10)
    assert told.events[0] == ("transfer", Status.STARTED)
    assert told.events[1] == ("transfer", 1.0)
    assert told.events[-1] == ("transfer", Status.DONE)
    assert ("transfer", 2.0) not in told.events
    assert ("transfer", 3.0) not in told.events


def test_a_terminal_line_overwrites_itself_a_log_gets_every_tenth() -> None:
    terminal, log = Terminal(), io.StringIO()
    console = Console((terminal, log), lambda: 5.0)
    for percent in (0.5, 0.7, 3.0, 11.0, 12.0):
        console.progress("transfer", percent)
    console.done("transfer")
    assert terminal.getvalue().count("\r") == 5  # four different whole numbers, and the line that clears them
    assert terminal.getvalue().count("\n") == 1
    assert [line.split("] ")[1] for line in log.getvalue().splitlines()] == [
        "transfer 0 %", "transfer 11 %", "transfer done in 5.0 s"
    ]  # fmt: skip


def test_a_dead_screen_is_let_be() -> None:
    class Dead(io.StringIO):
        def write(self, _: str) -> int:
            raise BlockingIOError

    alive = io.StringIO()
    Console((Dead(), alive), lambda: 1.0).failed("x")
    assert "FAILED: x" in alive.getvalue()


def test_journal_keeps_what_was_not_heard() -> None:
    journal, got = Journal(), list[str]()
    journal.add("one")
    journal.add("two")

    def refuse(_: str) -> None:
        raise Unreachable("away")

    with pytest.raises(Unreachable):
        journal.ship(refuse)
    journal.add("three")
    journal.ship(got.append)
    journal.ship(got.append)
    assert got == ["one\ntwo\nthree"]


def test_journal_ships_in_batches_and_forgets_the_oldest() -> None:
    journal, got = Journal(), list[str]()
    for number in range(20_010):
        journal.add(f"{number:040}")
    journal.ship(got.append)
    lines = [line for batch in got for line in batch.splitlines()]
    assert (len(lines), int(lines[0])) == (20_000, 10)
    assert len(got) > 1
    assert max(map(len, got)) <= 200_000
