"""How an update of a running node ended, and what a verification of it found."""

from enum import Enum

from attrs import frozen


class Outcome(Enum):
    """How an update ended. ``refused``: the guard stopped it before the first write."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@frozen
class Updated:
    """A node's report at the end of an update. Counts are of paths; ``reboot`` says that a new kernel waits for one."""

    image: str
    serial: str
    outcome: Outcome
    message: str = ""
    added: int = 0
    changed: int = 0
    deleted: int = 0
    protected: int = 0
    reboot: bool = False


class Owner(Enum):
    """Who a path belongs to, and so who is asked when it drifted. ``local``: nobody but the node itself."""

    IMAGE = "image"
    OVERRIDE = "override"
    FIXUP = "fixup"
    LOCAL = "local"


@frozen
class Difference:
    """One path that is not as it should be: ``what`` lists attributes (``size,sha256``), or ``missing``, ``extra``."""

    path: str
    owner: Owner
    what: str


@frozen
class Drift:
    """A node's comparison with ``image``: the first differences, and ``count``, how many there are in all."""

    image: str
    serial: str
    count: int
    differences: tuple[Difference, ...] = ()
