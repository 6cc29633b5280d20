"""What the verbs share that switch the power of nodes: limits, the question before it, and how it is told. No verb."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from imaged.admin import power, ranges
from imaged.admin.desk import Desk
from imaged.admin.power import Limits, told
from imaged.model.errors import ImagedError
from imaged.model.node import Node
from imaged.model.power import PowerAction
from imaged.planning.rollout import equal_groups
from imaged.power.fanout import Ended


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``take`` reads them."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask before the power of nodes that run is cut."),
        click.option(
            "--timeout", type=click.IntRange(1, 3600), default=60, show_default=True, help="Seconds for each node."
        ),
        click.option("--stagger", type=click.FloatRange(0, 3600), default=0, help="Seconds from one node to the next."),
        click.option("--fanout", type=click.IntRange(1), default=64, show_default=True, help="Nodes at once."),
    ):
        command = option(command)
    return command


def take(given: dict[str, Any]) -> Limits:
    """The values of ``options`` but ``yes``, taken out of a command's keywords."""
    return Limits(given.pop("fanout"), float(given.pop("stagger")), float(given.pop("timeout")))


def asked(desk: Desk, nodes: Sequence[Node], action: PowerAction, limits: Limits, book: "Book") -> tuple[Node, ...]:
    """Those that ``action`` may be done to: a person has agreed where it ends the work of nodes that run.

    Those whose BMC does not answer are in ``book`` already.
    """
    looked = power.look(desk, nodes, limits)
    dead = {ended.node for ended in looked if ended.fault}
    for ended in looked:
        if ended.fault:
            book.hear(ended)
    running = power.cut_off(action, looked)
    if running:
        names, verb = ranges.folded(running), "are" if len(running) > 1 else "is"
        click.confirm(f"{names} {verb} on ({len(running)}). {_QUESTIONS[action]}", abort=True)
    return tuple(node for node in nodes if node.name not in dead)


_QUESTIONS = {
    PowerAction.OFF: "Cut the power?",
    PowerAction.CYCLE: "Cut the power and start again?",
    PowerAction.RESET: "Reset?",
    PowerAction.SOFT: "Shut down?",
}


class Book:
    """What was heard of nodes, folded at the end, also after Ctrl-C."""

    def __init__(self) -> None:
        self._heard: list[Ended] = []

    def hear(self, ended: Ended) -> None:
        """For ``on_ended``."""
        self._heard.append(ended)

    @contextmanager
    def told(self, prefix: Callable[[str], str] = lambda text: text) -> Iterator[None]:
        """Print all of it when the block ends, equal answers once. Raises ImagedError that names who failed."""
        try:
            yield
        finally:
            said = [(each.node, prefix(told(each)) if each.outcome else told(each)) for each in self._heard]
            for text, names in equal_groups(said):
                click.echo(f"{ranges.folded(names)}: {text}")
        failed = [each.node for each in self._heard if each.fault]
        if failed:
            raise ImagedError(f"{len(failed)} of {len(self._heard)} nodes failed", where=ranges.folded(failed))
