"""The daemon's settings as one frozen value: every address, port and path. ``store.settings`` reads the file."""

from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from pathlib import PurePosixPath

from attrs import field, frozen

from imaged.model.access import Role
from imaged.model.boot import Chain
from imaged.model.machine import Discovery, Next
from imaged.model.net import AddressRange


class DhcpMode(Enum):
    """``authoritative``: we give addresses. ``proxy``: another server does, we add the boot program. ``off``."""

    AUTHORITATIVE = "authoritative"
    PROXY = "proxy"
    OFF = "off"


@frozen(cache_hash=True)
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
    """``max_block`` bounds blksize (bytes), ``max_window`` windowsize (blocks), ``sessions`` transfers at once, which
    so many ``processes`` carry."""

    port: int = 69
    max_block: int = 1468
    max_window: int = 64
    sessions: int = 1000
    retries: int = 8
    processes: int = 2


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
class MonitorSettings:
    """``port`` for SystemImager's clients (theirs is 8181), ``netconsole`` for nodes' kernels (theirs is 6666); 0: off.

    ``metrics``: everybody may read ``/metrics``.
    """

    port: int = 0
    netconsole: int = 0
    metrics: bool = False


@frozen
class Webhook:
    """Where events are posted that match one of ``events``: names with ``*`` and ``?``. ``secret`` signs them.

    A change of state also has the name ``state of a node/failed``.
    """

    url: str
    events: tuple[str, ...] = ("*",)
    secret: str = field(default="", repr=False)


@frozen
class ApiSettings:
    """``socket`` is where local users reach the API without a token; None: ``run/imaged.sock`` in the state directory.

    ``users`` says what they may do there, by name or ``@group``; root and the daemon's own user may do everything.
    """

    socket: PurePosixPath | None = None
    users: dict[str, Role] = {}


@frozen
class ScriptSettings:
    """State scripts, which run on this server: so many at once, each of them ``timeout`` seconds at most."""

    at_once: int = 4
    timeout: int = 60


@frozen
class WebSettings:
    """``session``: seconds until somebody has to log in again. ``forwarded``: a proxy stands in front, and what it says
    in ``X-Forwarded-Proto`` and ``X-Forwarded-For`` is so."""

    session: int = 43200
    forwarded: bool = False


@frozen
class Settings:
    """``address`` is where nodes reach this server; ``interfaces`` limits DHCP and TFTP (empty: all).

    ``install_attempts``: an install that was begun so often and never ended is not begun again by itself.
    ``discovery`` is what machines without a name are asked, ``after_inventory`` what they do then;
    ``discovery_console`` is their serial console, in the kernel's notation. ``database`` is the URL of PostgreSQL's;
    empty: a file in the state directory.
    """

    address: IPv4Address
    state: PurePosixPath = PurePosixPath("/var/lib/imaged")
    interfaces: tuple[str, ...] = ()
    dhcp: DhcpSettings = field(default=DhcpSettings())
    tftp: TftpSettings = field(default=TftpSettings())
    http: HttpSettings = field(default=HttpSettings())
    rsync: RsyncSettings = field(default=RsyncSettings())
    monitor: MonitorSettings = field(default=MonitorSettings())
    api: ApiSettings = field(default=ApiSettings())
    scripts: ScriptSettings = field(default=ScriptSettings())
    webhooks: tuple[Webhook, ...] = ()
    web: WebSettings = field(default=WebSettings())
    authorized_keys: tuple[str, ...] = ()
    token_lifetime: int = 3600
    install_attempts: int = 3
    discovery: Discovery = Discovery.OFF
    after_inventory: Next = Next.REBOOT
    discovery_console: str = ""
    database: str = field(default="", repr=False)

    @property
    def base_url(self) -> str:
        """``http://10.0.0.1:8080``, without a slash at the end."""
        return f"http://{self.address}:{self.http.port}"
