"""What the database knows of nodes: definitions, states, reports, and the machines that were seen."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from imaged.model.codec import from_json, from_plain, to_json
from imaged.model.errors import Conflict, Denied, NotFound
from imaged.model.hardware import Inventory
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeEvent, NodeState, next_state
from imaged.model.report import Report
from imaged.store.database import machines, nics, nodes, refusing_duplicates, reports
from imaged.store.events import note
from imaged.store.tokens import secret_hash

_TAKEN = "`imaged lsnode` shows what there is; `imaged rmnode` removes one."
_OF_ITS_LIFE = ("name", "action", "state", "reason")  # columns of a node that no definition changes
_NODE_KEYS = ("name", "uuid", "address", "image", "layout", "console", "action", "state", "reason", "secure_boot")

# Built once: every DHCP packet asks who sent it, and making the statement costs more than running it.
_ALL = (
    sa.select(*(nodes.c[key] for key in _NODE_KEYS), nics.c.mac)
    .select_from(nodes.outerjoin(nics))
    .order_by(nodes.c.name, nics.c.position)
)
_FACTS = (
    "inventory", "plan_hash", "installing", "installed", "host_keys", "last_seen", "system", "updating", "serial",
    "planned", "updated", "updated_at", "drift", "drift_at", "wishes", "touched",
)  # fmt: skip
_HOLDER = sa.select(
    *(nodes.c[key] for key in ("updating", "name", "image", "state", "address", "console", "plan_hash"))
).where(nodes.c.secret_hash == sa.bindparam("hash"))
_BY_NAME = _ALL.where(nodes.c.name == sa.bindparam("wanted"))
_BY_UUID = _ALL.where(nodes.c.uuid == sa.bindparam("uuid"))
_owner = nics.alias("owner")
_BY_MAC = _ALL.where(nodes.c.name.in_(sa.select(_owner.c.node).where(_owner.c.mac == sa.bindparam("mac"))))


@frozen
class Holder:
    """The holder of a secret. ``facts``: equal as long as nothing has changed that a plan of an update depends on."""

    name: str
    image: ImageRef
    state: NodeState
    updating: str | None
    facts: tuple[Any, ...]


class Nodes:
    """The node database, shared by the daemon and the command line (SQLite in WAL mode)."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, node: Node) -> None:
        """Raises Conflict when the name, a MAC, the UUID or the address is taken."""
        self.add_all([node])

    def add_all(self, added: Iterable[Node]) -> None:
        """All of them, or none. Raises Conflict as ``add`` does."""
        with self._engine.begin() as connection:
            for node in added:
                _refuse_rivals(connection, node)
                taken = f"the name or the address {node.address}" if node.address else "the name"
                with refusing_duplicates(f"{taken} is taken", node.name, _TAKEN):
                    connection.execute(nodes.insert().values(**_columns(node)))
                _put_nics(connection, node)
                note(connection, "node added", node.name, {}, _definition(node))

    def change(self, changed: Iterable[Node], **columns: Any) -> None:
        """New definitions for nodes of these names, all or none; state and next boot stay. ``columns`` as in ``keep``.

        Raises NotFound, and Conflict as ``add`` does.
        """
        with self._engine.begin() as connection:
            for node in changed:
                _refuse_rivals(connection, node)
                before = _get(connection, node.name)
                values = {key: value for key, value in _columns(node).items() if key not in _OF_ITS_LIFE} | columns
                with refusing_duplicates(f"the address {node.address} is taken", node.name, _TAKEN):
                    change = nodes.update().where(nodes.c.name == node.name).values(**values)
                    connection.execute(change)
                connection.execute(nics.delete().where(nics.c.node == node.name))
                _put_nics(connection, node)
                note(connection, "node changed", node.name, _definition(before), _definition(node))

    def remove(self, name: str) -> None:
        """Forget a node, its reports and its tokens. Raises NotFound."""
        with self._engine.begin() as connection:
            before = _get(connection, name)
            connection.execute(nodes.delete().where(nodes.c.name == name))
            note(connection, "node removed", name, _definition(before), {})

    def get(self, name: str) -> Node:
        """Raises NotFound."""
        with self._engine.connect() as connection:
            return _get(connection, name)

    def all(self) -> tuple[Node, ...]:
        """Every node, by name."""
        return self._read(_ALL)

    def find(self, mac: Mac | None, uuid: str = "") -> Node | None:
        """The node with this MAC, else with this SMBIOS UUID."""
        found = self._read(_BY_MAC, {"mac": str(mac)}) if mac else ()
        if not found and uuid:
            found = self._read(_BY_UUID, {"uuid": uuid.lower()})
        return found[0] if found else None

    def set_action(self, names: Iterable[str], action: BootAction) -> None:
        """What the next network boot of these nodes does: all or none. Raises NotFound."""
        with self._engine.begin() as connection:
            for name in names:
                before = connection.scalar(sa.select(nodes.c.action).where(nodes.c.name == name))
                if before is None:
                    raise _unknown(name)
                connection.execute(nodes.update().where(nodes.c.name == name).values(action=action.value))
                note(connection, "next boot", name, {"action": before}, {"action": action.value})

    def record(self, name: str, event: NodeEvent, *, reason: str = "", **changes: Any) -> Node:
        """Move the node to the state that follows, with other columns in the same commit. Raises Conflict."""
        with self._engine.begin() as connection:
            node = self.get(name)
            state = next_state(node.state, event)
            values = {"state": state.value, "reason": reason, **changes}
            connection.execute(nodes.update().where(nodes.c.name == name).values(**values))
        return self.get(name)

    def keep(self, name: str, **columns: Any) -> None:
        """Store facts beside the definition: ``inventory`` (JSON), ``plan_hash``, ``last_seen``..."""
        with self._engine.begin() as connection:
            connection.execute(nodes.update().where(nodes.c.name == name).values(**columns))

    def fact(self, name: str, column: str) -> Any:
        """One stored fact, None when there is none yet."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(nodes.c[column]).where(nodes.c.name == name))

    def facts(self, name: str) -> dict[str, Any]:
        """All that is stored beside the definition. Raises NotFound."""
        query = sa.select(*(nodes.c[key] for key in _FACTS)).where(nodes.c.name == name)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise _unknown(name)
        return dict(row._mapping)

    def holder(self, secret: str) -> Holder:
        """The node that proves itself by ``secret``, in one small question. Raises Denied."""
        with self._engine.connect() as connection:
            row = connection.execute(_HOLDER, {"hash": secret_hash(secret)}).first()
        if row is None:
            raise Denied("this secret is no node's", hint="The node was re-installed or removed since.")
        return Holder(row.name, ImageRef.parse(row.image), NodeState(row.state), row.updating, tuple(row)[1:])

    def inventory(self, name: str) -> Inventory | None:
        """The hardware as the agent last saw it."""
        text = self.fact(name, "inventory")
        return from_json(text, Inventory, where=f"inventory of {name}") if text else None

    def add_report(self, name: str, time: float, report: Report) -> None:
        """Append to the node's install log; ``time`` is the server's, in seconds since the epoch."""
        with self._engine.begin() as connection:
            connection.execute(reports.insert().values(node=name, time=time, report=to_json(report)))
            connection.execute(nodes.update().where(nodes.c.name == name).values(last_seen=time))

    def reports(self, name: str) -> tuple[tuple[float, Report], ...]:
        """(time, report) of the last install, oldest first."""
        query = sa.select(reports.c.time, reports.c.report).where(reports.c.node == name).order_by(reports.c.id)
        with self._engine.connect() as connection:
            return tuple((row.time, from_json(row.report, Report)) for row in connection.execute(query))

    def clear_reports(self, name: str) -> None:
        """A new install begins: its log starts empty."""
        with self._engine.begin() as connection:
            connection.execute(reports.delete().where(reports.c.node == name))

    def saw(self, machine: Machine) -> None:
        """Record a network boot; the first sighting is kept."""
        values = {
            "uuid": machine.uuid,
            "arch": machine.arch,
            "vendor_class": machine.vendor_class,
            "relay": machine.relay,
            "address": machine.address,
            "last_seen": machine.last_seen,
        }
        with self._engine.begin() as connection:
            known = machines.c.mac == str(machine.mac)
            if not connection.execute(machines.update().where(known).values(**values)).rowcount:
                connection.execute(
                    machines.insert().values(mac=str(machine.mac), first_seen=machine.last_seen, **values)
                )

    def discovered(self) -> tuple[Machine, ...]:
        """Machines that network-booted and are no node, in the order they were first seen."""
        query = sa.select(machines).where(machines.c.mac.not_in(sa.select(nics.c.mac)))
        query = query.where(sa.or_(machines.c.uuid == "", machines.c.uuid.not_in(sa.select(nodes.c.uuid)))).order_by(
            machines.c.first_seen
        )
        with self._engine.connect() as connection:
            return tuple(from_plain(dict(row._mapping), Machine) for row in connection.execute(query))

    def _read(self, query: sa.Select[Any], values: dict[str, str] | None = None) -> tuple[Node, ...]:
        with self._engine.connect() as connection:
            return _read(connection, query, values)


def _read(connection: sa.Connection, query: sa.Select[Any], values: dict[str, str] | None = None) -> tuple[Node, ...]:
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query, values or {}):
        plain = dict(row._mapping)
        mac = plain.pop("mac")
        found.setdefault(row.name, {**plain, "macs": []})["macs"] += [mac] if mac else []
    return tuple(from_plain(plain, Node, where=f"node {name}") for name, plain in found.items())


def _get(connection: sa.Connection, name: str) -> Node:
    found = _read(connection, _BY_NAME, {"wanted": name})
    if not found:
        raise _unknown(name)
    return found[0]


def _refuse_rivals(connection: sa.Connection, node: Node) -> None:
    for mac in node.macs:
        owner = connection.scalar(sa.select(nics.c.node).where(nics.c.mac == str(mac)))
        if owner and owner != node.name:
            raise Conflict(f"{mac} belongs to node {owner} already", where=node.name, hint=_TAKEN)
    rival = nodes.c.uuid == node.uuid.lower()
    owner = connection.scalar(sa.select(nodes.c.name).where(rival, nodes.c.name != node.name))
    if node.uuid and owner:
        raise Conflict(f"the UUID {node.uuid} belongs to node {owner} already", where=node.name, hint=_TAKEN)


def _put_nics(connection: sa.Connection, node: Node) -> None:
    connection.execute(
        nics.insert(), [{"mac": str(mac), "node": node.name, "position": at} for at, mac in enumerate(node.macs)]
    )


def _definition(node: Node) -> dict[str, Any]:
    """As events tell it: what a person said, nothing of its life."""
    said = {key: value for key, value in _columns(node).items() if key not in _OF_ITS_LIFE and value}
    return said | {"macs": list(map(str, node.macs))}


def _columns(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "uuid": node.uuid.lower(),
        "address": str(node.address) if node.address else None,
        "image": str(node.image),
        "layout": node.layout,
        "console": node.console,
        "action": node.action.value,
        "state": node.state.value,
        "reason": node.reason,
    }


def _unknown(name: str) -> NotFound:
    return NotFound(f"no node {name!r}", hint="`imaged lsnode` shows the nodes there are.")
