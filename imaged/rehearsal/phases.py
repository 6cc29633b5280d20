"""What is known of a rehearsed machine becomes a table of phases and a verdict. Pure.

Times are seconds since the epoch on this host's clock: the server and the console's reader share it.
"""

from collections.abc import Sequence
from enum import Enum

from attrs import evolve, frozen

from imaged.model.node import NodeState
from imaged.model.report import Report, Status

INSTALL = (
    "claim", "inventory", "plan", "wipe", "partition", "mkfs", "mount", "transfer", "fixups", "bootloader", "verify",
    "unmount", "reboot",
)  # fmt: skip
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
    line was seen on the console; ``ready`` is when we first saw the node in that state.
    """

    node: str
    powered: float
    now: float
    state: NodeState
    reason: str = ""
    reports: tuple[tuple[float, Report], ...] = ()
    kernels: tuple[float, ...] = ()
    ready: float | None = None


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
    claimed = min((time for time, _ in reports), default=None)
    rows = [*_before(facts, claimed), *_reported(reports, facts.now)]
    rebooted = max((time for time, report in reports if report == _end_of_reboot(report)), default=None)
    if rebooted is not None:
        rows += _after(facts, rebooted)
    return tuple(rows)


def outcome(facts: Facts) -> Outcome:
    """The store's state counts only once this run has reported: before, it speaks of an earlier one."""
    reports = _this_run(facts)
    if facts.state is NodeState.FAILED and any(report.status is Status.FAILED for _, report in reports):
        return Outcome.FAILED
    if facts.state is NodeState.READY and any(report == _end_of_reboot(report) for _, report in reports):
        return Outcome.READY
    return Outcome.RUNNING


def reached(facts: Facts, phase: str, status: Status = Status.STARTED) -> bool:
    """Whether this run has come to ``phase`` (``STARTED``), or through it (``DONE``)."""
    wanted = (Status.DONE,) if status is Status.DONE else tuple(Status)
    return any(row.phase == phase and row.status in wanted for row in table(facts))


def total(rows: Sequence[Row]) -> float:
    """Seconds from power-on to the end of the last phase."""
    return rows[-1].began + rows[-1].seconds - rows[0].began if rows else 0.0


def _this_run(facts: Facts) -> tuple[tuple[float, Report], ...]:
    return tuple((time, report) for time, report in facts.reports if time >= facts.powered)


def _end_of_reboot(report: Report) -> Report | None:
    return report if report.phase == "reboot" and report.status is Status.DONE else None


def _before(facts: Facts, claimed: float | None) -> list[Row]:
    """``firmware`` until the kernel speaks, ``ramdisk`` until the agent does; one row when the kernel keeps quiet."""
    end = facts.now if claimed is None else claimed
    kernel = min((time for time in facts.kernels if facts.powered <= time <= end), default=None)
    last = Status.STARTED if claimed is None else Status.DONE
    if kernel is None:
        return [Row("firmware", facts.powered, end - facts.powered, last)]
    return [
        Row("firmware", facts.powered, kernel - facts.powered, Status.DONE),
        Row("ramdisk", kernel, end - kernel, last),
    ]


def _reported(reports: tuple[tuple[float, Report], ...], now: float) -> list[Row]:
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
        row if row.status in (Status.DONE, Status.FAILED) else evolve(row, seconds=now - row.began)
        for row in rows.values()
    ]


def _after(facts: Facts, rebooted: float) -> list[Row]:
    end = facts.now if facts.ready is None else facts.ready
    last = Status.STARTED if facts.ready is None else Status.DONE
    kernel = min((time for time in facts.kernels if rebooted < time <= end), default=None)
    if kernel is None:
        return [Row("local boot", rebooted, end - rebooted, last)]
    return [
        Row("local boot", rebooted, kernel - rebooted, Status.DONE),
        Row("system start", kernel, end - kernel, last),
    ]
