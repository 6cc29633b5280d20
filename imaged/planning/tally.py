"""What is counted of installs, updates and leases for Prometheus. Objects with state, yet pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network
from typing import Final

from imaged.model.lease import Lease
from imaged.model.outcome import Outcome
from imaged.model.report import Report, Status
from imaged.planning.course import BOOT, INSTALL, UP, UPDATE, Track, told

_PHASE_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0)
_WHOLE_BOUNDS: Final = (30.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 3600.0)


class Histogram:
    """Counts of values by the first of ``bounds`` that is not below them."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, how many are not above it), as Prometheus wants them."""
        total, found = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Tally:
    """Counts since the daemon was started. ``phases`` by (``install`` or ``update``, phase), ``whole`` by the first."""

    def __init__(self) -> None:
        self.phases: dict[tuple[str, str], Histogram] = {}
        self.whole = Histogram(_WHOLE_BOUNDS)  # of installs, from the claim to the system's own word
        self.installs: Counter[str] = Counter(ready=0, failed=0)
        self.updates: Counter[str] = Counter(dict.fromkeys((each.value for each in Outcome), 0))
        self._tracks: dict[str, Track] = {}

    def reported(self, node: str, time: float, report: Report) -> None:
        """A node has said something. A phase counts when it is done, the way to its own disk when it is up."""
        before = self._tracks.get(node)
        after = told(before, time, report)
        if after:
            self._tracks[node] = after
        else:
            self._tracks.pop(node, None)
        installs = before is not None and before.order == tuple(INSTALL)
        if report.phase == UP and before and installs and before.over:
            self._took("install", BOOT, time - before.last)
            self.whole.add(time - before.began)
            self.installs["ready"] += 1
        elif report.status is Status.DONE and after and before and before.phase == report.phase and not before.over:
            kind, phases = ("install", INSTALL) if installs else ("update", UPDATE)
            if report.phase in phases:
                self._took(kind, report.phase, time - after.entered)
        elif report.status is Status.FAILED and installs:
            self.installs["failed"] += 1
            del self._tracks[node]  # said again, it is the same failure

    def updated(self, outcome: Outcome) -> None:
        """An update has ended."""
        self.updates[outcome.value] += 1

    def _took(self, kind: str, phase: str, seconds: float) -> None:
        self.phases.setdefault((kind, phase), Histogram(_PHASE_BOUNDS)).add(max(0.0, seconds))


def leases_by_subnet(leases: Iterable[Lease], subnets: Sequence[IPv4Network], now: float) -> Counter[tuple[str, str]]:
    """How many by (subnet, state). Those that are over are ``expired``; one of no subnet (any more) is of ``other``."""
    counts: Counter[tuple[str, str]] = Counter()
    for lease in leases:
        subnet = next((str(network) for network in subnets if lease.address in network), "other")
        counts[subnet, lease.state.value if lease.expires > now else "expired"] += 1
    return counts
