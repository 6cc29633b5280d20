"""Reads the settings file and checks it as a whole."""

import re
from pathlib import Path
from typing import Any

from imaged.model.codec import from_plain
from imaged.model.errors import BadInput
from imaged.model.settings import DhcpMode, DhcpSettings, Settings
from imaged.store import yamlfile

_DATABASES = ("postgresql://", "postgresql+psycopg://")
_URL = re.compile(
    r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?(/[!-~]*)?"
)
DEFAULT_PATH = Path("/etc/imaged/imaged.yaml")


def read(path: Path) -> Settings:
    """Settings from a YAML file. Raises NotFound, or BadInput that names the file and the key."""
    return build(yamlfile.load(path), where=str(path))


def build(data: Any, *, where: str) -> Settings:
    """Settings from plain data, checked as a whole."""
    settings = from_plain({} if data is None else data, Settings, where=where)
    faults = [*_bad_ports(settings), *_bad_amounts(settings), *_bad_subnets(settings.dhcp), *_bad_hooks(settings)]
    if settings.address.is_unspecified or settings.address.is_multicast:
        faults.append(f"address: {settings.address} is no address that a node can reach")
    if settings.api.socket and not settings.api.socket.is_absolute():
        faults.append(f"api.socket: {settings.api.socket} must be an absolute path")
    if not all(letter.isalnum() or letter in ",-" for letter in settings.discovery_console):
        faults.append(
            f"discovery_console: {settings.discovery_console!r} is not a console (write it like ttyS0,115200)"
        )
    if not settings.state.is_absolute():
        faults.append(f"state: {settings.state} must be an absolute path")
    if settings.database and not settings.database.startswith(_DATABASES):
        faults.append("database: is no URL like postgresql+psycopg://user@host/name")  # it may hold a password
    if faults:
        raise BadInput("\n  ".join(faults), where=where)
    return settings


def _bad_ports(settings: Settings) -> list[str]:
    ports = {
        "dhcp.port": settings.dhcp.port, "dhcp.client_port": settings.dhcp.client_port,
        "dhcp.proxy_port": settings.dhcp.proxy_port, "tftp.port": settings.tftp.port,
        "http.port": settings.http.port, "rsync.port": settings.rsync.port,
    }  # fmt: skip
    optional = {"monitor.port": settings.monitor.port, "monitor.netconsole": settings.monitor.netconsole}
    ports |= {key: port for key, port in optional.items() if port}  # 0: off
    faults = [f"{key}: {port} is not a port (1 to 65535)" for key, port in ports.items() if not 0 < port < 65536]
    taken: dict[int, str] = {}
    for key in ("http.port", "rsync.port", "monitor.port"):
        if key in ports and taken.setdefault(ports[key], key) != key:
            faults.append(f"{key}: {ports[key]} is {taken[ports[key]]} already")
    return faults


def _bad_hooks(settings: Settings) -> list[str]:
    faults = []
    for index, hook in enumerate(settings.webhooks):
        at = f"webhooks[{index}]"
        if not _URL.fullmatch(hook.url):
            faults.append(f"{at}.url: {hook.url!r} is not http://... or https://...")
        if not hook.events or not all(hook.events):
            faults.append(f"{at}.events: at least one name of events is needed ('*' for all)")
    return faults


def _bad_amounts(settings: Settings) -> list[str]:
    """Least and most of each count: RFC 2348 for blocks, RFC 7440 for windows; 0 transfers would serve nobody."""
    within = {
        "tftp.max_block": (settings.tftp.max_block, 8, 65464),
        "tftp.max_window": (settings.tftp.max_window, 1, 65535),
        "tftp.sessions": (settings.tftp.sessions, 1, 65535),
        "tftp.retries": (settings.tftp.retries, 1, 100),
        "tftp.processes": (settings.tftp.processes, 1, 64),
        "rsync.transfers": (settings.rsync.transfers, 1, 65535),
        "rsync.timeout": (settings.rsync.timeout, 1, 86400),
        "scripts.at_once": (settings.scripts.at_once, 1, 1000),
        "scripts.timeout": (settings.scripts.timeout, 1, 86400),
        "dhcp.offer_hold": (settings.dhcp.offer_hold, 1, 86400),
        "dhcp.decline_hold": (settings.dhcp.decline_hold, 0, 2**31),
        "web.session": (settings.web.session, 60, 2**31),
        "token_lifetime": (settings.token_lifetime, 1, 2**31),
        "install_attempts": (settings.install_attempts, 1, 1000),
    }
    return [
        f"{key}: {amount} is not within {least} to {most}"
        for key, (amount, least, most) in within.items()
        if not least <= amount <= most
    ]


def _bad_subnets(dhcp: DhcpSettings) -> list[str]:
    faults = []
    for index, subnet in enumerate(dhcp.subnets):
        at = f"dhcp.subnets[{index}]"
        if subnet.pool and not (subnet.pool.first in subnet.network and subnet.pool.last in subnet.network):
            faults.append(f"{at}.pool: {subnet.pool.first}-{subnet.pool.last} is not within {subnet.network}")
        if subnet.router and subnet.router not in subnet.network:
            faults.append(f"{at}.router: {subnet.router} is not within {subnet.network}")
        if subnet.lease < 60:
            faults.append(f"{at}.lease: {subnet.lease} s is too short (60 at least)")
        for other in range(index):
            if dhcp.subnets[other].network.overlaps(subnet.network):
                faults.append(f"{at}.network: {subnet.network} overlaps {dhcp.subnets[other].network}")
    if dhcp.mode is DhcpMode.AUTHORITATIVE and not dhcp.subnets:
        faults.append("dhcp.subnets: at least one is needed to be authoritative")
    return faults
