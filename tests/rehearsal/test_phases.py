"""Reports and console become a table and a verdict."""

import pytest
from attrs import evolve

from imaged.model.node import NodeState
from imaged.model.report import Report, Status
from imaged.rehearsal.phases import INSTALL, PHASES, Facts, Outcome, Row, outcome, reached, table, total

S = Status


def said(time: float, phase: str, status: Status, percent: float | None = None, message: str = "") -> tuple:
    return time, Report(phase, status, uptime=0.0, percent=percent, message=message)


def facts(now: float, *reports: tuple, state: NodeState = NodeState.INSTALLING, **more: object) -> Facts:
    return Facts("node01", powered=100.0, now=now, state=state, reports=reports, **more)  # type: ignore[arg-type]


WHOLE = (
    said(130, "claim", S.STARTED), said(131, "claim", S.DONE),
    said(131, "transfer", S.STARTED), said(140, "transfer", S.PROGRESS, 40), said(150, "transfer", S.DONE, 100),
    said(151, "reboot", S.STARTED), said(152, "reboot", S.DONE),
)  # fmt: skip
UP = said(190, "up", S.DONE)
END = (
    Row("claim", 130, 1, S.DONE),
    Row("transfer", 131, 19, S.DONE, 100),
    Row("reboot", 151, 1, S.DONE),
)

TABLES = [
    ("just switched on", facts(103), (Row("firmware", 100, 3, S.STARTED),)),
    (
        "a kernel speaks",
        facts(110, kernels=(108,)),
        (Row("firmware", 100, 8, S.DONE), Row("ramdisk", 108, 2, S.STARTED)),
    ),
    ("a kernel of the run before does not count", facts(110, kernels=(90,)), (Row("firmware", 100, 10, S.STARTED),)),
    (
        "the agent speaks",
        facts(112, said(111, "claim", S.STARTED), kernels=(108,)),
        (Row("firmware", 100, 8, S.DONE), Row("ramdisk", 108, 3, S.DONE), Row("claim", 111, 1, S.STARTED)),
    ),
    (
        "a quiet kernel",
        facts(112, said(111, "claim", S.STARTED)),
        (Row("firmware", 100, 11, S.DONE), Row("claim", 111, 1, S.STARTED)),
    ),
    (
        "percent within a phase; the clock runs on between reports",
        facts(145, *WHOLE[:4]),
        (Row("firmware", 100, 30, S.DONE), END[0], Row("transfer", 131, 14, S.PROGRESS, 40)),
    ),
    (
        "a failed phase stops its clock and keeps its message",
        facts(300, said(130, "wipe", S.STARTED), said(135, "wipe", S.FAILED, None, "disk is gone")),
        (Row("firmware", 100, 30, S.DONE), Row("wipe", 130, 5, S.FAILED, None, "disk is gone")),
    ),
    (
        "a phase tried again is one row from its first beginning",
        facts(140, said(130, "transfer", S.STARTED), said(132, "transfer", S.FAILED), said(135, "transfer", S.STARTED)),
        (Row("firmware", 100, 30, S.DONE), Row("transfer", 130, 10, S.STARTED)),
    ),
    (
        "rebooted, its network boot is being answered",
        facts(160, *WHOLE, kernels=(110,)),
        (
            Row("firmware", 100, 10, S.DONE), Row("ramdisk", 110, 20, S.DONE), *END,
            Row("local boot", 152, 8, S.STARTED),
        ),
    ),
    (
        "up",
        facts(200, *WHOLE, UP, kernels=(110, 165), state=NodeState.READY),
        (
            Row("firmware", 100, 10, S.DONE), Row("ramdisk", 110, 20, S.DONE), *END,
            Row("local boot", 152, 13, S.DONE), Row("system start", 165, 25, S.DONE),
        ),
    ),
    (
        "an earlier run's reports are not ours",
        evolve(facts(400, *WHOLE), powered=390.0),
        (Row("firmware", 390, 10, S.STARTED),),
    ),
    (
        "installed before: it starts from its disk",
        facts(240, UP, kernels=(110, 165), state=NodeState.READY),
        (Row("firmware", 100, 10, S.DONE), Row("system start", 110, 80, S.DONE)),
    ),
    (
        "installed before, with a quiet kernel",
        facts(240, UP, state=NodeState.READY),
        (Row("system start", 100, 90, S.DONE),),
    ),
    (
        "up, with a quiet kernel",
        facts(240, *WHOLE, UP, state=NodeState.READY),
        (Row("firmware", 100, 30, S.DONE), *END, Row("local boot", 152, 38, S.DONE)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES])
def test_table(given: Facts, expected: tuple[Row, ...]) -> None:
    assert table(given) == expected


FAILURE = (said(130, "claim", S.DONE), said(140, "plan", S.FAILED))
OUTCOMES = [
    (facts(101, state=NodeState.DEFINED), Outcome.RUNNING),
    (facts(150, *WHOLE[:4]), Outcome.RUNNING),
    (facts(160, *WHOLE, state=NodeState.INSTALLED), Outcome.RUNNING),
    (facts(200, *WHOLE, UP, state=NodeState.READY), Outcome.READY),
    (facts(200, UP, state=NodeState.READY), Outcome.READY),
    (facts(150, *FAILURE, state=NodeState.FAILED), Outcome.FAILED),
    # The state of an earlier run, before this one has said anything.
    (facts(101, state=NodeState.READY), Outcome.RUNNING),
    (facts(101, state=NodeState.FAILED), Outcome.RUNNING),
    (evolve(facts(400, *WHOLE, UP, state=NodeState.READY), powered=300.0), Outcome.RUNNING),
    (evolve(facts(400, *FAILURE, state=NodeState.FAILED), powered=300.0), Outcome.RUNNING),
    # An old system came up after a failed install: the store says the failure stands.
    (facts(200, *FAILURE, UP, state=NodeState.FAILED), Outcome.FAILED),
]


@pytest.mark.parametrize(("given", "expected"), OUTCOMES)
def test_outcome(given: Facts, expected: Outcome) -> None:
    assert outcome(given) is expected


REACHED = [
    (facts(140, *WHOLE[:4]), "transfer", S.STARTED, True),
    (facts(140, *WHOLE[:4]), "transfer", S.DONE, False),
    (facts(160, *WHOLE), "transfer", S.DONE, True),
    (facts(160, *WHOLE), "fixups", S.STARTED, False),
    (facts(110, kernels=(108,)), "firmware", S.DONE, True),
    (facts(110, kernels=(108,)), "ramdisk", S.STARTED, True),
    (facts(150, *FAILURE), "plan", S.STARTED, True),
    (facts(150, *FAILURE), "plan", S.DONE, False),
]


@pytest.mark.parametrize(("percent", "expected"), [(0, True), (40, True), (41, False)])
def test_reached_so_far_into_a_phase(percent: float, expected: bool) -> None:
    assert reached(facts(140, *WHOLE[:4]), "transfer", percent=percent) is expected
    assert reached(facts(150, *WHOLE[:5]), "transfer", percent=percent)


@pytest.mark.parametrize(("given", "phase", "status", "expected"), REACHED)
def test_reached(given: Facts, phase: str, status: Status, expected: bool) -> None:
    assert reached(given, phase, status) is expected


def test_total_is_from_power_on_to_the_last_end() -> None:
    assert total(table(facts(200, *WHOLE, UP, kernels=(110, 165), state=NodeState.READY))) == 90
    assert total(()) == 0


def test_phases_are_those_of_an_install_and_what_lies_around_it() -> None:
    assert PHASES[2:-2] == INSTALL
    assert len(set(PHASES)) == len(PHASES)
