"""The queue in front of a limited number of slots. Knows nothing of sockets or processes.

Whoever has the fewest slots already goes next, then whoever came first: a node that opens many connections waits
behind nodes that have none.
"""

from collections import Counter
from collections.abc import Callable


class Ticket:
    """One place in the queue. ``admitted`` is called, once, when a slot is free; until then the holder waits."""

    def __init__(self, node: str, admitted: Callable[[], None]) -> None:
        self.node = node
        self.admitted = admitted


class Turnstile:
    """Lets at most ``slots`` tickets be inside at once."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._waiting: dict[Ticket, None] = {}  # in order of arrival
        self._inside: set[Ticket] = set()
        self._of_node: Counter[str] = Counter()
        self._admitting = False

    @property
    def waiting(self) -> tuple[str, ...]:
        """The nodes that wait, first come first."""
        return tuple(ticket.node for ticket in self._waiting)

    @property
    def inside(self) -> tuple[str, ...]:
        """The nodes that have a slot."""
        return tuple(ticket.node for ticket in self._inside)

    def enter(self, ticket: Ticket) -> int:
        """Queue up. Returns the position, counted from 1; 0 if the ticket was admitted at once."""
        self._waiting[ticket] = None
        self._admit()
        return list(self._waiting).index(ticket) + 1 if ticket in self._waiting else 0

    def leave(self, ticket: Ticket) -> None:
        """Give up the slot or the place in the queue. Leaving twice does nothing."""
        self._waiting.pop(ticket, None)
        if ticket in self._inside:
            self._inside.remove(ticket)
            self._of_node[ticket.node] -= 1
            if not self._of_node[ticket.node]:
                del self._of_node[ticket.node]
            self._admit()

    def _admit(self) -> None:
        if self._admitting:  # an admitted ticket left at once: the loop below goes on by itself
            return
        self._admitting = True
        try:
            while self._waiting and len(self._inside) < self._slots:
                ticket = min(self._waiting, key=lambda waiting: self._of_node[waiting.node])
                del self._waiting[ticket]
                self._inside.add(ticket)
                self._of_node[ticket.node] += 1
                ticket.admitted()
        finally:
            self._admitting = False
