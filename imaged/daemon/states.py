"""Nodes ask what the scripts of a state want of them: a queue, so many children at once, and answers that are kept.

The run's name is the node's own, so that an answer that was lost can be asked for again and is the same answer.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from imaged.daemon.statescripts import Made, StateScripts, Stopped
from imaged.daemon.turnstile import Ticket, Turnstile
from imaged.model.errors import BadInput, Conflict
from imaged.model.node import NodeState
from imaged.model.states import StateRun, state_name
from imaged.planning import states
from imaged.store.stateruns import StateRuns

PATIENCE: Final = 20.0  # seconds that a node is kept waiting for one answer; its own limit is longer
_RUN: Final = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)


@define(eq=False)
class _Work:
    """Scripts of one node and state that are to run, or do."""

    run: str
    waiting: list["Deferred[None]"] = field(factory=list)


class States:
    """``scripts_of(state)`` are the names in its directory; ``log(node, text)`` adds to a node's log. ``reactor`` is an
    IReactorTime and IReactorThreads."""

    _log = Logger()

    def __init__(
        self, scripts: StateScripts, runs: StateRuns, scripts_of: Callable[[str], tuple[str, ...]],
        log: Callable[[str, str], None], reactor: Any, at_once: int,
    ) -> None:  # fmt: skip
        self._scripts = scripts
        self._runs = runs
        self._scripts_of = scripts_of
        self._tell = log
        self._reactor = reactor
        self._turnstile = Turnstile(at_once)
        self._pool = ThreadPool(0, at_once, "state scripts")
        self._under_way: dict[tuple[str, str], _Work] = {}
        self._stopped = False

    def start(self) -> None:
        """Begin with children."""
        self._scripts.clear()
        self._pool.start()

    def stop(self) -> None:
        """End those that run. Nothing is known of their runs: the next daemon begins them again when it is asked."""
        self._stopped = True
        self._scripts.stop()
        self._pool.stop()

    async def ask(self, node: str, now: NodeState, state: str, run: str) -> str | None:
        """What a node that is ``now`` shall run, empty for nothing; None: not known yet, ask again.

        Raises Conflict for a node that is not in that state, BadInput.
        """
        states.refuse(state_name(state), now)
        known = self._runs.get(node, state)
        if known and known.run == _checked(run):
            return known.text
        if self._stopped:
            return None
        if (node, state) not in self._under_way:
            if not self._scripts_of(state):
                if known:
                    self._runs.forget(node, state)
                return ""
            self._begin(node, state, _checked(run))
        work = self._under_way[node, state]
        await self._patiently(work)
        known = self._runs.get(node, state)
        if known and known.run == run:
            return known.text
        if self._stopped:  # they were ended, which is not that there was nothing to run
            return None
        # The scripts were for an earlier run of this state, or they were none of this node's and left nothing to keep.
        return "" if work.run == run and self._under_way.get((node, state)) is not work else None

    def ended(self, node: str, state: str, run: str, code: int, said: str) -> None:
        """How it ended on the node. Telling it twice is telling it once. Raises Conflict for an unknown run."""
        known = self._runs.get(node, state_name(state))
        if known is None or known.run != run:
            raise Conflict("is no run of this node's", where=f"state/{state} {run[:64]!r}")
        if known.over:
            return
        self._tell(node, states.log_of(state, code, said))
        self._runs.keep(evolve(known, code=code, text=""))

    def _begin(self, node: str, state: str, run: str) -> None:
        self._under_way[node, state] = _Work(run)
        ticket = Ticket(node, lambda: self._admitted(ticket, state, run))
        self._turnstile.enter(ticket)

    def _admitted(self, ticket: Ticket, state: str, run: str) -> None:
        made = deferToThreadPool(self._reactor, self._pool, self._scripts.make, ticket.node, state, run)
        made.addCallback(self._keep, ticket.node, state)
        made.addErrback(self._failed, ticket.node, state, run)
        made.addBoth(lambda _: self._through(ticket, state))

    def _keep(self, made: Made, node: str, state: str) -> None:
        for line in made.said:
            self._tell(node, line)
        if made.run.scripts or made.run.fault:
            self._runs.keep(made.run)
        else:
            self._runs.forget(node, state)

    def _failed(self, failure: Failure, node: str, state: str, run: str) -> None:
        if failure.check(Stopped):
            return
        self._log.failure("state/{state} of {node}", failure, state=state, node=node)
        self._runs.keep(StateRun(node, state, run, self._scripts.clock(), fault="internal error, see the log"))

    def _through(self, ticket: Ticket, state: str) -> None:
        work = self._under_way.pop((ticket.node, state))
        self._turnstile.leave(ticket)
        for each in work.waiting:
            if not each.called:
                each.callback(None)

    def _patiently(self, work: _Work) -> "Deferred[None]":
        waiter: Deferred[None] = Deferred()
        work.waiting.append(waiter)
        return waiter.addTimeout(PATIENCE, self._reactor, onTimeoutCancel=lambda *_: None)


def _checked(run: str) -> str:
    if not _RUN.fullmatch(run):
        raise BadInput(f"{run[:64]!r} names no run", where="run", hint="Use 8 to 64 letters, digits and '-'.")
    return run
