"""What an administrator wants of one install beside its plan: where it waits for a person, and how it ends."""

import re
from collections.abc import Iterable
from enum import Enum

from attrs import frozen

from imaged.model.errors import BadInput

# Not claim: only with its answer does the agent learn of breakpoints.
BREAKABLE = (
    "inventory", "plan", "pre-install", "wipe", "partition", "mkfs", "mount", "transfer", "fixups", "post-install",
    "bootloader", "verify", "unmount", "reboot",
)  # fmt: skip


class Then(Enum):
    """How an install ends. ``kexec`` starts the new system's kernel past the firmware; ``beep`` and ``shell`` stay in
    the ramdisk until a person comes."""

    REBOOT = "reboot"
    KEXEC = "kexec"
    SHUTDOWN = "shutdown"
    BEEP = "beep"
    SHELL = "shell"


@frozen
class Break:
    """A breakpoint ``before`` or after a phase."""

    phase: str
    before: bool = True

    @classmethod
    def parse(cls, text: str) -> "Break":
        """Read ``PHASE``, ``PHASE:before`` or ``PHASE:after``. Raises BadInput."""
        phase, _, side = text.partition(":")
        if phase not in BREAKABLE:
            raise BadInput(f"{text[:40]!r}: no phase to wait at", hint=f"Phases are {', '.join(BREAKABLE)}.")
        if side not in ("", "before", "after"):
            raise BadInput(f"{text[:40]!r}: neither before nor after", hint=f"Write it like {phase}:after.")
        if (phase, side) == ("reboot", "after"):
            raise BadInput("after the reboot the installer is gone", hint="--then shell stays in it.")
        return cls(phase, side != "after")

    def __str__(self) -> str:
        return f"{self.phase}:{'before' if self.before else 'after'}"


@frozen
class Wishes:
    """Kept with a node until its next install is through. ``plan``: hash of the only plan that may be carried out."""

    breaks: tuple[Break, ...] = ()
    then: Then = Then.REBOOT
    plan: str = ""

    def at(self, phase: str, *, before: bool) -> bool:
        """Whether to wait there."""
        return Break(phase, before) in self.breaks


def parse_plan(text: str) -> str:
    """The hash of a plan as `imaged plan` prints it, or empty. Raises BadInput."""
    if text and not re.fullmatch(r"[0-9a-f]{16}", text):
        hint = "`imaged plan NODE` prints it: 16 hex digits."
        raise BadInput(f"{text[:40]!r} is not the hash of a plan", where="--plan", hint=hint)
    return text


def parse_breaks(texts: Iterable[str]) -> tuple[Break, ...]:
    """Each may name several, with commas between. Raises BadInput."""
    return tuple(dict.fromkeys(Break.parse(word) for text in texts for word in text.split(",") if word))
