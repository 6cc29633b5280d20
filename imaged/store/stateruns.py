"""How the last run of each state's scripts went for each node, in the node database; what it still has to run, too."""

from typing import Any

import sqlalchemy as sa

from imaged.model.codec import from_json, to_json
from imaged.model.states import StateRun
from imaged.store.database import upsert
from imaged.store.events import note
from imaged.store.tables import nodes, state_runs


class StateRuns:
    """One run for each node and state: the last."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(self, run: StateRun) -> None:
        """In the place of the one before. Once it is over, an end other than that of the last one is an event.

        Nothing for a node that is not there any more.
        """
        values: dict[str, Any] = {"run": to_json(run)}
        if run.over:
            values["trouble"] = run.trouble
        mine = _of(run.node, run.state)
        with self._engine.begin() as connection:
            if connection.scalar(sa.select(nodes.c.name).where(nodes.c.name == run.node)) is None:
                return
            row = connection.execute(sa.select(state_runs.c.trouble).where(mine)).first()
            new = {"node": run.node, "state": run.state, **values}
            connection.execute(upsert(connection, state_runs, changing=tuple(values)), new)
            if run.over:
                before = {run.state: row.trouble or "done"} if row and row.trouble is not None else {}
                note(connection, "state scripts", run.node, before, {run.state: run.trouble or "done"})

    def forget(self, node: str, state: str) -> None:
        """There are no scripts any more that it could be about."""
        with self._engine.begin() as connection:
            connection.execute(state_runs.delete().where(_of(node, state)))

    def get(self, node: str, state: str) -> StateRun | None:
        """The last one; None: there was none."""
        with self._engine.connect() as connection:
            text = connection.scalar(sa.select(state_runs.c.run).where(_of(node, state)))
        return from_json(text, StateRun, where=f"state/{state} of {node}") if text else None

    def of(self, node: str) -> tuple[StateRun, ...]:
        """The last one of each state, the latest last."""
        query = sa.select(state_runs.c.run).where(state_runs.c.node == node)
        with self._engine.connect() as connection:
            found = (from_json(text, StateRun, where=f"state scripts of {node}") for text in connection.scalars(query))
            return tuple(sorted(found, key=lambda run: run.time))

    def troubles(self) -> dict[str, tuple[str, ...]]:
        """What went wrong the last time, by node."""
        query = sa.select(state_runs).where(state_runs.c.trouble != "").order_by(state_runs.c.node, state_runs.c.state)
        found: dict[str, tuple[str, ...]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                found[row.node] = (*found.get(row.node, ()), f"scripts/state/{row.state}: {row.trouble}")
        return found


def _of(node: str, state: str) -> sa.ColumnElement[bool]:
    return sa.and_(state_runs.c.node == node, state_runs.c.state == state)
