"""Which program a network-booting machine gets next, and which of them its next boot cannot do without."""

from collections.abc import Collection

from imaged.model.boot import LOADERS, SHIMS, Arch, BootClient, BootOffer, Chain, LocalBoot, Stage
from imaged.model.errors import BadInput, Conflict, NotFound
from imaged.model.machine import Discovery
from imaged.model.next_boot import MEMTEST
from imaged.model.node import BootAction, Node
from imaged.model.settings import DhcpMode, Settings

# GRUB starts them as well as iPXE does.
_LINUX = frozenset({BootAction.INSTALL, BootAction.RESCUE, BootAction.INVENTORY, BootAction.KERNEL})
_CLIENTS = {"x86_64": Arch.X86_64, "aarch64": Arch.ARM64}


def decide(
    client: BootClient, node: Node | None, settings: Settings, chain: Chain, served: Collection[str]
) -> BootOffer | LocalBoot | None:
    """The answer to ``client``. ``node`` is None for a machine we do not know: it is left alone, or asked who it is.

    ``chain`` is that of the client's subnet, ``served`` are the boot loaders that are there (paths below the boot
    directory). None: we have none for this architecture, so another server may.
    """
    if client.stage is Stage.IPXE:
        # Always the script, for local boot too: it runs iPXE's `exit`, and the decision is made when it is fetched.
        return BootOffer(script_url(client, settings))
    loader = _loader(client, node, chain, served)
    left_alone = settings.discovery is Discovery.OFF if node is None else node.left_alone
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
    So does who is to run what nobody signed: where GRUB is needed, that does not start.
    """
    if chain is Chain.AUTO:
        if node is None:
            return False
        return node.action in _LINUX and not node.left_alone if node.secure_boot is None else node.secure_boot
    return chain is Chain.GRUB


def chain_of_node(node: Node, settings: Settings) -> Chain:
    """The boot loaders of the subnet that its address is in; without one, by what is known of the machine."""
    subnets = settings.dhcp.subnets
    return next((each.chain for each in subnets if node.address and node.address in each.network), Chain.AUTO)


def refuse(node: Node, action: BootAction, arch: str, chain: Chain, served: Collection[str]) -> None:
    """Raises ImagedError for an action that the node's machine cannot do, as far as that is known beforehand.

    ``arch`` is its processor (uname -m), empty: not known. ``served``: boot files that are there, as paths below the
    boot directory.
    """
    if action is BootAction.MEMTEST:
        if arch not in ("", "x86_64"):
            raise BadInput(f"memtest86+ is for PCs, and this is {arch}", where=node.name)
        if node.secure_boot:
            hint = "Switch Secure Boot off in its firmware for the time of the test."
            raise Conflict("Secure Boot is on, and nobody signed memtest86+", where=node.name, hint=hint)
        if not all(path in served for path in MEMTEST.values()):
            raise NotFound("memtest86+ is not here", hint="`imaged mkramdisk` fetches it.")
    if action is BootAction.IPXE:
        client = _CLIENTS.get(arch)
        if (node.secure_boot and chain is not Chain.IPXE) or chain is Chain.GRUB:
            why = "Secure Boot is on" if node.secure_boot else "its subnet says so"
            raise Conflict(f"it starts by GRUB ({why}), which runs no iPXE script", where=node.name)
        if client and LOADERS[client] not in served:
            hint = "`imaged mkramdisk` fetches it; for arm64 see docs/ways-in.md."
            raise NotFound(f"there is no iPXE for {arch} here", where=node.name, hint=hint)


def script_values(node: Node, settings: Settings) -> dict[str, str | list[str] | dict[str, str]]:
    """What the template of an iPXE script may use; docs/ways-in.md lists them."""
    return {
        "node": node.name, "image": str(node.image), "groups": list(node.groups), "address": str(node.address or ""),
        "macs": [str(mac) for mac in node.macs], "uuid": node.uuid, "console": node.console,
        "server": settings.base_url, "boot": f"{settings.base_url}/boot", "var": node.variables,
    }  # fmt: skip


def script_url(client: BootClient, settings: Settings) -> str:
    """Where iPXE finds its script; short enough for the 127 bytes of the packet's ``file``."""
    query = f"?uuid={client.uuid}" if client.uuid else ""
    return f"{settings.base_url}/ipxe/{client.mac}{query}"
