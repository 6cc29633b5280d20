"""What is kept of power control: whose it is, that it goes with its node or group, and that no event has a password."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import evolve

from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.power import WAKE_ON_LAN, PowerAccess, PowerAddress
from imaged.store.database import open_database
from imaged.store.events import Events
from imaged.store.groups import Groups
from imaged.store.nodes import Nodes
from imaged.store.powers import Powers

IPMI = PowerAccess(PowerAddress.parse("ipmi://admin@{name}-bmc"), "swordfish")
REDFISH = PowerAccess(PowerAddress.parse("redfish://root@10.0.0.9/redfish/v1/Systems/1"), "marlin", "ab" * 32)
TRUSTING = PowerAccess(PowerAddress.parse("redfish://root@10.0.0.9"), "tuna", verify=False)


@pytest.fixture
def engine(database: Path | str) -> Iterator[sa.Engine]:
    engine = open_database(database)
    nodes = Nodes(engine)
    for number in (1, 2):
        nodes.add(Node(f"n{number}", (Mac.parse(f"52:54:00:00:00:0{number}"),), ImageRef.parse("tiny")))
    Groups(engine).add(Group("rack1"))
    yield engine
    engine.dispose()


def test_what_was_said_comes_back(engine: sa.Engine, database: Path | str) -> None:
    powers = Powers(engine)
    powers.put_nodes({"n1": REDFISH, "n2": WAKE_ON_LAN})
    powers.put_group("rack1", TRUSTING)
    again = Powers(open_database(database))
    assert again.nodes() == {"n1": REDFISH, "n2": WAKE_ON_LAN}
    assert again.groups() == {"rack1": TRUSTING}
    powers.put_nodes({"n1": IPMI, "n2": None})
    powers.put_group("rack1", None)
    assert (powers.nodes(), powers.groups()) == ({"n1": IPMI}, {})


def test_it_goes_with_its_node_and_its_group(engine: sa.Engine) -> None:
    powers = Powers(engine)
    powers.put_nodes({"n1": IPMI})
    powers.put_group("rack1", REDFISH)
    Nodes(engine).remove("n1")
    Groups(engine).remove("rack1")
    assert (powers.nodes(), powers.groups()) == ({}, {})


def test_a_node_that_is_not_there_changes_nothing_of_the_others(engine: sa.Engine) -> None:
    powers = Powers(engine)
    with pytest.raises(sa.exc.IntegrityError):
        powers.put_nodes({"n1": IPMI, "n9": IPMI})
    assert powers.nodes() == {}


def test_events_tell_what_changed_and_no_password(engine: sa.Engine) -> None:
    powers = Powers(engine)
    for access in (IPMI, IPMI, evolve(IPMI, password="grouper"), REDFISH, TRUSTING, None, None):
        powers.put_nodes({"n1": access})
    powers.put_group("rack1", IPMI)
    told = [(event.what, event.before, event.after) for event in Events(engine).last(20) if "power" in event.what]
    ipmi, redfish, trusting = (str(each.address) for each in (IPMI, REDFISH, TRUSTING))
    assert told == [
        ("power of a node", {}, {"address": ipmi, "password": "set"}),
        ("power of a node", {"password": "set"}, {"password": "another one"}),
        ("power of a node", {"address": ipmi, "password": "set"},
         {"address": redfish, "certificate": "ab" * 32, "password": "another one"}),
        ("power of a node", {"address": redfish, "certificate": "ab" * 32, "password": "set"},
         {"address": trusting, "certificate": "any", "password": "another one"}),
        ("power of a node", {"address": trusting, "certificate": "any", "password": "set"}, {}),
        ("power of a group", {}, {"address": ipmi, "password": "set"}),
    ]  # fmt: skip
    with engine.connect() as connection:
        kept = str(connection.execute(sa.text("SELECT * FROM events")).all())
    assert not any(word in kept for word in ("swordfish", "grouper", "marlin", "tuna"))
