"""What a node says of each phase of an install, an update and its start: the lines of its log."""

from enum import Enum

from attrs import frozen


class Status(Enum):
    """How a phase stands."""

    STARTED = "started"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"


@frozen
class Report:
    """One line of a node's install log. ``uptime`` is the machine's, in seconds: our clock may not be theirs.

    ``percent`` counts within the phase, 0 to 100.
    """

    phase: str
    status: Status
    uptime: float
    message: str = ""
    percent: float | None = None
