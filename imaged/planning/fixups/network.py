"""The node's network, written for whichever renderer the image will really run."""

from imaged.model.errors import CannotPlan
from imaged.model.network import BOOT_NIC, Renderer
from imaged.model.plan import Step, WriteFile
from imaged.planning.fixups.network_ifcfg import ifcfg
from imaged.planning.fixups.network_ifupdown import ifupdown
from imaged.planning.fixups.network_keyfile import keyfiles
from imaged.planning.fixups.network_names import link_files, mactab, path_files, udev_rules
from imaged.planning.fixups.network_netplan import netplan
from imaged.planning.fixups.network_networkd import networkd
from imaged.planning.fixups.network_resolver import resolver
from imaged.planning.fixups.network_wicked import wicked
from imaged.planning.fixups.target import Target
from imaged.planning.network import Wiring, named, wiring

_MANAGER, _NETWORKD, _WICKED = "NetworkManager.service", "systemd-networkd.service", "wicked.service"
_SYSV, _IFUPDOWN = "network.service", ("networking.service", "networking")  # the last: OpenRC's
_IFCFG_HOME = "/etc/sysconfig/network-scripts/"
_RENAMES = "/usr/lib/udev/rename_device"
# Those that take every NIC they find a configuration for, with the word by which a file names each. ifupdown and
# network-scripts are not among them: all that they had to do is taken from them with the golden client's own.
_RIVALS = {_MANAGER: Renderer.NETWORK_MANAGER, _WICKED: Renderer.WICKED, _NETWORKD: Renderer.NETWORKD}
_LEFT_ALONE = "/etc/NetworkManager/conf.d/90-imaged.conf"


def network(target: Target) -> tuple[Step, ...]:
    """What was said of this node, else DHCP on the NIC that it boots from. NICs that nobody named are left alone.

    Raises CannotPlan when the machine lacks a NIC that was named, when something was said of the network and nothing in
    the image would set it up, and when two services would.
    """
    wanted = target.host.network or BOOT_NIC
    if wanted.renderer is None:
        _refuse_rivals(target)
    renderer = wanted.renderer or renderer_of(target)
    if renderer is None:
        if target.host.network is None:
            return ()
        raise CannotPlan(
            "nothing in the image sets up a network: none of netplan, NetworkManager, wicked, systemd-networkd, "
            "ifupdown is enabled",
            where=f"network of {target.node.name}",
            hint="Enable one of them in the image, or say `renderer:` if it is there all the same.",
        )
    wired = wiring(wanted, target.node, target.inventory, target.site, target.dns, target.domain)
    return (
        *_render(renderer, wired, target),
        *_left_alone(renderer, wired, target),
        *resolver(target, renderer, wired),
    )


def _refuse_rivals(target: Target) -> None:
    """netplan tells each of them which NICs are not its own."""
    found = [unit for unit in _RIVALS if unit in target.facts.units]
    if len(found) < 2 or renderer_of(target) is Renderer.NETPLAN:
        return
    names = [unit.removesuffix(".service") for unit in found]
    words = " or ".join(f"`renderer: {_RIVALS[unit].value}`" for unit in found)
    raise CannotPlan(
        f"the image starts {' and '.join(names)}, and each would set up the NICs",
        where=f"network of {target.node.name}",
        hint=f"Disable all but one in the image (systemctl disable {names[-1]}), or say which shall do it: a file with "
        f"{words} for imaged sethost --network.",
    )


def _left_alone(renderer: Renderer, wired: Wiring, target: Target) -> tuple[Step, ...]:
    """NetworkManager asks for an address on every wire that it has no profile for (NetworkManager.conf(5), keyfile)."""
    if _MANAGER not in target.facts.units or renderer in (Renderer.NETPLAN, Renderer.NETWORK_MANAGER, Renderer.IFCFG):
        return ()
    names = ";".join(f"mac:{link.mac}" if link.mac else f"interface-name:{link.name}" for link in wired.links)
    text = f"[keyfile]\nunmanaged-devices={names}\n"
    return (WriteFile(_LEFT_ALONE, text, reason="another service sets these up"),)


def renderer_of(target: Target) -> Renderer | None:
    """By footprint, in the order in which they would win at boot; None: the image has nothing enabled."""
    facts = target.facts
    units = set(facts.units)
    if "netplan" in facts.commands and units & {_MANAGER, _NETWORKD} and "/etc/netplan" in facts.files:
        return Renderer.NETPLAN
    if _MANAGER in units:
        profiles = any(path.startswith(_IFCFG_HOME) for path in facts.links)
        return Renderer.IFCFG if profiles and "plugin" in facts.links.values() else Renderer.NETWORK_MANAGER
    if _WICKED in units:
        return Renderer.WICKED
    if _NETWORKD in units:
        return Renderer.NETWORKD
    if units & set(_IFUPDOWN):
        return Renderer.IFUPDOWN
    if _SYSV in units and "/etc/sysconfig/network-scripts" in facts.files:
        return Renderer.IFCFG
    return None


def _render(renderer: Renderer, wired: Wiring, target: Target) -> tuple[Step, ...]:
    facts = target.facts
    match renderer:
        case Renderer.NETPLAN:
            return netplan(wired, "networkd" if _NETWORKD in facts.units else "NetworkManager")
        case Renderer.NETWORK_MANAGER:
            return keyfiles(wired)
        case Renderer.NETWORKD:
            return networkd(wired)
        case Renderer.WICKED:
            return (*udev_rules(named(wired)), *wicked(named(wired), facts.files))
        case Renderer.IFCFG:
            return (*_names_of_ifcfg(named(wired), target), *ifcfg(named(wired), manager=_MANAGER in facts.units))
        case Renderer.IFUPDOWN:
            return (
                *_names_of_ifupdown(named(wired), target),
                *ifupdown(named(wired), hotplug="systemctl" in facts.commands),
            )


def _names_of_ifcfg(wired: Wiring, target: Target) -> tuple[Step, ...]:
    """initscripts' own program renames a NIC to the DEVICE beside its HWADDR; where it is gone, udev is new enough."""
    return path_files(wired) if _RENAMES in target.facts.files else link_files(wired)


def _names_of_ifupdown(wired: Wiring, target: Target) -> tuple[Step, ...]:
    """BusyBox's mdev and udev, whichever comes with an image without systemd."""
    facts = target.facts
    if "systemctl" in facts.commands:
        return link_files(wired)
    by_mdev = mactab(wired) if "/etc/mdev.conf" in facts.files else ()
    return (*by_mdev, *(udev_rules(wired) if "udevadm" in facts.commands else ()))
