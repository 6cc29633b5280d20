"""A rack as the web page names it: by hand, as machines come, and what ends that."""

import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from threading import Barrier

import pytest

from imaged.admin import collecting, rack
from imaged.admin.desk import Desk
from imaged.model.errors import BadInput, Conflict, ImagedError, NotFound
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.places import Places
from imaged.store.events import Events, speaking_as
from tests.admin.site import desk, mac

__all__ = ["desk"]
PLACES = Places("node[01-03]", ImageRef.parse("tiny"), address=IPv4Address("10.0.0.11"), groups=("rack",))


def see(desk: Desk, *numbers: int) -> None:
    for number in numbers:
        desk.machines.saw(Machine(mac(number), uuid=f"u{number}", arch="bios", last_seen=time.time()))


def named(desk: Desk) -> dict[str, int]:
    return {node.name: int(str(node.macs[0])[-2:], 16) for node in desk.nodes.all() if node.name.startswith("node")}


def test_by_hand(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no places are defined"):
        rack.begin(desk, 0.0)
    see(desk, 7, 8)
    with pytest.raises(BadInput, match="what shall node02 run"):
        rack.name(desk, mac(7), "node02")
    rack.define(desk, PLACES)
    node = rack.name(desk, mac(8), " node02 ").node
    assert (str(node.address), desk.groups.of("node02")) == ("10.0.0.12", ("rack",))
    for number, name, error in (
        (7, "node02", BadInput), (7, "node09", BadInput), (7, "Node", BadInput), (8, "node01", Conflict),
        (9, "node01", Conflict),
    ):  # fmt: skip
        with pytest.raises(error):
            rack.name(desk, mac(number), name)
    assert named(desk) == {"node02": 8}


def test_as_they_come(desk: Desk) -> None:
    see(desk, 7)
    rack.define(desk, PLACES)
    with speaking_as("user:anna"):
        rack.begin(desk, time.time())
    with pytest.raises(Conflict, match="user:anna"):
        rack.begin(desk, 0.0)
    assert rack.go_on(desk) == ()
    see(desk, 8, 9)
    assert [each.node.name for each in rack.go_on(Desk(desk.settings))] == ["node01", "node02"], "by another daemon"
    see(desk, 10, 11)
    rack.go_on(desk)
    assert named(desk) == {"node01": 8, "node02": 9, "node03": 10}
    found = rack.find(desk)
    assert found and (found.since, found.problem) == (None, "")
    (event,) = Events(desk.engine).last(9, ("node01",))[:1]
    assert (event.who, event.what) == ("user:anna", "node added")
    assert rack.go_on(desk) == ()


def test_those_that_wait_already(desk: Desk) -> None:
    see(desk, 9, 8)
    rack.define(desk, PLACES)
    rack.begin(desk, 0.0)
    rack.go_on(desk)
    assert named(desk) == {"node01": 9, "node02": 8}
    rack.end(desk)
    see(desk, 7)
    assert rack.go_on(desk) == ()


def test_what_cannot_go_on_says_why(desk: Desk) -> None:
    rack.define(desk, PLACES)
    rack.begin(desk, 0.0)
    desk.groups.remove("rack", force=True)
    see(desk, 9)
    assert rack.go_on(desk) == ()
    found = rack.find(desk)
    assert found and found.since is None and "no group 'rack'" in found.problem


@pytest.mark.parametrize(
    "places",
    [
        Places("node[", ImageRef.parse("tiny")),
        Places("n[1-3]", ImageRef.parse("tiny")),
        Places("node1", ImageRef.parse("no")),
        Places("node1", ImageRef.parse("tiny"), layout="no"),
        Places("node1", ImageRef.parse("tiny"), groups=("no",)),
        Places("node1", ImageRef.parse("tiny"), address=IPv4Address("192.168.0.1")),
    ],
)
def test_what_no_places_can_be(desk: Desk, places: Places) -> None:
    with pytest.raises(ImagedError):
        rack.define(desk, places)
    assert rack.find(desk) is None


def test_the_page_and_the_command_line_name_at_the_same_time_and_do_not_fight(desk: Desk) -> None:
    """`imaged collect` is a process of its own; both take from the same machines and the same places, one by one."""
    places = Places("node[01-12]", ImageRef.parse("tiny"), address=IPv4Address("10.0.0.11"))
    rack.define(desk, places)
    rack.begin(desk, 0.0)
    start, names = Barrier(3), []

    def page() -> None:
        start.wait(60)
        for _ in range(12):
            names.extend(each.node.name for each in rack.go_on(desk))

    def command() -> None:
        other = Desk(desk.settings)
        start.wait(60)
        left = 1
        while left:
            found, left = collecting.fill(other, places, since=0.0)
            names.extend(each.node.name for each in found)

    def machines() -> None:
        seen = Desk(desk.settings)
        start.wait(60)
        for number in range(20, 34):  # two more than there are places
            see(seen, number)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(act) for act in (page, command, machines)]:
            done.result(120)
    rack.go_on(desk)
    assert sorted(names) == [f"node{number:02}" for number in range(1, 13)], "each once"
    assert named(desk) == {f"node{number:02}": 19 + number for number in range(1, 13)}, "in the order they came"
    assert {str(node.address) for node in desk.nodes.all() if node.address} == {
        f"10.0.0.{number}" for number in range(11, 23)
    }
    found = rack.find(desk)
    assert found and (found.since, found.problem) == (None, ""), "it has ended by itself"
