"""The states of a node and what moves it."""

from itertools import product

import pytest

from imaged.model.errors import Conflict
from imaged.model.node import NodeEvent, NodeState, next_state

_S, _E = NodeState, NodeEvent
_ALLOWED = {
    (_S.DEFINED, _E.CLAIMED): _S.INSTALLING,
    (_S.INSTALLING, _E.CLAIMED): _S.INSTALLING,
    (_S.INSTALLED, _E.CLAIMED): _S.INSTALLING,
    (_S.READY, _E.CLAIMED): _S.INSTALLING,
    (_S.FAILED, _E.CLAIMED): _S.INSTALLING,
    (_S.INSTALLING, _E.INSTALLED): _S.INSTALLED,
    (_S.INSTALLING, _E.FAILED): _S.FAILED,
    (_S.FAILED, _E.FAILED): _S.FAILED,
    (_S.INSTALLED, _E.UP): _S.READY,
    (_S.READY, _E.UP): _S.READY,
    (_S.FAILED, _E.UP): _S.FAILED,
}


@pytest.mark.parametrize(("state", "event"), list(product(NodeState, NodeEvent)))
def test_every_event_in_every_state(state: NodeState, event: NodeEvent) -> None:
    if (state, event) in _ALLOWED:
        assert next_state(state, event) is _ALLOWED[state, event]
        return
    with pytest.raises(Conflict, match=f"{state.value} cannot report '{event.value}'"):
        next_state(state, event)


def test_an_install_from_first_boot_to_ready() -> None:
    state = NodeState.DEFINED
    for event in (NodeEvent.CLAIMED, NodeEvent.INSTALLED, NodeEvent.UP):
        state = next_state(state, event)
    assert state is NodeState.READY
