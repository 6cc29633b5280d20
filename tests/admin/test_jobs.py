"""What takes long: begun, told, stopped, forgotten; and whose doing it is."""

import threading
from collections.abc import Iterator

import pytest

from imaged.admin import jobs as module
from imaged.admin.jobs import Jobs, Running, Said
from imaged.model.errors import Conflict, ImagedError, NotFound
from imaged.store.events import speaking_as, who


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs(lambda: 7.0)
    yield made
    made.close()


def ended(jobs: Jobs) -> None:
    """Wait until all have, without stopping them."""
    jobs._threads.shutdown()


def test_what_is_said_on_the_way_and_whose_doing_it_is(jobs: Jobs) -> None:
    def act(running: Running) -> None:
        running.say("n1", f"done for {who()}")
        running.say("n2", "no", failed=True)

    with speaking_as("token:ci"):
        job = jobs.begin("power on", "n[1-2]", act)
    assert (job.number, job.who, job.asked) == (1, "token:ci", 7.0)
    ended(jobs)
    done = jobs.get(1)
    assert (done.ended, done.problem) == (7.0, "")
    assert done.said == (Said("n1", "done for token:ci"), Said("n2", "no", failed=True))
    assert jobs.every() == (done,)


def test_what_breaks_off_is_told_and_our_faults_go_to_the_log(jobs: Jobs) -> None:
    faults: list[str] = []
    jobs.on_fault = faults.append

    def refused(_: Running) -> None:
        raise ImagedError("is not there", where="n1")

    def wrong(_: Running) -> None:
        raise ZeroDivisionError

    jobs.begin("one", "n1", refused)
    jobs.begin("two", "n2", wrong)
    ended(jobs)
    assert [job.problem for job in jobs.every()] == ["n1: is not there", "this should not happen: a fault of imaged"]
    assert faults == ["two of n2"]


@pytest.mark.parametrize("early", [True, False], ids=["before it says how", "after"])
def test_one_that_is_stopped_is_told_once_and_ends(jobs: Jobs, early: bool) -> None:
    begun, stopped, ends = threading.Event(), threading.Event(), []

    def act(running: Running) -> None:
        if early:
            begun.set()
            stopped.wait(60)
        over = threading.Event()
        running.can_be_ended(lambda: (ends.append(1), over.set()))
        begun.set()
        over.wait(60)

    jobs.begin("slow", "n1", act)
    begun.wait(60)
    jobs.stop(1)
    stopped.set()
    ended(jobs)
    assert (ends, jobs.get(1).ended) == ([1], 7.0)
    assert jobs.get(1).problem.startswith("it was stopped")


def test_more_than_few_wait_and_at_the_end_none_is_begun(jobs: Jobs) -> None:
    go, done = threading.Event(), []

    def act(running: Running) -> None:
        running.can_be_ended(go.set)
        go.wait(60)
        done.append(running.job.number)

    for _ in range(module._AT_ONCE + 2):
        jobs.begin("slow", "", act)
    jobs.close()
    assert sorted(done) == list(range(1, module._AT_ONCE + 1)), "those that waited are not begun"
    assert all(job.ended is not None and job.problem for job in jobs.every())
    with pytest.raises(Conflict):
        jobs.begin("late", "", act)


def test_old_ones_are_forgotten(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 2)
    turn = threading.Event()
    for _ in range(4):
        turn.clear()
        jobs.begin("quick", "", lambda running: None)
        jobs._threads.submit(turn.set)
        turn.wait(60)
    ended(jobs)
    assert jobs.every()[-1].number == 4
    with pytest.raises(NotFound, match="no job 1"):
        jobs.get(1)
