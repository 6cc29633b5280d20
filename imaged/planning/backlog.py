"""Packets that wait to be served: who is served first, and who is not served, when more come than can be served."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """Machines that go on come before machines that begin: an offer that nobody has time to confirm was for nothing.

    Of each the oldest are given up, when there are more than ``most`` or when it waits longer than ``patience``
    (seconds): such a client has asked again by then, and the answer that it waits for is to that.
    """

    def __init__(self, most: int, patience: float) -> None:
        self._patience = patience
        self._going_on: deque[tuple[float, T]] = deque(maxlen=most)
        self._beginning: deque[tuple[float, T]] = deque(maxlen=most)
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._going_on) + len(self._beginning)

    def add(self, item: T, now: float, *, begins: bool) -> None:
        """``now`` in seconds, by whatever clock."""
        queue = self._beginning if begins else self._going_on
        self.given_up += len(queue) == queue.maxlen
        queue.append((now, item))

    def take(self, now: float) -> T | None:
        """The next one, None when there is none."""
        for queue in (self._going_on, self._beginning):
            while queue:
                since, item = queue.popleft()
                if now - since <= self._patience:
                    return item
                self.given_up += 1
        return None
