"""All that the daemon does so that people know how nodes do: built and wired here, one part of the composition root."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.threads import deferToThreadPool

from imaged.admin.monitor import Stalls
from imaged.daemon.feed import Feed
from imaged.daemon.lag import Lag
from imaged.daemon.netconsole import Netconsole
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.daemon.rounds import Rounds
from imaged.daemon.systemimager import MonitorService
from imaged.daemon.webhooks import Webhooks
from imaged.model.settings import Settings
from imaged.store.bookmarks import Bookmarks
from imaged.store.foreign import Foreigners
from imaged.store.leases import LeaseStore

_PROGRESS: Final = 1.0  # seconds between two commits of what nodes say of their progress
_STALLS: Final = 30.0  # seconds between two looks for nodes that have stalled


class Watching:
    """``feed`` tells of every change. ``start`` raises ImagedError when a port cannot be had."""

    def __init__(self, settings: Settings, provisioning: Provisioning, logs: NodeLogs, reactor: Any) -> None:
        self._reactor = reactor
        self.feed = Feed(provisioning.engine, reactor)
        stalls = Stalls(provisioning.engine)
        self.lag = Lag(reactor)
        self._rounds = Rounds(reactor)
        self._rounds.every(_PROGRESS, provisioning.glimpses.flush)
        self._rounds.every(_STALLS, lambda: self._in_thread(stalls.look, time.time()))
        bookmarks = Bookmarks(provisioning.engine)
        self.webhooks = Webhooks(settings.webhooks, settings.base_url, self.feed, bookmarks, reactor, time.time)
        self._services: list[Any] = [self.webhooks]
        if settings.monitor.port:
            service = MonitorService(settings.monitor.port, Foreigners(provisioning.engine), time.time, reactor)
            self._rounds.every(_PROGRESS, service.flush)
            self._services.append(service)
        if settings.monitor.netconsole:
            find, write = LeaseStore(provisioning.engine).holder, partial(logs.append, kind="console")
            self._services.append(Netconsole(settings.monitor.netconsole, find, write, reactor))

    def _in_thread(self, act: Callable[..., object], *values: Any) -> Any:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), act, *values)

    def start(self) -> None:
        """Listen, and begin the rounds."""
        for service in self._services:
            service.start()
        self._rounds.start()
        self.lag.start()

    def stop(self) -> None:
        """Nothing of it goes on."""
        self.lag.stop()
        self._rounds.stop()
        for service in self._services:
            service.stop()
        self.feed.stop()
