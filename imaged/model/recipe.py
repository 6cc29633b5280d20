"""The recipe of a golden image that is built from packages: what somebody wants in it. No host's identity."""

from enum import Enum

from attrs import frozen

LOCKED = "locked"


class Tool(Enum):
    """The program that makes the first tree: mmdebstrap(1) or debootstrap(8)."""

    MMDEBSTRAP = "mmdebstrap"
    DEBOOTSTRAP = "debootstrap"


class Renderer(Enum):
    """What configures the network of the installed system. One only: two of them fight over the same NIC."""

    NETWORKD = "systemd-networkd"
    NETWORK_MANAGER = "NetworkManager"
    IFUPDOWN = "ifupdown"


@frozen
class RootLogin:
    """How root gets in. ``password`` is ``locked`` (none matches) or a crypt(5) hash; keys as in sshd(8)."""

    password: str = LOCKED
    authorized_keys: tuple[str, ...] = ()


@frozen
class ExtraFile:
    """A file laid over the packages' own, written last. ``mode`` is octal text (``0644``)."""

    path: str
    content: str
    mode: str = "0644"


@frozen
class Recipe:
    """``mirror`` is the URL of a package archive; empty: the tool's own default for ``suite``.

    ``sources`` are more lines for sources.list(5) (security updates, a site's own archive); they need ``mirror``.
    ``enable`` are systemd units beyond those that their packages enable.
    """

    name: str
    suite: str
    packages: tuple[str, ...]
    tool: Tool = Tool.MMDEBSTRAP
    mirror: str = ""
    sources: tuple[str, ...] = ()
    components: tuple[str, ...] = ("main",)
    locale: str = "C.UTF-8"
    timezone: str = "Etc/UTC"
    network: Renderer = Renderer.NETWORKD
    root: RootLogin = RootLogin()
    enable: tuple[str, ...] = ()
    files: tuple[ExtraFile, ...] = ()
