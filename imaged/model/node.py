"""A node, what it shall do at its next network boot, and the states it goes through."""

from enum import Enum
from ipaddress import IPv4Address

from attrs import field, frozen

from imaged.model.errors import Conflict
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.setup import DEFAULTS, UNSAID, Setup


class BootAction(Enum):
    """What a node's next network boot does. ``kernel`` and ``ipxe`` are somebody's own (``model.next_boot``)."""

    INSTALL = "install"
    LOCAL = "local"
    RESCUE = "rescue"
    MEMTEST = "memtest"
    KERNEL = "kernel"
    IPXE = "ipxe"
    INVENTORY = "inventory"


class NodeState(Enum):
    """Where a node is in its life."""

    DEFINED = "defined"
    INSTALLING = "installing"
    INSTALLED = "installed"
    READY = "ready"
    FAILED = "failed"


class NodeEvent(Enum):
    """What moves a node from state to state."""

    CLAIMED = "claimed"  # the agent in the ramdisk proved itself with a boot token
    INSTALLED = "installed"  # the agent carried out the whole plan
    FAILED = "failed"  # a step failed; the node waits in the ramdisk
    UP = "up"  # the installed system reported from its own disk


_S, _E = NodeState, NodeEvent
TRANSITIONS: dict[tuple[NodeState, NodeEvent], NodeState] = {
    **{(state, _E.CLAIMED): _S.INSTALLING for state in _S},
    (_S.INSTALLING, _E.INSTALLED): _S.INSTALLED,
    (_S.INSTALLING, _E.FAILED): _S.FAILED,
    (_S.FAILED, _E.FAILED): _S.FAILED,
    (_S.INSTALLED, _E.UP): _S.READY,
    (_S.READY, _E.UP): _S.READY,
    (_S.FAILED, _E.UP): _S.FAILED,  # an old system came up after a failed re-install: the failure stands
}


def next_state(state: NodeState, event: NodeEvent) -> NodeState:
    """The state after ``event``. Raises Conflict for an event that cannot happen in ``state``."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Conflict(f"a node that is {state.value} cannot report {event.value!r}") from None


@frozen
class Definition:
    """What a person said of a node. What its ``setup`` leaves empty comes from its groups, else from the defaults.

    ``groups`` in any order; as the database tells it, in the order in which they are applied, the winner last.
    """

    name: str
    macs: tuple[Mac, ...]
    setup: Setup = UNSAID
    uuid: str = ""
    address: IPv4Address | None = None
    groups: tuple[str, ...] = ()


@frozen
class Node:
    """One machine that we provision, with all that holds for it, wherever that was said.

    It is known by any of its MACs or by its SMBIOS UUID, never by address. An empty ``image``: nobody said one.
    ``secure_boot`` is as the agent last found it; None: it was never there. ``groups`` in the order in which they are
    applied, the winner last.
    """

    name: str
    macs: tuple[Mac, ...]
    image: ImageRef
    layout: str = DEFAULTS.layout
    uuid: str = ""
    address: IPv4Address | None = None
    console: str = ""
    action: BootAction = BootAction.INSTALL
    state: NodeState = NodeState.DEFINED
    reason: str = ""
    secure_boot: bool | None = None
    variables: dict[str, str] = field(factory=dict, hash=False)
    groups: tuple[str, ...] = ()

    @property
    def left_alone(self) -> bool:
        """Whether it boots from its own disks, perhaps because nobody said what to install."""
        return self.action is BootAction.LOCAL or (self.action is BootAction.INSTALL and not self.image)
