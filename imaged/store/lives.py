"""The lives of all nodes at a glance, for monitor and metrics: in few questions however many there are."""

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from imaged.model.codec import from_json
from imaged.model.life import Life
from imaged.model.node import BootAction, NodeState
from imaged.model.outcome import Outcome
from imaged.model.report import Report
from imaged.store.news import Told
from imaged.store.resolve import images_of_groups
from imaged.store.tables import machines, nics, nodes, reports

_PIECE = 500  # names in one question: databases have a limit
_BOOTED = (
    sa.select(nics.c.node, sa.func.max(machines.c.last_seen).label("booted"))
    .join_from(nics, machines, nics.c.mac == machines.c.mac)
    .group_by(nics.c.node)
    .subquery()
)
_COLUMNS = (
    "name", "state", "action", "reason", "image", "installed", "installing", "updating", "updated", "drift_count",
    "last_seen", "stalled",
)  # fmt: skip
_ALL = sa.select(*(nodes.c[key] for key in _COLUMNS), _BOOTED.c.booted).select_from(
    nodes.outerjoin(_BOOTED, nodes.c.name == _BOOTED.c.node)
)
_UNDER_WAY = sa.or_(
    nodes.c.state.in_([NodeState.INSTALLING.value, NodeState.INSTALLED.value, NodeState.FAILED.value]),
    nodes.c.updating.is_not(None),
)
_STALLED = sa.or_(_UNDER_WAY, nodes.c.stalled.is_not(None))
_REPORTS = sa.select(reports).join(nodes).where(_UNDER_WAY).order_by(reports.c.id)


class Lives:
    """The lives of one database's nodes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> tuple[Life, ...]:
        """Of every node, by name."""
        return self._read(_ALL)

    def of(self, names: Iterable[str]) -> tuple[Life, ...]:
        """Of those of these nodes that there are."""
        return tuple(life for piece in _pieces(names) for life in self._read(_ALL.where(nodes.c.name.in_(piece))))

    def heard_of(self, since: float) -> set[str]:
        """Nodes that have spoken or network-booted after ``since`` (seconds since the epoch)."""
        spoken = sa.select(nodes.c.name).where(nodes.c.last_seen > since)
        booted = sa.select(nics.c.node).join_from(nics, machines, nics.c.mac == machines.c.mac)
        with self._engine.connect() as connection:
            return set(connection.scalars(spoken.union(booted.where(machines.c.last_seen > since))))

    def macs(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The MACs of those of these nodes that there are, each node's in its order."""
        found: dict[str, tuple[str, ...]] = {}
        with self._engine.connect() as connection:
            for piece in _pieces(names):
                query = sa.select(nics.c.node, nics.c.mac).where(nics.c.node.in_(piece))
                for row in connection.execute(query.order_by(nics.c.node, nics.c.position)):
                    found[row.node] = (*found.get(row.node, ()), row.mac)
        return found

    def under_way(self) -> tuple[Life, ...]:
        """Of those that install, update or start, and of those that are said to have stalled."""
        return self._read(_ALL.where(_STALLED))

    def reports(self) -> tuple[Told, ...]:
        """The reports of nodes that install, update or start, or whose install has failed; in their order."""
        with self._engine.connect() as connection:
            rows = connection.execute(_REPORTS)
            return tuple(Told(row.id, row.time, row.node, from_json(row.report, Report)) for row in rows)

    def _read(self, query: sa.Select[Any]) -> tuple[Life, ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
            inherited = images_of_groups(connection) if any(not row.image for row in rows) else {}
        lives = (_life(row, row.image or inherited.get(row.name, "")) for row in rows)
        return tuple(sorted(lives, key=lambda life: life.node))


def _pieces(names: Iterable[str]) -> Iterable[list[str]]:
    wanted = sorted(names)
    return (wanted[at : at + _PIECE] for at in range(0, len(wanted), _PIECE))


def _life(row: Any, image: str) -> Life:
    updated = json.loads(row.updated) if row.updated else {}
    seen = [each for each in (row.last_seen, row.booted) if each is not None]
    return Life(
        node=row.name,
        state=NodeState(row.state),
        action=BootAction(row.action),
        reason=row.reason,
        image=image,
        installed=row.installed or "",
        installing=row.installing or "",
        updating=row.updating or "",
        outcome=Outcome(updated["outcome"]) if updated else None,
        message=updated.get("message", ""),
        drift=row.drift_count,
        last_seen=max(seen, default=None),
        stalled=row.stalled or "",
    )
