"""Which program a network-booting machine gets next."""

from collections.abc import Collection

from imaged.model.boot import LOADERS, SHIMS, Arch, BootClient, BootOffer, Chain, LocalBoot, Stage
from imaged.model.node import BootAction, Node
from imaged.model.settings import DhcpMode, Settings


def decide(
    client: BootClient, node: Node | None, settings: Settings, chain: Chain, served: Collection[str]
) -> BootOffer | LocalBoot | None:
    """The answer to ``client``. ``node`` is None for a machine we do not know: it is left alone.

    ``chain`` is that of the client's subnet, ``served`` are the boot loaders that are there (paths below the boot
    directory). None: we have none for this architecture, so another server may.
    """
    if client.stage is Stage.IPXE:
        # Always the script, for local boot too: it runs iPXE's `exit`, and the decision is made when it is fetched.
        return BootOffer(script_url(client, settings))
    loader = _loader(client, node, chain, served)
    left_alone = node is None or node.action is BootAction.LOCAL
    if left_alone and (loader is None or client.arch is Arch.BIOS or settings.dhcp.mode is DhcpMode.PROXY):
        return LocalBoot()
    # UEFI takes an offer without a program for no offer and asks again for a minute (EDK2's PxeBcDhcp4, seen in OVMF)
    # before it goes on to the next boot option. iPXE and its script's `exit` are through in seconds.
    if loader is None or (client.stage is Stage.HTTP and client.arch is Arch.BIOS):
        return None
    return BootOffer(f"{settings.base_url}/boot/{loader}" if client.stage is Stage.HTTP else loader)


def _loader(client: BootClient, node: Node | None, chain: Chain, served: Collection[str]) -> str | None:
    """What is wanted, if it is there, else what does as well; where nothing is, what the server's log should name."""
    ipxe, shim = LOADERS.get(client.arch), SHIMS.get(client.arch)
    if shim is None or shim not in served or client.stage is Stage.HTTP:
        # Debian's signed GRUB has no HTTP: behind a shim that came by HTTP it finds nothing (tried, OVMF).
        return ipxe
    if wants_signed(node, chain):
        return shim
    if ipxe in served:
        return ipxe
    # There is no iPXE (Debian 12 has none for arm64). GRUB's `exit` would end the firmware's search for a system, so
    # a machine without a name does not get it.
    return shim if node else None


def wants_signed(node: Node | None, chain: Chain) -> bool:
    """Whether shim and GRUB come first, instead of iPXE.

    Nothing in DHCP tells of Secure Boot. A node whose agent has not told yet gets to the installer by what starts in
    any case. Who is left alone gets iPXE, whose `exit` sends the firmware on; one that refuses iPXE goes on as well.
    """
    if chain is Chain.AUTO:
        if node is None:
            return False
        return node.action is not BootAction.LOCAL if node.secure_boot is None else node.secure_boot
    return chain is Chain.GRUB


def script_url(client: BootClient, settings: Settings) -> str:
    """Where iPXE finds its script; short enough for the 127 bytes of the packet's ``file``."""
    query = f"?uuid={client.uuid}" if client.uuid else ""
    return f"{settings.base_url}/ipxe/{client.mac}{query}"
