"""The doctor in a network of its own: real DHCP servers, real filters, our own daemon beside it."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from imaged.store.database import open_database
from imaged.store.machines import Machines
from tests.daemon.lab import Lab, Namespace, lab, missing
from tests.doctor.site import Site, model, of

__all__ = ["model"]
WANTED = ("dnsmasq", "nft", "ss")
pytestmark = [pytest.mark.clients, pytest.mark.skipif(bool(missing(*WANTED)), reason=missing(*WANTED) or "-")]
SUBNETS = "subnets: [{network: 10.77.0.0/24, pool: 10.77.0.100-10.77.0.120}]"
BAD = ("warning", "error")


def until(condition: Callable[[], object], what: Callable[[], str], seconds: float = 300.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for: {what()}"
        time.sleep(0.05)


class House(Site):
    """A server with two links, in a namespace; ``plug`` puts another machine on one of them."""

    def __init__(self, root: Path, it: Lab) -> None:
        super().__init__(root)
        self.lab = it
        self.server = it.namespace("srv")
        self.server.bridge("br0", "10.77.0.1/24")
        self.server.bridge("br1", "10.78.0.1/24")
        self._count = 0

    def plug(self, bridge: str, address: str) -> Namespace:
        self._count += 1
        made = self.lab.namespace(f"m{self._count}")
        self.lab.link(made, "eth0", self.server, f"p{self._count}", bridge=bridge)
        made.up("eth0", address)
        return made

    def dnsmasq(self, where: Namespace, *options: str) -> Path:
        """Start another DHCP server, and where it keeps its leases."""
        leases = self.root / f"leases{self._count}"
        log = self.root / f"dnsmasq{self._count}.log"
        where.start(
            "dnsmasq", "--no-daemon", "--port=0", "--interface=eth0", "--bind-interfaces", "--conf-file=/dev/null",
            "--no-ping", f"--dhcp-leasefile={leases}", "--log-dhcp", *options, stdout=log.open("w"),
        )  # fmt: skip
        until(lambda: "DHCP," in log.read_text(), log.read_text)
        return leases

    def serve(self) -> Path:
        """Our daemon."""
        log = self.root / "serve.log"
        argv = (sys.executable, "-m", "imaged", "--settings", str(self.settings), "serve")
        self.server.start("env", f"PYTHONPATH={Path(__file__).parents[2]}", *argv, stdout=log.open("w"))
        until(lambda: "ready:" in log.read_text(), log.read_text)
        return log

    def look(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        argv = (sys.executable, "-m", "imaged", "--settings", str(self.settings), "doctor", "--json", *words)
        path = f"PYTHONPATH={Path(__file__).parents[2]}"
        done = self.server.run("env", path, *argv, timeout=120, check=False)
        with suppress(ValueError):
            return done.returncode, json.loads(done.stdout)
        raise AssertionError(done.stdout)


@pytest.fixture
def house(model: Site, tmp_path: Path) -> Iterator[House]:
    shutil.copytree(model.state.root, tmp_path / "state", symlinks=True)
    with lab() as it:
        yield House(tmp_path, it)


def test_other_servers_on_several_links_are_found_and_no_lease_is_taken(house: House) -> None:
    house.write("address: 10.77.0.1", f"dhcp: {{mode: authoritative, {SUBNETS}}}")
    gives = house.plug("br0", "10.77.0.9/24")
    leases = house.dnsmasq(gives, "--dhcp-range=10.77.0.50,10.77.0.60", "--dhcp-option=3,10.77.0.254")
    boots = house.plug("br1", "10.78.0.9/24")
    house.dnsmasq(boots, "--dhcp-range=10.78.0.0,proxy", "--pxe-service=x86PC,boot,other")
    code, found = house.look()
    lines = of(found, "dhcp", "error")
    assert code == 1 and len(lines) == 2, found
    assert lines[0].startswith("br0: another DHCP server: 10.77.0.9 offers 10.77.0.")
    assert "with router 10.77.0.254" in lines[0]
    assert lines[1].startswith("br1: another DHCP server: 10.78.0.9 offers")
    assert not leases.exists() or leases.read_text() == ""


def test_beside_a_server_that_gives_addresses_a_proxy_is_well(house: House) -> None:
    house.write("address: 10.77.0.1", "interfaces: [br0]", "dhcp: {mode: proxy}")
    _, found = house.look("--wait", "1")
    assert of(found, "dhcp", "warning") == ["br0: no server gives addresses, and a proxy does not either"]
    house.dnsmasq(house.plug("br0", "10.77.0.9/24"), "--dhcp-range=10.77.0.50,10.77.0.60")
    _, found = house.look()
    assert of(found, "dhcp", *BAD) == []
    assert of(found, "dhcp", "ok")[0].startswith("br0: 10.77.0.9 offers 10.77.0.")


def test_beside_our_own_daemon_all_is_well_and_it_takes_the_question_for_no_machine(house: House) -> None:
    house.write("address: 10.77.0.1", "interfaces: [br0]", f"dhcp: {{mode: authoritative, {SUBNETS}}}")
    house.serve()
    _, found = house.look()
    wire = [each for each in found if each["check"] in ("network", "ports", "service", "dhcp", "firewall")]
    assert {each["level"] for each in wire} == {"ok"}, wire
    assert of(found, "ports", "ok") == [": TCP 8080, TCP 873, UDP 69, UDP 67 on br0: our daemon listens"]
    assert of(found, "service", "ok") == [
        "tftp://10.77.0.1:69/loaders/undionly.kpxe: answers (1500 bytes)",
        "http://10.77.0.1:8080/boot/loaders/undionly.kpxe: answers (1500 bytes)",
        "rsync://10.77.0.1:873: answers",
    ]
    # Another server of ours, elsewhere on the link, answers and remembers no such machine either.
    other = house.plug("br0", "10.77.0.2/24")
    house.write("address: 10.77.0.2", f"dhcp: {{mode: authoritative, {SUBNETS}}}")
    argv = (sys.executable, "-m", "imaged", "--settings", str(house.settings), "doctor", "--json")
    done = other.run("env", f"PYTHONPATH={Path(__file__).parents[2]}", *argv, check=False, timeout=120)
    (line,) = of(json.loads(done.stdout), "dhcp", "error")
    assert line.startswith("eth0: another DHCP server: 10.77.0.1 offers 10.77.0.1")
    engine = open_database(house.state.database)
    assert Machines(engine).all() == ()
    engine.dispose()


LISTEN = """
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 8080)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
sockets[1].bind(("", 69))
print("listening", flush=True)
sys.stdin = None
import time; time.sleep(600)
"""


def test_ports_that_somebody_else_has(house: House) -> None:
    house.write("address: 10.77.0.1", "interfaces: [br0]", f"dhcp: {{mode: authoritative, {SUBNETS}}}")
    other = house.server.start(sys.executable, "-c", LISTEN)
    assert other.stdout and other.stdout.readline() == "listening\n"
    dnsmasq = house.server.start(
        "dnsmasq", "--no-daemon", "--port=0", "--interface=br0", "--bind-interfaces", "--conf-file=/dev/null",
        "--dhcp-range=10.77.0.50,10.77.0.60", "--dhcp-leasefile=/dev/null", "--log-facility=-",
    )  # fmt: skip
    assert dnsmasq.stdout and "started" in dnsmasq.stdout.readline()
    code, found = house.look("--no-probe")
    lines = of(found, "ports", "error")
    assert code == 1 and len(lines) == 3, lines
    assert lines[0].startswith("TCP 8080: is held by ") and f"(process {other.pid})" in lines[0]
    assert lines[1].startswith("UDP 69: is held by ")
    assert lines[2].startswith("UDP 67 on br0: is held by dnsmasq") and f"(process {dnsmasq.pid})" in lines[2]


RULES = """
table inet guard {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    tcp dport { 22, 873 } accept
    udp dport 67 accept
    iifname "br1" udp dport 69 accept
  }
}
"""


def test_a_filter_that_drops_what_nodes_ask_for(house: House, tmp_path: Path) -> None:
    house.write("address: 10.77.0.1", f"dhcp: {{mode: authoritative, {SUBNETS}}}")
    house.serve()
    (tmp_path / "rules").write_text(RULES)
    house.server.run("nft", "-f", str(tmp_path / "rules"))
    code, found = house.look("--no-probe")
    assert code == 1
    assert of(found, "firewall", "error") == [
        "TCP 8080 on br0: dropped by inet guard input", "TCP 8080 on br1: dropped by inet guard input",
        "UDP 69 on br0: dropped by inet guard input",
    ]  # fmt: skip
    (todo,) = {each["todo"] for each in found if each["where"] == "UDP 69 on br0"}
    assert [line.partition(": ")[0] for line in of(found, "service", "note")] == [
        "tftp://10.77.0.1:69", "http://10.77.0.1:8080"
    ], "the loopback is shut as well"  # fmt: skip
    house.server.run(*todo.partition(": ")[2].split())
    house.server.run("nft", "insert", "rule", "inet", "guard", "input", "tcp", "dport", "8080", "accept")
    _, found = house.look("--no-probe")
    assert of(found, "firewall", *BAD) == of(found, "service", *BAD) == [], "what it advises helps"
    assert any(line.startswith("http://10.77.0.1:8080") for line in of(found, "service", "ok"))


def test_settings_that_do_not_fit_the_machine(house: House) -> None:
    house.write(
        "address: 10.99.0.1", "interfaces: [br1, eth7]",
        "dhcp: {mode: authoritative, subnets: [{network: 10.77.0.0/24}, {network: 10.66.0.0/24}]}",
    )  # fmt: skip
    _, found = house.look("--no-probe")
    assert [line.split(" (")[0] for line in of(found, "network", "error")] == [
        "address: no interface has 10.99.0.1",
        "eth7: there is no such interface with an IPv4 address",
        "subnet 10.77.0.0/24: is on br0, where nobody is answered",
        "subnet 10.66.0.0/24: is on no interface, and no route leads there",
    ]
    house.server.run("ip", "route", "add", "10.66.0.0/24", "via", "10.78.0.7")
    _, found = house.look("--no-probe")
    assert of(found, "network", "note") == [
        "subnet 10.66.0.0/24: is behind 10.78.0.7: it needs a DHCP relay to 10.99.0.1 there"
    ]
