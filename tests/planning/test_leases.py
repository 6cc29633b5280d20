"""The lease book: tables of what it gives, and a state machine that looks for two machines with one address."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from imaged.model.lease import Lease, LeaseState
from imaged.model.net import AddressRange, Mac
from imaged.model.settings import Subnet
from imaged.planning.leases import Applicant, LeaseBook


def ip(last):
    return IPv4Address(f"10.0.0.{last}")


def mac(number):
    return Mac.from_bytes(bytes((0x52, 0x54, 0, 0, 0, number)))


def subnet(first, last, **others):
    return Subnet(IPv4Network("10.0.0.0/24"), pool=AddressRange(ip(first), ip(last)), **others)


POOL = subnet(100, 103)
HERS, HIS = mac(1), mac(2)


def applicant(who, *, reserved=None, taken=(), subnets=(POOL,)):
    return Applicant(who, subnets, is_reserved=set(taken).__contains__, reserved=reserved)


def test_an_offer_is_held_for_its_time_and_then_free():
    book = LeaseBook(offer_hold=60)
    offered = book.offer(applicant(HERS, subnets=(subnet(100, 100),)), 0)
    assert offered == Lease(ip(100), HERS, LeaseState.OFFERED, 60)
    other = applicant(HIS, subnets=(subnet(100, 100),))
    assert book.offer(other, 59) is None
    assert book.offer(other, 64).mac == HIS  # a few seconds may pass until a full pool is searched again


def test_the_same_machine_gets_the_same_address_also_after_its_lease_ended():
    book = LeaseBook()
    first = book.offer(applicant(HERS), 0).address
    assert book.bind(applicant(HERS), first, 1).expires == 1 + POOL.lease
    assert book.offer(applicant(HERS), 2).state is LeaseState.BOUND
    book.release(HERS, first, 10)
    assert book.offer(applicant(HIS), 11, wanted=None).address != first  # others were never used
    assert book.offer(applicant(HERS), 20).address == first
    assert book.offer(applicant(HERS), 1e6).address == first


def test_a_machine_that_we_forgot_finds_its_address_again():
    assert LeaseBook().offer(applicant(HERS), 0) == LeaseBook().offer(applicant(HERS), 0)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ip(102), True),
        (ip(99), False),  # not in the pool
        (ip(101), False),  # reserved for somebody
        (IPv4Address("10.0.1.102"), False),  # another network
    ],
)
def test_a_wish_is_granted_where_it_can_be(wanted, expected):
    book = LeaseBook()
    who = applicant(HERS, taken=[ip(101)])
    assert (book.offer(who, 0, wanted).address == wanted) is expected


def test_reserved_addresses_are_never_given_from_the_pool():
    book, taken = LeaseBook(), [ip(100), ip(102), ip(103)]
    assert book.offer(applicant(HERS, taken=taken), 0).address == ip(101)
    assert book.offer(applicant(HIS, taken=taken), 0) is None
    assert book.bind(applicant(HIS, taken=taken), ip(100), 0) is None


def test_a_node_gets_the_address_reserved_for_it():
    book, taken = LeaseBook(), [ip(7), ip(101)]
    assert book.offer(applicant(HERS, reserved=ip(7), taken=taken), 0).address == ip(7)
    assert book.bind(applicant(HERS, reserved=ip(7), taken=taken), ip(7), 0)
    assert book.offer(applicant(HIS, reserved=ip(101), taken=taken), 0).address == ip(101)


def test_a_reserved_address_in_use_by_another_machine_waits_until_that_ends():
    book = LeaseBook()
    book.bind(applicant(HERS), ip(101), 0)
    node = applicant(HIS, reserved=ip(101), taken=[ip(101)])
    assert book.offer(node, 1).address != ip(101)
    assert book.bind(node, ip(101), 1) is None
    assert book.bind(applicant(HERS, taken=[ip(101)]), ip(101), 2) is None  # she may not renew it any more
    assert book.offer(node, POOL.lease + 1).address == ip(101)


def test_a_machine_keeps_what_it_uses_when_another_is_reserved_for_it():
    book = LeaseBook()
    book.bind(applicant(HERS), ip(101), 0)
    node = applicant(HERS, reserved=ip(7), taken=[ip(7)])
    assert book.bind(node, ip(101), 10).address == ip(101)
    assert book.offer(node, 20).address == ip(7)


def test_nobody_releases_what_is_not_his():
    book = LeaseBook()
    book.bind(applicant(HERS), ip(101), 0)
    assert book.release(HIS, ip(101), 1) is None
    assert book.release(HERS, ip(102), 1) is None
    assert book.release(HERS, ip(101), 1).state is LeaseState.RELEASED
    assert book.release(HERS, ip(101), 2) is None


def test_a_declined_address_is_set_aside_even_for_the_one_who_declined():
    book = LeaseBook(decline_hold=3600)
    book.bind(applicant(HERS), ip(101), 0)
    assert book.decline(applicant(HIS), ip(101), 1) == ()
    assert book.decline(applicant(HERS), ip(101), 1) == (Lease(ip(101), HERS, LeaseState.DECLINED, 3601),)
    assert not book.may_have(applicant(HERS), ip(101), 3600)
    assert not book.may_have(applicant(HIS), ip(101), 3600)
    assert book.may_have(applicant(HIS), ip(101), 3601)


def test_who_declines_everything_does_not_empty_the_pool():
    book, pool = LeaseBook(), subnet(100, 119)
    for turn in range(200):
        who = applicant(mac(turn % 250), subnets=(pool,))
        offered = book.offer(who, turn / 100)
        assert offered is not None
        book.decline(who, offered.address, turn / 100)
    assert sum(lease.state is LeaseState.DECLINED and lease.expires > 2 for lease in book) == 5


def test_a_declined_reservation_stands():
    book = LeaseBook()
    who = applicant(HERS, reserved=ip(7), taken=[ip(7)])
    book.bind(who, ip(7), 0)
    (lease,) = book.decline(who, ip(7), 1)
    assert lease.state is LeaseState.RELEASED
    assert book.offer(who, 2).address == ip(7)


def test_another_servers_offer_taken_frees_ours():
    book = LeaseBook()
    offered = book.offer(applicant(HERS), 0)
    book.withdraw(HERS, 1)
    assert book.may_have(applicant(HIS), offered.address, 2)
    bound = book.bind(applicant(HIS), ip(100), 3)
    book.withdraw(HIS, 4)  # what is bound stays
    assert bound in book


@pytest.mark.parametrize(
    ("network", "pool", "router", "expected"),
    [
        ("10.0.0.0/30", (0, 3), None, {1, 2}),  # not the network's own address, not its broadcast
        ("10.0.0.0/30", (0, 3), 1, {2}),
        ("10.0.0.0/31", (0, 1), None, {0, 1}),  # RFC 3021
    ],
)
def test_only_addresses_of_hosts_are_given(network, pool, router, expected):
    link = Subnet(IPv4Network(network), AddressRange(ip(pool[0]), ip(pool[1])), router=ip(router) if router else None)
    book = LeaseBook()
    offers = [book.offer(applicant(mac(number), subnets=(link,)), 0) for number in range(6)]
    assert {int(offer.address) & 0xFF for offer in offers if offer} == expected


def test_a_full_pool_is_not_searched_for_every_packet():
    asked = []

    def is_reserved(address):
        asked.append(address)
        return True

    book, pool = LeaseBook(), subnet(1, 254)
    for number in range(100):
        assert book.offer(Applicant(mac(number), (pool,), is_reserved), 0.01 * number) is None
    assert len(asked) <= 254


def test_several_subnets_on_one_link_are_used_one_after_the_other():
    small = subnet(100, 100)
    other = Subnet(IPv4Network("10.0.1.0/24"), AddressRange.parse("10.0.1.5-10.0.1.5"))
    book = LeaseBook()
    offers = [book.offer(applicant(mac(number), subnets=(small, other)), 0) for number in (1, 2, 3)]
    assert [offer and str(offer.address) for offer in offers] == ["10.0.0.100", "10.0.1.5", None]


def test_a_book_goes_on_from_what_was_stored():
    before = LeaseBook()
    before.bind(applicant(HERS), ip(101), 0)
    after = LeaseBook(before)
    assert not after.may_have(applicant(HIS), ip(101), 1)
    assert after.bind(applicant(HERS), ip(101), 1)


macs = st.integers(1, 8).map(mac)
lasts = st.sampled_from([7, 8, *range(98, 108)]).map(ip)


class Machines(RuleBasedStateMachine):
    """Machines that ask for anything at any time. The model: who was told that it may use what, until when."""

    def __init__(self):
        super().__init__()
        self.book = LeaseBook(offer_hold=60, decline_hold=600)
        self.now = 0.0
        self.reserved = {}
        self.told = {}
        self.subnet = subnet(100, 105, lease=300)

    def who(self, machine):
        return applicant(
            machine, reserved=self.reserved.get(machine), taken=self.reserved.values(), subnets=(self.subnet,)
        )

    @rule(seconds=st.sampled_from([1, 30, 61, 200, 301, 601]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(machine=macs, wanted=st.none() | lasts)
    def discover(self, machine, wanted):
        offered = self.book.offer(self.who(machine), self.now, wanted)
        if offered:
            assert offered.mac == machine
            assert offered.address not in set(self.reserved.values()) - {self.reserved.get(machine)}
            assert self.may_use(machine, offered.address)
        elif machine not in self.reserved:
            assert self.book.offer(self.who(machine), self.now, wanted) is None

    @rule(machine=macs, address=lasts)
    def request(self, machine, address):
        lease = self.book.bind(self.who(machine), address, self.now)
        if lease:
            assert self.may_use(machine, address)
            assert address == self.reserved.get(machine) or (
                address in self.subnet.pool and address not in self.reserved.values()
            )
            self.told[address] = (machine, lease.expires)

    @rule(machine=macs, address=lasts)
    def release(self, machine, address):
        if self.book.release(machine, address, self.now):
            self.told.pop(address, None)

    @rule(machine=macs, address=lasts)
    def decline(self, machine, address):
        if self.book.decline(self.who(machine), address, self.now):
            self.told.pop(address, None)

    @rule(machine=macs)
    def takes_another_server(self, machine):
        self.book.withdraw(machine, self.now)

    @rule(machine=macs, address=lasts)
    def administrator_reserves(self, machine, address):
        if address not in self.reserved.values():
            self.reserved[machine] = address

    @rule(machine=macs)
    def administrator_removes(self, machine):
        self.reserved.pop(machine, None)

    @rule()
    def daemon_is_killed_and_starts_again(self):
        stored = [lease for lease in self.book if lease.state is not LeaseState.OFFERED]
        self.book = LeaseBook(stored, offer_hold=60, decline_hold=600)

    @invariant()
    def no_two_machines_use_one_address(self):
        for address, (machine, expires) in self.told.items():
            if expires > self.now:
                assert self.book.lease_of(machine, address), f"{address} is no longer {machine}'s"

    @invariant()
    def the_book_is_no_larger_than_its_addresses(self):
        assert len(list(self.book)) <= 6 + 12

    def may_use(self, machine, address):
        holder, expires = self.told.get(address, (machine, 0))
        return holder == machine or expires <= self.now


TestMachines = Machines.TestCase
TestMachines.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
