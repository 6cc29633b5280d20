"""How late the event loop is: what holds it up delays every answer of the daemon."""

from typing import Any, Final

from imaged.planning.tally import Histogram

_PERIOD: Final = 1.0  # seconds
_BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Lag:
    """Asks to be called once a second, and notes by how much that is late."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._call: Any = None
        self.late = Histogram(_BOUNDS)

    def start(self) -> None:
        """Begin."""
        self._call = self._reactor.callLater(_PERIOD, self._called, self._reactor.seconds() + _PERIOD)

    def stop(self) -> None:
        """End."""
        if self._call and self._call.active():
            self._call.cancel()

    def _called(self, due: float) -> None:
        self.late.add(max(0.0, self._reactor.seconds() - due))
        self.start()
