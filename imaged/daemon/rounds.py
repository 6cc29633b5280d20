"""What the daemon does again and again. A round that fails is logged and comes again."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger


class Rounds:
    """``every`` adds one; nothing happens before ``start``. A round that takes long is not begun twice."""

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._loops: list[tuple[float, LoopingCall]] = []

    def every(self, seconds: float, act: Callable[[], object]) -> None:
        """Call ``act`` that often; it may return a Deferred."""
        loop = LoopingCall(self._guarded, act)
        loop.clock = self._reactor
        self._loops.append((seconds, loop))

    def start(self) -> None:
        """The first round of each comes after its time."""
        for seconds, loop in self._loops:
            loop.start(seconds, now=False)

    def stop(self) -> None:
        """No more rounds."""
        for _, loop in self._loops:
            if loop.running:
                loop.stop()

    def _guarded(self, act: Callable[[], object]) -> Any:
        failed = lambda failure: self._log.failure("a round failed", failure=failure)  # noqa: E731
        return maybeDeferred(act).addErrback(failed)
