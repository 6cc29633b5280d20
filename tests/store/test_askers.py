"""Who asks how to boot: one question, also after the database was away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import evolve

from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.next_boot import NextBoot
from imaged.model.node import BootAction, Node
from imaged.model.setup import Setup
from imaged.store.askers import Askers
from imaged.store.database import open_database
from imaged.store.groups import Groups
from imaged.store.nodes import Nodes

A, B, C = (Mac.parse(f"52:54:00:00:00:0{digit}") for digit in "abc")
NODE = Node("n1", (A, B), ImageRef.parse("compute"), uuid="aa-bb")


@pytest.fixture
def engine(database: Path | str) -> Iterator[sa.Engine]:
    engine = open_database(database)
    yield engine
    engine.dispose()


def test_whoever_asks_is_known_as_the_database_is_now(engine: sa.Engine) -> None:
    nodes, askers = Nodes(engine), Askers(engine)
    assert askers.find(A, "AA-BB") is None
    nodes.add(NODE)
    for mac, uuid in ((A, ""), (B, ""), (C, "AA-BB")):
        asker = askers.find(mac, uuid)
        assert asker is not None
        assert (asker.node, asker.booting, asker.begun) == (nodes.find(A), nodes.booting("n1"), 0)
    assert askers.find(C) is None
    Groups(engine).add(Group("lab", setup=Setup(console="ttyS1")))
    Groups(engine).put("n1", ["lab"])
    nodes.set_boot(["n1"], NextBoot(BootAction.MEMTEST), once=True)
    nodes.keep("n1", begun=2)
    asker = askers.find(A)
    assert asker is not None
    assert (asker.node, asker.booting, asker.begun) == (nodes.find(A), nodes.booting("n1"), 2)
    assert asker.node == evolve(nodes.get("n1"), console="ttyS1")


def test_a_connection_that_broke_costs_nobody_an_answer(engine: sa.Engine) -> None:
    Nodes(engine).add(NODE)
    askers = Askers(engine)
    assert askers.find(A)
    askers._driver().close()
    found = askers.find(A)
    assert found is not None and found.node == NODE
    assert askers.find(B)
