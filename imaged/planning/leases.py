"""The lease book: which machine may have which address now. Reservations first, pools for the others.

Machines are known by MAC, not by client identifier (option 61): one machine's firmware, boot loader and system send
different ones, or none, within a single boot. An object with state, yet pure: no clock, no disk, no socket.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple
from zlib import crc32

from attrs import evolve

from imaged.model.lease import Lease, LeaseState
from imaged.model.net import Mac
from imaged.model.settings import Subnet

_RECHECK = 5  # seconds between searches of a pool that was found full


class Applicant(NamedTuple):
    """A machine that wants an address: on a link with these subnets, perhaps with one reserved for its node.

    ``is_reserved`` tells of any address whether some node has it reserved.
    """

    mac: Mac
    subnets: tuple[Subnet, ...]
    is_reserved: Callable[[IPv4Address], bool]
    reserved: IPv4Address | None = None

    def subnet_of(self, address: IPv4Address) -> Subnet | None:
        """The subnet of its link that has ``address``."""
        for subnet in self.subnets:
            if address in subnet.network:
                return subnet
        return None


class LeaseBook:
    """Every lease, current or past. What its methods return is to be stored before the machine hears of it.

    ``now`` is in seconds since the epoch, ``offer_hold`` and ``decline_hold`` in seconds.
    """

    def __init__(self, leases: Iterable[Lease] = (), *, offer_hold: int = 60, decline_hold: int = 3600) -> None:
        self._by_address: dict[IPv4Address, Lease] = {}
        self._by_mac: dict[Mac, set[IPv4Address]] = {}
        self._full_until: dict[Subnet, float] = {}
        self._offer_hold = offer_hold
        self._decline_hold = decline_hold
        for lease in leases:
            self._put(lease)

    def __iter__(self) -> Iterator[Lease]:
        return iter(tuple(self._by_address.values()))

    def lease_of(self, mac: Mac, address: IPv4Address) -> Lease | None:
        """The lease of ``address`` if ``mac`` holds it or was the last to hold it."""
        lease = self._by_address.get(address)
        return lease if lease and lease.mac == mac and lease.state is not LeaseState.DECLINED else None

    def held_by_another(self, address: IPv4Address, macs: Collection[Mac], now: float) -> Lease | None:
        """The lease of ``address`` that is bound to none of these machines."""
        lease = self._by_address.get(address)
        if lease is None or lease.state is not LeaseState.BOUND or lease.expires <= now or lease.mac in macs:
            return None
        return lease

    def forget(self, lease: Lease, now: float) -> None:
        """Somebody has ended it in the database."""
        self._put(evolve(lease, state=LeaseState.RELEASED, expires=now))

    def may_have(self, who: Applicant, address: IPv4Address, now: float) -> bool:
        """Whether ``address`` can be given to this machine now: reserved for it, or free in a pool of its link."""
        subnet = who.subnet_of(address)
        return subnet is not None and self._may_have(who, subnet, address, now)

    def offer(self, who: Applicant, now: float, wanted: IPv4Address | None = None) -> Lease | None:
        """Hold an address for this machine until it asks for it; None when there is none left.

        In order: the one reserved, the one it has or had, the one it wants, any free one of the pools.
        """
        address = self._choose(who, now, wanted)
        if address is None:
            return None
        lease = self._by_address.get(address)
        if lease and lease.mac == who.mac and lease.state is LeaseState.BOUND and lease.expires > now:
            return lease  # it restarts; what it has stays as it is until the new request
        return self._put(Lease(address, who.mac, LeaseState.OFFERED, now + self._offer_hold))

    def bind(self, who: Applicant, address: IPv4Address, now: float) -> Lease | None:
        """Give or renew ``address``; None when this machine cannot have it."""
        subnet = who.subnet_of(address)
        if subnet is None or not self._may_have(who, subnet, address, now):
            return None
        return self._put(Lease(address, who.mac, LeaseState.BOUND, now + subnet.lease))

    def withdraw(self, mac: Mac, now: float) -> None:
        """The machine took another server's offer: ours is free again."""
        for address in self._by_mac.get(mac, ()):
            lease = self._by_address[address]
            if lease.state is LeaseState.OFFERED:
                self._put(evolve(lease, state=LeaseState.RELEASED, expires=now))

    def release(self, mac: Mac, address: IPv4Address, now: float) -> Lease | None:
        """The machine gives its address back; None when it was not its own."""
        lease = self.lease_of(mac, address)
        if lease is None or lease.expires <= now:
            return None
        self._full_until.clear()
        return self._put(evolve(lease, state=LeaseState.RELEASED, expires=now))

    def decline(self, who: Applicant, address: IPv4Address, now: float) -> tuple[Lease, ...]:
        """The machine found its address in use by somebody else: nobody gets it for ``decline_hold`` seconds.

        Only addresses of pools: a reservation is the administrator's word, and a forged DECLINE would keep the node
        off the network. At most a quarter of a pool is set aside, the oldest comes back: a client that declines
        everything shall not empty it. Empty when the address was not this machine's.
        """
        lease, subnet = self.lease_of(who.mac, address), who.subnet_of(address)
        if lease is None or subnet is None or lease.expires <= now:
            return ()
        if who.is_reserved(address) or not _pooled(subnet, address):
            return (self._put(evolve(lease, state=LeaseState.RELEASED, expires=now)),)
        declined = self._put(evolve(lease, state=LeaseState.DECLINED, expires=now + self._decline_hold))
        aside = [other for other in self._pool_leases(subnet, now) if other.state is LeaseState.DECLINED]
        if len(aside) <= max(1, _size(subnet) // 4):
            return (declined,)
        oldest = min(aside, key=lambda other: other.expires)
        return declined, self._put(evolve(oldest, state=LeaseState.RELEASED, expires=now))

    def _choose(self, who: Applicant, now: float, wanted: IPv4Address | None) -> IPv4Address | None:
        # A reserved address that another machine still uses is not taken from it: meanwhile this one gets a pool's.
        known: Collection[IPv4Address] = self._by_mac.get(who.mac, ())
        if len(known) > 1:
            known = sorted(known, key=lambda address: self._by_address[address].expires, reverse=True)
        for address in (who.reserved, *known, wanted):
            if address is not None and self.may_have(who, address, now):
                return address
        return next(filter(None, (self._free_in(subnet, who, now) for subnet in who.subnets)), None)

    def _free_in(self, subnet: Subnet, who: Applicant, now: float) -> IPv4Address | None:
        """A free address of the pool: one that nobody had yet if there is one, so that old ones can come back."""
        if subnet.pool is None or now < self._full_until.get(subnet, now):
            return None
        size, first = _size(subnet), int(subnet.pool.first)
        start = crc32(who.mac.packed) % size  # the same machine finds the same address even if we forgot it
        reusable: Lease | None = None
        for step in range(size):
            address = IPv4Address(first + (start + step) % size)
            lease = self._by_address.get(address)
            if lease is not None and (lease.expires > now or (reusable and reusable.expires <= lease.expires)):
                continue
            if not self.may_have(who, address, now):
                continue
            if lease is None:
                return address
            reusable = lease
        if reusable is None:
            # Searching costs time in proportion to the pool: a flood of requests must not make us do it each time.
            self._full_until[subnet] = now + _RECHECK
            return None
        return reusable.address

    def _may_have(self, who: Applicant, subnet: Subnet, address: IPv4Address, now: float) -> bool:
        if self._in_the_way(who, address, now):
            return False
        # IPv4Address takes a microsecond to find that it is not None.
        if who.reserved is not None and address == who.reserved:
            return True
        return _pooled(subnet, address) and not who.is_reserved(address)

    def _in_the_way(self, who: Applicant, address: IPv4Address, now: float) -> bool:
        lease = self._by_address.get(address)
        if lease is None or lease.expires <= now:
            return False
        return lease.mac != who.mac or (lease.state is LeaseState.DECLINED and address != who.reserved)

    def _pool_leases(self, subnet: Subnet, now: float) -> Collection[Lease]:
        return [lease for lease in self._by_address.values() if lease.expires > now and _pooled(subnet, lease.address)]

    def _put(self, lease: Lease) -> Lease:
        before = self._by_address.get(lease.address)
        self._by_address[lease.address] = lease
        if before is not None:
            if before.mac == lease.mac:
                return lease
            held = self._by_mac[before.mac]
            held.discard(lease.address)
            if not held:
                del self._by_mac[before.mac]
        self._by_mac.setdefault(lease.mac, set()).add(lease.address)
        return lease


@lru_cache(maxsize=65_536)
def _pooled(subnet: Subnet, address: IPv4Address) -> bool:
    """In the pool, and an address that a host can have."""
    if subnet.pool is None or address not in subnet.pool:
        return False
    network = subnet.network
    if network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
        return False
    return address != subnet.router


def _size(subnet: Subnet) -> int:
    return int(subnet.pool.last) - int(subnet.pool.first) + 1 if subnet.pool else 0
