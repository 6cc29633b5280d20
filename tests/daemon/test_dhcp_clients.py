"""Real DHCP clients, relays and servers against the service, in network namespaces."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from imaged.model.lease import LeaseState
from imaged.store.database import open_database
from imaged.store.leases import LeaseStore
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp import decode
from tests.daemon.lab import lab, missing

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(bool(missing("udhcpc")), reason=missing("udhcpc") or "-"),
]
HERE = Path(__file__).parent
DATA = HERE.parent / "data/dhcp"

AUTHORITATIVE = """
address: 10.77.0.1
state: {state}
interfaces: []
dhcp:
  mode: authoritative
  subnets:
    - network: 10.77.0.0/24
      pool: 10.77.0.100-10.77.0.120
      router: 10.77.0.1
      dns: [10.77.0.2, 10.77.0.3]
      domain: cluster.test
    - network: 10.78.0.0/24
      pool: 10.78.0.100-10.78.0.120
    - network: 10.79.0.0/24
"""
PROXY = """
address: 10.77.0.1
state: {state}
interfaces: [br0]
dhcp:
  mode: proxy
"""
# What a client's script has to do: keep what it was told, and use the address.
SCRIPT = """#!/bin/sh
env > {told}.$1
case $1 in bound|renew) ip address replace $ip/$mask dev $interface;; deconfig) ip address flush dev $interface;; esac
"""


def until(condition, what, seconds=30.0):
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for: {what() if callable(what) else what}"
        time.sleep(0.05)


class Network:
    """A server on a bridge, and clients that are plugged into it."""

    def __init__(self, it, tmp_path):
        self.lab = it
        self.path = tmp_path
        self.server = it.namespace("srv")
        self.server.bridge("br0", "10.77.0.1/24")
        self._serving = None
        self._count = 0

    def serve(self, settings=AUTHORITATIVE, *nodes, wrapper=()):
        configuration = self.path / "imaged.yaml"
        configuration.write_text(settings.format(state=self.path / "state"))
        self._count += 1
        self._log = self.path / f"server.{self._count}.log"
        with self._log.open("w") as out:
            self._serving = self.server.start(
                *wrapper, sys.executable, str(HERE / "serve_dhcp.py"), str(configuration), *nodes, stdout=out
            )
        until(lambda: "ready" in self.log() or self._serving.poll() is not None, self.log)
        assert self._serving.poll() is None, self.log()

    def kill(self):
        self._serving.send_signal(signal.SIGKILL)
        self._serving.wait()

    def log(self):
        return self._log.read_text()

    def hears(self, *words):
        """Wait for a line of the log that has all ``words``."""
        until(lambda: any(all(word in line for word in words) for line in self.log().splitlines()),
              lambda: f"{words} in\n{self.log()}")  # fmt: skip

    def client(self, name, *addresses):
        made = self.lab.namespace(name)
        self.lab.link(made, "eth0", self.server, f"p-{name}", bridge="br0")
        made.up("eth0", *addresses)
        return made

    def script(self, name):
        path = self.path / f"{name}.sh"
        path.write_text(SCRIPT.format(told=self.path / f"{name}.told"))
        path.chmod(0o755)
        return str(path)

    def told(self, name, event="bound"):
        path = self.path / f"{name}.told.{event}"
        until(lambda: path.exists() and "subnet=" in path.read_text(), lambda: f"{name} {event}\n{self.log()}")
        return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)

    def udhcpc(self, name, client, *options):
        return client.start("udhcpc", "-i", "eth0", "-f", "-t", "5", "-T", "3", "-s", self.script(name), *options)


@pytest.fixture
def network(tmp_path):
    with lab() as it:
        yield Network(it, tmp_path)


def test_udhcpc_gets_what_is_reserved_renews_and_releases(network):
    client = network.client("one")
    network.serve(AUTHORITATIVE, f"node07,{client.mac('eth0')},10.77.0.7,local")
    process = network.udhcpc("one", client, "-R", "-O", "ntpsrv")
    told = network.told("one")
    expected = {
        "ip": "10.77.0.7", "subnet": "255.255.255.0", "router": "10.77.0.1", "dns": "10.77.0.2 10.77.0.3",
        "domain": "cluster.test", "hostname": "node07", "lease": "3600", "serverid": "10.77.0.1",
        "broadcast": "10.77.0.255",
    }  # fmt: skip
    assert {key: told.get(key) for key in expected} == expected
    process.send_signal(signal.SIGUSR1)  # renew now, by unicast
    network.hears("REQUEST", "node07", "renewed 10.77.0.7")
    network.told("one", "renew")
    process.terminate()
    network.hears("RELEASE", "released 10.77.0.7")


def test_udhcpc_declines_an_address_that_is_in_use(network):
    network.client("squatter", "10.77.0.100/24")
    client = network.client("two")
    network.serve()
    network.udhcpc("two", client, "-a1000", "-A", "1", "-r", "10.77.0.100")
    network.hears("DECLINE", "10.77.0.100", "another machine uses it")
    assert network.told("two")["ip"] != "10.77.0.100"


def test_two_unknown_machines_get_two_addresses(network):
    network.serve()
    first, second = network.client("a"), network.client("b")
    network.udhcpc("a", first, "-r", "10.77.0.105")
    assert network.told("a")["ip"] == "10.77.0.105"
    network.udhcpc("b", second, "-r", "10.77.0.105")
    assert network.told("b")["ip"] != "10.77.0.105"


def test_a_lease_outlives_kill_9(network):
    network.serve()
    first = network.client("a")
    process = network.udhcpc("a", first, "-r", "10.77.0.105")
    network.told("a")
    network.kill()
    network.serve()
    network.udhcpc("b", network.client("b"), "-r", "10.77.0.105")
    assert network.told("b")["ip"] != "10.77.0.105"
    process.send_signal(signal.SIGUSR1)
    network.hears("REQUEST", first.mac("eth0"), "renewed 10.77.0.105")


ASKING = """
import socket, struct, sys
from ipaddress import IPv4Address
from imaged.wire import dhcp as wire, dhcp_options as opt
from imaged.wire.dhcp_options import MessageType
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
asking.bind(("", 68))
def ask(number, kind, *options):
    chaddr = b"\\x52\\x54\\1" + number.to_bytes(3, "big")
    packet = wire.Packet(wire.Op.REQUEST, number, chaddr, dict((opt.MESSAGE_TYPE.of(kind), *options)), flags=0x8000)
    asking.sendto(wire.encode(packet), ("255.255.255.255", 67))
for number in range(100):
    ask(number, MessageType.DISCOVER)
while True:
    answer = wire.decode(asking.recv(2000))
    if answer.get(opt.MESSAGE_TYPE) is MessageType.ACK:
        print(answer.yiaddr, answer.mac, flush=True)
    else:
        wanted = opt.SERVER_ID.of(answer.get(opt.SERVER_ID)), opt.REQUESTED_ADDRESS.of(answer.yiaddr)
        ask(answer.xid, MessageType.REQUEST, *wanted)
"""


def test_every_lease_that_was_acknowledged_survives_kill_9(network):
    network.serve(AUTHORITATIVE.replace("10.77.0.120", "10.77.0.250"))
    client, told = network.client("many"), network.path / "told"
    with told.open("w") as out:
        asking = client.start(sys.executable, "-c", ASKING, stdout=out)
    until(lambda: told.read_text().count("\n") >= 5, network.log)
    network.kill()  # in the midst of it
    asking.kill()
    asking.wait()
    leases = LeaseStore(open_database(network.path / "state/imaged.sqlite")).load()
    bound = {f"{lease.address} {lease.mac}" for lease in leases if lease.state is LeaseState.BOUND}
    acknowledged = set(told.read_text().splitlines())
    assert len(acknowledged) >= 5 and acknowledged <= bound


@pytest.mark.skipif(bool(missing("dhclient")), reason=missing("dhclient") or "-")
def test_dhclient_binds_comes_back_and_releases(network):
    network.serve()
    client = network.client("one")
    script = network.path / "dhclient-script"
    script.write_text(
        "#!/bin/sh\ncase $reason in BOUND|REBOOT|RENEW) ip address replace $new_ip_address/24 dev $interface;; esac\n"
    )
    script.chmod(0o755)
    files = (
        "-sf",
        str(script),
        "-lf",
        str(network.path / "dhclient.leases"),
        "-pf",
        str(network.path / "dhclient.pid"),
    )
    mac = client.mac("eth0")
    client.run("dhclient", "-4", "-1", "-v", *files, "eth0", timeout=60)
    network.hears("REQUEST", mac, "given 10.77.0.")
    os.kill(int((network.path / "dhclient.pid").read_text()), signal.SIGKILL)
    client.run("dhclient", "-4", "-1", "-v", *files, "eth0", timeout=60)  # INIT-REBOOT with the lease of before
    network.hears("REQUEST", mac, "confirmed 10.77.0.")
    client.run("dhclient", "-4", "-r", "-v", *files, "eth0", timeout=60)
    network.hears("RELEASE", mac, "released 10.77.0.")


@pytest.mark.skipif(bool(missing("dhcpcd")), reason=missing("dhcpcd") or "-")
def test_dhcpcd_reads_the_offer(network):
    client = network.client("one")
    network.serve(AUTHORITATIVE, f"node07,{client.mac('eth0')},10.77.0.7,local")
    # dhcpcd 9.4.1 may crash at the end of -T, after it has said everything.
    said = client.run("dhcpcd", "-4", "-T", "-1", "--noarp", "eth0", timeout=60, check=False).stdout
    for line in ("new_ip_address='10.77.0.7'", "new_routers='10.77.0.1'", "new_host_name='node07'",
                 "new_domain_name_servers='10.77.0.2 10.77.0.3'", "new_dhcp_lease_time='3600'"):  # fmt: skip
        assert line in said


@pytest.mark.skipif(bool(missing("dhcrelay")), reason=missing("dhcrelay") or "-")
def test_a_machine_behind_a_relay_gets_an_address_of_its_own_link(network):
    network.serve()
    relay = network.client("relay", "10.77.0.9/24")
    client = network.lab.namespace("far")
    network.lab.link(client, "eth0", relay, "r1")
    relay.up("r1", "10.78.0.1/24")
    network.server.run("ip", "route", "add", "10.78.0.0/24", "via", "10.77.0.9")
    # With -a the relay adds option 82 and drops answers that do not bring it back.
    relay.start("dhcrelay", "-4", "-d", "-a", "-m", "append", "-id", "r1", "-iu", "eth0", "10.77.0.1",
                stdout=(network.path / "relay.log").open("w"))  # fmt: skip
    network.udhcpc("far", client)
    told = network.told("far")
    assert told["ip"].startswith("10.78.0.") and told["subnet"] == "255.255.255.0"
    network.hears("REQUEST", client.mac("eth0"), "given 10.78.0.")


def test_without_raw_sockets_answers_are_broadcast(network):
    network.serve(wrapper=("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"))
    assert "no raw socket" in network.log()
    network.udhcpc("one", network.client("one"))
    assert network.told("one")["ip"].startswith("10.77.0.")


def test_an_interface_that_comes_later_is_served_and_one_that_goes_is_left(network):
    client = network.lab.namespace("late")
    network.serve(AUTHORITATIVE, "node09,52:54:00:00:00:09,10.79.0.9,local")
    assert "DHCP on br0 (10.77.0.1/24)" in network.log() and "DHCP on lo" not in network.log()
    network.lab.link(client, "eth0", network.server, "late0")
    client.run("ip", "link", "set", "eth0", "address", "52:54:00:00:00:09")
    network.server.up("late0", "10.79.0.1/24")
    network.hears("DHCP on late0 (10.79.0.1/24)")
    network.udhcpc("late", client)
    assert network.told("late")["ip"] == "10.79.0.9"
    network.server.run("ip", "link", "delete", "late0")
    network.udhcpc("one", network.client("one"))
    assert network.told("one")["ip"].startswith("10.77.0.")
    assert "Traceback" not in network.log()


def test_two_servers_on_one_interface_are_told(network):
    network.serve()
    second = network.server.run(
        sys.executable, str(HERE / "serve_dhcp.py"), str(network.path / "imaged.yaml"), check=False
    )
    assert second.returncode != 0
    assert "UDP port 67 on br0: cannot listen: Address already in use" in second.stdout


def test_it_runs_without_capabilities_on_high_ports(network):
    high = AUTHORITATIVE.replace("dhcp:", "dhcp:\n  port: 6767\n  client_port: 6868").replace("[]", "[br0]")
    network.serve(high, wrapper=("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"))
    client = network.client("one", "10.77.0.50/24")
    answer = exchange(client, "ipxe-bios-discover", ("0.0.0.0", 6868), ("255.255.255.255", 6767))
    assert answer.get(opt.MESSAGE_TYPE).name == "OFFER"


EXCHANGE = """
import socket, sys
from_address, from_port, to_address, to_port, packet = sys.argv[1:]
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
client.bind((from_address, int(from_port)))
client.settimeout(20)
client.sendto(bytes.fromhex(packet), (to_address, int(to_port)))
print(client.recv(65536).hex())
"""


def exchange(client, capture, source, to):
    """Send one captured packet from a client's namespace; the answer."""
    packet = "".join((DATA / f"{capture}.hex").read_text().split())
    ends = (source[0], str(source[1]), to[0], str(to[1]))
    return decode(bytes.fromhex(client.run(sys.executable, "-c", EXCHANGE, *ends, packet).stdout))


def test_a_proxy_on_both_its_ports(network):
    """What OVMF does beside another DHCP server: hears the offer, has an address from there, asks 4011 from 4011."""
    client = network.client("one", "10.77.0.50/24")
    network.serve(PROXY, "node07,52:54:00:12:34:56,,install")
    offer = exchange(client, "ovmf-x64-discover", ("0.0.0.0", 68), ("255.255.255.255", 67))
    assert (offer.get(opt.MESSAGE_TYPE).name, str(offer.yiaddr)) == ("OFFER", "0.0.0.0")
    assert (offer.get(opt.VENDOR_CLASS), offer.get(opt.LEASE_TIME)) == ("PXEClient", None)
    for port in (4011, 68):
        ack = exchange(client, "ovmf-x64-request", ("10.77.0.50", port), ("10.77.0.1", 4011))
        assert (ack.get(opt.MESSAGE_TYPE).name, ack.file) == ("ACK", b"loaders/snponly.efi")
