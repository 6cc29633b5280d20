"""What is counted: phases by their seconds, installs once, leases by subnet."""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from imaged.model.lease import Lease, LeaseState
from imaged.model.net import Mac
from imaged.model.outcome import Outcome
from imaged.model.report import Report, Status
from imaged.planning.tally import Histogram, Tally, leases_by_subnet

S = Status
MAC = Mac.parse("52:54:00:00:00:01")


def told(*reports):
    tally = Tally()
    for time, phase, status in reports:
        tally.reported("n1", time, Report(phase, status, 0.0))
    return tally


def took(tally):
    return {key: value.sum for key, value in tally.phases.items()}


INSTALL = (
    (10, "claim", S.STARTED), (11, "claim", S.DONE), (12, "transfer", S.STARTED), (40, "transfer", S.PROGRESS),
    (72, "transfer", S.DONE), (72, "transfer", S.DONE), (80, "reboot", S.STARTED), (81, "reboot", S.DONE),
)  # fmt: skip


def test_an_install():
    tally = told(*INSTALL, (111, "up", S.DONE), (500, "up", S.DONE))
    assert took(tally) == {
        ("install", "claim"): 1.0, ("install", "transfer"): 60.0, ("install", "reboot"): 1.0, ("install", "boot"): 30.0
    }  # fmt: skip
    assert (dict(tally.installs), tally.whole.sum) == ({"ready": 1, "failed": 0}, 101.0)


def test_a_failure_that_is_said_twice_and_the_next_install():
    tally = told(*INSTALL[:3], (20, "transfer", S.FAILED), (21, "transfer", S.FAILED), (60, "up", S.DONE), *INSTALL)
    assert dict(tally.installs) == {"ready": 0, "failed": 1}
    assert took(tally)["install", "transfer"] == 60.0


def test_an_update_and_phases_that_are_none():
    tally = told(
        (5, "fetch", S.STARTED), (9, "fetch", S.DONE), (10, "anything", S.STARTED), (11, "anything", S.DONE),
        (12, "apply", S.FAILED),
    )  # fmt: skip
    assert (took(tally), dict(tally.installs)) == ({("update", "fetch"): 4.0}, {"ready": 0, "failed": 0})
    tally.updated(Outcome.REFUSED)
    assert dict(tally.updates) == {"done": 0, "failed": 0, "refused": 1}


def test_leases():
    def lease(last, state, expires):
        return Lease(IPv4Address(f"10.0.{last}"), MAC, state, expires)

    subnets = [IPv4Network("10.0.0.0/24"), IPv4Network("10.0.1.0/24")]
    leases = [
        lease("0.1", LeaseState.BOUND, 200), lease("0.2", LeaseState.BOUND, 100),
        lease("1.1", LeaseState.DECLINED, 200), lease("1.2", LeaseState.DECLINED, 200),
        lease("9.1", LeaseState.OFFERED, 200),
    ]  # fmt: skip
    assert leases_by_subnet(leases, subnets, 150.0) == {
        ("10.0.0.0/24", "bound"): 1, ("10.0.0.0/24", "expired"): 1, ("10.0.1.0/24", "declined"): 2,
        ("other", "offered"): 1,
    }  # fmt: skip


@given(st.lists(st.floats(-10, 1e6)))
def test_a_histogram_counts_each_value_once(values):
    histogram = Histogram([1.0, 10.0, 100.0])
    for value in values:
        histogram.add(value)
    expected = [(str(bound), sum(value <= bound for value in values)) for bound in (1.0, 10.0, 100.0)]
    assert histogram.buckets() == [*expected, ("+Inf", len(values))]
