"""``imaged updateclient --autoinstall``: running nodes leave for the installer, without a network boot. No verb."""

import shlex
from pathlib import Path

from imaged.admin import ranges
from imaged.cli import reach
from imaged.model.errors import BadInput
from imaged.model.node import BootAction, Node
from imaged.planning.answers import DONE, Heard, why_not
from imaged.planning.rollout import Rollout
from imaged.remote.fanout import Answer, fan_out
from imaged.store.nodes import Nodes


def line(by: str, *, static: bool) -> str:
    """What is run on the node. Pure."""
    words = (reach.AGENT, "reinstall", "--yes", f"--by={by}", *(("--static",) if static else ()))
    return shlex.join(words)


def check(nodes: tuple[Node, ...], *, confirmed: bool) -> None:
    """Raises BadInput unless somebody has said that this is meant."""
    if not confirmed:
        names = ranges.folded([node.name for node in nodes])
        hint = "`imaged plan NODE` shows what is lost. --yes does it."
        raise BadInput(f"--autoinstall may wipe the disks of {names}", where="--autoinstall", hint=hint)


def autoinstall(
    store: Nodes, nodes: tuple[Node, ...], rollout: Rollout, command: str, config: Path, timeout: float | None
) -> tuple[Heard, ...]:
    """Let each node start its install. One that did not go keeps the boot action that it had."""
    before = {node.name: node.action for node in nodes}
    heard: list[Heard] = []

    def hear(answer: Answer) -> None:
        fault = "" if answer.code == DONE else why_not(answer.code, answer.errors)
        if fault:
            store.set_action([answer.node], before[answer.node])
        heard.append(Heard(answer.node, None, fault))

    store.set_action(before, BootAction.INSTALL)
    fan_out(rollout, command, config, timeout=timeout, on_answer=hear)
    silent = [name for name in before if name not in {each.node for each in heard}]
    for name in silent:  # its turn never came
        store.set_action([name], before[name])
    return tuple(heard)
