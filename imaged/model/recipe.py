"""The recipe of a golden image that is built from packages: what somebody wants in it. No host's identity."""

from enum import Enum

from attrs import frozen

LOCKED = "locked"


class Tool(Enum):
    """The program that makes the first tree: mmdebstrap(1), debootstrap(8), dnf(8) or zypper(8)."""

    MMDEBSTRAP = "mmdebstrap"
    DEBOOTSTRAP = "debootstrap"
    DNF = "dnf"
    ZYPPER = "zypper"

    @property
    def rpm(self) -> bool:
        """Whether its packages are rpm's; else they are dpkg's."""
        return self in (Tool.DNF, Tool.ZYPPER)


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
    """``suite`` is a Debian release's code name, for rpm the release number that ``$releasever`` stands for.

    ``mirror`` is the URL of a package archive (for rpm of the directory that holds ``repodata``); empty: the tool's
    own default, which the rpm tools do not have. ``sources`` are more of them: lines for sources.list(5), for rpm URLs.
    ``keyring`` are files with the keys that sign them; empty: those that the tool trusts anyway. ``unsigned`` takes
    packages that nobody signed. ``enable`` are systemd units beyond those that their packages enable.

    ``overrides`` are directories laid over the packages' files, ``scripts`` programs run in the tree at the end, both
    in their order; paths of this machine, absolute once the recipe is read. ``clean`` are anchored globs of what is
    removed from the tree last. ``arch`` is the processor (uname -m); empty: this machine's.
    """

    name: str
    suite: str
    packages: tuple[str, ...]
    tool: Tool = Tool.MMDEBSTRAP
    mirror: str = ""
    sources: tuple[str, ...] = ()
    keyring: tuple[str, ...] = ()
    unsigned: bool = False
    components: tuple[str, ...] = ("main",)
    locale: str = "C.UTF-8"
    timezone: str = "Etc/UTC"
    network: Renderer = Renderer.NETWORKD
    root: RootLogin = RootLogin()
    enable: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    files: tuple[ExtraFile, ...] = ()
    scripts: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    arch: str = ""
