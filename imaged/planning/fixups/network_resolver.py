"""resolv.conf(5), where nothing on the node writes it: else it belongs to what does."""

from imaged.model.network import Renderer
from imaged.model.plan import RemovePath, Step, WriteFile
from imaged.planning.fixups.target import Target
from imaged.planning.network import Wiring


def resolver(target: Target, renderer: Renderer, wired: Wiring) -> tuple[Step, ...]:
    """networkd alone never writes it; a DHCP client of ifupdown's does, but nobody where all addresses are given."""
    if "systemd-resolved.service" in target.facts.units:
        return ()
    nobody = renderer is Renderer.NETWORKD or (renderer is Renderer.IFUPDOWN and not wired.leases)
    servers, search = wired.dns or wired.subnet_dns, wired.search or wired.subnet_search
    if not nobody or not servers:
        return ()
    lines = [f"search {' '.join(search)}"] if search else []
    lines += [f"nameserver {server}" for server in servers]
    return (
        RemovePath("/etc/resolv.conf", "may be a link into /run"),
        WriteFile("/etc/resolv.conf", "\n".join(lines) + "\n", reason="the subnet's resolvers"),
    )
