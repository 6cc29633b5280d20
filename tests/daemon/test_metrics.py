"""What Prometheus reads is right, is Prometheus' language, and has every name that the board in docs asks for."""

import json
import re
import subprocess
from ipaddress import IPv4Address
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import pytest_twisted
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from imaged.admin.desk import Desk
from imaged.daemon.metrics import Counts, Metrics
from imaged.daemon.nodeapi import NodeApi
from imaged.model.access import Role
from imaged.model.errors import Nobody
from imaged.model.lease import Lease, LeaseState
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeEvent
from imaged.model.outcome import Outcome
from imaged.model.report import Report, Status
from imaged.model.settings import MonitorSettings
from imaged.planning.tally import Histogram, Tally
from imaged.store.apitokens import ApiTokens
from imaged.store.database import open_database
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes
from imaged.store.settings import build

BOARD = Path(__file__).parents[2] / "docs/grafana.json"
LATE = Histogram([0.1, 1.0])
COUNTS = Counts(
    sent={"tftp": 10, "http": 20, "rsync": 30}, dhcp={("DISCOVER", "answered"): 3, ("", "malformed"): 1},
    tftp_transfers=1, tftp_turned_away=7, tftp_processes=1,
    rsync_transfers=2, rsync_waiting=3, rsync_ended={"done": 4, "failed": 5}, late=LATE,
    feed_listeners=1, webhooks={"posted": 1, "given up": 0}, webhooks_waiting=0,
)  # fmt: skip


def metrics(directory, reactor=None):
    """Of a site with two nodes, one of which is up and one of which fails."""
    subnet = {"network": "10.0.0.0/24", "pool": "10.0.0.100-10.0.0.199"}
    settings = build({"address": "10.0.0.1", "dhcp": {"subnets": [subnet]}}, where="test")
    engine = open_database(directory / "db.sqlite")
    nodes, tally = Nodes(engine), Tally()
    for number in (1, 2):
        nodes.add(Node(f"n{number}", (Mac.parse(f"52:54:00:00:00:0{number}"),), ImageRef("tiny")))
        nodes.record(f"n{number}", NodeEvent.CLAIMED)
    nodes.record("n1", NodeEvent.INSTALLED, installed="tiny@1", action="local")
    nodes.record("n1", NodeEvent.UP)
    nodes.keep("n1", last_seen=5.0, drift_count=7)
    nodes.record("n2", NodeEvent.FAILED, reason="no")
    address = IPv4Address("10.0.0.100")
    LeaseStore(engine).save([Lease(address, Mac.parse("52:54:00:00:00:01"), LeaseState.BOUND, 1e12)])
    for time, phase, status in [(0, "claim", Status.STARTED), (3, "claim", Status.DONE), (9, "reboot", Status.DONE)]:
        tally.reported("n1", time, Report(phase, status, 0.0))
    tally.reported("n1", 40, Report("up", Status.DONE, 0.0))
    tally.updated(Outcome.DONE)
    return Metrics(Desk(settings, engine), tally, lambda: COUNTS, reactor)


@pytest.fixture
def text(tmp_path):
    return metrics(tmp_path).text(COUNTS).decode()


@pytest.mark.parametrize(
    "line",
    [
        'imaged_sent_bytes_total{source="rsync"} 30.0',
        'imaged_dhcp_packets_total{outcome="answered",type="DISCOVER"} 3.0',
        'imaged_nodes{state="ready"} 1.0',
        'imaged_nodes{state="failed"} 1.0',
        'imaged_nodes{state="stalled"} 0.0',
        'imaged_nodes_installed{version="tiny@1"} 1.0',
        'imaged_node_info{image="tiny@stable",node="n1",state="ready",version="tiny@1"} 1.0',
        'imaged_node_drift_paths{node="n1"} 7.0',
        'imaged_node_last_seen_timestamp_seconds{node="n1"} 5.0',
        'imaged_leases{state="bound",subnet="10.0.0.0/24"} 1.0',
        'imaged_pool_addresses{subnet="10.0.0.0/24"} 100.0',
        'imaged_phase_seconds_bucket{kind="install",le="5.0",phase="claim"} 1.0',
        'imaged_phase_seconds_sum{kind="install",phase="boot"} 31.0',
        "imaged_install_seconds_sum 40.0",
        'imaged_installs_total{outcome="ready"} 1.0',
        'imaged_updates_total{outcome="done"} 1.0',
        "imaged_rsync_waiting 3.0",
        "imaged_rsync_slots 32.0",
        'imaged_loop_late_seconds_bucket{le="+Inf"} 0.0',
    ],
)
def test_what_is_told(text, line):
    assert line in text.splitlines()


@pytest.mark.processes
def test_it_is_prometheus_language(text):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_name_cannot_break_out_of_its_label(tmp_path):
    counts = evolve(COUNTS, sent={'a"} 1\nimaged_evil 1 #\\': 5})
    families = list(text_string_to_metric_families(metrics(tmp_path).text(counts).decode()))
    assert "imaged_evil" not in {family.name for family in families}


def test_who_may_read(tmp_path):
    served = metrics(tmp_path)
    engine = open_database(tmp_path / "db.sqlite")
    token = ApiTokens(engine).add("prometheus", Role.READ, None)
    expired = ApiTokens(engine).add("old", Role.READ, 1.0)
    served.admit(f"Bearer {token}")
    for authorization in ("", "Bearer ", f"Basic {token}", "Bearer x", f"Bearer {expired}"):
        with pytest.raises(Nobody):
            served.admit(authorization)
    served._settings = evolve(served._settings, monitor=MonitorSettings(metrics=True))
    served.admit("")


@pytest_twisted.ensureDeferred
async def test_it_is_served(tmp_path):
    from twisted.internet import reactor

    served = metrics(tmp_path, reactor)
    token = ApiTokens(open_database(tmp_path / "db.sqlite")).add("prometheus", Role.READ, None)
    api = NodeApi(None, None, None, tmp_path, None, served)
    port = reactor.listenTCP(0, Site(api.resource()), interface="127.0.0.1")

    def ask(**headers):
        request = Request(f"http://127.0.0.1:{port.getHost().port}/metrics", headers=headers)
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())["what"]

    try:
        assert await deferToThread(ask) == (401, "this needs 'Authorization: Bearer TOKEN'")
        status, kind, text = await deferToThread(ask, Authorization=f"Bearer {token}")
    finally:
        await port.stopListening()
    assert (status, kind.partition(";")[0], b"imaged_nodes{" in text) == (200, "text/plain", True)


@pytest_twisted.ensureDeferred
async def test_two_that_ask_at_once_are_given_the_same(tmp_path):
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    served = metrics(tmp_path, reactor)
    first, second = await gatherResults([Deferred.fromCoroutine(served.scrape()) for _ in range(2)])
    assert first is second
    assert b"imaged_nodes" in first


def expressions():
    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("expr"), str):
                yield value["expr"]
            for each in value.values():
                yield from walk(each)
        elif isinstance(value, list):
            for each in value:
                yield from walk(each)

    return sorted(set(walk(json.loads(BOARD.read_text()))))


def test_the_board_asks_for_what_is_served(text):
    served = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    asked = {name for each in expressions() for name in re.findall(r"\b(?:imaged|process)_[a-z_]+", each)}
    assert asked
    assert asked <= served


@pytest.mark.processes
def test_the_boards_expressions_are_prometheus_language(tmp_path):
    rules = [
        {"record": f"board:{number}", "expr": each.replace("$__rate_interval", "5m").replace("$node", "n1")}
        for number, each in enumerate(expressions())
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
