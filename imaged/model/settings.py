"""The daemon's settings as one frozen value: every address, port and path. ``store.settings`` reads the file."""

from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from pathlib import PurePosixPath

from attrs import field, frozen

from imaged.model.boot import Chain
from imaged.model.net import AddressRange


class DhcpMode(Enum):
    """``authoritative``: we give addresses. ``proxy``: another server does, we add the boot program. ``off``."""

    AUTHORITATIVE = "authoritative"
    PROXY = "proxy"
    OFF = "off"


@frozen
class Subnet:
    """One subnet that we give addresses in. ``lease`` in seconds. ``pool`` serves machines without a reservation.

    ``chain``: which boot loaders its UEFI machines get (docs/ways-in.md).
    """

    network: IPv4Network
    pool: AddressRange | None = None
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    domain: str = ""
    lease: int = 3600
    chain: Chain = Chain.AUTO


@frozen
class DhcpSettings:
    """``port`` and ``client_port`` are 67 and 68 outside tests; ``proxy_port`` is the PXE boot server's 4011."""

    mode: DhcpMode = DhcpMode.OFF
    subnets: tuple[Subnet, ...] = ()
    port: int = 67
    client_port: int = 68
    proxy_port: int = 4011
    offer_hold: int = 60
    decline_hold: int = 3600


@frozen
class TftpSettings:
    """``max_block`` bounds blksize (bytes), ``max_window`` windowsize (blocks), ``sessions`` transfers at once."""

    port: int = 69
    max_block: int = 1468
    max_window: int = 64
    sessions: int = 1000
    retries: int = 8


@frozen
class HttpSettings:
    """Boot scripts, kernel, ramdisk and the node API."""

    port: int = 8080


@frozen
class RsyncSettings:
    """``transfers`` run at once; the others wait their turn. ``timeout`` in seconds of silence."""

    port: int = 873
    transfers: int = 32
    timeout: int = 600
    program: str = "rsync"


@frozen
class Settings:
    """``address`` is where nodes reach this server; ``interfaces`` limits DHCP and TFTP (empty: all)."""

    address: IPv4Address
    state: PurePosixPath = PurePosixPath("/var/lib/imaged")
    interfaces: tuple[str, ...] = ()
    dhcp: DhcpSettings = field(default=DhcpSettings())
    tftp: TftpSettings = field(default=TftpSettings())
    http: HttpSettings = field(default=HttpSettings())
    rsync: RsyncSettings = field(default=RsyncSettings())
    authorized_keys: tuple[str, ...] = ()
    token_lifetime: int = 3600

    @property
    def base_url(self) -> str:
        """``http://10.0.0.1:8080``, without a slash at the end."""
        return f"http://{self.address}:{self.http.port}"
