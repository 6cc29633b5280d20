"""The composition root of `imaged serve`: settings in, every service built, wired and started here and only here."""

import resource
import time
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.web.server import Site

from imaged.daemon.dhcp import DhcpService
from imaged.daemon.nodeapi import NodeApi
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.rsync import RsyncService
from imaged.daemon.tftp import TftpService
from imaged.model.errors import Conflict
from imaged.model.settings import DhcpMode, Settings
from imaged.store.leases import LeaseStore
from imaged.store.paths import State, boot_loaders

_REQUEST_TIMEOUT = 60  # seconds in which a request must be whole


class _Site(Site):
    """No line per request: a rack's progress reports would bury what matters. NodeApi logs what it refuses."""

    noisy = False

    def log(self, request: Any) -> None:
        """Called by Twisted after each request."""


class Daemon:
    """All services of one server. ``start`` is all or nothing: it raises before anything was answered."""

    _log = Logger()

    def __init__(self, settings: Settings, reactor: Any) -> None:
        state = State(Path(settings.state))
        for directory in (state.boot, state.images, state.logs, state.run):
            directory.mkdir(parents=True, exist_ok=True)
        provisioning = Provisioning(settings, time.time)
        logs = NodeLogs(state.logs, time.time)
        self._settings = settings
        self._reactor = reactor
        self._tftp = TftpService(settings, state.boot, reactor, generated=provisioning.generated)
        self._rsync = RsyncService(settings, state.run, state.logs, reactor, provisioning.grant)
        provisioning.fetching = lambda: (*self._rsync.transferring, *self._rsync.waiting)
        # A node that starts over has no use for the transfer it left behind: its slot is free at once.
        api = NodeApi(provisioning, logs, state.boot, on_claim=self._rsync.drop)
        self._site = _Site(api.app.resource(), timeout=_REQUEST_TIMEOUT)
        self._dhcp = DhcpService(
            settings,
            reactor,
            find_node=provisioning.nodes.find,
            saw_machine=provisioning.nodes.saw,
            leases=LeaseStore(provisioning.engine),
            clock=time.time,
            # For each request: mkramdisk adds to them while the daemon runs.
            loaders=lambda: frozenset(boot_loaders(state.boot)),
        )

    def start(self) -> None:
        """Listen on every port. Raises ImagedError when one cannot be had."""
        settings = self._settings
        _raise_descriptor_limit()
        try:
            self._reactor.listenTCP(settings.http.port, self._site)
        except CannotListenError as error:
            raise Conflict(f"cannot listen: {error.socketError}", where=f"http.port {settings.http.port}") from None
        self._rsync.start()
        self._tftp.start()
        if settings.dhcp.mode is not DhcpMode.OFF:
            self._dhcp.start()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._log.info(
            "ready: {base}, tftp {tftp}, rsync {rsync}, dhcp {mode}",
            base=settings.base_url,
            tftp=settings.tftp.port,
            rsync=settings.rsync.port,
            mode=settings.dhcp.mode.value,
        )

    def _stop(self) -> Any:
        if self._settings.dhcp.mode is not DhcpMode.OFF:
            self._dhcp.stop()
        self._tftp.stop()
        return self._rsync.stop()


def _raise_descriptor_limit() -> None:
    """Each TFTP transfer costs two descriptors, and a rack asks all at once: 1024, the usual soft limit, is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
