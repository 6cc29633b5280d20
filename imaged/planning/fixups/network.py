"""The node's network on its boot NIC, written for whichever renderer the image will really run.

Links are matched by MAC: the name a NIC has in the ramdisk depends on udev's version (systemd.net-naming-scheme(7)).
DHCP identifies by MAC, so that firmware, ramdisk and system share one lease.
"""

from collections.abc import Callable

from imaged.model.net import Mac
from imaged.model.plan import RemovePath, Step, WriteFile
from imaged.planning.fixups.target import Target

LINK_NAME = "lan0"
_Render = Callable[[Mac], tuple[Step, ...]]


def network(target: Target) -> tuple[Step, ...]:
    """By footprint: what is enabled decides, in the order in which it would win at boot."""
    mac = target.inventory.boot_mac or target.node.macs[0]
    for unit, render in _RENDERERS:
        if unit in target.facts.units:
            return (*render(mac), *_resolver(target))
    return ()


def _networkd(mac: Mac) -> tuple[Step, ...]:
    """systemd.network(5). ClientIdentifier=mac, or the DUID would ask for a second address."""
    text = (
        f"[Match]\nMACAddress={mac}\nType=ether\n\n"
        "[Network]\nDHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n"
    )
    return (WriteFile("/etc/systemd/network/10-imaged.network", text, reason="the node's boot NIC, by MAC"),)


def _network_manager(mac: Mac) -> tuple[Step, ...]:
    """nm-settings-keyfile(5). NetworkManager ignores a profile that others can read."""
    text = (
        f"[connection]\nid=imaged\ntype=ethernet\nautoconnect-priority=100\n\n[ethernet]\nmac-address={mac}\n\n"
        "[ipv4]\nmethod=auto\ndhcp-client-id=mac\n\n[ipv6]\nmethod=auto\n"
    )
    path = "/etc/NetworkManager/system-connections/imaged.nmconnection"
    return (WriteFile(path, text, "0600", "the node's boot NIC, by MAC"),)


def _ifupdown(mac: Mac) -> tuple[Step, ...]:
    """interfaces(5) knows names only, so a systemd.link(5) file gives the NIC a name of ours first."""
    link = f"[Match]\nPermanentMACAddress={mac}\n\n[Link]\nName={LINK_NAME}\n"
    interfaces = (
        "source-directory /etc/network/interfaces.d\n\nauto lo\niface lo inet loopback\n\n"
        f"auto {LINK_NAME}\niface {LINK_NAME} inet dhcp\n"
    )
    return (
        WriteFile("/etc/systemd/network/10-imaged.link", link, reason="a name that does not depend on udev's version"),
        WriteFile("/etc/network/interfaces", interfaces, reason="the node's boot NIC"),
    )


_RENDERERS: tuple[tuple[str, _Render], ...] = (
    ("NetworkManager.service", _network_manager),
    ("systemd-networkd.service", _networkd),
    ("networking.service", _ifupdown),
)


def _resolver(target: Target) -> tuple[Step, ...]:
    """networkd alone writes no resolv.conf(5); with systemd-resolved or another renderer it is not ours to write."""
    enabled = set(target.facts.units)
    if "systemd-resolved.service" in enabled or "systemd-networkd.service" not in enabled or not target.dns:
        return ()
    lines = [f"search {target.domain}"] if target.domain else []
    lines += [f"nameserver {server}" for server in target.dns]
    return (
        RemovePath("/etc/resolv.conf", "may be a link into /run"),
        WriteFile("/etc/resolv.conf", "\n".join(lines) + "\n", reason="the subnet's resolvers"),
    )
