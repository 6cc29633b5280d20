"""Which program a network-booting machine gets next."""

from imaged.model.boot import LOADERS, Arch, BootClient, BootOffer, LocalBoot, Stage
from imaged.model.node import BootAction, Node
from imaged.model.settings import DhcpMode, Settings


def decide(client: BootClient, node: Node | None, settings: Settings) -> BootOffer | LocalBoot | None:
    """The answer to ``client``. ``node`` is None for a machine we do not know: it is left alone.

    None: we have no boot loader for this architecture, so another server may.
    """
    if client.stage is Stage.IPXE:
        # Always the script, for local boot too: it runs iPXE's `exit`, and the decision is made when it is fetched.
        return BootOffer(script_url(client, settings))
    loader = LOADERS.get(client.arch)
    left_alone = node is None or node.action is BootAction.LOCAL
    if left_alone and (loader is None or client.arch is Arch.BIOS or settings.dhcp.mode is DhcpMode.PROXY):
        return LocalBoot()
    # UEFI takes an offer without a program for no offer and asks again for a minute (EDK2's PxeBcDhcp4, seen in OVMF)
    # before it goes on to the next boot option. iPXE and its script's `exit` are through in seconds.
    if loader is None or (client.stage is Stage.HTTP and client.arch is Arch.BIOS):
        return None
    return BootOffer(f"{settings.base_url}/boot/{loader}" if client.stage is Stage.HTTP else loader)


def script_url(client: BootClient, settings: Settings) -> str:
    """Where iPXE finds its script; short enough for the 127 bytes of the packet's ``file``."""
    query = f"?uuid={client.uuid}" if client.uuid else ""
    return f"{settings.base_url}/ipxe/{client.mac}{query}"
