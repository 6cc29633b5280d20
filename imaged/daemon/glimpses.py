"""Reports of progress, written together: a rack that installs tells of it every second, and a commit costs a flush."""

from collections.abc import Callable

from imaged.model.report import Report, Status

Write = Callable[[list[tuple[str, float, Report]]], None]


class Glimpses:
    """The latest of each node since the last ``flush``; all that is lost when the daemon is killed is a percentage."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._latest: dict[str, dict[str, tuple[float, Report]]] = {}

    def take(self, node: str, time: float, report: Report) -> bool:
        """Whether this one waits for ``flush``. Any other report ends what its node said of its progress before."""
        if report.status is Status.PROGRESS:
            self._latest.setdefault(node, {})[report.phase] = time, report
            return True
        self._latest.pop(node, None)
        return False

    def flush(self) -> None:
        """Write what there is."""
        latest, self._latest = self._latest, {}
        if latest:
            self._write([(node, *each) for node, phases in latest.items() for each in phases.values()])
