"""Leases on disk."""

import subprocess
import sys
from ipaddress import IPv4Address

import pytest

from imaged.model.lease import Lease, LeaseState
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes

HERS, HIS = Mac.parse("52:54:00:00:00:01"), Mac.parse("52:54:00:00:00:02")
FIRST, SECOND = IPv4Address("10.0.0.100"), IPv4Address("10.0.0.101")


def test_what_is_saved_is_loaded(engine):
    given = tuple(
        Lease(IPv4Address(100 + number), HERS, state, 1.5 * number) for number, state in enumerate(LeaseState)
    )
    LeaseStore(engine).save(given)
    assert sorted(LeaseStore(engine).load(), key=lambda lease: lease.address) == list(given)


@pytest.mark.parametrize(
    ("saves", "expected"),
    [
        ([], {}),
        ([[]], {}),
        ([[(FIRST, HERS)], [(FIRST, HIS)]], {FIRST: HIS}),
        ([[(FIRST, HERS), (FIRST, HIS)]], {FIRST: HIS}),  # two changes of one address in one commit
        ([[(FIRST, HERS), (SECOND, HIS)], [(FIRST, HERS)]], {FIRST: HERS, SECOND: HIS}),
    ],
)
def test_the_last_word_on_an_address_counts(engine, saves, expected):
    store = LeaseStore(engine)
    for batch in saves:
        store.save(Lease(address, mac, LeaseState.BOUND, 1.0) for address, mac in batch)
    assert {lease.address: lease.mac for lease in store.load()} == expected


def test_reservations_are_the_addresses_of_nodes(engine):
    nodes, store = Nodes(engine), LeaseStore(engine)
    nodes.add(Node("n1", (HERS,), ImageRef("compute"), address=FIRST))
    assert [store.is_reserved(address) for address in (FIRST, SECOND)] == [True, False]
    nodes.remove("n1")
    assert not store.is_reserved(FIRST)


_SAVE_AND_DIE = """
import os, signal, sys
from ipaddress import IPv4Address
from pathlib import Path
from imaged.model.lease import Lease, LeaseState
from imaged.model.net import Mac
from imaged.store.database import open_database
from imaged.store.leases import LeaseStore
store = LeaseStore(open_database(Path(sys.argv[1]) if sys.argv[1][0] == "/" else sys.argv[1]))
store.save([Lease(IPv4Address("10.0.0.100"), Mac("52:54:00:00:00:01"), LeaseState.BOUND, 7.0)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_saved_lease_survives_kill_9(database):
    assert subprocess.run((sys.executable, "-c", _SAVE_AND_DIE, str(database)), check=False).returncode == -9
    assert LeaseStore(open_database(database)).load() == (Lease(FIRST, HERS, LeaseState.BOUND, 7.0),)
