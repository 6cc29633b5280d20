"""The composition root of `imaged serve`: settings in, every service built, wired and started here and only here."""

import gc
import os
import resource
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThread, deferToThreadPool
from twisted.logger import Logger

from imaged.admin import rack
from imaged.admin.desk import Desk
from imaged.daemon import sendfile
from imaged.daemon.api.answering import Office
from imaged.daemon.api.resource import ApiResource
from imaged.daemon.api.table import ROUTES
from imaged.daemon.dhcp import DhcpService
from imaged.daemon.metrics import Counts, Metrics
from imaged.daemon.nodeapi import SCRIPTS, NodeApi
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.pages.answering import Front
from imaged.daemon.pages.resource import PageResource
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.rounds import Rounds
from imaged.daemon.rsync import RsyncService
from imaged.daemon.site import Fork, QuietSite
from imaged.daemon.states import States
from imaged.daemon.statescripts import StateScripts
from imaged.daemon.tftp import TftpService
from imaged.daemon.watching import Watching
from imaged.model.errors import Conflict
from imaged.model.settings import DhcpMode, Settings
from imaged.planning.states import KINDS
from imaged.store.directory import Directory
from imaged.store.leases import LeaseStore
from imaged.store.paths import State, boot_loaders, socket_path
from imaged.store.stateruns import StateRuns

_BACKLOG = 1024  # connections that wait to be accepted: a rack's agents report by one each
_NAMING = 1.0  # seconds between two looks for machines that take places of a rack
_LONGEST = 107  # bytes of a local socket's path (unix(7))


class Daemon:
    """All services of one server. ``start`` is all or nothing: it raises before anything was answered."""

    _log = Logger()

    def __init__(self, settings: Settings, reactor: Any, path: Path) -> None:
        state = State.of(settings)
        for directory in (state.boot, state.images, state.logs, state.run):
            directory.mkdir(parents=True, exist_ok=True)
        provisioning = Provisioning(settings, time.time)
        logs = NodeLogs(state.logs, time.time)
        self._settings = settings
        self._reactor = reactor
        self._tftp = TftpService(settings, state.boot, reactor, generated=provisioning.generated)
        self._rsync = RsyncService(
            settings, state.run, state.logs, reactor, provisioning.grant, on_queue=provisioning.record_place
        )
        provisioning.fetching = lambda: (*self._rsync.transferring, *self._rsync.waiting)
        desk = Desk(settings, provisioning.engine, path)
        desk.jobs.on_fault = lambda what: self._log.failure("{what}", what=what)
        self._jobs = desk.jobs
        metrics = Metrics(desk, provisioning.tally, self._counts, reactor)
        # A node that starts over has no use for the transfer it left behind: its slot is free at once.
        self._states = state_scripts(provisioning, logs, settings, reactor)
        self._api = NodeApi(provisioning, self._states, logs, state.boot, self._rsync.drop, metrics)
        self._watching = Watching(settings, provisioning, logs, reactor)
        office = Office(desk, provisioning, ROUTES)
        self._people = ApiResource(office, settings.api.users, self._watching.feed, reactor)
        pages = PageResource(Front(desk, provisioning), reactor, self._people.threads)
        self._rounds = Rounds(reactor)
        self._rounds.every(_NAMING, lambda: deferToThreadPool(reactor, self._people.threads, rack.go_on, desk))
        routes = Fork(self._api.resource(), self._people, pages, self._api.first_words())
        self._site = QuietSite(routes, reactor, self._api.quick, SCRIPTS)
        self._local = QuietSite(self._people, reactor)
        self._socket = socket_path(settings, state)
        self._directory = Directory(provisioning.engine)
        self._dhcp = DhcpService(
            settings,
            reactor,
            directory=self._directory,
            leases=LeaseStore(provisioning.engine),
            clock=time.time,
            loaders=lambda: frozenset(boot_loaders(state.boot)),
            may_name=provisioning.strangers.have_rules,
            name=provisioning.strangers.name,
        )

    def start(self) -> None:
        """Listen on every port. Raises ImagedError when one cannot be had."""
        settings = self._settings
        _raise_descriptor_limit()
        try:
            sendfile.listen(self._reactor, settings.http.port, self._site, backlog=_BACKLOG)
        except CannotListenError as error:
            raise Conflict(f"cannot listen: {error.socketError}", where=f"http.port {settings.http.port}") from None
        self._listen_locally()
        self._people.start()
        self._rsync.start()
        self._tftp.start()
        self._states.start()
        if settings.dhcp.mode is not DhcpMode.OFF:
            self._dhcp.start()
        self._watching.start()
        self._rounds.start()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        _spare_the_collector()
        self._log.info(
            "ready: {base}, tftp {tftp}, rsync {rsync}, dhcp {mode}",
            base=settings.base_url,
            tftp=settings.tftp.port,
            rsync=settings.rsync.port,
            mode=settings.dhcp.mode.value,
        )

    def _listen_locally(self) -> None:
        path = str(self._socket)
        if len(os.fsencode(path)) > _LONGEST:
            self._log.warn("no local API: {path} is too long a path; api.socket names another", path=path)
            return
        try:
            # Whoever may come in is the API's to say.
            self._reactor.listenUNIX(path, self._local, mode=0o666, wantPID=True)
        except CannotListenError as error:
            raise Conflict(f"cannot listen: {error.socketError}", where=f"api.socket {path}") from None

    def _counts(self) -> Counts:
        return Counts(
            sent={"tftp": self._tftp.sent, "http": self._api.sent, "rsync": self._rsync.sent},
            dhcp={**self._dhcp.counts, ("", "malformed"): self._dhcp.malformed, ("", "given up"): self._dhcp.given_up},
            tftp_transfers=self._tftp.sessions,
            tftp_turned_away=self._tftp.turned_away,
            tftp_processes=self._tftp.processes,
            rsync_transfers=len(self._rsync.transferring),
            rsync_waiting=len(self._rsync.waiting),
            rsync_ended=dict(self._rsync.ended),
            late=self._watching.lag.late,
            feed_listeners=self._watching.feed.listeners,
            webhooks=dict(self._watching.webhooks.counts),
            webhooks_waiting=self._watching.webhooks.waiting,
        )

    def _stop(self) -> Any:
        self._rounds.stop()
        self._watching.stop()
        self._people.stop()
        self._tftp.stop()
        self._states.stop()
        # Machines that are being switched are not left half-way: their BMCs are given their time.
        ending = (deferToThread(self._jobs.close), maybeDeferred(self._dhcp.stop), maybeDeferred(self._rsync.stop))
        return gatherResults(ending)


def state_scripts(provisioning: Provisioning, logs: NodeLogs, settings: Settings, reactor: Any) -> States:
    """Of one server; not started."""
    run, overrides = State.of(settings).run, provisioning.overrides
    scripts = StateScripts(provisioning.state_scripts, run, overrides.scripts, settings.scripts, time.time)

    def names(word: str) -> tuple[str, ...]:
        return overrides.script_names(f"{KINDS}/{word}")

    return States(
        scripts, StateRuns(provisioning.engine), names, logs.append, reactor, settings.scripts.at_once
    )  # fmt: skip


def _spare_the_collector() -> None:
    """What was imported and built stays: a busy reactor has no time to look for garbage in it over and over."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _raise_descriptor_limit() -> None:
    """Each TFTP transfer costs three descriptors, and a rack asks all at once: 1024, the usual limit, is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
