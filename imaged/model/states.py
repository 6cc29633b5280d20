"""State scripts: they run on the server when a node comes to a state, and what they print runs on the node."""

import re

from attrs import field, frozen

from imaged.model.errors import BadInput

_STATE = re.compile(r"[a-z][a-z0-9-]{0,31}")


def state_name(text: str) -> str:
    """A word that is safe as one path component. Raises BadInput."""
    if not _STATE.fullmatch(text):
        hint = "Use 1 to 32 of a-z, 0-9 and '-', beginning with a letter."
        raise BadInput(f"{text[:40]!r} is not the name of a state", hint=hint)
    return text


@frozen
class ScriptEnd:
    """How a script ended on the server: ``fault`` is empty where it went well, ``bytes`` are those that it printed."""

    name: str
    bytes: int = 0
    fault: str = ""


@frozen
class StateRun:
    """One time that a node came to a state. ``run`` is the node's own name for it: it may ask twice.

    ``fault`` is why no script was run at all. ``text`` is what the node shall run, kept until it has told of its end:
    ``code`` is the exit code there, None as long as nothing was heard.
    """

    node: str
    state: str
    run: str
    time: float
    scripts: tuple[ScriptEnd, ...] = ()
    fault: str = ""
    text: str = field(default="", repr=False)  # it may hold secrets
    code: int | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self.code is not None or not self.text

    @property
    def trouble(self) -> str:
        """What did not go well, in a line; empty where all did."""
        there = f"ended with {self.code} on the node" if self.code else ""
        here = [f"{each.name}: {each.fault}" for each in self.scripts if each.fault]
        return "; ".join(word for word in (self.fault, *here, there) if word)
