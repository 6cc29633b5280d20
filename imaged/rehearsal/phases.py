"""What is known of a rehearsed machine becomes a table of phases and a verdict. Pure.

Times are seconds since the epoch on this host's clock: the server and the console's reader share it.
"""

from collections.abc import Sequence
from enum import Enum

from attrs import evolve, frozen

from imaged.model.node import NodeState
from imaged.model.report import Report, Status
from imaged.planning import course

INSTALL = tuple(phase for phase in course.INSTALL if phase != course.BOOT)
PHASES = ("firmware", "ramdisk", *INSTALL, "local boot", "system start")


class Outcome(Enum):
    """How a rehearsal stands for one node."""

    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


@frozen
class Facts:
    """All that is known of one machine at the moment ``now``, ``powered`` being when it was last switched on.

    ``reports`` as the store gives them, older runs included; ``kernels`` are the times at which a kernel's first
    line was seen on the console.
    """

    node: str
    powered: float
    now: float
    state: NodeState
    reason: str = ""
    reports: tuple[tuple[float, Report], ...] = ()
    kernels: tuple[float, ...] = ()


@frozen
class Row:
    """One phase of one machine; ``seconds`` up to its end, or up to now while it runs."""

    phase: str
    began: float
    seconds: float
    status: Status
    percent: float | None = None
    message: str = ""


def table(facts: Facts) -> tuple[Row, ...]:
    """Phases in the order they happened, the current one last."""
    reports = _this_run(facts)
    claimed = min((time for time, report in reports if report.phase in INSTALL), default=None)
    up = _done(reports, "up")
    if claimed is None and up is not None:  # it was installed before
        return tuple(_split(facts, facts.powered, up, "firmware", "system start", alone="system start"))
    rows = [*_split(facts, facts.powered, claimed, "firmware", "ramdisk", alone="firmware"), *_reported(facts, reports)]
    rebooted = _done(reports, "reboot")
    if rebooted is not None:
        rows += _split(facts, rebooted, up, "local boot", "system start", alone="local boot")
    return tuple(rows)


def outcome(facts: Facts) -> Outcome:
    """The store's state counts only once this run has reported: before, it speaks of an earlier one."""
    reports = _this_run(facts)
    if facts.state is NodeState.FAILED and any(report.status is Status.FAILED for _, report in reports):
        return Outcome.FAILED
    if facts.state is NodeState.READY and _done(reports, "up") is not None:
        return Outcome.READY
    return Outcome.RUNNING


def reached(facts: Facts, phase: str, status: Status = Status.STARTED, *, percent: float = 0) -> bool:
    """Whether this run has come to ``phase`` and ``percent`` into it (``STARTED``), or through it (``DONE``)."""
    row = next((row for row in table(facts) if row.phase == phase), None)
    if row is None or row.status is Status.DONE:
        return row is not None
    return status is not Status.DONE and (row.percent or 0) >= percent


def total(rows: Sequence[Row]) -> float:
    """Seconds from power-on to the end of the last phase."""
    return rows[-1].began + rows[-1].seconds - rows[0].began if rows else 0.0


def _this_run(facts: Facts) -> tuple[tuple[float, Report], ...]:
    return tuple((time, report) for time, report in facts.reports if time >= facts.powered)


def _done(reports: tuple[tuple[float, Report], ...], phase: str) -> float | None:
    times = (time for time, report in reports if (report.phase, report.status) == (phase, Status.DONE))
    return max(times, default=None)


def _split(facts: Facts, begin: float, end: float | None, first: str, second: str, *, alone: str) -> list[Row]:
    """What lies on both sides of a kernel's first line. One row, called ``alone``, when the kernel keeps quiet."""
    status = Status.STARTED if end is None else Status.DONE
    until = facts.now if end is None else end
    kernel = min((time for time in facts.kernels if begin <= time <= until), default=None)
    if kernel is None:
        return [Row(alone, begin, until - begin, status)]
    return [Row(first, begin, kernel - begin, Status.DONE), Row(second, kernel, until - kernel, status)]


def _reported(facts: Facts, reports: tuple[tuple[float, Report], ...]) -> list[Row]:
    rows: dict[str, Row] = {}
    for time, report in reports:
        if report.phase not in INSTALL:
            continue
        row = rows.get(report.phase) or Row(report.phase, time, 0.0, report.status)
        rows[report.phase] = evolve(
            row, seconds=time - row.began, status=report.status, message=report.message,
            percent=row.percent if report.percent is None else report.percent,
        )  # fmt: skip
    return [
        row if row.status in (Status.DONE, Status.FAILED) else evolve(row, seconds=facts.now - row.began)
        for row in rows.values()
    ]
