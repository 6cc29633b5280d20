"""Whether the pools have addresses for the machines that come."""

from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Address

from imaged.model.lease import Lease, LeaseState
from imaged.model.net import AddressRange
from imaged.model.settings import DhcpMode, Settings, Subnet
from imaged.planning.doctor.finding import Finding, Voice

_SAY = Voice("leases")
_NEARLY = 0.9  # of a pool


def findings(
    settings: Settings, leases: Sequence[Lease], reserved: Collection[IPv4Address], now: float
) -> Iterator[Finding]:
    """``reserved`` are the addresses of nodes."""
    if settings.dhcp.mode is not DhcpMode.AUTHORITATIVE:
        return
    held = [lease for lease in leases if lease.expires > now and lease.state is not LeaseState.RELEASED]
    for subnet in settings.dhcp.subnets:
        if subnet.pool:
            yield _pool(subnet, subnet.pool, {settings.address, *reserved}, held)


def _pool(subnet: Subnet, pool: AddressRange, reserved: Collection[IPv4Address], held: Sequence[Lease]) -> Finding:
    network = subnet.network
    others = {*reserved, subnet.router, network.network_address, network.broadcast_address}
    never = {address for address in others if address and address in pool}
    size = int(pool.last) - int(pool.first) + 1 - len(never)
    taken = [lease for lease in held if lease.address in pool and lease.address not in never]
    where = f"pool {pool}"
    declined = sum(lease.state is LeaseState.DECLINED for lease in taken)
    aside = f", {declined} of them in use by strangers" if declined else ""
    told = f"{len(taken)} of {size} addresses are taken{aside}"
    todo = "Make the pool larger, or `lease` shorter; nodes with an address of their own need none of it."
    if len(taken) >= size:
        return _SAY.error(f"{told}: a new machine gets none", where, todo)
    if len(taken) > _NEARLY * size:
        return _SAY.warning(told, where, todo)
    return _SAY.ok(told, where)
