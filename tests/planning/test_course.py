"""Reports and a node's life become one line for people: where it is, how far, how fast, how long, what is wrong."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.life import Life
from imaged.model.node import BootAction, NodeState
from imaged.model.outcome import Outcome
from imaged.model.report import Report, Status
from imaged.planning.course import INSTALL, UPDATE, Course, Standing, course, spoken, told

S = Status
INSTALLING = Life("n1", NodeState.INSTALLING, BootAction.INSTALL, installing="c@3", last_seen=100.0)
READY = Life("n1", NodeState.READY, installed="c@3", last_seen=100.0)
MIB = 2**20


def track(*reports):
    """(time, phase, status, percent or message)."""
    found = None
    for time, phase, status, *more in reports:
        detail = {"percent" if isinstance(each, int | float) else "message": each for each in more}
        found = told(found, time, Report(phase, status, 0.0, **detail))
    return found


def seen(life, time):
    return evolve(life, last_seen=float(time))


CLAIMED = (10, "claim", S.STARTED), (11, "claim", S.DONE)
AT_40 = (*CLAIMED, (20, "transfer", S.STARTED), (30, "transfer", S.PROGRESS, 20), (40, "transfer", S.PROGRESS, 40))


@pytest.mark.parametrize(
    ("life", "reports", "now", "expected"),
    [
        (Life("n1", NodeState.DEFINED), (), 100, (Standing.DEFINED, "", None, None, "")),
        (Life("n1", NodeState.DEFINED, last_seen=90.0), (), 100,
         (Standing.DEFINED, "", None, None, "has asked for an address")),
        (READY, (), 100, (Standing.READY, "", None, None, "")),
        (evolve(READY, action=BootAction.RESCUE), (), 100, (Standing.READY, "", None, None, "next boot: rescue")),
        (INSTALLING, (), 100, (Standing.INSTALLING, "claim", 0.0, None, "c@3")),
        (seen(INSTALLING, 11), CLAIMED, 12, (Standing.INSTALLING, "claim", 0.7, 142.0, "c@3")),
        # 60 % of the transfer at 2 % a second, then 70 s of other phases.
        (seen(INSTALLING, 40), AT_40, 41, (Standing.INSTALLING, "transfer", 25.9, 100.0, "c@3")),
        (seen(INSTALLING, 90), (*AT_40, (50, "transfer", S.DONE), (51, "fixups", S.STARTED)), 53,
         (Standing.INSTALLING, "fixups", 51.0, 68.0, "c@3")),
        (seen(INSTALLING, 90), (*AT_40, (50, "queue", S.PROGRESS, "waits for a slot")), 91,
         (Standing.INSTALLING, "transfer", 25.9, None, "waits for a slot")),
        (seen(INSTALLING, 50), (*CLAIMED, (20, "mkfs", S.PROGRESS, "waits before mkfs")), 3000,
         (Standing.WAITING, "mkfs", 6.3, None, "waits before mkfs")),
        (seen(INSTALLING, 50), (*CLAIMED, (20, "mkfs", S.PROGRESS, "waits"), (30, "mkfs", S.STARTED)), 51,
         (Standing.INSTALLING, "mkfs", 6.3, 131.0, "c@3")),
        (seen(INSTALLING, 40), AT_40, 140, (Standing.STALLED, "transfer", 25.9, None, "nothing heard for 100 s")),
        (seen(INSTALLING, 340), (*AT_40, (341, "transfer", S.PROGRESS, 40)), 345,
         (Standing.STALLED, "transfer", 25.9, None, "at 40 % of the transfer for 5 min")),
        (seen(INSTALLING, 340), (*AT_40, (50, "queue", S.PROGRESS, "waits"), (341, "transfer", S.PROGRESS, 40)), 345,
         (Standing.INSTALLING, "transfer", 25.9, None, "waits")),
        (seen(INSTALLING, 100), (*CLAIMED, (100, "fixups", S.STARTED)), 700,
         (Standing.INSTALLING, "fixups", 51.0, 55.0, "c@3")),
        (seen(INSTALLING, 100), (*CLAIMED, (100, "fixups", S.STARTED)), 1001,
         (Standing.STALLED, "fixups", 51.0, None, "nothing heard for 15 min")),
        (evolve(INSTALLING, state=NodeState.FAILED, reason="mkfs: no"), (*CLAIMED, (20, "mkfs", S.FAILED, "no")), 9999,
         (Standing.FAILED, "mkfs", 6.3, None, "mkfs: no")),
        (Life("n1", NodeState.INSTALLED, last_seen=90.0), (*CLAIMED, (90, "reboot", S.DONE)), 100,
         (Standing.BOOTING, "boot", 72.0, 30.0, "starts from its own disk")),
        (Life("n1", NodeState.INSTALLED, last_seen=90.0), (*CLAIMED, (90, "reboot", S.DONE)), 1300,
         (Standing.STALLED, "boot", 72.0, None, "has not come up from its own disk")),
        (evolve(READY, updating="c@4"), (), 101, (Standing.UPDATING, "compare", 0.0, None, "to c@4")),
        (evolve(READY, updating="c@4"), ((90, "fetch", S.STARTED), (91, "fetch", S.PROGRESS, 50)), 101,
         (Standing.UPDATING, "fetch", 33.3, 29.0, "to c@4")),
        (evolve(READY, updating="c@4"), ((90, "fetch", S.STARTED),), 1001,
         (Standing.STALLED, "fetch", 11.1, None, "nothing heard for 15 min")),
        (evolve(READY, outcome=Outcome.REFUSED, message="2000 paths"), (), 100,
         (Standing.FAILED, "", None, None, "update refused: 2000 paths")),
        (evolve(READY, outcome=Outcome.FAILED), (), 100,
         (Standing.FAILED, "", None, None, "update failed: the node gave no reason")),
        (evolve(READY, outcome=Outcome.DONE), (), 100, (Standing.READY, "", None, None, "")),
    ],
)  # fmt: skip
def test_what_people_see(life, reports, now, expected):
    found = course(life, track(*reports), now)
    percent = round(found.percent, 1) if found.percent is not None else None
    assert (found.standing, found.phase, percent, found.left, found.message) == expected


def test_speed_is_of_the_last_seconds():
    slow = [(20 + 2 * n, "transfer", S.PROGRESS, n) for n in range(1, 20)]
    fast = [(58 + 2 * n, "transfer", S.PROGRESS, 19 + 4 * n) for n in range(1, 10)]
    reports = (*CLAIMED, (20, "transfer", S.STARTED), *slow, *fast)
    found = course(seen(INSTALLING, 76), track(*reports), 77, size=100 * MIB)
    assert found.speed == 2 * MIB
    assert len(track(*reports).samples) <= 10
    assert course(seen(INSTALLING, 76), track(*reports), 100, size=100 * MIB).speed is None


def test_seen():
    assert course(READY, None, 130.0).seen == 30.0
    assert course(READY, None, 90.0).seen == 0.0  # clocks of two servers


def test_a_claim_begins_anew_and_up_ends():
    again = (*AT_40, (500, "claim", S.STARTED))
    assert (track(*again).began, track(*again).percent) == (500, 0.0)
    assert track(*AT_40, (60, "up", S.DONE)) is None
    assert track((5, "queue", S.PROGRESS, "waits")) is None


def test_the_next_update_is_another_one():
    first = track((10, "fetch", S.STARTED), (20, "apply", S.DONE))
    assert told(first, 500, Report("compare", S.STARTED, 0.0)).began == 500
    assert told(first, 500, Report("bootloader", S.STARTED, 0.0)).began == 10


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_spoken(seconds, words):
    assert spoken(seconds) == words


REPORTS = st.builds(
    Report,
    st.sampled_from([*INSTALL, *UPDATE, "up", "queue", "anything"]),
    st.sampled_from(Status),
    st.floats(0, 1e6),
    st.text(max_size=5),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(
    st.lists(st.tuples(st.floats(0, 1e9), REPORTS)),
    st.sampled_from(NodeState),
    st.sampled_from(["", "c@4"]),
    st.none() | st.floats(0, 1e9),
    st.floats(0, 1e9),
)
def test_whatever_nodes_say_there_is_a_line(reports, state, updating, last_seen, now):
    found = None
    for time, report in reports:
        found = told(found, time, report)
    life = Life("n1", state, updating=updating, last_seen=last_seen)
    seen = course(life, found, now, size=10**9)
    assert isinstance(seen, Course)
    assert seen.percent is None or 0 <= seen.percent <= 100
    assert seen.left is None or seen.left >= 0
    assert seen.speed is None or seen.speed >= 0
