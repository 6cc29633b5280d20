"""Which files of a tree set up the network, and what kind of link each is for. Only that is kept: they hold secrets."""

import re
from collections.abc import Callable, Iterator

from imaged.store.tree import Tree

_WIRED = "ethernet"
# NetworkManager's words for what is a wire or made of wires; its other types are nothing that a NIC of ours is for.
_KEYFILE = {"ethernet": _WIRED, "802-3-ethernet": _WIRED, "bond": "bond", "bridge": "bridge", "vlan": "vlan",
            "team": "team", "infiniband": "infiniband"}  # fmt: skip
_VIRTUAL = ("wlan", "wwan", "wireguard", "tun", "tap", "vcan", "can", "bridge", "bond", "vlan", "vxlan", "veth", "none")
_VIRTUAL_NAMES = ("ve-", "vz-", "vb-", "wg", "tun", "tap", "wl", "docker", "virbr")
_NETPLAN = ("ethernets", "bonds", "bridges", "vlans")


def links(tree: Tree) -> dict[str, str]:
    """Path to kind, such as ``ethernet``, ``bond``, ``loopback``, ``wifi``; ``other`` for what is no wire;
    ``plugin`` is what reads ifcfg files in NetworkManager."""
    found = {}
    for directory, shape, kind_of in _READ:
        for path in _files(tree, directory, shape):
            kind = kind_of(path, tree.text(path))
            if kind:
                found[path] = kind
    for at in tree.glob(_PLUGIN):
        found[f"/{at.relative_to(tree.root)}"] = "plugin"
    return dict(sorted(found.items()))


def _files(tree: Tree, directory: str, shape: str) -> Iterator[str]:
    for each in tree.names(directory):
        at = tree.locate(f"{directory}/{each}")
        if re.fullmatch(shape, each) and at is not None and at.is_file():
            yield f"{directory}/{each}"


def _keyfile(_path: str, text: str) -> str:
    said = re.search(r"(?m)^type\s*=\s*([\w-]+)", text)
    return _KEYFILE.get(said[1], "other") if said else ""


def _networkd(_path: str, text: str) -> str:
    """A [Match] that can fit a NIC; one that is for virtual links only is somebody's own (containers, VPNs)."""
    match = re.search(r"(?ms)^\[Match\]\n(.*?)(?=^\[|\Z)", text)
    said = dict(re.findall(r"(?m)^(\w+)\s*=\s*(.*?)\s*$", match[1])) if match else {}
    kinds = said.get("Type", "").split()
    if kinds and all(kind in _VIRTUAL for kind in kinds):
        return "other"
    names = said.get("Name", "").split()
    if names and all(name == "lo" for name in names):
        return "loopback"
    if names and all(name.startswith(_VIRTUAL_NAMES) for name in names):
        return "other"
    return _WIRED


def _netdev(_path: str, text: str) -> str:
    said = re.search(r"(?m)^Kind\s*=\s*(\w+)", text)
    return said[1] if said and said[1] in ("bond", "bridge", "vlan", "team") else "other"


def _netplan(_path: str, text: str) -> str:
    """The first of its sections; a file with a renderer alone decides about no link."""
    said = re.findall(r"(?m)^\s+(ethernets|bonds|bridges|vlans|wifis|tunnels)\s*:", text)
    return _WIRED if any(each in _NETPLAN for each in said) else "other" if said else ""


def _ifcfg(path: str, text: str) -> str:
    name = path.rpartition("/ifcfg-")[2]
    if name == "lo":
        return "loopback"
    said = re.search(r"(?mi)^\s*TYPE\s*=\s*[\"']?(\w+)", text)
    kind = said[1].lower() if said else _WIRED
    return kind if kind in (_WIRED, "bond", "bridge", "vlan", "team", "infiniband") else "other"


def _interfaces(_path: str, text: str) -> str:
    """interfaces(5): stanzas of links other than the loopback."""
    names = re.findall(r"(?m)^\s*iface\s+(\S+)", text)
    return _WIRED if any(name != "lo" for name in names) else "loopback" if names else ""


def _always(kind: str) -> Callable[[str, str], str]:
    return lambda _path, _text: kind


_BACKUPS = r"(?!.*(~|\.(bak|orig|rpmnew|rpmsave|dpkg-\w+|swp))$)"
_READ: tuple[tuple[str, str, Callable[[str, str], str]], ...] = (
    ("/etc/NetworkManager/system-connections", r"[^.].*", _keyfile),
    ("/etc/systemd/network", r"[^.].*\.network", _networkd),
    ("/etc/systemd/network", r"[^.].*\.netdev", _netdev),
    ("/etc/systemd/network", r"(?!99-default)[^.].*\.link", _always(_WIRED)),
    ("/etc/netplan", r"[^.].*\.yaml", _netplan),
    ("/etc/sysconfig/network-scripts", rf"{_BACKUPS}ifcfg-.+", _ifcfg),
    ("/etc/sysconfig/network-scripts", rf"{_BACKUPS}(route6?|rule6?)-.+", _always("routes")),
    ("/etc/sysconfig/network", rf"{_BACKUPS}ifcfg-.+", _ifcfg),
    ("/etc/sysconfig/network", rf"{_BACKUPS}(ifroute-.+|routes)", _always("routes")),
    ("/etc/network", r"interfaces", _interfaces),
    ("/etc/network/interfaces.d", r"[^.].*", _interfaces),
    ("/etc", r"mactab", _always(_WIRED)),
)
_PLUGIN = "/usr/lib*/NetworkManager/*/libnm-settings-plugin-ifcfg-rh.so"


def started_by_init(tree: Tree) -> Iterator[str]:
    """Init scripts: by their name alone where a runlevel of OpenRC has them, as a service where it is System V's."""
    for level in tree.names("/etc/runlevels"):
        yield from tree.names(f"/etc/runlevels/{level}")
    for level in ("2", "3", "5"):
        for name in tree.names(f"/etc/rc.d/rc{level}.d"):
            if re.match(r"S\d\d", name):
                yield f"{name[3:]}.service"
