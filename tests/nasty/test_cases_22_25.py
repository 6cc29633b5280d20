"""The nasty cases 22 to 25: network services, bonds, names of NICs and addresses that many have."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from imaged.model.codec import to_json
from imaged.model.errors import CannotPlan
from imaged.model.hardware import Inventory, Nic
from imaged.model.host import Host
from imaged.model.image import ImageFacts
from imaged.model.net import Mac
from imaged.model.network import BOOT_NIC, Renderer
from imaged.planning.fixups.network import network
from imaged.planning.fixups.order import FIXUPS, apply
from imaged.planning.network import read as read_network
from imaged.store import facts as facts_of_tree
from imaged.store.tree import Tree
from installer.inventory import NetDevice, nic
from tests.nasty.outcome import carry_out, written
from tests.nasty.plans import FACTS, MAC, MACHINE, bare_target, planned
from tests.nasty.programs import run
from tests.nasty.trees import ELF, lay

# 22


def image_with(root: Path, *units: str, files: Mapping[str, str | bytes] | None = None) -> ImageFacts:
    """What sealing finds in a tree where these units are enabled; kernels and GRUB as in FACTS."""
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    lay(root, {"usr/bin/systemctl": ELF, **(files or {})})
    wanted.mkdir(parents=True)
    for unit in units:
        (wanted / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
    found = facts_of_tree.read(Tree(root))
    return evolve(
        FACTS, commands=(*FACTS.commands, *found.commands), units=found.units, files=found.files, links=found.links,
        texts=found.texts,
    )  # fmt: skip


def said(**data: Any) -> Host:
    """What an admin said of the node's network, in the words of YAML."""
    return Host(network=read_network(data, "test"))


def test_case_22_two_network_services_are_refused_until_one_is_named_and_the_other_keeps_off(tmp_path: Path) -> None:
    """NetworkManager and systemd-networkd are both enabled: each would ask for an address on the one NIC."""
    golden = {
        "etc/systemd/network/20-dhcp.network": "[Match]\nName=en*\n[Network]\nDHCP=yes\n",
        "etc/NetworkManager/system-connections/Wired.nmconnection": "[connection]\nid=Wired\ntype=ethernet\n",
    }  # fmt: skip
    facts = image_with(tmp_path, "NetworkManager.service", "systemd-networkd.service", files=golden)
    with pytest.raises(CannotPlan, match="NetworkManager and systemd-networkd") as caught:
        planned(facts)
    assert "renderer: networkd" in caught.value.hint
    for renderer, stays in (("networkd", "systemd/network"), ("networkmanager", "NetworkManager/system-connections")):
        root = tmp_path / renderer
        lay(root, golden)
        carry_out(apply(FIXUPS, evolve(bare_target(facts), host=said(renderer=renderer))), root, programs=())
        profiles = [
            each.relative_to(root / "etc") for each in (root / "etc").rglob("*")
            if each.suffix in (".network", ".nmconnection")
        ]  # fmt: skip
        assert [str(each.parent) for each in profiles] == [stays]
        unmanaged = root / "etc/NetworkManager/conf.d/90-imaged.conf"
        assert unmanaged.exists() == (renderer == "networkd")


def test_case_22_netplan_alone_sets_up_the_network_where_others_left_their_files(tmp_path: Path) -> None:
    """Ubuntu after an upgrade: netplan beside ifupdown's old file, and cloud-init, though disabled, has left its YAML.
    The node has one NIC set up by one of them; netplan and ifupdown themselves say so."""
    root = tmp_path
    facts = image_with(root, "systemd-networkd.service", "networking.service", "cloud-init.service", files={
        "usr/sbin/netplan": ELF, "etc/cloud/cloud-init.disabled": "",
        "etc/netplan/50-cloud-init.yaml": "network:\n  version: 2\n  ethernets:\n    ens3: {dhcp4: true}\n",
        "etc/netplan/01-wifi.yaml": "network:\n  version: 2\n  wifis:\n    wlp1s0: {dhcp4: true}\n",
        "etc/network/interfaces": "auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n",
        "etc/network/interfaces.d/50-cloud-init": "auto ens3\niface ens3 inet dhcp\n",
        "etc/systemd/network/10-cloud-init-ens3.network": "[Match]\nName=ens3\n[Network]\nDHCP=ipv4\n",
    })  # fmt: skip
    carry_out(apply(FIXUPS, bare_target(facts)), root, programs=())
    assert sorted(each.name for each in (root / "etc/netplan").iterdir()) == ["01-wifi.yaml", "90-imaged.yaml"]
    assert list((root / "etc/systemd/network").iterdir()) == [] and (root / "etc/cloud/cloud-init.disabled").exists()
    if shutil.which("ifquery"):
        interfaces = root / "etc/network/interfaces"
        own = interfaces.read_text().replace("/etc/network/interfaces.d", f"{root}/etc/network/interfaces.d")
        interfaces.write_text(own)
        assert run("ifquery", "--list", "--all", "-i", str(interfaces)).split() == ["lo"]
    if shutil.which("netplan"):
        (root / "etc/netplan/01-wifi.yaml").unlink()
        run("netplan", "generate", "--root-dir", str(root))
        made = [each.read_text() for each in (root / "run/systemd/network").glob("*.network")]
        assert len(made) == 1 and str(MAC) in made[0]


# 23

RENDERERS = ("netplan", "networkmanager", "ifcfg", "wicked", "networkd", "ifupdown")
PORTS = tuple(
    Nic(f"enp3s0f{at}", Mac.parse(f"52:54:00:00:00:0{at}"), by_path=f"pci-0000:03:00.{at}") for at in range(4)
)
PORTED = evolve(MACHINE, nics=PORTS, boot_mac=PORTS[1].mac)


def files_of(host: Host, renderer: str, machine: Inventory = PORTED) -> dict[str, str]:
    """Files that a node's network becomes."""
    wanted = evolve(host, network=evolve(host.network, renderer=Renderer(renderer)))
    steps = network(evolve(bare_target(FACTS), inventory=machine, host=wanted))
    return written(steps)


def test_case_23_ports_of_a_bond_are_told_apart_by_their_permanent_address() -> None:
    """A running bond gives all its ports one MAC, and that is what a look at sysfs finds: what the driver has burnt in
    counts, in the inventory and in what is written."""
    shared = {"address": "52:54:00:00:00:00", "type": "1"}
    ports = [NetDevice(f"eth{at}", {}, shared, permanent=str(PORTS[at].mac), driver="igb") for at in (0, 1)]
    assert [nic(each).mac for each in ports] == [PORTS[0].mac, PORTS[1].mac]
    host = said(interfaces=[{"name": "a0", "mac": str(PORTS[0].mac)}, {"name": "a1", "mac": str(PORTS[1].mac)}],
                bonds=[{"name": "bond0", "members": ["a0", "a1"], "ip": {"dhcp4": True}}])  # fmt: skip
    files = files_of(host, "networkd")
    for at in (0, 1):
        for kind in ("link", "network"):
            assert f"PermanentMACAddress={PORTS[at].mac}\n" in files[f"/etc/systemd/network/10-imaged-a{at}.{kind}"]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_case_23_a_bond_asks_by_dhcp_as_the_leg_that_booted(renderer: str) -> None:
    """LACP, and PXE came in on the second leg: the server knows that MAC. The bond must not ask with one that udev made
    up or that of whichever leg was first, or the node gets another address."""
    bond = {"name": "bond0", "members": ["a0", "a1"], "mode": "802.3ad", "ip": {"dhcp4": True}}
    host = said(interfaces=[{"name": "a0", "mac": str(PORTS[0].mac)}, {"name": "a1", "boot": True}], bonds=[bond])
    words = {
        "netplan": 'macaddress: "{0}"', "networkmanager": "cloned-mac-address={0}", "ifcfg": "MACADDR={0}",
        "wicked": "LLADDR='{0}'", "networkd": "MACAddress={0}", "ifupdown": "ip link set dev bond0 address {0}",
    }  # fmt: skip
    files = files_of(host, renderer)
    text = next(
        text for path, text in files.items() if "bond0.n" in path or path.endswith(("-bond0", "interfaces", "ml"))
    )
    assert words[renderer].format(PORTS[1].mac) in text
    if renderer == "networkmanager" and shutil.which("nmcli"):
        argv = ("nmcli", "--offline", "connection", "modify", "connection.autoconnect-retries", "3")
        assert f"cloned-mac-address={PORTS[1].mac}".upper() in run(*argv, input=text).upper()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_case_23_a_trunk_without_a_native_vlan_has_no_address_and_nothing_waits_for_one(renderer: str) -> None:
    """All frames on the wire are tagged: the NIC itself asks for nothing, and the start does not wait for it to have an
    address; the VLAN on it has the node's."""
    vlan = {"name": "prod", "parent": "trunk0", "id": 42, "ip": {"addresses": ["10.0.0.7/24"], "ipv6": "static"}}
    host = said(interfaces=[{"name": "trunk0", "boot": True, "ip": {"ipv6": "off"}}], vlans=[vlan])
    files = files_of(host, renderer)
    everything = "\n".join(files.values())
    assert "10.0.0.7" in everything and "42" in everything
    lines = [line.strip().lower() for line in everything.splitlines()]
    asks = ("dhcp4: true", "method=auto", "bootproto=dhcp", "bootproto='dhcp'", "dhcp=ipv4", "dhcp=yes")
    assert not [line for line in lines if line in asks or line.endswith("inet dhcp")]
    if renderer == "networkd":
        trunk = files["/etc/systemd/network/10-imaged-trunk0.network"]
        assert {"LinkLocalAddressing=no", "RequiredForOnline=carrier", "VLAN=prod"} <= set(trunk.splitlines())
        assert "RequiredForOnline" not in files["/etc/systemd/network/10-imaged-prod.network"]


# 24


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", ["", "fab0"])
def test_case_24_a_name_from_the_ramdisk_is_written_nowhere(renderer: str, name: str) -> None:
    """udev 257 in the ramdisk says enp3s0, udev 249 in the image says ens3 of the same NIC. Nothing on the node may go
    by either: what needs a name gets one of ours, bound to the MAC."""
    host = said(interfaces=[{"name": name, "boot": True, "ip": {"dhcp4": True}}]) if name else Host(network=BOOT_NIC)
    files = files_of(host, renderer, MACHINE)
    assert "enp3s0" not in repr(files)
    by_name = renderer in ("wicked", "ifcfg", "ifupdown") or name
    bound = [text for text in files.values() if str(MAC) in text.lower()]
    assert bound
    if by_name:
        assert any((name or "lan0") in text for text in bound), "the name and the MAC are bound to each other"


def test_case_24_neither_does_the_plan_speak_of_it() -> None:
    """Not in a kernel argument, not in a script's variable, not in a check."""
    assert "enp3s0" in to_json(MACHINE) and "enp3s0" not in to_json(planned()[0])


# 25

SAME = evolve(MACHINE, nics=tuple(
    Nic(f"eth{at}", MAC, by_path=f"pci-0000:03:00.{at}") for at in range(8)
))  # fmt: skip


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ({"boot": True}, "eth0, eth1, eth2, eth3, eth4, eth5, eth6, eth7 all have the address 52:54:00:00:00:01"),
        ({"mac": str(MAC)}, "eth0, eth1, eth2, eth3, eth4, eth5, eth6, eth7 all have the address 52:54:00:00:00:01"),
        ({"path": "pci-0000:03:00.9"}, "no NIC is at pci-0000:03:00.9"),
    ],
)
def test_case_25_eight_ports_of_one_address_are_not_guessed_at(way: dict[str, object], fault: str) -> None:
    """Bad firmware gives all ports the same permanent address: a file by MAC would fit all of them."""
    with pytest.raises(CannotPlan, match=fault):
        files_of(said(interfaces=[{"name": "lan0", **way, "ip": {"dhcp4": True}}]), "networkd", SAME)


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("way", [{"path": "pci-0000:03:00.3"}, {"index": 3}])
def test_case_25_such_a_port_and_a_nic_of_changing_address_go_by_where_they_are_plugged_in(
    renderer: str, way: dict[str, object]
) -> None:
    """So do USB NICs that make up a MAC at each start."""
    files = files_of(said(interfaces=[{"name": "lan0", **way, "ip": {"dhcp4": True}}]), renderer, SAME)
    assert files["/etc/systemd/network/10-imaged-lan0.link"] == "[Match]\nPath=pci-0000:03:00.3\n\n[Link]\nName=lan0\n"
    assert str(MAC) not in repr(files).lower()


def test_case_25_two_ports_at_one_place_are_told_from_each_other_by_mac_only() -> None:
    """Some cards have both ports in one PCI function."""
    both = evolve(PORTED, nics=tuple(evolve(each, by_path="pci-0000:03:00.0") for each in PORTS[:2]))
    with pytest.raises(CannotPlan, match=r"enp3s0f0, enp3s0f1 all are at .* say mac instead"):
        files_of(said(interfaces=[{"name": "a", "path": "pci-0000:03:00.0", "ip": {"dhcp4": True}}]), "networkd", both)
    assert files_of(said(interfaces=[{"name": "a", "index": 1, "ip": {"dhcp4": True}}]), "networkd", both)


@pytest.mark.parametrize(
    ("attributes", "permanent", "expected"),
    [
        ({"type": "32", "address": "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:4f:2c:d1"}, "", None),
        ({"type": "1", "address": "00:00:00:00:00:00"}, "00:00:00:00:00:00", "00:00:00:00:00:00"),
        ({"type": "1", "address": "02:1a:2b:3c:4d:5e"}, "00:00:00:00:00:00", "02:1a:2b:3c:4d:5e"),
        ({"type": "1", "address": "01:1a:2b:3c:4d:5e"}, "", None),
        ({"type": "1", "address": ""}, "", None),
    ],
    ids=["IPoIB", "nothing", "made up by the driver", "multicast", "no address"],
)
def test_case_25_what_has_no_ethernet_address_is_no_nic_that_one_could_go_by(
    attributes: dict[str, str], permanent: str, expected: str | None
) -> None:
    """An IPoIB interface has an address of 20 bytes that changes with the subnet manager; it breaks no inventory."""
    found = nic(NetDevice("ib0", {"ID_PATH": "pci-0000:81:00.0"}, attributes, permanent, "mlx5_core"))
    assert (str(found.mac) if found else None) == expected
