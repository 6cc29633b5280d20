"""What takes longer than anybody waits for: begun in threads of its own, told while it runs and for a while after."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from attrs import evolve, frozen

from imaged.model.errors import Conflict, ImagedError, NotFound
from imaged.store.events import speaking_as, who

_AT_ONCE: Final = 4
_KEPT: Final = 200  # jobs; of older ones the events tell
_STOPPED: Final = "it was stopped: what had begun has ended, and nothing more was begun"
_FAULT: Final = "this should not happen: a fault of imaged"


@frozen
class Said:
    """What came of it for a node, or for whatever it is ``about``."""

    about: str
    text: str
    failed: bool = False


@frozen
class Job:
    """``what`` is such as ``power cycle``; ``who`` asked for it. ``said`` grows while it runs, ``ended`` is null then.

    ``problem``: why it did not come to its end; empty where it did, whatever single nodes said. Times in seconds since
    the epoch. The server forgets old jobs, and all of them when it is started again: events tell what was done.
    """

    number: int
    what: str
    about: str
    who: str
    asked: float
    ended: float | None = None
    said: tuple[Said, ...] = ()
    problem: str = ""


class Running:
    """A job, to the function that does it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.stopped = False
        self._end: Callable[[], object] | None = None
        self._turn = threading.Lock()

    def say(self, about: str, text: str, *, failed: bool = False) -> None:
        """More is known."""
        with self._turn:
            self.job = evolve(self.job, said=(*self.job.said, Said(about, text, failed)))

    def can_be_ended(self, end: Callable[[], object]) -> None:
        """From now on, by ``end``, which is called from another thread."""
        with self._turn:
            self._end = end
            stopped = self.stopped
        if stopped:
            end()

    def stop(self) -> None:
        """Begin no more."""
        with self._turn:
            self.stopped, end = True, self._end
        if end:
            end()

    def end(self, now: float, problem: str) -> None:
        """It is over."""
        with self._turn:
            self.job = evolve(self.job, ended=now, problem=problem)


class Jobs:
    """Those of one server. ``on_fault`` is called while an exception that is our bug is handled."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.on_fault: Callable[[str], object] = lambda what: None
        self._clock = clock
        self._known: dict[int, Running] = {}
        self._turn = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="job")

    def begin(self, what: str, about: str, act: Callable[[Running], object]) -> Job:
        """Do it as soon as one of few threads is free, as the doing of whoever asks now. Raises Conflict at the end."""
        with self._turn:
            if self._closed:
                raise Conflict("the server is being stopped")
            number = max(self._known, default=0) + 1
            running = Running(Job(number, what, about, who(), self._clock()))
            self._known[number] = running
            over = [each for each, known in self._known.items() if known.job.ended is not None]
            for each in over[: max(0, len(self._known) - _KEPT)]:
                del self._known[each]
            self._threads.submit(self._run, running, act)
        return running.job

    def every(self) -> tuple[Job, ...]:
        """The latest last."""
        with self._turn:
            return tuple(each.job for each in self._known.values())

    def get(self, number: int) -> Job:
        """Raises NotFound."""
        return self._get(number).job

    def stop(self, number: int) -> Job:
        """What has begun ends, and nothing more begins; of one that is over nothing changes. Raises NotFound."""
        running = self._get(number)
        running.stop()
        return running.job

    def close(self) -> None:
        """Stop all of them, and wait until they have ended."""
        with self._turn:
            self._closed = True
            known = tuple(self._known.values())
        for each in known:
            each.stop()
        self._threads.shutdown()

    def _get(self, number: int) -> Running:
        with self._turn:
            found = self._known.get(number)
        if found is None:
            hint = "The server forgets jobs when it is started again: events tell what was done."
            raise NotFound(f"there is no job {number}", hint=hint)
        return found

    def _run(self, running: Running, act: Callable[[Running], object]) -> None:
        problem = _STOPPED
        with speaking_as(running.job.who):
            try:
                if not running.stopped:
                    act(running)
                    problem = _STOPPED if running.stopped else ""
            except ImagedError as error:
                problem = _STOPPED if running.stopped else str(error)
            except Exception:
                problem = _FAULT
                self.on_fault(f"{running.job.what} of {running.job.about}")
        running.end(self._clock(), problem)
