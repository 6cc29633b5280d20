"""Who has tried to log in too often in vain, and how long they wait. Pure."""

from collections import OrderedDict
from typing import Final

from attrs import frozen

_FREE: Final = 5  # failures that cost nothing
_FIRST: Final = 2.0  # seconds to wait after one more; each further one doubles it
_LONGEST: Final = 300.0
_FORGET: Final = 900.0  # seconds without a failure until all is forgotten
_MOST: Final = 10_000  # that are remembered; the oldest are forgotten


@frozen
class _Failures:
    count: int
    last: float


class Patience:
    """One for everybody who asks, each known by a word: an address."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, who: str, now: float) -> float:
        """Seconds until ``who`` may try again; 0: now."""
        found = self._known.get(who)
        if found is None or found.count < _FREE or now - found.last >= _FORGET:
            return 0.0
        pause = min(_LONGEST, _FIRST * 2.0 ** min(found.count - _FREE, 20))
        return max(0.0, found.last + pause - now)

    def failed(self, who: str, now: float) -> None:
        """One more in vain."""
        found = self._known.pop(who, None)
        count = found.count if found and now - found.last < _FORGET else 0
        self._known[who] = _Failures(count + 1, now)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def succeeded(self, who: str) -> None:
        """What was before is forgiven."""
        self._known.pop(who, None)
