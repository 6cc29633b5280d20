"""A node's life in the few values that the monitor needs: where it is, what it has, what it is getting."""

from attrs import frozen

from imaged.model.node import BootAction, NodeState
from imaged.model.outcome import Outcome


@frozen
class Life:
    """``image`` is what its definition names, ``installed`` what it has, ``installing`` and ``updating`` what is on its
    way (``compute@4``; empty: nothing). ``outcome`` and ``message`` are of the last update, ``drift`` counts paths.

    ``last_seen``: seconds since the epoch, of its last report or of its last network boot.
    """

    node: str
    state: NodeState
    action: BootAction = BootAction.LOCAL
    reason: str = ""
    image: str = ""
    installed: str = ""
    installing: str = ""
    updating: str = ""
    outcome: Outcome | None = None
    message: str = ""
    drift: int | None = None
    last_seen: float | None = None
    stalled: str = ""
