"""How many of a kind of event are let through: a token bucket, so that nobody outside can fill the log."""


class Throttle:
    """``rate`` events a second on average, ``burst`` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None
        self._held_back = 0

    def admits(self, now: float) -> bool:
        """Whether one more event may pass at ``now`` (seconds; a clock that is set back costs nothing)."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + self._rate * max(0.0, now - self._at))
        self._at = now
        if self._tokens < 1:
            self._held_back += 1
            return False
        self._tokens -= 1
        return True

    def count_held_back(self) -> int:
        """How many were held back since this was last asked."""
        count, self._held_back = self._held_back, 0
        return count
