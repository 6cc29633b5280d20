"""What other programs are told of nodes, read by those programs themselves."""

import shutil
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.nodes import Nodes

SETTINGS = """\
address: 10.0.0.1
state: {state}
dhcp:
  mode: off
  subnets:
    - network: 10.0.0.0/24
      pool: 10.0.0.100-10.0.0.199
      router: 10.0.0.254
      dns: [10.0.0.2, 10.0.0.3]
      ntp: [10.0.0.4]
      domain: cluster.example
    - {{network: 10.1.0.0/16}}
"""


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Result]:
    """The verb, on a site with two subnets and three nodes."""
    nodes = Nodes(open_database(tmp_path / "state/imaged.sqlite"))
    for name, macs, address in (
        ("n1", ("52:54:00:00:00:01", "52:54:00:00:00:11"), "10.0.0.11"),
        ("n2", ("52:54:00:00:00:02",), "10.1.2.3"),
        ("n3", ("52:54:00:00:00:03",), None),
    ):
        where = IPv4Address(address) if address else None
        nodes.add(Node(name, tuple(map(Mac.parse, macs)), ImageRef("tiny"), address=where))
    (tmp_path / "imaged.yaml").write_text(SETTINGS.format(state=tmp_path / "state"))

    def run(*words: str) -> Result:
        return CliRunner().invoke(imaged, ["--settings", str(tmp_path / "imaged.yaml"), "export", *words])

    return run


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("hosts", ["10.0.0.11\tn1.cluster.example n1", "10.1.2.3\tn2"]),
        ("ethers", ["52:54:00:00:00:01 n1", "52:54:00:00:00:11 n1", "52:54:00:00:00:02 n2", "52:54:00:00:00:03 n3"]),
        ("zone", ["n1\tIN\tA\t10.0.0.11", "n2\tIN\tA\t10.1.2.3"]),
        ("reverse-zone",
         ["11.0.0.10.in-addr.arpa.\tIN\tPTR\tn1.cluster.example.", "3.2.1.10.in-addr.arpa.\tIN\tPTR\tn2."]),
    ],
)  # fmt: skip
def test_files_of_lines(export: Callable[..., Result], form: str, lines: list[str]) -> None:
    first, *rest = export(form).output.splitlines()
    assert ("made by imaged" in first, rest) == (True, lines)


def test_only_some_nodes_into_a_file(export: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("old\n")
    assert export("hosts", "--nodes", "n[1-2]!n1", "-o", str(tmp_path / "hosts")).exit_code == 0
    assert (tmp_path / "hosts").read_text().splitlines()[1:] == ["10.1.2.3\tn2"]
    missing = export("hosts", "-o", str(tmp_path / "no/hosts"))
    assert "cannot be written" in str(missing.exception)


CHECKS = {
    "dnsmasq": ("dnsmasq", "--test", "-C"),
    "isc": ("dhcpd", "-t", "-cf"),
    "kea": ("kea-dhcp4", "-t"),
}


@pytest.mark.processes
@pytest.mark.parametrize("form", list(CHECKS))
def test_the_server_itself_takes_it(export: Callable[..., Result], tmp_path: Path, form: str) -> None:
    program, *options = CHECKS[form]
    found = shutil.which(program, path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    file = tmp_path / "config"
    file.write_text(export(form).output)
    copy = shutil.copy(found, tmp_path / program)  # AppArmor lets the one in /usr/sbin read nothing of ours
    done = subprocess.run((copy, *options, file), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARN" not in done.stdout + done.stderr
    text = file.read_text()
    assert "52:54:00:00:00:01" in text
    assert "http://10.0.0.1:8080/ipxe/${mac}?uuid=${uuid}" in text


@pytest.mark.processes
def test_the_zone_is_read_by_a_name_server(export: Callable[..., Result], tmp_path: Path) -> None:
    if shutil.which("named-checkzone", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("named-checkzone is not installed")
    (tmp_path / "nodes").write_text(export("zone").output)
    (tmp_path / "zone").write_text(
        f"$TTL 300\n@ IN SOA ns.cluster.example. root.cluster.example. 1 3600 600 86400 300\n"
        f"@ IN NS ns\nns IN A 10.0.0.2\n$INCLUDE {tmp_path}/nodes\n"
    )
    checked = ("/usr/bin/named-checkzone", "cluster.example", str(tmp_path / "zone"))
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_site_without_subnets(tmp_path: Path) -> None:
    (tmp_path / "imaged.yaml").write_text(f"address: 10.0.0.1\nstate: {tmp_path}/state\ndhcp: {{mode: off}}\n")
    result = CliRunner().invoke(imaged, ["--settings", str(tmp_path / "imaged.yaml"), "export", "isc"])
    assert "no subnets" in str(result.exception)
