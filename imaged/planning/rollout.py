"""Which nodes a verb goes to next: so many at once, canaries before the rest, a stop after failures. Pure."""

from collections.abc import Sequence
from enum import Enum

from attrs import define, field

from imaged.model.errors import BadInput


class Standing(Enum):
    """Where one node is in a rollout. ``skipped``: it was never begun, because others failed."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@define
class Rollout:
    """``nodes`` in the order given, each once. The first ``canaries`` go alone; one failing canary ends it all.

    ``fanout`` is how many run at once. More than ``max_failures`` failed nodes stop it (None: never): those that run
    are waited for, the others are skipped.
    """

    nodes: tuple[str, ...]
    fanout: int = 32
    canaries: int = 0
    max_failures: int | None = None
    _standing: dict[str, Standing] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._standing = dict.fromkeys(self.nodes, Standing.WAITING)
        self.nodes = tuple(self._standing)
        if self.fanout < 1 or self.canaries < 0 or (self.max_failures is not None and self.max_failures < 0):
            raise BadInput("a rollout needs a fan-out of at least 1, and no negative numbers")

    @property
    def stopped(self) -> str:
        """Why no more nodes are begun; empty while they are."""
        bad = [node for node in self.nodes[: self.canaries] if self._standing[node] is Standing.FAILED]
        if bad:
            return f"canary {', '.join(bad)} failed"
        failed = len(self.standing(Standing.FAILED))
        if self.max_failures is not None and failed > self.max_failures:
            return f"{failed} nodes failed, {self.max_failures} may"
        return ""

    def begin(self) -> tuple[str, ...]:
        """The nodes to begin now; they count as running from here."""
        if self.stopped:
            for node in self.standing(Standing.WAITING):
                self._standing[node] = Standing.SKIPPED
            return ()
        first = self.nodes[: self.canaries]
        proved = all(self._standing[node] is Standing.DONE for node in first)
        waiting = [node for node in (self.nodes if proved else first) if self._standing[node] is Standing.WAITING]
        chosen = tuple(waiting[: self.fanout - len(self.standing(Standing.RUNNING))])
        for node in chosen:
            self._standing[node] = Standing.RUNNING
        return chosen

    def ended(self, node: str, *, well: bool) -> None:
        """``node`` is through, well or not."""
        self._standing[node] = Standing.DONE if well else Standing.FAILED

    def standing(self, wanted: Standing) -> tuple[str, ...]:
        """The nodes that are ``wanted`` now."""
        return tuple(node for node in self.nodes if self._standing[node] is wanted)


def allowed_failures(text: str, nodes: int) -> int | None:
    """``3`` or ``10%`` (of the nodes, rounded down); empty: any number. Raises BadInput."""
    if not text:
        return None
    number, percent, rest = text.partition("%")
    if not (number.isascii() and number.isdigit() and len(number) < 10) or rest or (percent and int(number) > 100):
        raise BadInput(
            f"{text!r} is neither a number nor a percentage", where="--max-failures", hint="Such as 3 or 10%."
        )
    return nodes * int(number) // 100 if percent else int(number)


def equal_groups(answers: Sequence[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(answer, nodes that gave it), the answer of most nodes first; then by the order in which they came."""
    groups: dict[str, list[str]] = {}
    for node, answer in answers:
        groups.setdefault(answer, []).append(node)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return tuple((answer, tuple(nodes)) for answer, nodes in ordered)
