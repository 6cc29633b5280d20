"""Goes through all that can be looked at, and hands the facts to who judges them."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path

import sqlalchemy as sa

from imaged.admin.discovery import read_rules
from imaged.doctor import fetching, filters, kept, machine, probe
from imaged.model.dialect import dialect
from imaged.model.errors import CommandFailed, Denied, ImagedError, NotFound
from imaged.model.lease import Lease
from imaged.model.machine import Discovery
from imaged.model.names import ImageRef
from imaged.model.node import Node
from imaged.model.places import Rule
from imaged.model.settings import Settings
from imaged.planning import discovery
from imaged.planning.discovery import Known
from imaged.planning.doctor import (
    database,
    dhcp,
    firewall,
    images,
    leases,
    network,
    nodes,
    ports,
    ramdisk,
    rights,
    service,
    space,
    system,
)  # fmt: skip
from imaged.planning.doctor.finding import Finding, Level, Voice
from imaged.planning.layout import read as read_layout
from imaged.store import layouts
from imaged.store import settings as settings_file
from imaged.store.database import SCHEMA, open_to_look
from imaged.store.images import Images
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes
from imaged.store.paths import State, socket_path
from imaged.store.tables import events, groups

_DENIED = "could not be looked at"
_AS_ROOT = "Run this as root."


class Examination:
    """One server, once. ``path`` is the settings file; other DHCP servers get ``wait`` seconds, 0: are not asked."""

    def __init__(self, path: Path, settings: Settings, wait: float) -> None:
        self.path, self.settings, self.wait = path, settings, wait
        self.state = State.of(settings)
        self.images = Images(self.state.images)
        self._good_database = False

    def findings(self) -> Iterator[Finding]:
        """All of them, check by check; one that cannot be made is a finding itself."""
        yield Voice("settings").ok("are understood", str(self.path))
        for check, look in self._checks():
            yield from _guarded(check, look)

    def _checks(self) -> Iterable[tuple[str, Callable[[], Iterable[Finding]]]]:
        yield "network", lambda: network.findings(self.settings, self._links, machine.routes())
        yield "ports", lambda: ports.findings(self._ports, self._listeners, self._processes, self._daemon)
        yield "service", self._service
        if self.wait:
            yield "dhcp", self._dhcp
        yield "firewall", lambda: firewall.findings(self._filters, self._ports, self._served)
        yield "rights", self._rights
        yield "space", lambda: space.findings(kept.volumes(self.state), *kept.largest(self.images))
        yield "database", self._database
        yield "images", lambda: images.findings(*kept.store(self.images))
        if self._good_database:
            yield "nodes", self._nodes
            yield "files", self._files
            yield "rules", self._rules
            yield "leases", lambda: leases.findings(self.settings, self._leases, self._addresses, time.time())
        yield "ramdisk", self._ramdisk
        yield "clock", lambda: system.clock_findings(self._clock())
        rsync = self.settings.rsync.program
        yield (
            "programs",
            lambda: system.program_findings(machine.rsync_version(rsync), machine.programs(), self.settings),
        )
        daemon = self._daemon.pid if self._daemon else None
        yield "limits", lambda: system.limit_findings(machine.limits(daemon), self.settings)

    @cached_property
    def _links(self) -> tuple[network.Link, ...]:
        return machine.links()

    @cached_property
    def _served(self) -> tuple[str, ...]:
        return tuple(link.name for link in network.served(self._links, self.settings))

    @cached_property
    def _ports(self) -> tuple[ports.Wanted, ...]:
        return ports.wanted(self.settings, self._served)

    @cached_property
    def _listeners(self) -> tuple[ports.Listener, ...]:
        return machine.listeners()

    @cached_property
    def _processes(self) -> dict[int, ports.Process]:
        wanted = {port.port for port in self._ports}
        pids = [pid for each in self._listeners if each.port in wanted for pid in each.pids]
        mark = self.state.database if isinstance(self.state.database, Path) else socket_path(self.settings, self.state)
        return machine.processes(pids, mark)

    @cached_property
    def _daemon(self) -> ports.Process | None:
        with suppress(CommandFailed):
            return next((each for each in self._processes.values() if each.ours), None)
        return None

    def _service(self) -> Iterable[Finding]:
        wanted = {(port.protocol, port.port) for port in self._ports}
        listens = any((each.protocol, each.port) in wanted and not each.pids for each in self._listeners)
        if self._daemon or listens:
            return service.findings(*fetching.fetch(self.settings, self.state.boot, self._is_shut))
        return ()

    def _is_shut(self, protocol: str, port: int) -> bool:
        try:
            return firewall.is_shut(self._filters, protocol, port, "lo")
        except Denied:  # then it shows
            return False

    @cached_property
    def _filters(self) -> firewall.Rules:
        return filters.rules()

    def _dhcp(self) -> Iterable[Finding]:
        settings = self.settings.dhcp
        offers, unasked = probe.look(self._served, settings.port, settings.client_port, self.wait)
        ours = {address.ip for link in self._links for address in link.addresses}
        asked = [name for name in self._served if name not in unasked]
        return dhcp.findings(settings.mode, offers, ours, asked, unasked)

    def _rights(self) -> Iterable[Finding]:
        hidden: list[str] = []
        secrets = any(hook.secret for hook in self.settings.webhooks)
        found = kept.entries(self.state, self.path, hidden, secrets=secrets)
        return rights.findings(found, kept.owner(self.state), os.geteuid(), hidden)

    def _database(self) -> Iterable[Finding]:
        found = kept.database(self.state.database)
        made = tuple(database.findings(found, str(SCHEMA)))
        readable = found.there and not found.hidden and not found.missing
        self._good_database = readable and not any(each.level is Level.ERROR for each in made)
        return made

    @cached_property
    def _engine(self) -> sa.Engine:
        return open_to_look(self.state.database)

    @cached_property
    def _all_nodes(self) -> tuple[Node, ...]:
        return Nodes(self._engine).all()

    @cached_property
    def _leases(self) -> tuple[Lease, ...]:
        return LeaseStore(self._engine).load()

    @property
    def _addresses(self) -> tuple[IPv4Address, ...]:
        return tuple(node.address for node in self._all_nodes if node.address)

    def _nodes(self) -> Iterable[Finding]:
        refs = {node.image: self._image_fault(node.image) for node in self._all_nodes}
        names = {node.layout: self._layout_fault(node.layout) for node in self._all_nodes}
        return nodes.findings(self._all_nodes, refs, names, self.settings)

    def _image_fault(self, ref: ImageRef) -> str:
        return _fault(lambda: self.images.resolve(ref))

    def _layout_fault(self, name: str) -> str:
        return _fault(lambda: read_layout(layouts.find(self.state.layouts, name), name))

    def _groups(self) -> frozenset[str]:
        with self._engine.connect() as connection:
            return frozenset(connection.scalars(sa.select(groups.c.name)))

    def _files(self) -> Iterable[Finding]:
        names = frozenset(node.name for node in self._all_nodes)
        known = nodes.Named(frozenset(self.images.names()), self._groups(), names)
        return nodes.file_findings(kept.layers(self.state), kept.scripts(self.state), known)

    def _rules(self) -> Iterable[Finding]:
        try:
            rules = read_rules(self.state)
        except ImagedError as error:
            return nodes.rule_findings((), error.what, {}, {})
        known = Known.of(self._all_nodes, self.settings)
        broken = {rule.name: self._rule_fault(rule) for rule in rules}
        full = {rule.name: _full(rule, known) for rule in rules}
        return nodes.rule_findings(rules, "", broken, full)

    def _rule_fault(self, rule: Rule) -> str:
        there = self._groups()
        missing = [f"there is no group {name!r}" for name in rule.become.groups if name not in there]
        faults = []
        if rule.become.image:  # else as its groups say; the same with the layout
            faults.append(self._image_fault(rule.become.image))
        if rule.become.layout:
            faults.append(self._layout_fault(rule.become.layout))
        return "; ".join(filter(None, (*faults, *missing)))

    def _ramdisk(self) -> Iterable[Finding]:
        known = self._all_nodes if self._good_database else ()
        needed = kept.architectures(self.images, known)
        if self.settings.discovery is Discovery.INVENTORY and not known:
            needed = tuple(dict.fromkeys((*needed, "x86_64")))
        return ramdisk.findings(kept.boot(self.state, self.images), needed, kept.agent_now(), dialect())

    def _clock(self) -> system.Clock:
        latest = 0.0
        if self._good_database:
            with self._engine.connect() as connection:
                latest = connection.scalar(sa.select(sa.func.max(events.c.time))) or 0.0
        return system.Clock(time.time(), machine.synchronised(), latest)


def examine(path: Path, wait: float) -> Iterator[Finding]:
    """All that is found on the server whose settings file is ``path``."""
    try:
        settings = settings_file.read(path)
    except ImagedError as error:
        hint = error.hint or "docs/settings.md has every key; docs/imaged.yaml is an example."
        what = "there is no settings file" if isinstance(error, NotFound) else error.what
        yield Voice("settings").error(what, str(path), hint)
        return
    yield from Examination(path, settings, wait).findings()


def _guarded(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    say = Voice(check)
    try:
        yield from look()
    except (PermissionError, Denied) as error:
        where = str(getattr(error, "filename", "") or getattr(error, "where", ""))
        yield say.note(_DENIED, where, _AS_ROOT)
    except ImagedError as error:
        yield say.note(f"{_DENIED}: {error.what}", error.where, error.hint)
    except (OSError, sa.exc.DatabaseError) as error:
        yield say.warning(f"{_DENIED}: {getattr(error, 'strerror', None) or getattr(error, 'orig', None) or error}")


def _fault(look: Callable[[], object]) -> str:
    try:
        look()
    except ImagedError as error:
        return error.what
    return ""


def _full(rule: Rule, known: Known) -> str:
    try:
        return "" if discovery.places(rule.become, known) else f"every name of {rule.become.names} is a node's"
    except ImagedError as error:
        return error.what
