"""Prometheus' view of the server, made when it is asked for: numbers and names only, nothing that a stranger could use.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from attrs import frozen
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThreadPool

from imaged import __version__
from imaged.admin.desk import Desk
from imaged.model.access import Role
from imaged.planning import access
from imaged.planning.course import Standing
from imaged.planning.tally import Histogram, Tally, leases_by_subnet
from imaged.store.apitokens import ApiTokens
from imaged.store.leases import LeaseStore

_FRESH: Final = 1.0  # seconds: two Prometheus servers that ask at once are given the same


@frozen
class Counts:
    """What the services have counted since the start, at one moment. ``dhcp`` by (type, outcome)."""

    sent: Mapping[str, int]
    dhcp: Mapping[tuple[str, str], int]
    tftp_transfers: int
    tftp_turned_away: int
    tftp_processes: int
    rsync_transfers: int
    rsync_waiting: int
    rsync_ended: Mapping[str, int]
    late: Histogram
    feed_listeners: int
    webhooks: Mapping[str, int]
    webhooks_waiting: int


class Metrics:
    """``counts`` is asked in the reactor's thread, the database in another."""

    def __init__(self, desk: Desk, tally: Tally, counts: Callable[[], Counts], reactor: Any) -> None:
        self._settings = desk.settings
        self._monitor = desk.monitor
        self._leases = LeaseStore(desk.engine)
        self._tokens = ApiTokens(desk.engine)
        self._tally = tally
        self._counts = counts
        self._reactor = reactor
        self._lock = DeferredLock()
        self._made: tuple[float, bytes] | None = None

    def admit(self, authorization: str) -> None:
        """Whoever has a token of the API, or everybody where the settings say so. Raises Nobody, Denied."""
        if self._settings.monitor.metrics:
            return
        scheme, _, secret = authorization.partition(" ")
        known = scheme.lower() == "bearer" and bool(secret.strip())
        now = time.time()
        access.admit(access.by_token(self._tokens.find(secret.strip(), now), now) if known else None, Role.READ)

    async def scrape(self) -> bytes:
        """The whole text."""
        text: bytes = await self._lock.run(self._scrape)
        return text

    def _scrape(self) -> Any:
        now = self._reactor.seconds()
        if self._made and now - self._made[0] < _FRESH:
            return self._made[1]
        made = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self.text, self._counts())

        def keep(text: bytes) -> bytes:
            self._made = (now, text)
            return text

        return made.addCallback(keep)

    def text(self, counts: Counts) -> bytes:
        """Blocks: what ``scrape`` does in a thread."""
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Families([*self._of_services(counts), *self._of_installs(), *self._of_nodes()]))
        text: bytes = generate_latest(registry)
        return text

    def _of_services(self, counts: Counts) -> Iterator[Metric]:
        yield _gauge("build_info", "This daemon.", {(__version__,): 1}, "version")
        yield _counter("sent_bytes", "Bytes of trees and boot files that were sent.", _one(counts.sent), "source")
        yield _counter("dhcp_packets", "DHCP packets and what became of them.", counts.dhcp, "type", "outcome")
        yield _gauge("tftp_transfers", "Transfers by TFTP under way.", {(): counts.tftp_transfers})
        turned_away = {(): counts.tftp_turned_away}
        yield _counter("tftp_turned_away", "Requests by TFTP that found no place.", turned_away)
        yield _gauge("tftp_processes", "Processes that carry transfers by TFTP.", {(): counts.tftp_processes})
        yield _gauge("rsync_transfers", "Transfers by rsync under way.", {(): counts.rsync_transfers})
        yield _gauge("rsync_waiting", "Nodes that wait for a transfer's slot.", {(): counts.rsync_waiting})
        yield _gauge("rsync_slots", "Transfers that may run at once.", {(): self._settings.rsync.transfers})
        ended = _one(counts.rsync_ended)
        yield _counter("rsync_transfers_ended", "Transfers by rsync that have ended.", ended, "outcome")
        yield _histogram("loop_late_seconds", "By how much the event loop was late.", {(): counts.late})
        yield _gauge("feed_listeners", "Who follows the changes.", {(): counts.feed_listeners})
        outcomes = _one(counts.webhooks)
        yield _counter("webhook_deliveries", "Events that were posted, or were not.", outcomes, "outcome")
        yield _gauge("webhooks_waiting", "Webhooks that wait to try again.", {(): counts.webhooks_waiting})
        networks = [subnet.network for subnet in self._settings.dhcp.subnets]
        leases = leases_by_subnet(self._leases.load(), networks, time.time())
        yield _gauge("leases", "Leases of DHCP.", leases, "subnet", "state")
        pools = {
            (str(subnet.network),): int(subnet.pool.last) - int(subnet.pool.first) + 1
            for subnet in self._settings.dhcp.subnets
            if subnet.pool
        }
        yield _gauge("pool_addresses", "Addresses for machines without one of their own.", pools, "subnet")

    def _of_installs(self) -> Iterator[Metric]:
        tally = self._tally
        phases = dict(tally.phases)  # the reactor's thread adds to it
        yield _histogram("phase_seconds", "How long phases took.", phases, "kind", "phase")
        whole = {(): tally.whole}
        yield _histogram("install_seconds", "From the claim to the first word of the installed system.", whole)
        yield _counter("installs", "Installs that have ended.", _one(dict(tally.installs)), "outcome")
        yield _counter("updates", "Updates of running nodes that have ended.", _one(dict(tally.updates)), "outcome")

    def _of_nodes(self) -> Iterator[Metric]:
        courses = [each for each in self._monitor.look(time.time()) if not each.foreign]
        lives = self._monitor.known
        standings = Counter({(each.value,): 0 for each in Standing})
        standings.update((each.standing.value,) for each in courses)
        yield _gauge("nodes", "Nodes by what `imaged monitor` says of them.", standings, "state")
        installed = Counter((each.installed,) for each in lives if each.installed)
        yield _gauge("nodes_installed", "Nodes by the version that is on their disks.", installed, "version")
        info = {(each.node, each.image, each.installed, each.state.value): 1 for each in lives}
        yield _gauge("node_info", "What each node shall have, has and is.", info, "node", "image", "version", "state")
        seen = {(each.node,): each.last_seen for each in lives if each.last_seen is not None}
        yield _gauge("node_last_seen_timestamp_seconds", "When it was heard of last.", seen, "node")
        drift = {(each.node,): each.drift for each in lives if each.drift is not None}
        yield _gauge("node_drift_paths", "Paths that were different when it was last compared.", drift, "node")


class _Families:
    """What a registry collects from."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """Called by the registry."""
        return self._families


def _gauge(name: str, help: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"imaged_{name}", help, labels=labels), values)


def _counter(name: str, help: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"imaged_{name}", help, labels=labels), values)


def _filled(family: Any, values: Mapping[Any, float]) -> Metric:
    for key, value in values.items():
        family.add_metric(key, value)
    found: Metric = family
    return found


def _histogram(name: str, help: str, values: Mapping[Any, Histogram], *labels: str) -> Metric:
    family = HistogramMetricFamily(f"imaged_{name}", help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value.buckets(), value.sum)
    return family


def _one(values: Mapping[str, int]) -> dict[tuple[str], int]:
    """Keys as the values of one label."""
    return {(key,): value for key, value in values.items()}
