"""How far somebody has read in a table whose rows are numbered as they are written. Pure."""

from collections.abc import Collection
from typing import Final

from attrs import frozen

from imaged.model.errors import BadInput

_LOOKS: Final = 10  # readings in which a number that was passed over is still looked for
_MOST_MISSING: Final = 100  # of them, the highest ones; below are rows that were deleted


@frozen
class Place:
    """``last`` is the highest number that was read; ``missing`` are lower ones that were not there, each with the
    readings that it is still looked for: PostgreSQL numbers a row before its transaction ends, so that a higher number
    may be seen first, and numbers of transactions that failed never come."""

    last: int
    missing: tuple[tuple[int, int], ...] = ()

    @property
    def wanted(self) -> tuple[int, ...]:
        """The numbers below ``last`` that a reading also asks for."""
        return tuple(number for number, _ in self.missing)

    def after(self, seen: Collection[int], *, ordered: bool) -> "Place":
        """After one more reading. ``ordered``: numbers are in the order of commits, so nothing comes late."""
        last = max((self.last, *seen))
        if ordered:
            return Place(last)
        new = range(max(self.last + 1, last - _MOST_MISSING), last)
        looked_for = [*((number, looks - 1) for number, looks in self.missing), *((number, _LOOKS) for number in new)]
        found = frozenset(seen)
        left = [(number, looks) for number, looks in looked_for if looks and number not in found]
        return Place(last, tuple(left[-_MOST_MISSING:]))


@frozen
class Bookmark:
    """How far a listener has heard: of events, and of reports. As text it is what a listener goes on from."""

    events: Place
    reports: Place

    @classmethod
    def parse(cls, text: str) -> "Bookmark":
        """Raises BadInput."""
        parts = text.split("-")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
            raise BadInput(f"{text[:40]!r} is no place in the feed", hint="It is two numbers, such as 120-4711.")
        return cls(Place(int(parts[0])), Place(int(parts[1])))

    def __str__(self) -> str:
        return f"{self.events.last}-{self.reports.last}"
