"""Progress waits for the next flush, and for nothing else."""

from imaged.daemon.glimpses import Glimpses
from imaged.model.report import Report, Status


def progress(percent, phase="transfer"):
    return Report(phase, Status.PROGRESS, 0.0, percent=percent)


def test_the_latest_of_each_phase_is_written_once():
    written = []
    glimpses = Glimpses(written.append)
    for node, time, report in [
        ("n1", 1.0, progress(1)),
        ("n2", 1.5, progress(7)),
        ("n1", 2.0, progress(2)),
        ("n1", 2.5, progress(None, "queue")),
    ]:
        assert glimpses.take(node, time, report)
    glimpses.flush()
    glimpses.flush()
    assert written == [[("n1", 2.0, progress(2)), ("n1", 2.5, progress(None, "queue")), ("n2", 1.5, progress(7))]]


def test_what_a_node_says_later_counts():
    written = []
    glimpses = Glimpses(written.append)
    glimpses.take("n1", 1.0, progress(99))
    assert not glimpses.take("n1", 2.0, Report("transfer", Status.DONE, 0.0))
    glimpses.flush()
    assert written == []
