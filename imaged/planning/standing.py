"""How a node stands towards its image, in the few words of a table. Pure."""

import hashlib

from attrs import frozen

from imaged.model.node import Node
from imaged.model.outcome import Outcome, Updated

# Groups in their order, what was said of their and its own system, and the generation of overrides and scripts.
Over = tuple[tuple[str, ...], tuple[str, ...], str]


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


def planned(serial: str, node: Node, plan_hash: str | None, layers: Over) -> Planned:
    """``plan_hash`` is that of the node's install, ``layers`` what lies over its image."""
    variables = [word for pair in sorted(node.variables.items()) for word in pair]
    # Not its action, state and reason: these decide nothing in a plan. As text, because a list asks for thousands.
    defined = (node.name, str(node.image), node.layout, node.uuid, str(node.address), node.console,
               str(node.secure_boot), *map(str, node.macs), *variables)  # fmt: skip
    return Planned(serial, _short(*defined, plan_hash or ""), _short(repr(layers)))


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


def trouble(last: Updated | None) -> str:
    """Why the last update is not done; empty: it is."""
    if last is None or last.outcome is Outcome.DONE:
        return ""
    return f"update to {last.image} {last.outcome.value}: {last.message or 'the node gave no reason'}"


def _short(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
