"""What is said of nodes and groups: who wins, and that it goes with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from imaged.model.group import Group
from imaged.model.host import CloudInit, Host, Identity
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.network import BOOT_NIC
from imaged.model.node import Node
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.nodes import Nodes


@pytest.fixture
def engine(database: Path | str) -> Iterator[sa.Engine]:
    engine = open_database(database)
    Nodes(engine).add(Node("n1", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("compute")))
    for name, priority in (("all", 200), ("rack", 100), ("gpu", 10)):
        Groups(engine).add(Group(name, priority))
    yield engine
    engine.dispose()


def test_the_last_group_wins_and_the_node_over_all(engine: sa.Engine) -> None:
    hosts = Hosts(engine)
    hosts.put_group("all", Host(network=BOOT_NIC, timezone="UTC", keyboard="us"))
    hosts.put_group("gpu", Host(timezone="Europe/Berlin", cloud_init=CloudInit.SEED))
    hosts.put_node("n1", Host(identity=Identity.NEW, keyboard="de"))
    assert hosts.of("n1", ("all", "gpu")) == Host(
        BOOT_NIC, Identity.NEW, CloudInit.SEED, timezone="Europe/Berlin", keyboard="de"
    )
    assert hosts.of("n1", ("gpu", "all")).timezone == "UTC"
    assert hosts.of("n1", ()) == Host(identity=Identity.NEW, keyboard="de")


def test_what_is_stored_changes_when_something_is_said_and_only_then(engine: sa.Engine) -> None:
    hosts = Hosts(engine)
    before = hosts.said("n1", ("rack",))
    hosts.put_group("gpu", Host(timezone="UTC"))
    assert hosts.said("n1", ("rack",)) == before
    hosts.put_group("rack", Host(timezone="UTC"))
    changed = hosts.said("n1", ("rack",))
    assert changed != before
    hosts.put_group("rack", Host(timezone="UTC"))
    assert hosts.said("n1", ("rack",)) == changed
    hosts.put_group("rack", Host())
    assert hosts.said("n1", ("rack",)) == before


def test_it_goes_with_its_node_and_its_group(engine: sa.Engine) -> None:
    hosts = Hosts(engine)
    hosts.put_node("n1", Host(timezone="UTC"))
    hosts.put_group("rack", Host(keyboard="de"))
    Nodes(engine).remove("n1")
    Groups(engine).remove("rack")
    assert hosts.of("n1", ("rack",)) == Host()
