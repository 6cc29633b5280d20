"""SystemImager's ``local.cfg`` (``NAME=VALUE`` lines of a shell) as what a boot medium is to say. PURE."""

import re
import shlex
from ipaddress import IPv4Address, IPv4Network

from attrs import evolve, frozen

from imaged.model.errors import BadInput
from imaged.model.net import Mac

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9-]{1,63})*", re.ASCII)
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", re.ASCII)  # IFNAMSIZ is 16 with its NUL
_IMPLIED = frozenset({"NETWORK", "BROADCAST", "GATEWAYDEV"})  # follow from address and netmask
_NETMASK = "255.255.255.0"


@frozen
class LocalConfig:
    """``address`` None: DHCP. ``device`` is an interface's name or a MAC; empty: the first with a link.

    ``server`` is where the image server is, when not where the settings say. ``ignored`` names each line that means
    nothing here, for people.
    """

    hostname: str = ""
    domain: str = ""
    address: IPv4Address | None = None
    netmask: str = ""
    gateway: IPv4Address | None = None
    device: str = ""
    server: str = ""
    ignored: tuple[str, ...] = ()


def read(text: str, *, where: str) -> LocalConfig:
    """Read a local.cfg. Raises BadInput with the line for what cannot be meant."""
    config = LocalConfig()
    for number, line in enumerate(text.splitlines(), start=1):
        at = f"{where}, line {number}"
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise BadInput(f"{stripped[:60]!r} is not NAME=VALUE", where=at)
        config = _with(config, match[1].upper(), _value(match[2], at), at)
    return _checked(config, where)


def ip_argument(config: LocalConfig) -> str:
    """The kernel's ``ip=`` (Documentation/admin-guide/nfs/nfsroot.rst), as the boot ramdisk reads it too; empty: DHCP
    on whichever card has a link."""
    device = config.device.replace(":", "-")  # a colon ends a field
    if config.address is None:
        return f"ip=::::{config.hostname}:{device}:dhcp" if device else ""
    fields = (str(config.address), "", str(config.gateway or ""), config.netmask, config.hostname, device, "off")
    return f"ip={':'.join(fields)}"


def _with(config: LocalConfig, name: str, value: str, at: str) -> LocalConfig:
    if not value or name in _IMPLIED:
        return config
    match name:
        case "HOSTNAME" | "DOMAINNAME" | "IMAGESERVER":
            if not _HOST.fullmatch(value):
                raise BadInput(f"{name}: {value[:60]!r} is no host name or address", where=at)
            if name == "HOSTNAME":
                return evolve(config, hostname=value)
            return evolve(config, server=value) if name == "IMAGESERVER" else evolve(config, domain=value)
        case "IPADDR":
            return evolve(config, address=_address(name, value, at))
        case "GATEWAY":
            return evolve(config, gateway=_address(name, value, at))
        case "NETMASK":
            try:
                IPv4Network(f"0.0.0.0/{value}")
            except ValueError:
                raise BadInput(f"NETMASK: {value[:60]!r} is no netmask", where=at) from None
            return evolve(config, netmask=str(IPv4Network(f"0.0.0.0/{value}").netmask))
        case "DEVICE":
            return evolve(config, device=_device(value, at))
        case _:
            return evolve(config, ignored=(*config.ignored, f"{at}: {name} means nothing here"))


def _checked(config: LocalConfig, where: str) -> LocalConfig:
    if config.address is None:
        if config.gateway or config.netmask:
            raise BadInput("NETMASK and GATEWAY without IPADDR", where=where, hint="Add IPADDR, or leave all to DHCP.")
        return config
    config = config if config.netmask else evolve(config, netmask=_NETMASK)
    network = IPv4Network(f"{config.address}/{config.netmask}", strict=False)
    if config.gateway and config.gateway not in network:
        raise BadInput(f"GATEWAY: {config.gateway} is not within {network}", where=where)
    return config


def _value(text: str, at: str) -> str:
    """One shell word; what stands behind it may only be a comment."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise BadInput(str(error).lower(), where=at) from None
    if len(words) > 1 or any(sign in text for sign in ("$(", "`", "${")):
        raise BadInput(f"{text[:60]!r} is not one plain value", where=at)
    return words[0] if words else ""


def _address(name: str, value: str, at: str) -> IPv4Address:
    try:
        return IPv4Address(value)
    except ValueError:
        raise BadInput(f"{name}: {value[:60]!r} is no IPv4 address", where=at) from None


def _device(value: str, at: str) -> str:
    try:
        return str(Mac.parse(value))
    except BadInput:
        if not _DEVICE.fullmatch(value):
            raise BadInput(f"DEVICE: {value[:60]!r} is no network interface", where=at) from None
        return value
