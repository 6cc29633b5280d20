"""Which files of an image set up its network: trees as the distributions lay them out, in and kinds out."""

from pathlib import Path

import pytest

from imaged.store.facts import read
from imaged.store.facts_network import links
from imaged.store.tree import Tree

_NM = "etc/NetworkManager/system-connections"


def lay(root: Path, files: dict[str, str]) -> Tree:
    for name, content in files.items():
        at = root / name
        at.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            at.symlink_to(content[3:])
        else:
            at.write_text(content)
    return Tree(root)


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        (f"{_NM}/Wired.nmconnection", "[connection]\nid=Wired\ntype=ethernet\n", "ethernet"),
        (f"{_NM}/old", "[connection]\ntype = 802-3-ethernet\n", "ethernet"),
        (f"{_NM}/b.nmconnection", "[connection]\ntype=bond\n[bond]\nmode=1\n", "bond"),
        (f"{_NM}/home.nmconnection", "[connection]\ntype=wifi\n[wifi-security]\npsk=secret\n", "other"),
        (f"{_NM}/wg.nmconnection", "[connection]\ntype=wireguard\n", "other"),
        (f"{_NM}/broken", "", None),
        (
            "etc/netplan/50-cloud-init.yaml",
            "network:\n  version: 2\n  ethernets:\n    ens3: {dhcp4: true}\n",
            "ethernet",
        ),
        ("etc/netplan/01-network-manager-all.yaml", "network:\n  version: 2\n  renderer: NetworkManager\n", None),
        ("etc/netplan/60-wifi.yaml", "network:\n  wifis:\n    wlan0: {}\n", "other"),
        ("etc/systemd/network/20-wired.network", "[Match]\nName=en*\n\n[Network]\nDHCP=yes\n", "ethernet"),
        ("etc/systemd/network/any.network", "[Network]\nDHCP=yes\n", "ethernet"),
        ("etc/systemd/network/ve.network", "[Match]\nName=ve-*\n[Network]\nDHCP=no\n", "other"),
        ("etc/systemd/network/wg0.network", "[Match]\nType=wireguard\n", "other"),
        ("etc/systemd/network/wg0.netdev", "[NetDev]\nName=wg0\nKind=wireguard\n", "other"),
        ("etc/systemd/network/bond.netdev", "[NetDev]\nName=bond0\nKind=bond\n", "bond"),
        ("etc/systemd/network/10-eth.link", "[Match]\nMACAddress=x\n[Link]\nName=net0\n", "ethernet"),
        ("etc/systemd/network/99-default.link", "-> /dev/null", None),
        ("etc/sysconfig/network-scripts/ifcfg-eth0", "TYPE=Ethernet\nDEVICE=eth0\n", "ethernet"),
        ("etc/sysconfig/network-scripts/ifcfg-bond0", 'TYPE="Bond"\n', "bond"),
        ("etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n", "loopback"),
        ("etc/sysconfig/network-scripts/ifcfg-eth0.rpmsave", "TYPE=Ethernet\n", None),
        ("etc/sysconfig/network-scripts/ifcfg-home", "TYPE=Wireless\n", "other"),
        ("etc/sysconfig/network-scripts/ifup-eth", "#!/bin/bash\n", None),
        ("etc/sysconfig/network-scripts/route-eth0", "10.0.0.0/8 via 10.0.0.1\n", "routes"),
        ("etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO='dhcp'\n", "ethernet"),
        ("etc/sysconfig/network/routes", "default 10.0.0.1 - -\n", "routes"),
        ("etc/sysconfig/network/ifcfg.template", "STARTMODE=''\n", None),
        ("etc/network/interfaces", "auto lo\niface lo inet loopback\n", "loopback"),
        ("etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n", "ethernet"),
        ("etc/network/interfaces", "source /etc/network/interfaces.d/*\n", None),
        ("etc/network/interfaces.d/ens3", "  iface ens3 inet dhcp\n", "ethernet"),
        ("etc/mactab", "eth0 52:54:00:00:00:01\n", "ethernet"),
        ("usr/lib64/NetworkManager/1.40.16-1.el8/libnm-settings-plugin-ifcfg-rh.so", "elf", "plugin"),
    ],
)
def test_a_file_is_for_one_kind_of_link(tmp_path: Path, path: str, text: str, kind: str | None) -> None:
    assert links(lay(tmp_path, {path: text})) == ({f"/{path}": kind} if kind else {})


def test_no_secret_becomes_a_fact(tmp_path: Path) -> None:
    tree = lay(tmp_path, {f"{_NM}/home.nmconnection": "[connection]\ntype=wifi\n[wifi-security]\npsk=hunter2\n"})
    assert "hunter2" not in repr(read(tree))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"etc/runlevels/boot/networking": "-> /etc/init.d/networking"}, ("networking",)),
        ({"etc/rc.d/rc3.d/S10network": "-> ../init.d/network"}, ("network.service",)),
        ({"etc/rc.d/rc3.d/K90network": "-> ../init.d/network"}, ()),
        ({"etc/systemd/system/network.service": "-> /usr/lib/systemd/system/wicked.service"},
         ("network.service", "wicked.service")),
    ],
)  # fmt: skip
def test_init_scripts_and_aliases_are_enabled_too(tmp_path: Path, files: dict[str, str], expected: tuple) -> None:
    assert read(lay(tmp_path, files)).units == expected
