"""How the power of a node is switched: the address of what does it, what lets us in, and what may be asked of it."""

import re
from enum import Enum
from urllib.parse import quote, unquote, urlsplit

from attrs import evolve, field, frozen

from imaged.model.errors import BadInput

NAME = "{name}"  # in an address of many nodes: the node's own name
_HOST = re.compile(r"(?:[a-z0-9_.-]|\{name\})+|\[[0-9a-f:.]+\]")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9_.~@:%-]|\{name\})*)*")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_WRITE = "Write it like ipmi://admin@10.0.0.9, redfish://admin@node01-bmc or wol:."
# IPMI 2.0, tables 22-30 (user name) and 22-31 (20-byte password): what is longer is cut off without a word.
_IPMI_USER, _IPMI_PASSWORD = 16, 20


class PowerKind(Enum):
    """What a BMC speaks; ``wol``: there is none, and a magic packet wakes the machine."""

    IPMI = "ipmi"
    REDFISH = "redfish"
    WOL = "wol"


_PORTS = {PowerKind.IPMI: 623, PowerKind.REDFISH: 443, PowerKind.WOL: 0}


class PowerAction(Enum):
    """What is asked. ``soft`` asks the system itself to shut down; ``cycle`` is off and on, or on where it was off."""

    STATUS = "status"
    ON = "on"
    OFF = "off"
    SOFT = "soft"
    CYCLE = "cycle"
    RESET = "reset"


STARTING = frozenset((PowerAction.ON, PowerAction.CYCLE, PowerAction.RESET))


class PowerState(Enum):
    """As the BMC tells it. ``unknown``: on its way from one to the other, or it does not tell."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@frozen
class PowerAddress:
    """``host`` and ``path`` (of one system of a Redfish service; empty: its only one) may hold ``{name}``."""

    kind: PowerKind
    user: str = ""
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> "PowerAddress":
        """Read ``KIND://USER@HOST[:PORT][/PATH]`` or ``wol:``. Raises BadInput, which never repeats a password."""
        scheme, colon, rest = text.partition(":")
        if not colon or scheme not in {kind.value for kind in PowerKind}:
            raise BadInput(f"{scheme[:40]!r} is no kind of power control", where="power", hint=_WRITE)
        kind = PowerKind(scheme)
        if kind is PowerKind.WOL:
            if rest:
                raise BadInput("wake-on-LAN takes the node's own MACs: nothing goes behind 'wol:'", where="power")
            return cls(kind)
        try:
            parts = urlsplit(text)
            port, host = parts.port or _PORTS[kind], parts.hostname or ""
        except ValueError:
            raise BadInput("this is no address", where="power", hint=_WRITE) from None
        if parts.password is not None:
            hint = "Leave it out: it is asked for, or read by --password-file."
            raise BadInput("an address holds no password", where="power", hint=hint)
        host = f"[{host}]" if ":" in host else host
        if not _HOST.fullmatch(host) or parts.query or parts.fragment:
            raise BadInput(f"there is no host in {scheme}:{rest[:80]}", where="power", hint=_WRITE)
        user = unquote(parts.username or "")
        if not user.isprintable() or not user or (kind is PowerKind.IPMI and len(user.encode()) > _IPMI_USER):
            raise BadInput(f"{user[:40]!r} is no user of a BMC", where="power", hint=_WRITE)
        path = parts.path.rstrip("/")
        if not _PATH.fullmatch(path) or (path and kind is PowerKind.IPMI):
            raise BadInput(f"{path[:80]!r} is no path of a {scheme} address", where="power", hint=_WRITE)
        return cls(kind, user, host, port, path)

    def of(self, node: str) -> "PowerAddress":
        """That of one node."""
        return evolve(self, host=self.host.replace(NAME, node), path=self.path.replace(NAME, node))

    @property
    def bare_host(self) -> str:
        """For the socket: without the brackets of an IPv6 address."""
        return self.host.strip("[]")

    def __str__(self) -> str:
        if self.kind is PowerKind.WOL:
            return "wol:"
        port = f":{self.port}" if self.port != _PORTS[self.kind] else ""
        return f"{self.kind.value}://{quote(self.user)}@{self.host}{port}{self.path}"


@frozen
class PowerAccess:
    """An address and what opens it. ``password`` shows in no text of this value.

    Of a Redfish service's certificate: ``fingerprint`` is the SHA-256 of the only one that is taken (hex digits);
    without one, a certificate must be good by this server's authorities, unless ``verify`` is False.
    """

    address: PowerAddress
    password: str = field(default="", repr=False)
    fingerprint: str = ""
    verify: bool = True

    def of(self, node: str) -> "PowerAccess":
        """That of one node."""
        return evolve(self, address=self.address.of(node))


WAKE_ON_LAN = PowerAccess(PowerAddress(PowerKind.WOL))


def password(text: str, kind: PowerKind) -> str:
    """The first line of a file or of what was typed. Raises BadInput, which does not repeat it."""
    word = text.split("\n", 1)[0].rstrip("\r")
    if not word:
        raise BadInput("the password is empty", where="password")
    if kind is PowerKind.IPMI and len(word.encode()) > _IPMI_PASSWORD:
        raise BadInput(f"an IPMI password has {_IPMI_PASSWORD} bytes at most", where="password")
    return word


def fingerprint(text: str) -> str:
    """SHA-256 of a certificate as openssl(1) prints it (``AB:CD:...``), or bare. Raises BadInput."""
    bare = text.lower().rpartition("=")[2].replace(":", "").strip()
    if not _FINGERPRINT.fullmatch(bare):
        hint = "64 hex digits: openssl x509 -noout -fingerprint -sha256."
        raise BadInput(f"{text[:100]!r} is no SHA-256 fingerprint", where="fingerprint", hint=hint)
    return bare
