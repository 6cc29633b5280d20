"""Machines that were seen: what is kept of them, which wait for a name, and that two do not name at once."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa

from imaged.model.errors import Denied, NotFound
from imaged.model.machine import Label, Machine
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, Node
from imaged.model.places import Places
from imaged.store import nodes as node_store
from imaged.store.database import open_database
from imaged.store.events import Events
from imaged.store.machines import Machines, naming
from imaged.store.nodes import Nodes
from imaged.store.visits import Visits
from tests.daemon.test_provisioning import MACHINE

A, B, C = (Mac.parse(f"52:54:00:00:00:0{digit}") for digit in "abc")
NODE = Node("n1", (A, B), ImageRef.parse("debian-12@3"), uuid="aa-bb")


@pytest.fixture
def machines(engine: sa.Engine) -> Machines:
    return Machines(engine)


def test_machines_without_a_name_are_listed_in_the_order_they_were_first_seen(
    machines: Machines, engine: sa.Engine
) -> None:
    Nodes(engine).add(NODE)
    for mac, uuid, time in ((C, "", 3.0), (A, "", 4.0), (B, "aa-bb", 5.0), (C, "cc", 6.0)):
        machines.saw(Machine(mac, uuid=uuid, arch="bios", last_seen=time))
    assert machines.discovered() == (Machine(C, uuid="cc", arch="bios", first_seen=3.0, last_seen=6.0),)
    assert [each.mac for each in machines.all()] == [C, A, B]


def test_what_a_machine_tells_is_not_forgotten_when_it_boots_again(machines: Machines) -> None:
    machines.told(A, Label("Dell", "R640", "S1", "T1"), 1.0)
    machines.saw(Machine(A, uuid="u", arch="bios", last_seen=2.0))
    found = machines.find(A)
    assert found == Machine(A, "u", "bios", first_seen=1.0, last_seen=2.0, vendor="Dell", product="R640", serial="S1",
                            asset="T1", told=1.0)  # fmt: skip
    machines.keep_inventory(found, MACHINE, 3.0)
    assert machines.inventory(A) == MACHINE
    kept = machines.find(A)
    assert kept and (kept.inventoried, kept.told, kept.serial) == (3.0, 1.0, "S1")
    assert machines.inventory(B) is None
    assert machines.find(B) is None


def test_a_database_of_before_there_were_labels(tmp_path: Path) -> None:
    path = tmp_path / "imaged.sqlite"
    with sqlite3.connect(path) as old:
        columns = (
            "mac VARCHAR PRIMARY KEY, uuid VARCHAR, arch VARCHAR, vendor_class VARCHAR, relay VARCHAR, address VARCHAR"
        )
        old.execute(f"CREATE TABLE machines ({columns}, first_seen FLOAT, last_seen FLOAT)")
        old.execute(f"INSERT INTO machines VALUES ('{A}', '', 'bios', '', '', '', 1.0, 2.0)")
    assert Machines(open_database(path)).discovered() == (Machine(A, arch="bios", first_seen=1.0, last_seen=2.0),)


def test_machines_that_are_ignored_or_forgotten(machines: Machines, engine: sa.Engine) -> None:
    for mac in (A, B):
        machines.saw(Machine(mac, last_seen=1.0))
    with pytest.raises(NotFound, match=str(C)):
        machines.ignore([A, C], ignored=True)
    assert len(machines.discovered()) == 2, "all or none"
    machines.ignore([A], ignored=True)
    assert [each.mac for each in machines.discovered()] == [B]
    assert [each.ignored for each in machines.nobodys()] == [True, False]
    machines.saw(Machine(A, last_seen=9.0))
    assert [each.mac for each in machines.discovered()] == [B], "to boot again changes nothing"
    machines.ignore([A], ignored=False)
    assert len(machines.discovered()) == 2
    with pytest.raises(NotFound):
        machines.remove([B, C])
    machines.remove([B])
    assert [each.mac for each in machines.all()] == [A]
    told = [(each.what, each.subject) for each in Events(engine).last(10)]
    assert told == [("machine ignored", str(A)), ("machine ignored", str(A)), ("machine forgotten", str(B))]


def test_places_are_remembered_the_latest_first(machines: Machines) -> None:
    one, two = Places("n[1-2]", ImageRef.parse("a")), Places("m[1-2]", ImageRef.parse("b"), groups=("g",))
    machines.keep_places(one, 1.0)
    machines.keep_places(two, 2.0)
    machines.keep_places(Places("n[1-2]", ImageRef.parse("c")), 3.0)
    assert [str(each.image) for each in machines.places()] == ["c@stable", "b@stable"]


def test_who_names_machines_waits_for_who_does(engine: sa.Engine, machines: Machines) -> None:
    """Each takes the first free of many names by a look and a write: without the turn they would take the same."""
    looked, go_on = Event(), Event()

    def take(before_writing: Callable[[], object]) -> str:
        with naming(engine) as connection:
            name = f"n{len(node_store.everyone(connection))}"
            before_writing()
            mac = Mac.from_bytes(b"\x52\x54\0\0\1" + name[1:].encode())
            node_store.insert(connection, Definition(name, (mac,)), BootAction.LOCAL)
            return name

    def hold() -> None:
        looked.set()
        assert go_on.wait(60)

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(take, hold)
        assert looked.wait(60)
        others = [pool.submit(take, lambda: None) for _ in range(8)]
        go_on.set()
        names = [first.result(60), *(each.result(60) for each in others)]
    assert sorted(names) == [f"n{number}" for number in range(9)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token.replace(str(A), str(B)),
        lambda token: token.replace("100/", "900/"),
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: "",
        lambda token: "///",
        lambda token: "100/\N{SNOWMAN}/" + "0" * 32,
    ],
)
def test_a_visitors_token_is_good_for_one_machine_and_a_while(engine: sa.Engine, spoil: Callable[[str], str]) -> None:
    visits = Visits(engine)
    token = visits.mint(A, 100.9)
    assert visits.admit(token, 100.0) == A
    assert Visits(engine).admit(token, 0.0) == A, "also after a restart"
    with pytest.raises(Denied, match="too old"):
        visits.admit(token, 101.0)
    with pytest.raises(Denied, match="not of a boot script"):
        visits.admit(spoil(token), 50.0)
