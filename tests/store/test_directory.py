"""The directory says what the store says, whoever changes it."""

from ipaddress import IPv4Address

import pytest

from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, NodeEvent
from imaged.model.setup import Setup
from imaged.store.database import open_database
from imaged.store.directory import Directory
from imaged.store.groups import Groups
from imaged.store.leases import LeaseStore
from imaged.store.nodes import Nodes

UUID = "4c4c4544-0042-3510-8054-000000000001"
MACS = tuple(Mac.parse(f"52:54:00:00:00:0{number}") for number in range(6))
ADDRESSES = tuple(IPv4Address(f"10.0.0.{number}") for number in range(6))


def definition(number, *, mac=None, address=None, uuid="", groups=(), image="compute"):
    macs = (MACS[number if mac is None else mac],)
    own = ADDRESSES[number if address is None else address]
    return Definition(f"n{number}", macs, Setup(ImageRef.parse(image)), uuid, own, groups)


class Site:
    """A directory, and another process that changes the database under it."""

    def __init__(self, database):
        self.engines = open_database(database), open_database(database)
        self.directory = Directory(self.engines[0])
        self.nodes, self.groups = Nodes(self.engines[1]), Groups(self.engines[1])

    def agrees(self):
        """Of every MAC, UUID and address; returns the names of the nodes by MAC."""
        truth, leases = Nodes(self.engines[1]), LeaseStore(self.engines[1])
        self.directory.look()
        asked = [(mac, "") for mac in MACS] + [(Mac.parse("02:00:00:00:00:99"), UUID)]
        found = [self.directory.find(*who) for who in asked]
        assert found == [truth.find(*who) for who in asked]
        reserved = [self.directory.is_reserved(address) for address in ADDRESSES]
        assert reserved == [leases.is_reserved(address) for address in ADDRESSES]
        return [node and node.name for node in found[:-1]]


@pytest.fixture
def site(database):
    made = Site(database)
    made.nodes.define([definition(1, uuid=UUID), definition(2)], BootAction.LOCAL)
    assert made.agrees() == [None, "n1", "n2", None, None, None]
    yield made
    made.directory.close()
    for engine in made.engines:
        engine.dispose()


CHANGES = {
    "another node": lambda it: it.nodes.define([definition(3)], BootAction.INSTALL),
    "a node goes": lambda it: it.nodes.remove("n1"),
    "another MAC": lambda it: it.nodes.change([definition(1, mac=4, uuid=UUID)]),
    "another address": lambda it: it.nodes.change([definition(2, address=5)]),
    "no UUID": lambda it: it.nodes.change([definition(1)]),
    "another boot": lambda it: it.nodes.set_action(["n1", "n2"], BootAction.RESCUE),
    "another state": lambda it: it.nodes.record("n1", NodeEvent.CLAIMED),
    "Secure Boot": lambda it: it.nodes.keep("n1", secure_boot=True, inventory="{}"),
    "Secure Boot of a new machine": lambda it: (
        it.nodes.keep("n1", secure_boot=True), it.nodes.change([definition(1, uuid=UUID)], secure_boot=None)
    ),
    "nothing that matters": lambda it: it.nodes.keep("n1", last_seen=1.0),
    "one node takes another's MAC and address": lambda it: (
        it.nodes.remove("n1"), it.nodes.change([definition(2, mac=1, address=1)])
    ),
    "a group says an image": lambda it: (
        it.nodes.define([], BootAction.LOCAL, [Group("rack", 0, Setup(variables={"a": "1"}))]),
        it.nodes.change([definition(2, groups=("rack",))]),
        it.agrees(),
        it.groups.change(Group("rack", 0, Setup(variables={"a": "2"}))),
    ),
    "more than are followed": lambda it: [
        it.nodes.set_action(["n1"], action) for _ in range(501) for action in (BootAction.RESCUE, BootAction.LOCAL)
    ] + [it.nodes.change([definition(2, mac=3)])],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_another_process_changes_is_known(site, change):
    change(site)
    site.agrees()
    site.nodes.set_action(["n2"], BootAction.INVENTORY)
    site.agrees()


def test_what_nobody_changes_is_not_asked_again(tmp_path):
    site = Site(tmp_path / "imaged.sqlite")
    site.nodes.define([definition(1)], BootAction.LOCAL)
    site.directory.look()
    assert site.directory.find(MACS[1]) is site.directory.find(MACS[1])
    site.nodes.keep("n1", last_seen=2.0)
    site.directory.look()
    assert site.directory.find(MACS[0]) is None


def test_a_connection_that_fails_is_opened_again(tmp_path):
    site = Site(tmp_path / "imaged.sqlite")
    site.nodes.define([definition(1)], BootAction.LOCAL)
    site.directory.look()
    assert site.directory.find(MACS[1]).name == "n1"
    site.directory.close()
    site.nodes.remove("n1")
    site.directory.look()
    assert site.directory.find(MACS[1]) is None
