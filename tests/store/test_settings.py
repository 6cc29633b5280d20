"""Settings: what the file may say, and that a slip names the file and the key."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from imaged.model.errors import BadInput, NotFound
from imaged.model.net import AddressRange
from imaged.model.settings import DhcpMode, Settings
from imaged.store.settings import build, read

_FILE = """\
address: 10.0.0.1
state: /srv/imaged
interfaces: [eth1]
dhcp:
  mode: authoritative
  subnets:
    - network: 10.0.0.0/24
      pool: 10.0.0.100-10.0.0.200
      router: 10.0.0.254
      dns: [10.0.0.53, 9.9.9.9]
      domain: cluster.example
tftp: {port: 6969}
authorized_keys: [ssh-ed25519 AAAA admin]
"""


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "imaged.yaml"
    path.write_text(_FILE)
    settings = read(path)
    assert settings.base_url == "http://10.0.0.1:8080"
    assert settings.state == PurePosixPath("/srv/imaged")
    assert settings.dhcp.mode is DhcpMode.AUTHORITATIVE
    subnet = settings.dhcp.subnets[0]
    assert subnet.network == IPv4Network("10.0.0.0/24")
    assert subnet.pool == AddressRange(IPv4Address("10.0.0.100"), IPv4Address("10.0.0.200"))
    assert (settings.tftp.port, settings.tftp.max_block) == (6969, 1468)


def test_an_address_is_enough() -> None:
    assert build({"address": "10.0.0.1"}, where="f") == Settings(IPv4Address("10.0.0.1"))


def _with(**changes: Any) -> dict[str, Any]:
    return {"address": "10.0.0.1"} | changes


def _subnets(*subnets: dict[str, Any]) -> dict[str, Any]:
    return _with(dhcp={"mode": "authoritative", "subnets": list(subnets)})


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (None, "f: address: the key 'address' is missing"),
        ([], "f: expected a mapping of keys, got []"),
        (_with(adress="x"), "unknown key 'adress' (did you mean 'address'?)"),
        (_with(address="10.0.0"), "address: Expected 4 octets in '10.0.0'"),
        (_with(address=10), "address: expected a string, got 10"),
        (_with(address="0.0.0.0"), "address: 0.0.0.0 is no address that a node can reach"),
        (_with(address="224.0.0.1"), "address: 224.0.0.1 is no address"),
        (_with(state="var/lib"), "state: var/lib must be an absolute path"),
        (_with(interfaces="eth0"), "interfaces: expected a list, got 'eth0'"),
        (_with(tftp={"port": "69"}), "tftp.port: expected a whole number, got '69'"),
        (_with(tftp={"port": 65536}), "tftp.port: 65536 is not a port"),
        (_with(tftp={"prot": 69}), "tftp: unknown key 'prot' (did you mean 'port'?)"),
        (_with(tftp=[]), "tftp: expected a mapping of keys, got []"),
        (_with(tftp={"max_window": 0}), "tftp.max_window: 0 is not within 1 to 65535"),
        (_with(rsync={"transfers": 0}), "rsync.transfers: 0 is not within"),
        (_with(rsync={"port": 8080}), "rsync.port: 8080 is http.port already"),
        (_with(webhooks=[{"url": "ftp://x/"}]), "webhooks[0].url: 'ftp://x/' is not http"),
        (_with(webhooks=[{"url": "http://x/a b"}]), "webhooks[0].url: 'http://x/a b' is not http"),
        (_with(webhooks=[{"url": "https://x:1/?t=1", "events": []}]), "webhooks[0].events: at least one name"),
        (_with(webhooks=[{}]), "webhooks[0].url: the key 'url' is missing"),
        (_with(monitor={"port": 873}), "monitor.port: 873 is rsync.port already"),
        (_with(monitor={"netconsole": 65536}), "monitor.netconsole: 65536 is not a port"),
        (_with(token_lifetime=-1), "token_lifetime: -1 is not within"),
        (_with(install_attempts=0), "install_attempts: 0 is not within"),
        (_with(dhcp={"mode": "on"}), "dhcp.mode: 'on' is not one of authoritative, proxy, off"),
        (_with(dhcp={"mode": "authoritative"}), "dhcp.subnets: at least one is needed"),
        (_subnets({}), "dhcp.subnets[0].network: the key 'network' is missing"),
        (_subnets({"network": "10.0.0.1/24"}), "dhcp.subnets[0].network: 10.0.0.1/24 has host bits set"),
        (
            _subnets({"network": "10.0.0.0/24", "pool": "10.0.0.9-10.0.1.9"}),
            "dhcp.subnets[0].pool: 10.0.0.9-10.0.1.9 is not within 10.0.0.0/24",
        ),
        (_subnets({"network": "10.0.0.0/24", "pool": "10.0.0.9"}), "dhcp.subnets[0].pool: '10.0.0.9' is not a range"),
        (_subnets({"network": "10.0.0.0/24", "router": "10.0.1.1"}), "dhcp.subnets[0].router: 10.0.1.1 is not within"),
        (_subnets({"network": "10.0.0.0/24", "lease": 5}), "dhcp.subnets[0].lease: 5 s is too short"),
        (
            _subnets({"network": "10.0.0.0/8"}, {"network": "10.1.0.0/16"}),
            "dhcp.subnets[1].network: 10.1.0.0/16 overlaps 10.0.0.0/8",
        ),
    ],
)
def test_a_slip_names_the_key(data: Any, fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        build(data, where="f")
    assert fault in str(caught.value)
    assert caught.value.where == "f"


def test_all_slips_are_named_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        build(_with(state="x", tftp={"port": 0}, rsync={"transfers": 0}), where="f")
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read(tmp_path / "none.yaml")
    path = tmp_path / "imaged.yaml"
    path.write_text("address: 10.0.0.1\naddress: 10.0.0.2\n")
    with pytest.raises(BadInput) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: line 2: the key 'address' is there twice")
