"""What nodes' next network boots do, as the database has it: functions of somebody's transaction."""

import hashlib
from typing import Any

import sqlalchemy as sa

from imaged.model.codec import from_json, to_json
from imaged.model.next_boot import Booting, NextBoot
from imaged.model.node import BootAction
from imaged.store import resolve
from imaged.store.events import note
from imaged.store.tables import nodes


def booting_of(action: BootAction, boot_with: str | None, boot_after: str | None) -> Booting:
    """What a node's columns of these names say."""
    now = from_json(boot_with, NextBoot) if boot_with else NextBoot(action)
    return Booting(now, from_json(boot_after, NextBoot) if boot_after else None)


def booting(connection: sa.Connection, name: str) -> Booting:
    """Of this node. Raises NotFound."""
    query = sa.select(nodes.c.action, nodes.c.boot_with, nodes.c.boot_after).where(nodes.c.name == name)
    row = connection.execute(query).first()
    if row is None:
        raise resolve.unknown(name)
    return booting_of(BootAction(row.action), row.boot_with, row.boot_after)


def set_boot(connection: sa.Connection, name: str, boot: NextBoot, *, once: bool) -> Booting:
    """From now on, or ``once`` and then what lasts. Raises NotFound."""
    before = booting(connection, name)
    lasting = before.after or before.now
    new = Booting(boot, lasting if once and lasting != boot else None)
    plain = boot == NextBoot(boot.action)
    values = {
        "action": boot.action.value,
        "boot_with": None if plain else to_json(boot),
        "boot_after": to_json(new.after) if new.after else None,
        "begun": None,
    }
    connection.execute(nodes.update().where(nodes.c.name == name).values(**values))
    note(connection, "next boot", name, _told(before), _told(new))
    return new


def _told(booting: Booting) -> dict[str, Any]:
    """For an event; what goes with the action where it says more."""
    boot = booting.now
    script = hashlib.sha256(boot.script.encode()).hexdigest()[:16] if boot.script else ""
    more = {"kernel": boot.kernel, "initrds": list(boot.initrds), "append": boot.append, "script": script}
    return {"action": str(booting)} | {key: value for key, value in more.items() if value}
