"""What becomes of a working copy when its editor leaves it. Pure."""

from enum import Enum

from attrs import frozen


class After(Enum):
    """What is done with a working copy. ``ask``: a person at a terminal says which of the others."""

    SEAL = "seal"
    KEEP = "keep"
    DISCARD = "discard"
    ASK = "ask"


@frozen
class Leaving:
    """What is done, and what a person is told about it if it is not what was asked for."""

    after: After
    reason: str = ""


def leave(wished: After, *, code: int, changed: bool, terminal: bool, force: bool = False) -> Leaving:
    """``wished`` is what the command line says, ``ask`` where it says nothing; ``code`` is how the command ended.

    Nothing is sealed unasked, and nothing after a command that failed, unless by ``force``. Work is never lost unasked.
    """
    if not changed and wished is not After.KEEP:
        return Leaving(After.DISCARD, "nothing is different, so there is nothing to seal or keep")
    if wished is After.SEAL and code and not force:
        return Leaving(After.KEEP, f"the command ended with {code}, so nothing is sealed")
    if wished is After.ASK and not terminal:
        return Leaving(After.KEEP, "nothing was said about sealing")
    return Leaving(wished)
