"""What the database knows of nodes: definitions, states, reports."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, Denied
from imaged.model.group import Group
from imaged.model.hardware import Inventory
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.next_boot import AT_FIRST, Booting, NextBoot
from imaged.model.node import BootAction, Definition, Node, NodeEvent, NodeState, next_state
from imaged.model.report import Report, Status
from imaged.model.setup import DEFAULTS, Setup
from imaged.store import next_boots, resolve
from imaged.store.database import alone, refusing_duplicates
from imaged.store.events import note
from imaged.store.groups import insert_groups, put_members, setup_plain
from imaged.store.leases import end_leases
from imaged.store.tables import nics, nodes, reports
from imaged.store.tokens import secret_hash

_TAKEN = "`imaged lsnode` shows what there is; `imaged rmnode` removes one."
# Columns of a node that starts from its own disk from now on, for ``record``: in one commit with the reason for it.
BOOTS_LOCALLY = {"action": BootAction.LOCAL.value, "boot_with": None, "boot_after": None, "begun": None}

_FACTS = (
    "inventory", "plan_hash", "installing", "installed", "host_keys", "last_seen", "system", "updating", "serial",
    "planned", "updated", "updated_at", "drift", "drift_at", "wishes", "touched", "begun", "installer_key",
    "boot_after",
)  # fmt: skip
_OWNER_OF_MAC = sa.select(nics.c.node).where(nics.c.mac == sa.bindparam("mac"))
_OWNER_OF_UUID = sa.select(nodes.c.name).where(
    nodes.c.uuid == sa.bindparam("uuid"), nodes.c.name != sa.bindparam("not")
)
_OF_LIFE = ("state", "reason", "action", "installed", "stalled", "drift_count")
_LIFE = (  # asked for before a change, so that nobody else changes it meanwhile; SQLite has one writer in any case
    sa.select(*(nodes.c[key] for key in (*_OF_LIFE, "updated")))
    .where(nodes.c.name == sa.bindparam("wanted"))
    .with_for_update()
)
_SECURE = sa.select(nodes.c.secure_boot).where(nodes.c.name == sa.bindparam("wanted"))
_PROGRESS = Status.PROGRESS.value
_FORGET = reports.delete().where(
    reports.c.node == sa.bindparam("of"), reports.c.phase == sa.bindparam("in"), reports.c.status == _PROGRESS
)


@frozen
class Holder:
    """The holder of a secret. ``facts``: equal as long as nothing has changed that a plan of an update depends on."""

    name: str
    image: ImageRef
    state: NodeState
    updating: str | None
    facts: tuple[Any, ...]


class Nodes:
    """The node database, shared by the daemon and the command line."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, node: Node) -> None:
        """A node that says everything itself. Raises Conflict as ``define`` does; BadInput for an action of later."""
        setup = Setup(node.image, node.layout, node.console, node.variables)
        definition = Definition(node.name, node.macs, setup, node.uuid, node.address, node.groups)
        with self._engine.begin() as connection:
            alone(connection)
            insert(connection, definition, node.action, state=node.state.value, reason=node.reason)

    def define(self, defined: Iterable[Definition], action: BootAction | None, groups: Iterable[Group] = ()) -> None:
        """New nodes, all of them or none, and before them new ``groups``; ``action`` is what their next network boot
        does, None: what their groups say of new nodes. Raises Conflict when a name, a MAC, a UUID or an address is
        taken, NotFound for a group that is not there, BadInput for an action of later.
        """
        with self._engine.begin() as connection:
            alone(connection)
            insert_groups(connection, groups)
            for definition in defined:
                insert(connection, definition, action)

    def change(self, changed: Iterable[Definition], **columns: Any) -> None:
        """New definitions for nodes of these names, all or none; state and next boot stay. ``columns`` as in ``keep``.

        Raises NotFound, and Conflict as ``define`` does.
        """
        with self._engine.begin() as connection:
            alone(connection)
            for definition in changed:
                _change(connection, definition, columns)

    def replace(self, definition: Definition, action: BootAction, **columns: Any) -> Node:
        """Another machine is the node from now on; what the old one had leased is free, and ``action`` is what the new
        one does at its next network boot. Raises as ``change``."""
        with self._engine.begin() as connection:
            alone(connection)
            old = _change(connection, definition, columns)
            end_leases(connection, set(old.macs) - set(definition.macs))
            next_boots.set_boot(connection, definition.name, NextBoot(action), once=False)
            return resolve.one(connection, definition.name).node()

    def remove(self, name: str) -> None:
        """Forget a node, its reports and its tokens. Raises NotFound."""
        with self._engine.begin() as connection:
            alone(connection)
            before = resolve.one(connection, name).definition()
            connection.execute(nodes.delete().where(nodes.c.name == name))
            note(connection, "node removed", name, _plain(before), {})

    def get(self, name: str) -> Node:
        """Raises NotFound."""
        with self._engine.connect() as connection:
            return resolve.one(connection, name).node()

    def definition(self, name: str) -> Definition:
        """What was said of the node itself, and the groups that it is in. Raises NotFound."""
        with self._engine.connect() as connection:
            return resolve.one(connection, name).definition()

    def definitions(self, names: Sequence[str]) -> tuple[Definition, ...]:
        """Of these nodes, in this order. Raises NotFound."""
        with self._engine.connect() as connection:
            return tuple(each.definition() for each in resolve.several(connection, names))

    def named(self, names: Sequence[str]) -> tuple[Node, ...]:
        """These nodes, in this order. Raises NotFound."""
        with self._engine.connect() as connection:
            return tuple(each.node() for each in resolve.several(connection, names))

    def names(self, state: NodeState | None = None) -> tuple[str, ...]:
        """Of every node, or of those in ``state``; sorted."""
        query = sa.select(nodes.c.name)
        with self._engine.connect() as connection:
            return tuple(sorted(connection.scalars(query.where(nodes.c.state == state.value) if state else query)))

    def all(self) -> tuple[Node, ...]:
        """Every node, by name."""
        with self._engine.connect() as connection:
            return everyone(connection)

    def find(self, mac: Mac | None, uuid: str = "") -> Node | None:
        """The node with this MAC, else with this SMBIOS UUID."""
        with self._engine.connect() as connection:
            found = resolve.found(connection, resolve.BY_MAC, {"mac": str(mac)}) if mac else []
            if not found and uuid:
                found = resolve.found(connection, resolve.BY_UUID, {"uuid": uuid.lower()})
        return found[0].node() if found else None

    def set_action(self, names: Iterable[str], action: BootAction) -> None:
        """What network boots of these nodes do from now on: all or none. Raises NotFound."""
        self.set_boot(names, NextBoot(action), once=False)

    def set_boot(self, names: Iterable[str], boot: NextBoot, *, once: bool) -> tuple[Booting, ...]:
        """What the next network boot of these nodes does: all or none. Raises NotFound.

        ``once``: what would hold without it, holds again after it.
        """
        with self._engine.begin() as connection:
            alone(connection)
            return tuple(next_boots.set_boot(connection, name, boot, once=once) for name in names)

    def booting(self, name: str) -> Booting:
        """What the next network boot does, and what holds after it. Raises NotFound."""
        with self._engine.connect() as connection:
            return next_boots.booting(connection, name)

    def boot_files(self) -> frozenset[str]:
        """Every kernel and initial ramdisk that a boot of some node names, now or after the next one."""
        query = sa.select(nodes.c.boot_with, nodes.c.boot_after)
        with self._engine.connect() as connection:
            texts = {text for row in connection.execute(query) for text in row if text}
        boots = [from_json(text, NextBoot) for text in texts]
        return frozenset(path for boot in boots for path in (boot.kernel, *boot.initrds) if path)

    def record(self, name: str, event: NodeEvent, *, reason: str = "", **changes: Any) -> Node:
        """Move the node to the state that follows, with other columns in the same commit. Raises Conflict."""
        with self._engine.begin() as connection:
            before = _life(connection, name)
            if not before:
                raise resolve.unknown(name)
            state = next_state(NodeState(before["state"]), event)
            values = {"state": state.value, "reason": reason.replace("\0", ""), "stalled": None, **changes}
            connection.execute(nodes.update().where(nodes.c.name == name).values(**values))
            note(connection, "state of a node", name, before, _life(connection, name))
            return resolve.one(connection, name).node()

    def keep(self, name: str, *, told: str = "", **columns: Any) -> None:
        """Store facts beside the definition: ``inventory`` (JSON), ``plan_hash``, ``last_seen``...

        ``told`` is the event's name where they are more than notes of ours: how an update ended, drift.
        """
        with self._engine.begin() as connection:
            before = _life(connection, name) if told else {}
            secure = connection.scalar(_SECURE, {"wanted": name}) if "secure_boot" in columns else None
            connection.execute(nodes.update().where(nodes.c.name == name).values(**columns))
            _note_firmware(connection, name, secure, columns)
            if told:
                note(connection, told, name, before, _life(connection, name))

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
            raise resolve.unknown(name)
        return dict(row._mapping)

    def every(self, *columns: str) -> dict[str, Any]:
        """These facts of all nodes at once, by name: a row with an attribute for each."""
        query = sa.select(nodes.c.name, *(nodes.c[key] for key in columns))
        with self._engine.connect() as connection:
            return {row[0]: row for row in connection.execute(query).all()}

    def holder(self, secret: str) -> Holder:
        """The node that proves itself by ``secret``, in one small question. Raises Denied."""
        with self._engine.connect() as connection:
            found = resolve.found(connection, resolve.BY_SECRET, {"hash": secret_hash(secret)})
        if not found:
            raise Denied("this secret is no node's", hint="The node was re-installed or removed since.")
        row, setup = found[0].row, found[0].setup
        facts = (row.state, row.address, row.plan_hash, str(setup.image), setup.layout, setup.console,
                 tuple(sorted(setup.variables.items())))  # fmt: skip
        return Holder(row[0], setup.image, NodeState(row.state), row.updating, facts)

    def inventory(self, name: str) -> Inventory | None:
        """The hardware as the agent last saw it."""
        text = self.fact(name, "inventory")
        return from_json(text, Inventory, where=f"inventory of {name}") if text else None

    def add_report(self, name: str, time: float, report: Report) -> None:
        """Append to the node's install log; ``time`` is the server's, in seconds since the epoch."""
        with self._engine.begin() as connection:
            # The end of a phase stands for its progress; a long transfer would leave thousands.
            connection.execute(reports.delete().where(reports.c.node == name, reports.c.status == _PROGRESS))
            connection.execute(reports.insert(), [_row(name, time, report)])
            connection.execute(nodes.update().where(nodes.c.name == name).values(last_seen=time))

    def add_progress(self, glimpses: Collection[tuple[str, float, Report]]) -> None:
        """Reports of progress of several nodes in one commit, each in place of the node's last one of that phase."""
        names = sorted({name for name, _, _ in glimpses})
        with self._engine.begin() as connection:
            known = {*connection.scalars(sa.select(nodes.c.name).where(nodes.c.name.in_(names)))}
            rows = [_row(name, time, report) for name, time, report in glimpses if name in known]
            if rows:
                connection.execute(_FORGET, [{"of": row["node"], "in": row["phase"]} for row in rows])
                connection.execute(reports.insert(), rows)
                seen = nodes.update().where(nodes.c.name == sa.bindparam("of")).values(last_seen=sa.bindparam("time"))
                connection.execute(seen, [{"of": row["node"], "time": row["time"]} for row in rows])

    def reports(self, name: str) -> tuple[tuple[float, Report], ...]:
        """(time, report) of the last install or update, oldest first."""
        query = sa.select(reports.c.time, reports.c.report).where(reports.c.node == name).order_by(reports.c.id)
        with self._engine.connect() as connection:
            return tuple((row.time, from_json(row.report, Report)) for row in connection.execute(query))

    def clear_reports(self, name: str) -> None:
        """A new install or update begins: its log starts empty."""
        with self._engine.begin() as connection:
            connection.execute(reports.delete().where(reports.c.node == name))


def insert(connection: sa.Connection, definition: Definition, action: BootAction | None, **columns: Any) -> None:
    """A new node, in somebody's transaction; ``columns`` as in ``Nodes.keep``. Raises as ``Nodes.define``."""
    if action not in (None, *AT_FIRST):
        raise BadInput(f"a new node cannot begin with {action}", where=definition.name)
    _refuse_rivals(connection, definition)
    taken = f"the name or the address {definition.address}" if definition.address else "the name"
    first = action or BootAction(DEFAULTS.first)
    life = {"name": definition.name, "action": first.value, "state": NodeState.DEFINED.value, "reason": ""}
    with refusing_duplicates(f"{taken} is taken", definition.name, _TAKEN):
        connection.execute(nodes.insert(), life | _columns(definition) | columns)
    _put_nics(connection, definition)
    if definition.groups:
        put_members(connection, definition.name, definition.groups)
        if action is None:
            first = BootAction(resolve.one(connection, definition.name).setup.first)
            connection.execute(nodes.update().where(nodes.c.name == definition.name).values(action=first.value))
    note(connection, "node added", definition.name, {}, _plain(definition) | _begins(first))


def _begins(action: BootAction) -> dict[str, str]:
    """For an event: what is not as usual."""
    return {} if action.value == DEFAULTS.first else {"action": action.value}


def everyone(connection: sa.Connection) -> tuple[Node, ...]:
    """Every node, by name, in somebody's transaction."""
    return tuple(each.node() for each in resolve.everyone(connection).values())


def _note_firmware(connection: sa.Connection, name: str, before: bool | None, columns: Mapping[str, Any]) -> None:
    """On it depends which boot loader the machine gets."""
    if "secure_boot" in columns:
        after = {"secure_boot": columns["secure_boot"]}
        note(connection, "firmware of a node", name, {} if before is None else {"secure_boot": before}, after)


def _change(connection: sa.Connection, definition: Definition, columns: Mapping[str, Any]) -> Definition:
    """See ``Nodes.change``. Returns what it was before."""
    _refuse_rivals(connection, definition)
    found = resolve.one(connection, definition.name)
    before, secure = found.definition(), found.row.secure_boot
    with refusing_duplicates(f"the address {definition.address} is taken", definition.name, _TAKEN):
        change = nodes.update().where(nodes.c.name == definition.name)
        connection.execute(change.values(**_columns(definition), **columns))
    if definition.macs != before.macs:
        connection.execute(nics.delete().where(nics.c.node == definition.name))
        _put_nics(connection, definition)
    if set(definition.groups) != set(before.groups):
        put_members(connection, definition.name, definition.groups)
    note(connection, "node changed", definition.name, _plain(before), _plain(definition))
    _note_firmware(connection, definition.name, secure, columns)
    return before


def _refuse_rivals(connection: sa.Connection, wanted: Definition) -> None:
    for mac in wanted.macs:
        owner = connection.scalar(_OWNER_OF_MAC, {"mac": str(mac)})
        if owner and owner != wanted.name:
            raise Conflict(f"{mac} belongs to node {owner} already", where=wanted.name, hint=_TAKEN)
    if wanted.uuid:
        owner = connection.scalar(_OWNER_OF_UUID, {"uuid": wanted.uuid.lower(), "not": wanted.name})
        if owner:
            raise Conflict(f"the UUID {wanted.uuid} belongs to node {owner} already", where=wanted.name, hint=_TAKEN)


def _put_nics(connection: sa.Connection, wanted: Definition) -> None:
    rows = [{"mac": str(mac), "node": wanted.name, "position": at} for at, mac in enumerate(wanted.macs)]
    connection.execute(nics.insert(), rows)


def _plain(definition: Definition) -> dict[str, Any]:
    """As events tell it."""
    plain = {
        **setup_plain(definition.setup), "uuid": definition.uuid, "address": str(definition.address or ""),
        "macs": list(map(str, definition.macs)), "groups": sorted(definition.groups),
    }  # fmt: skip
    return {key: value for key, value in plain.items() if value}


def _life(connection: sa.Connection, name: str) -> dict[str, Any]:
    """As events tell it: where the node is in its life, what it has, and how its last update and comparison ended."""
    row = connection.execute(_LIFE, {"wanted": name}).first()
    if row is None:
        return {}
    life = {key: row._mapping[key] for key in _OF_LIFE}
    if row.updated:
        life |= {key: json.loads(row.updated)[key] for key in ("outcome", "message")}
    return {key: value for key, value in life.items() if value not in ("", None)}


def _row(name: str, time: float, report: Report) -> dict[str, Any]:
    kind = {"phase": report.phase, "status": report.status.value}
    return {"node": name, "time": time, "report": to_json(report), **kind}


def _columns(definition: Definition) -> dict[str, Any]:
    setup = definition.setup
    return {
        "uuid": definition.uuid.lower(),
        "address": str(definition.address) if definition.address else None,
        "image": str(setup.image),
        "layout": setup.layout,
        "console": setup.console,
        "variables": json.dumps(setup.variables, sort_keys=True) if setup.variables else None,
    }
