"""A node, what it shall do at its next network boot, and the states it goes through."""

from enum import Enum
from ipaddress import IPv4Address

from attrs import frozen

from imaged.model.errors import Conflict
from imaged.model.names import ImageRef
from imaged.model.net import Mac


class BootAction(Enum):
    """What a node's next network boot does."""

    INSTALL = "install"
    LOCAL = "local"
    RESCUE = "rescue"


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
class Node:
    """One machine that we provision. It is known by any of its MACs or by its SMBIOS UUID, never by address.

    ``secure_boot`` is as the agent last found it; None: it was never there.
    """

    name: str
    macs: tuple[Mac, ...]
    image: ImageRef
    layout: str = "one-disk"
    uuid: str = ""
    address: IPv4Address | None = None
    console: str = ""
    action: BootAction = BootAction.INSTALL
    state: NodeState = NodeState.DEFINED
    reason: str = ""
    secure_boot: bool | None = None
