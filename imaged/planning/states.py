"""State scripts: who may ask for them when, what they are told, and what becomes of that which they print. Pure."""

import hashlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from imaged.model.errors import Conflict
from imaged.model.node import NodeState
from imaged.model.override import Wanted
from imaged.planning.additions import named

KINDS: Final = "state"  # the directory of their kinds: scripts/state/ready/10all.example

# Which states a node asks for by itself, and what it must be then. Every other one is run by hand.
ASKED: Final[Mapping[str, NodeState]] = {
    "installing": NodeState.INSTALLING,
    "installed": NodeState.INSTALLING,  # all is written and proved, nothing is unmounted yet
    "failed": NodeState.FAILED,
    "ready": NodeState.READY,
    "daily": NodeState.READY,
}
MOST: Final = 1 << 20  # bytes that a script may print

_BEGIN = """\
#!/bin/sh
# What the scripts of state/{state} printed on the server for {node}, in their order.
# Braces, because nothing of it may run before all of it is there.
{{
export IMAGED_STATE={state} IMAGED_NODE={node}
home=$(mktemp -d /run/imaged-XXXXXX 2> /dev/null || mktemp -d) || exit
trap 'rm -rf "$home"' EXIT
failed=0
run() {{
    echo "$1:"
    cat > "$home/script"
    sh "$home/script" < /dev/null && return
    echo "$1 ended with $?"
    failed=1
}}
"""
_END = """\
exit $failed
}
"""


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Those that a node comes to by itself in the order of its life, then the others by name."""
    found = set(names)
    return (*(each for each in ASKED if each in found), *sorted(found - set(ASKED)))


def refuse(state: str, now: NodeState) -> None:
    """Raises Conflict for a node that is ``now`` and asks for the scripts of another ``state``."""
    if ASKED.get(state) is not now:
        raise Conflict(f"a node that is {now.value} does not ask for the scripts of {state[:40]!r}")


def variables(wanted: Wanted, state: str) -> dict[str, str]:
    """What a script finds in its environment: as a post-install script, and Perceus' names for the same."""
    node, groups = wanted.node, wanted.groups
    return {
        **named(node, wanted.version, groups, wanted.server, wanted.domain),
        "IMAGED_STATE": state,
        "STATE": state,
        "NODENAME": node.name,
        "NODEID": str(node.macs[0]) if node.macs else "",
        "GROUPNAME": groups[-1] if groups else "",
        "VNFS": wanted.version.image,
    }


def fault_of(printed: str) -> str:
    """Why no shell can run it; empty where one can try. It was decoded with surrogateescape."""
    if "\0" in printed:
        return "printed a zero byte"
    strange = not printed.isascii() and any("\ud800" <= letter <= "\udfff" for letter in printed)
    return "printed what is not UTF-8" if strange else ""


def together(node: str, state: str, printed: Sequence[tuple[str, str]]) -> str:
    """One shell script of (name of a script, what it printed); empty where there is nothing to run.

    Each part is a shell of its own, with its own end: one that fails keeps none of the others from running, and the
    whole ends with 1 then. A text that was cut short runs nothing.
    """
    parts = [_part(name, text) for name, text in printed if text.strip()]
    return "".join((_BEGIN.format(state=state, node=node), *parts, _END)) if parts else ""


def log_of(state: str, code: int, said: str) -> str:
    """What the node's log has of its end there."""
    return "\n".join((f"{KINDS}/{state}: ended with {code} on the node", *(f"  {line}" for line in said.splitlines())))


def _part(name: str, text: str) -> str:
    mark = f"END-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"run {shlex.quote(name)} << '{mark}'\n{text.rstrip()}\n{mark}\n"
