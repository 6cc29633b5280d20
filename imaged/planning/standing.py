"""How a node stands towards its image, in the few words of a table. Pure."""

import hashlib

from attrs import evolve, frozen

from imaged.model.codec import to_json
from imaged.model.node import BootAction, Node, NodeState
from imaged.model.update import Drift, Outcome, Updated


@frozen
class Planned:
    """The plan of an update that a node was given last: its serial, and short hashes of what it was made from beside
    the version: the node's ``definition``, and the ``layers`` over the image (overrides, protected paths, scripts).

    Serials cannot be compared without making a plan, which takes a look at trees; hashes can.
    """

    serial: str
    definition: str
    layers: str

    def __str__(self) -> str:
        return f"{self.serial} {self.definition} {self.layers}"

    @classmethod
    def read(cls, text: str | None) -> "Planned | None":
        """``str`` of one; None for none, and for what an older release wrote."""
        words = (text or "").split()
        return cls(*words) if len(words) == 3 else None


def planned(serial: str, node: Node, plan_hash: str | None, layers: object) -> Planned:
    """``plan_hash`` is that of the node's install, ``layers`` the generation of what lies over its image."""
    defined = evolve(node, state=NodeState.READY, action=BootAction.LOCAL, reason="")  # these decide nothing in a plan
    return Planned(serial, _short(to_json(defined), plan_hash or ""), _short(repr(layers)))


def in_step(installed: str, wanted: str, last: Updated | None, given: Planned | None, now: Planned) -> str:
    """``installed`` and ``wanted`` are exact versions (``compute@3``), empty: not known. ``last``: its last update.

    ``now`` has the serial that the node is at. What says that something changed may be wrong only about a change that
    makes no difference (a file that was touched): the node's next question tells.
    """
    if not installed:
        return "-"
    if last and last.outcome is not Outcome.DONE:
        return str(last.outcome.value)
    if not wanted:
        return "?"
    if installed != wanted:
        return f"no, {wanted}"
    if last is None or given is None:
        return "installed"
    if given.layers != now.layers:
        return "no, overrides changed"
    if given.definition != now.definition:
        return "no, definition changed"
    return "yes" if given.serial == now.serial else "no, plan changed"


def drifted(drift: Drift | None) -> str:
    """The number of paths that differ; ``-`` for a node that was not looked at since its last update."""
    return str(drift.count) if drift else "-"


def trouble(last: Updated | None) -> str:
    """Why the last update is not done; empty: it is."""
    if last is None or last.outcome is Outcome.DONE:
        return ""
    return f"update to {last.image} {last.outcome.value}: {last.message or 'the node gave no reason'}"


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
