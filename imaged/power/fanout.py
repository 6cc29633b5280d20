"""Orders for many BMCs at once, given to a process that speaks to them, and what came of each."""

import sys
from collections.abc import Callable, Iterable

from attrs import frozen

from imaged.model.codec import from_json, to_json
from imaged.model.errors import Conflict, Denied, ImagedError, Unreachable
from imaged.power.bmc import Order, Outcome
from imaged.process import stream

_KINDS: dict[str, type[ImagedError]] = {each.__name__: each for each in (Conflict, Denied, Unreachable)}


@frozen
class Work:
    """``fanout`` BMCs at once, each begun ``stagger`` seconds after the one before."""

    orders: tuple[Order, ...]
    fanout: int
    stagger: float = 0.0


@frozen
class Fault:
    """An ImagedError, as it crosses from one process to another."""

    kind: str
    what: str
    where: str
    hint: str

    @classmethod
    def of(cls, error: ImagedError) -> "Fault":
        """What is lost is the traceback only."""
        return cls(type(error).__name__, error.what, error.where, error.hint)

    def error(self) -> ImagedError:
        """The other way."""
        return _KINDS.get(self.kind, ImagedError)(self.what, where=self.where, hint=self.hint)


@frozen
class Ended:
    """How it ended for one node: by an outcome or by a fault."""

    node: str
    outcome: Outcome | None
    fault: Fault | None = None


def fan_out(
    work: Work,
    on_ended: Callable[[Ended], None] = lambda ended: None,
    on_start: Callable[[Callable[[], object]], None] = lambda end: None,
) -> tuple[Ended, ...]:
    """Carry out all orders; every answer, in the order in which they came, which ``on_ended`` hears at once.

    ``on_start`` gets what other threads call to begin no more. Ctrl-C begins no more, lets those end that have begun so
    that no machine is left half-way, and is raised then.
    """
    if not work.orders:
        return ()
    heard: list[Ended] = []

    def hear(line: str) -> None:
        if line.startswith("{"):
            ended = from_json(line, Ended)
            heard.append(ended)
            on_ended(ended)

    # Passwords go by a pipe: neither arguments nor environment of a process are for them.
    argv = (sys.executable, "-m", __package__)
    stream(argv, hear, stdin=to_json(work), patient=True, on_start=lambda child: on_start(child.terminate))
    return tuple(heard)


def needed(orders: Iterable[Order]) -> tuple[str, ...]:
    """Modules to load once, before a child for each order needs them."""
    kinds = {order.access.address.kind.value for order in orders}
    return tuple(f"{__package__}.{each}" for each in ("ipmi", "redfish") if each in kinds)
