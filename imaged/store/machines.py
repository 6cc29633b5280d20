"""Machines that were seen to network-boot: what they told, which are nobody's, and whose turn it is to be named."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from attrs import fields

from imaged.model.codec import from_json, from_plain, to_json
from imaged.model.errors import NotFound
from imaged.model.hardware import Inventory
from imaged.model.machine import Label, Machine
from imaged.model.net import Mac
from imaged.model.places import Places
from imaged.store.database import alone, upsert
from imaged.store.events import note
from imaged.store.tables import machines, nics, nodes
from imaged.store.tables import places as places_table

_SIGHTING = ("uuid", "arch", "vendor_class", "relay", "address", "last_seen")  # what a DHCP request tells
_MACHINE = sa.select(*(machines.c[field.name] for field in fields(Machine)))
_NOBODYS = (
    _MACHINE.where(machines.c.mac.not_in(sa.select(nics.c.mac)))
    .where(sa.or_(machines.c.uuid == "", machines.c.uuid.not_in(sa.select(nodes.c.uuid))))
    .order_by(machines.c.first_seen, machines.c.mac)
)
_OFFERED = _NOBODYS.where(sa.or_(machines.c.ignored.is_(None), sa.not_(machines.c.ignored)))


class Machines:
    """The machines of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def saw(self, machine: Machine) -> None:
        """Record what a DHCP request told; the first sighting is kept."""
        with self._engine.begin() as connection:
            put_seen(connection, [machine])

    def told(self, mac: Mac, label: Label, now: float) -> None:
        """Record what the machine's iPXE told."""
        values = {
            "vendor": label.vendor, "product": label.product, "serial": label.serial, "asset": label.asset,
            "told": now, "last_seen": now,
        }  # fmt: skip
        self._record(mac, now, values)

    def keep_inventory(self, machine: Machine, inventory: Inventory, now: float) -> None:
        """Keep the hardware as the agent found it, with what it says of ``machine``."""
        values = {
            "vendor": machine.vendor, "product": machine.product, "serial": machine.serial, "uuid": machine.uuid,
            "inventory": to_json(inventory), "inventoried": now, "last_seen": now,
        }  # fmt: skip
        self._record(machine.mac, now, values)

    def find(self, mac: Mac) -> Machine | None:
        """What is known of the machine, whether or not it is a node."""
        with self._engine.connect() as connection:
            return next(iter(_read(connection, _MACHINE.where(machines.c.mac == str(mac)))), None)

    def all(self) -> tuple[Machine, ...]:
        """Every machine that was ever seen, nodes too, in the order of first sight."""
        with self._engine.connect() as connection:
            return _read(connection, _MACHINE.order_by(machines.c.first_seen, machines.c.mac))

    def nobodys(self) -> tuple[Machine, ...]:
        """Those that are no node, ignored ones too, in the order of first sight."""
        with self._engine.connect() as connection:
            return _read(connection, _NOBODYS)

    def discovered(self) -> tuple[Machine, ...]:
        """Those that wait for a name: no node, and not ignored."""
        with self._engine.connect() as connection:
            return offered(connection)

    def inventory(self, mac: Mac) -> Inventory | None:
        """The hardware as the machine told it while it had no name."""
        with self._engine.connect() as connection:
            return inventories(connection, [mac]).get(mac)

    def inventories(self, macs: Iterable[Mac]) -> dict[Mac, Inventory]:
        """Those that there are."""
        with self._engine.connect() as connection:
            return inventories(connection, macs)

    def ignore(self, macs: Iterable[Mac], *, ignored: bool) -> None:
        """Never offer these machines, or offer them again: all or none. Raises NotFound."""
        with self._engine.begin() as connection:
            for mac in macs:
                known = machines.c.mac == str(mac)
                before = connection.execute(sa.select(machines.c.ignored).where(known)).first()
                if before is None:
                    raise _unknown(mac)
                connection.execute(machines.update().where(known).values(ignored=ignored))
                note(connection, "machine ignored", str(mac), {"ignored": bool(before.ignored)}, {"ignored": ignored})

    def remove(self, macs: Iterable[Mac]) -> None:
        """Forget that these were seen: all or none. Raises NotFound."""
        with self._engine.begin() as connection:
            for mac in macs:
                known = machines.c.mac == str(mac)
                before = next(iter(_read(connection, _MACHINE.where(known))), None)
                if before is None:
                    raise _unknown(mac)
                connection.execute(machines.delete().where(known))
                said = {key: getattr(before, key) for key in ("uuid", "vendor", "product", "serial")}
                note(connection, "machine forgotten", str(mac), {"mac": str(mac), **said}, {})

    def keep_places(self, places: Places, now: float) -> None:
        """Remember for which names machines are collected, instead of what was said of the same names before."""
        with self._engine.begin() as connection:
            connection.execute(places_table.delete().where(places_table.c.names == places.names))
            connection.execute(places_table.insert().values(names=places.names, places=to_json(places), kept=now))

    def places(self) -> tuple[Places, ...]:
        """What was remembered, the latest first."""
        query = sa.select(places_table).order_by(places_table.c.kept.desc())
        with self._engine.connect() as connection:
            return tuple(
                from_json(row.places, Places, where=f"places {row.names}") for row in connection.execute(query)
            )

    def _record(self, mac: Mac, now: float, values: dict[str, Any]) -> None:
        row = {"mac": str(mac), "first_seen": now, "last_seen": now} | values
        with self._engine.begin() as connection:
            connection.execute(upsert(connection, machines, changing=tuple(values)), row)


def put_seen(connection: sa.Connection, seen: Iterable[Machine]) -> None:
    """As ``Machines.saw`` of each, in somebody's transaction; of a machine the last one counts."""
    values = {
        machine.mac: {
            "mac": str(machine.mac), "first_seen": machine.last_seen,
            **{name: getattr(machine, name) for name in _SIGHTING},
        }
        for machine in seen
    }  # fmt: skip
    if values:
        connection.execute(upsert(connection, machines, changing=_SIGHTING), list(values.values()))


@contextmanager
def naming(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which nobody else names machines, be it the daemon or a verb.

    All that is read in it is what those before have left.
    """
    with engine.begin() as connection:
        alone(connection)
        yield connection


def offered(connection: sa.Connection) -> tuple[Machine, ...]:
    """As ``Machines.discovered``, in somebody's transaction."""
    return _read(connection, _OFFERED)


def inventories(connection: sa.Connection, macs: Iterable[Mac]) -> dict[Mac, Inventory]:
    """As ``Machines.inventories``, in somebody's transaction."""
    wanted = set(map(str, macs))
    rows = connection.execute(sa.select(machines.c.mac, machines.c.inventory).where(machines.c.inventory.is_not(None)))
    return {
        Mac(row.mac): from_json(row.inventory, Inventory, where=f"inventory of {row.mac}")
        for row in rows
        if row.mac in wanted
    }


def _read(connection: sa.Connection, query: sa.Select[Any]) -> tuple[Machine, ...]:
    rows = (dict(row._mapping) for row in connection.execute(query))
    return tuple(from_plain({key: value for key, value in row.items() if value is not None}, Machine) for row in rows)


def _unknown(mac: Mac) -> NotFound:
    return NotFound(f"no machine {mac} was seen", hint="`imaged lsmachine` shows those that were.")
