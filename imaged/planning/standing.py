"""How a node stands towards its image, in the few words of a table. Pure."""

from imaged.model.update import Drift, Outcome, Updated


def in_step(installed: str, wanted: str, last: Updated | None) -> str:
    """``installed`` and ``wanted`` are exact versions (``compute@3``), empty: not known. ``last``: its last update.

    Overrides are not looked at: that a node has the newest of those, only its own question tells.
    """
    if not installed:
        return "-"
    if last and last.outcome is not Outcome.DONE:
        return str(last.outcome.value)
    if not wanted:
        return "?"
    return "yes" if installed == wanted else f"no, {wanted}"


def drifted(drift: Drift | None) -> str:
    """The number of paths that differ; ``-`` for a node that was not looked at since its last update."""
    return str(drift.count) if drift else "-"


def trouble(last: Updated | None) -> str:
    """Why the last update is not done; empty: it is."""
    if last is None or last.outcome is Outcome.DONE:
        return ""
    return f"update to {last.image} {last.outcome.value}: {last.message or 'the node gave no reason'}"
