"""What is written for a network: golden files for every renderer, read back by the real tools where they are there.

``make golden`` writes the golden files anew. For ifcfg and wicked there is no tool to ask on Debian.
"""

import os
import re
import shutil
import subprocess
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.errors import CannotPlan
from imaged.model.hardware import Firmware, Inventory, Nic
from imaged.model.host import Host
from imaged.model.image import ImageFacts
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.network import BOOT_NIC, Renderer
from imaged.model.node import Node
from imaged.model.plan import RemovePath, RunInTarget, Step, WriteFile
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, System
from imaged.planning.fixups.network import network, renderer_of
from imaged.planning.fixups.network_golden import golden_network
from imaged.planning.fixups.target import Target
from imaged.planning.network import read, wiring
from imaged.store import yamlfile

DATA = Path(__file__).parents[1] / "data/network"
SITE = UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11")
NICS = tuple(
    Nic(f"ens{number + 2}", Mac.parse(f"52:54:00:00:00:0{number}"), by_path=f"pci-0000:00:0{number + 2}.0")
    for number in range(1, 5)
)
TARGET = Target(
    node=Node("node07", (NICS[0].mac,), ImageRef.parse("compute"), address=IPv4Address("10.0.0.7")),
    facts=ImageFacts(arch="x86_64"),
    inventory=Inventory("x86_64", Firmware.UEFI, 2**31, 2, (), NICS, boot_mac=NICS[0].mac),
    site=SITE,
    server="http://10.0.0.1:8080",
    system=System((PlannedFilesystem("/dev/sda1", Filesystem.EXT4, str(SITE), "/"),)),
    dns=("10.0.0.1",),
    domain="cluster.example",
)
# Footprints: what makes an image's network be written in this way.
FOOTPRINTS = {
    "netplan": ImageFacts("x86_64", commands=("netplan", "systemctl"), files=("/etc/netplan",),
                          units=("systemd-networkd.service", "systemd-resolved.service")),
    "netplan-nm": ImageFacts("x86_64", commands=("netplan", "systemctl"), files=("/etc/netplan",),
                             units=("NetworkManager.service",)),
    "keyfile": ImageFacts("x86_64", commands=("nmcli", "systemctl"), units=("NetworkManager.service",),
                          links={"/usr/lib64/NetworkManager/1.40.0-1.el9/libnm-settings-plugin-ifcfg-rh.so": "plugin"}),
    "ifcfg": ImageFacts("x86_64", commands=("nmcli", "systemctl"), units=("NetworkManager.service",),
                        files=("/etc/sysconfig/network-scripts", "/usr/lib/udev/rename_device"),
                        links={"/etc/sysconfig/network-scripts/ifcfg-eth0": "ethernet",
                               "/usr/lib64/NetworkManager/1.40.16-1.el8/libnm-settings-plugin-ifcfg-rh.so": "plugin"}),
    "network-scripts": ImageFacts("x86_64", commands=("systemctl",), units=("network.service",),
                                  files=("/etc/sysconfig/network-scripts",)),
    "wicked": ImageFacts("x86_64", commands=("systemctl",), units=("network.service", "wicked.service"),
                         files=("/etc/sysconfig/network", "/etc/sysconfig/network/config")),
    "networkd": ImageFacts("x86_64", commands=("systemctl",), units=("systemd-networkd.service",)),
    "ifupdown": ImageFacts("x86_64", commands=("ifup", "systemctl"), units=("networking.service",),
                           files=("/etc/network/interfaces",)),
    "alpine": ImageFacts("x86_64", commands=("ifup",), units=("networking",),
                         files=("/etc/network/interfaces", "/etc/mdev.conf")),
}  # fmt: skip
CASES = tuple((kind, network) for kind in FOOTPRINTS for network in ("nothing", "backup", "everything"))


def target(kind: str, name: str) -> Target:
    host = Host() if name == "nothing" else Host(network=read(yamlfile.load(DATA / f"{name}.yaml"), name))
    return evolve(TARGET, facts=FOOTPRINTS[kind], host=host)


def as_text(steps: tuple[Step, ...]) -> str:
    text = ""
    for step in steps:
        match step:
            case WriteFile(path=path, mode=mode, content=content):
                text += f"==== {path} {mode}\n{content}"
            case RunInTarget(argv=argv):
                text += f"==== run {' '.join(argv)}\n"
            case RemovePath(path=path):
                text += f"==== remove {path}\n"
    return text


def lay(steps: tuple[Step, ...], root: Path) -> None:
    """The files as a node would have them."""
    for step in steps:
        if isinstance(step, WriteFile):
            at = root / step.path.lstrip("/")
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text(step.content)
            at.chmod(int(step.mode, 8))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_golden(kind: str, name: str) -> None:
    text, golden = as_text(network(target(kind, name))), DATA / kind / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_what_is_usual_is_what_is_written_when_nobody_said_anything() -> None:
    assert read(yamlfile.load(DATA / "nothing.yaml"), "nothing") == BOOT_NIC


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_written_twice_is_written_the_same(kind: str, name: str) -> None:
    steps = network(target(kind, name))
    paths = [step.path for step in steps if isinstance(step, WriteFile)]
    assert steps == network(target(kind, name))
    assert len(paths) == len(set(paths))


@pytest.mark.processes
@pytest.mark.parametrize("name", ["nothing", "backup", "everything"])
@pytest.mark.parametrize("kind", ["netplan", "netplan-nm"])
def test_netplan_takes_it(kind: str, name: str, tmp_path: Path) -> None:
    if not shutil.which("netplan"):
        pytest.skip("netplan is not installed")
    lay(network(target(kind, name)), tmp_path)
    done = subprocess.run(
        ("netplan", "generate", "--root-dir", str(tmp_path)), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = sorted(path.name for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert any("lan0" in each for each in made)


@pytest.mark.processes
@pytest.mark.parametrize("name", ["nothing", "backup", "everything"])
def test_network_manager_takes_it(name: str) -> None:
    """nmcli reads a profile, changes nothing that matters and writes what it understood."""
    if not shutil.which("nmcli"):
        pytest.skip("NetworkManager is not installed")
    for step in network(target("keyfile", name)):
        if isinstance(step, WriteFile) and step.path.endswith(".nmconnection"):
            done = subprocess.run(
                ("nmcli", "--offline", "connection", "modify", "connection.autoconnect-retries", "3"),
                input=step.content, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, ""), step.content
            missing = settings(step.content) - settings(done.stdout)
            assert not missing, f"{step.path}: not understood: {missing}\n{done.stdout}"


def settings(text: str) -> set[str]:
    """``section.key=value`` of a keyfile, but for what nmcli spells in another way."""
    found, section = set(), ""
    for line in text.splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        if "=" in line and not line.startswith(
            ("gateway=", "address1=", "slave-type", "uuid", "mac-address=", "stp=true")
        ):
            found.add(f"{section}.{line}")
    return found


@pytest.mark.processes
@pytest.mark.parametrize("name", ["nothing", "backup", "everything"])
@pytest.mark.parametrize("kind", ["ifupdown", "alpine"])
def test_ifupdown_takes_it(kind: str, name: str, tmp_path: Path) -> None:
    """ifup says every command that it would run; nothing is run."""
    if not shutil.which("ifup"):
        pytest.skip("ifupdown is not installed")
    lay(network(target(kind, name)), tmp_path)
    file = tmp_path / "etc/network/interfaces"
    (tmp_path / "empty").mkdir()
    text = file.read_text().replace("/etc/network/interfaces.d", str(tmp_path / "empty"))
    file.write_text(text.replace("allow-hotplug", "auto"))  # else it waits for udev
    done = subprocess.run(
        ("ifup", "--no-act", "--all", "--force", "--verbose", "-i", str(file)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not re.findall(r"(?m)^ifup: (?!parsing|reading|configuring).*", done.stderr), done.stderr
    for said in re.findall(r"(?m)^    (?:pre-up|up) (.*)", file.read_text()):
        assert said in done.stderr


_NETWORKD = "/lib/systemd/systemd-networkd"
# networkd in namespaces of its own, with nothing but our files, says what it does not understand as it reads them.
_ALONE = f"""\
set -e
mount --make-rprivate /
mkdir -p /etc/systemd/network
mount --bind "$1" /etc/systemd/network
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/udev
chown -R systemd-network: /run/systemd/netif
touch /run/udev/control
SYSTEMD_LOG_LEVEL=info SYSTEMD_LOG_TARGET=console {_NETWORKD}
exit  # the shell stays as process 1, and all dies with it: networkd alone forgets its parent with its privileges
"""


def read_by_networkd(directory: Path) -> list[str]:
    """What it said until it knew every link that is there: only then has it read every file."""
    for path in (directory, *directory.parents[:3]):
        path.chmod(0o755)  # it reads them as a user of its own
    heard: list[str] = []
    with subprocess.Popen(
        ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", _ALONE, "-", str(directory)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as networkd:  # fmt: skip
        assert networkd.stdout is not None
        try:
            for line in networkd.stdout:
                heard.append(line)
                if "Enumeration completed" in line:
                    break
        finally:
            networkd.kill()
    assert "Enumeration completed\n" in heard, heard
    return [line for line in heard if "/etc/systemd/network/" in line]


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0 or not Path(_NETWORKD).exists(), reason="needs root and systemd-networkd")
def test_networkd_takes_it(tmp_path: Path) -> None:
    for name in ("nothing", "backup", "everything"):
        lay(network(target("networkd", name)), tmp_path / name)
        assert read_by_networkd(tmp_path / name / "etc/systemd/network") == []
    file = tmp_path / "everything/etc/systemd/network/10-imaged-br0.network"
    file.write_text(file.read_text().replace("DHCP=", "DHPC="))
    assert "Unknown key" in read_by_networkd(file.parent)[0], "and it would say what it does not understand"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        *((facts, kind) for kind, facts in FOOTPRINTS.items()),
        (ImageFacts("x86_64"), None),
        (ImageFacts("x86_64", commands=("netplan",), units=("networking.service",), files=("/etc/netplan",)),
         "ifupdown"),
        (ImageFacts("x86_64", units=("NetworkManager.service", "networking.service")), "keyfile"),
        (ImageFacts("x86_64", units=("NetworkManager.service",),
                    links={"/etc/sysconfig/network-scripts/ifcfg-eth0": "ethernet"}), "keyfile"),
    ],
)  # fmt: skip
def test_the_renderer_is_the_one_that_will_run(facts: ImageFacts, expected: str | None) -> None:
    kinds = {
        "netplan": Renderer.NETPLAN, "netplan-nm": Renderer.NETPLAN, "keyfile": Renderer.NETWORK_MANAGER,
        "ifcfg": Renderer.IFCFG, "network-scripts": Renderer.IFCFG, "wicked": Renderer.WICKED,
        "networkd": Renderer.NETWORKD, "ifupdown": Renderer.IFUPDOWN, "alpine": Renderer.IFUPDOWN,
    }  # fmt: skip
    assert renderer_of(evolve(TARGET, facts=facts)) is (kinds[expected] if expected else None)


def test_a_network_that_nothing_would_set_up_is_refused_before_anything_is_written() -> None:
    wanted = evolve(target("networkd", "backup"), facts=ImageFacts("x86_64"))
    with pytest.raises(CannotPlan, match="nothing in the image sets up a network"):
        network(wanted)
    assert network(evolve(wanted, host=Host())) == ()
    forced = evolve(BOOT_NIC, renderer=Renderer.NETWORKD)
    assert network(evolve(wanted, host=Host(network=forced)))


RIVALS = ("NetworkManager.service", "systemd-networkd.service", "wicked.service", "networking.service")


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (RIVALS[:2], "NetworkManager and systemd-networkd, and each"),
        (RIVALS[1:3], "wicked and systemd-networkd, and each"),
        (RIVALS, "NetworkManager and wicked and systemd-networkd, and each"),
    ],
)
def test_two_services_are_refused_by_name_until_one_is_chosen(units: tuple[str, ...], said: str) -> None:
    both = evolve(TARGET, facts=ImageFacts("x86_64", commands=("systemctl",), units=units))
    for host in (Host(), Host(network=BOOT_NIC)):
        with pytest.raises(
            CannotPlan, match=f"^network of node07: the image starts {said} would set up the NICs"
        ) as no:
            network(evolve(both, host=host))
        assert "systemctl disable systemd-networkd" in no.value.hint
        assert "`renderer: networkd`" in no.value.hint
    chosen = read({"renderer": "networkd"}, "x")
    assert chosen == evolve(BOOT_NIC, renderer=Renderer.NETWORKD)
    text = as_text(network(evolve(both, host=Host(network=chosen))))
    assert "==== /etc/systemd/network/10-imaged-lan0.network 0644" in text
    left = "==== /etc/NetworkManager/conf.d/90-imaged.conf 0644\n[keyfile]\nunmanaged-devices=mac:52:54:00:00:00:01\n"
    assert (left in text) is (RIVALS[0] in units)


@pytest.mark.processes
@pytest.mark.skipif(not shutil.which("NetworkManager"), reason="needs NetworkManager")
def test_networkmanager_reads_which_nics_are_not_its_own(tmp_path: Path) -> None:
    facts = ImageFacts("x86_64", commands=("systemctl",), units=RIVALS[:2])
    lay(network(evolve(TARGET, facts=facts, host=Host(network=read({"renderer": "networkd"}, "x")))), tmp_path)
    argv = ("NetworkManager", f"--config-dir={tmp_path}/etc/NetworkManager/conf.d", "--print-config")
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "unmanaged-devices=mac:52:54:00:00:00:01" in said.split("[keyfile]")[1]


@pytest.mark.parametrize(
    "facts",
    [
        ImageFacts("x86_64", units=("NetworkManager.service", "networking.service", "network.service")),
        ImageFacts("x86_64", units=("networking.service", "systemd-networkd.service")),
        evolve(FOOTPRINTS["netplan"], units=RIVALS[:2]),
    ],
    ids=["ifupdown and network-scripts were emptied", "so they were beside networkd", "netplan keeps them apart"],
)
def test_what_does_not_fight_is_no_fault(facts: ImageFacts) -> None:
    steps = network(evolve(TARGET, facts=facts))
    assert steps
    assert not any(step.path.startswith("/etc/NetworkManager/conf.d") for step in steps if isinstance(step, WriteFile))


def test_every_nic_that_is_not_there_is_named() -> None:
    wanted = read(
        {"interfaces": [
            {"name": "a", "mac": "52:54:00:00:00:99", "ip": {"addresses": ["node/24"]}},
            {"name": "b", "index": 7},
            {"name": "c", "path": "pci-1"},
            {"name": "d", "index": 1},
            {"name": "e", "mac": str(NICS[1].mac)},
        ]},
        "x",
    )  # fmt: skip
    with pytest.raises(CannotPlan) as raised:
        wiring(wanted, evolve(TARGET.node, address=None), TARGET.inventory, SITE)
    assert raised.value.what.split("\n  ") == [
        "a: no NIC has the address 52:54:00:00:00:99",
        "a: node/24 needs an address of the node (`imaged addnode --address`)",
        "b: there is no NIC 7, they count from 0 to 3",
        "c: no NIC is at pci-1",
        "e and d are the same NIC, 52:54:00:00:00:02",
    ]
    assert "ens3 52:54:00:00:00:01" in raised.value.hint


def test_ports_that_firmware_gave_one_address_are_told_apart_by_path_only() -> None:
    same = evolve(TARGET.inventory, nics=tuple(evolve(nic, mac=NICS[0].mac) for nic in NICS))
    wanted = read({"interfaces": [{"name": "a", "mac": str(NICS[0].mac)}]}, "x")
    with pytest.raises(CannotPlan, match="ens3, ens4, ens5, ens6 all have the address"):
        wiring(wanted, TARGET.node, same, SITE)


def test_the_golden_clients_network_goes_but_not_its_vpns() -> None:
    links = {
        "/etc/NetworkManager/system-connections/Wired.nmconnection": "ethernet",
        "/etc/NetworkManager/system-connections/office.nmconnection": "other",
        "/etc/netplan/50-cloud-init.yaml": "ethernet",
        "/etc/network/interfaces": "ethernet",
        "/etc/sysconfig/network-scripts/ifcfg-lo": "loopback",
        "/usr/lib64/NetworkManager/1/libnm-settings-plugin-ifcfg-rh.so": "plugin",
    }
    steps = golden_network(evolve(TARGET, facts=ImageFacts("x86_64", links=links)))
    assert [(type(step), step.path) for step in steps] == [
        (RemovePath, "/etc/NetworkManager/system-connections/Wired.nmconnection"),
        (RemovePath, "/etc/netplan/50-cloud-init.yaml"),
        (WriteFile, "/etc/network/interfaces"),
    ]
    assert golden_network(TARGET) == ()
