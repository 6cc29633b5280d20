"""What is asked before something is done to nodes, and what is said afterwards. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from attrs import frozen

from imaged.model.access import Role
from imaged.model.life import Life
from imaged.planning.course import Course, Standing
from imaged.web import words
from imaged.web.overview import Line, line

LISTED: Final = 50  # nodes that are shown one by one
PLANNED: Final = 8  # nodes for which a plan is made before anybody has said yes


class Deed(Enum):
    """What may be done to nodes from the page."""

    INSTALL = "install"
    LOCAL = "local"
    RESCUE = "rescue"
    INVENTORY = "inventory"
    MEMTEST = "memtest"
    ON = "power-on"
    OFF = "power-off"
    CYCLE = "power-cycle"
    REMOVE = "remove"


@frozen
class Wording:
    """How a deed is spoken of. ``yes`` is what is ticked where something is lost, ``done`` follows the nodes' names."""

    title: str
    what: str
    done: str
    yes: str = ""
    role: Role = Role.OPERATOR


_NEXT = "at the next network boot"
WORDINGS: Final = {
    Deed.INSTALL: Wording(
        "Install", f"Wiped and installed {_NEXT}.", f"will be installed {_NEXT}", "wipe and install",
    ),
    Deed.LOCAL: Wording(
        "Boot from own disk",
        "The next network boot goes on to the own disk. An install that is under way goes on.",
        "will boot from the own disk",
    ),
    Deed.RESCUE: Wording(
        "Rescue", "The next network boot starts the rescue system; nothing is written to disks.",
        f"will start the rescue system {_NEXT}",
    ),
    Deed.INVENTORY: Wording(
        "Ask for the hardware",
        "The next network boot tells the hardware, then goes on to the own disk. Nothing is written.",
        f"will tell the hardware {_NEXT}",
    ),
    Deed.MEMTEST: Wording(
        "Test the memory", "The next network boot starts Memtest86+, which goes on until somebody ends it.",
        f"will test the memory {_NEXT}",
    ),
    Deed.ON: Wording(
        "Power on", "Switched on by the BMC, or woken by a magic packet where there is none.", "being switched on",
    ),
    Deed.OFF: Wording("Power off", "The BMC cuts the power at once.", "being switched off", "cut the power of"),
    Deed.CYCLE: Wording(
        "Power cycle", "The BMC cuts the power and switches on again.", "being switched off and on again",
        "cut the power of",
    ),
    Deed.REMOVE: Wording(
        "Forget",
        "Definitions, reports, overrides and kept identities are gone; keys of encrypted disks stay. Nothing "
        "happens on the machines: they wait for a name when they network-boot again.",
        "forgotten", "forget", Role.ADMIN,
    ),
}  # fmt: skip


SWITCHED: Final = (Deed.ON, Deed.OFF, Deed.CYCLE)


@frozen
class Outlook:
    """What an install of a node would do. ``lost`` and ``kept`` are disks; ``problem``: why it cannot be planned.

    ``known``: whether the node's hardware is.
    """

    node: str
    known: bool = True
    lost: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    hash: str = ""
    problem: str = ""


@frozen
class Question:
    """The page. ``names`` is every node, folded. ``standings`` counts them; ``running`` are those that are in use.

    ``powers``: the power can be switched with it.
    """

    deed: str
    wording: Wording
    powers: bool
    names: str
    total: int
    lines: tuple[Line, ...]
    standings: tuple[tuple[str, int], ...]
    running: int
    gets: tuple[tuple[str, str, int], ...]
    outlooks: tuple[Outlook, ...]
    back: str

    @property
    def more(self) -> int:
        """Nodes that have no line."""
        return self.total - len(self.lines)

    @property
    def plan(self) -> str:
        """The hash of the plan, where one node is meant and there is one."""
        return self.outlooks[0].hash if self.total == 1 and self.outlooks else ""

    @property
    def blocks(self) -> tuple[()]:
        """Nothing of it changes while somebody reads it."""
        return ()


def question(
    deed: Deed, names: str, nodes: Sequence[tuple[Life, Course]], *, gets: Mapping[tuple[str, str], int],
    outlooks: Sequence[Outlook], back: str,
) -> Question:  # fmt: skip
    """``gets``: an image as it is named and the version that it means now, with the count of nodes."""
    counts = Counter(course.standing for _, course in nodes)
    running = counts[Standing.READY] + counts[Standing.UPDATING]
    return Question(
        deed.value, WORDINGS[deed], deed is Deed.INSTALL, names, len(nodes),
        tuple(line(life, course) for life, course in nodes[:LISTED]),
        tuple((each.value, counts[each]) for each in Standing if counts[each]), running,
        tuple((image, meant, count) for (image, meant), count in sorted(gets.items())), tuple(outlooks), back,
    )  # fmt: skip


def told(deed: Deed, names: str, total: int, *, now: bool = False) -> str:
    """Said once it is done: ``node[01-64] will be installed``. How switching the power ends is in the history.

    ``now``: an install that begins by that.
    """
    shown = names if len(names) <= 60 else words.count(total, "node")
    if now or deed in SWITCHED:
        return f"{shown}: {'installed now' if now else WORDINGS[deed].done}. The history says how that went."
    return f"{shown} {WORDINGS[deed].done}."
