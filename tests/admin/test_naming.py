"""Naming machines on a real database: by rules, in order, by hand; from several sides at once; and what is refused."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from threading import Barrier

import pytest
from attrs import evolve

from imaged.admin import collecting, discovery, nodes
from imaged.admin.desk import Desk
from imaged.admin.nodes import NodeChanges
from imaged.model.codec import to_json
from imaged.model.errors import BadInput, Conflict, ImagedError, NotFound
from imaged.model.group import Group
from imaged.model.hardware import Nic
from imaged.model.machine import Machine
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction
from imaged.model.places import Condition, Places, Rule
from imaged.planning.collect import Slot
from imaged.store.events import Events
from imaged.store.settings import build
from tests.daemon.test_provisioning import MACHINE, fill

TINY = ImageRef.parse("tiny")
SUBNET = {"network": "10.0.0.0/24"}


def mac(number: int) -> Mac:
    return Mac.parse(f"52:54:00:00:01:{number:02x}")


def by(names: str, *, approve: bool = True, name: str = "r", **become: object) -> Rule:
    return Rule(name, Condition(), Places(names, TINY, **become), approve)  # type: ignore[arg-type]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    settings = build({"address": "10.0.0.1", "dhcp": {"subnets": [SUBNET]}}, where="test")
    desk = Desk(evolve(settings, state=PurePosixPath(tmp_path)))
    images = desk.images
    with images.working("tiny") as working:
        fill(working.tree)
        images.publish(images.seal(working, origin="test"), "stable")
    return desk


@pytest.fixture
def see(desk: Desk) -> Callable[..., None]:
    def saw(*numbers: int, **told: object) -> None:
        for number in numbers:
            desk.machines.saw(Machine(mac(number), last_seen=float(number), **told))  # type: ignore[arg-type]

    return saw


def names(desk: Desk) -> dict[str, str]:
    return {node.name: str(node.macs[0]) for node in desk.nodes.all()}


def test_a_person_approves_and_what_was_proposed_happens(desk: Desk, see: Callable[..., None]) -> None:
    desk.groups.add(Group("g"))
    rules = [by("n[1-9]", address=IPv4Address("10.0.0.11"), groups=("g",), action=BootAction.LOCAL, console="ttyS0")]
    see(3, 1, 2)
    shown = {each.machine.mac: each.slot for each in discovery.proposed(desk, rules)}
    assert names(desk) == {}
    assert discovery.register(desk, rules, mac(1)) is None, "not without a yes"
    (named,) = discovery.approve(desk, rules, [mac(2)])
    assert Slot(named.node.name, named.node.address) == shown[mac(2)] == Slot("n2", IPv4Address("10.0.0.12"))
    assert desk.groups.of("n2") == ("g",)
    assert {each.node.name for each in discovery.approve(desk, rules)} == {"n1", "n3"}
    assert names(desk) == {f"n{number}": str(mac(number)) for number in (1, 2, 3)}
    event = next(each for each in Events(desk.engine).last(20) if each.subject == str(mac(2)))
    assert (event.what, event.after) == ("machine named", {"node": "n2", "rule": "r"})


def test_all_or_none_are_approved(desk: Desk, see: Callable[..., None]) -> None:
    see(1, 2, 3)
    for rules, wanted, kind, said in (
        ([by("n[1-2]")], [mac(1), mac(3)], Conflict, "no place left"),
        ([by("n[1-9]")], [mac(1), mac(9)], NotFound, "waits for a name"),
        ([by("n[1-9]", groups=("none",))], [mac(1)], NotFound, "no group 'none'"),
        ([by("n[1-9]", layout="none")], [mac(1)], NotFound, "no layout 'none'"),
        ([], [mac(1)], Conflict, "no rule matches"),
    ):
        with pytest.raises(kind, match=said):
            discovery.approve(desk, rules, wanted)
        assert names(desk) == {}
        assert {event.subject for event in Events(desk.engine).last(9)} <= {"tiny"}, "of the image alone"


def test_a_rule_without_approval_names_at_once_and_says_when_it_cannot(desk: Desk, see: Callable[..., None]) -> None:
    rules = [by("n1", approve=False)]
    see(1, 2)
    named = discovery.register(desk, rules, mac(1))
    assert named and named.node.name == "n1"
    with pytest.raises(Conflict, match="rule r has no place left in n1"):
        discovery.register(desk, rules, mac(2))
    assert discovery.register(desk, rules, mac(1)) is None, "it has a name"
    assert discovery.register(desk, rules, mac(9)) is None, "nobody saw it"
    with pytest.raises(NotFound, match="no image"):
        discovery.register(desk, [Rule("x", Condition(), Places("m1", ImageRef("gone")), False)], mac(2))


def test_hardware_that_is_known_goes_with_the_name(desk: Desk, see: Callable[..., None]) -> None:
    see(1)
    inventory = evolve(MACHINE, secure_boot=True, nics=(Nic("a", mac(7), "igb"), Nic("b", mac(1), "igb")))
    desk.machines.keep_inventory(Machine(mac(1)), inventory, 5.0)
    (named,) = discovery.approve(desk, [evolve(by("n1"), all_nics=True)])
    assert named.node.macs == (mac(1), mac(7))
    store = desk.nodes
    assert (store.inventory("n1"), store.get("n1").secure_boot) == (inventory, True)


def test_collecting_goes_on_while_others_name(desk: Desk, see: Callable[..., None]) -> None:
    places = Places("n[1-4]", TINY, address=IPv4Address("10.0.0.11"), skip="n3")
    assert [slot.name for slot in collecting.free(desk, places)] == ["n1", "n2", "n4"]
    see(1, relay="10.9.0.1")
    assert collecting.fill(desk, evolve(places, relay="10.8.0.1"), since=0.0) == ((), 3)
    assert collecting.fill(desk, places, since=2.0) == ((), 3)
    (named,), left = collecting.fill(desk, places, since=0.0)
    assert (named.node.name, str(named.node.address), left) == ("n1", "10.0.0.11", 2)
    see(2, 3)
    collecting.assign_one(desk, Machine(mac(3)), Slot("n2"), places, all_nics=False)
    (named,), left = collecting.fill(desk, places, since=0.0)
    assert (named.node.name, named.node.macs, left) == ("n4", (mac(2),), 0)


def test_by_hand(desk: Desk, see: Callable[..., None]) -> None:
    see(1, 2, 3)
    places = Places("n[1-4]", TINY, address=IPv4Address("10.0.0.11"))
    desk.machines.keep_places(evolve(places, names="m[1-2]", address=None), 1.0)
    found = collecting.place(desk, [by("n[1-4]", address=IPv4Address("10.0.0.21"))], "n2")
    assert found and found[0] == Slot("n2", IPv4Address("10.0.0.22"))
    found = collecting.place(desk, [], "m2")
    assert found and (found[0], found[1].image) == (Slot("m2"), TINY)
    assert collecting.place(desk, [], "n2") is None
    with pytest.raises(BadInput, match="not a node name"):
        collecting.place(desk, [], "../n")
    collecting.assign_one(desk, Machine(mac(1)), Slot("n1", IPv4Address("10.0.0.11")), places, all_nics=False)
    for machine, slot, said in (
        (mac(1), Slot("n9"), "is a node already"),
        (mac(2), Slot("n1"), "the name is taken"),
        (mac(2), Slot("n2", IPv4Address("10.0.0.11")), "belongs to another node"),
        (mac(2), Slot("n2", IPv4Address("10.7.0.11")), "in none of our subnets"),
        (mac(9), Slot("n2"), "is a node already, or ignored"),
    ):
        with pytest.raises(ImagedError, match=said):
            collecting.assign_one(desk, Machine(machine), slot, places, all_nics=False)
    desk.machines.ignore([mac(3)], ignored=True)
    with pytest.raises(Conflict, match="or ignored"):
        collecting.assign_one(desk, Machine(mac(3)), Slot("n3"), places, all_nics=False)
    assert names(desk) == {"n1": str(mac(1))}


def test_many_name_at_once_and_nobody_twice(desk: Desk, see: Callable[..., None]) -> None:
    """The daemon by rules, `collect`, `approve` and `assign`, all in the same moment, for the same places."""
    many = 12
    see(*range(many))
    see(*range(50, 54), uuid="11112222-3333-4444-5555-666677778888")  # one machine with four cards
    rules, places = [by("n[01-40]", approve=False)], Places("n[01-40]", TINY)
    ready = Barrier(8)

    def one_by_one(numbers: range | list[int]) -> None:
        ready.wait(60)
        for number in numbers:
            discovery.register(desk, rules, mac(number))

    def together() -> None:
        ready.wait(60)
        collecting.fill(desk, places, since=0.0)

    def yes() -> None:
        ready.wait(60)
        discovery.approve(desk, rules)

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(one_by_one, order) for order in (range(many), [*range(many)][::-1], list(range(50, 54)))]
        jobs += [pool.submit(each) for each in (together, together, yes, yes, yes)]
        for job in jobs:
            job.result(120)
    found = desk.nodes.all()
    macs = [mac for node in found for mac in node.macs]
    assert sorted(macs)[:many] == [mac(number) for number in range(many)]
    assert len(macs) == len(set(macs)) == many + 1, "each once, and one card of the machine with four"
    assert [node.name for node in found] == [f"n{number:02}" for number in range(1, many + 2)], "no place left out"
    assert desk.machines.discovered() == ()


def test_all_cards_of_nodes(desk: Desk, see: Callable[..., None]) -> None:
    see(1, 2)
    discovery.approve(desk, [by("n[1-2]")])
    store = desk.nodes
    with pytest.raises(NotFound, match="hardware is not known"):
        nodes.change(desk, ["n1"], NodeChanges(all_nics=True))
    nics = (Nic("a", mac(1), "igb"), Nic("b", mac(2), "igb"), Nic("c", mac(3), "igb"), Nic("d", mac(4), "rndis_host"))
    store.keep("n1", inventory='{"x": 1}')
    with pytest.raises(BadInput, match="inventory of n1"):
        nodes.change(desk, ["n1"], NodeChanges(all_nics=True))
    store.keep("n1", inventory=to_json(evolve(MACHINE, nics=nics)))
    nodes.change(desk, ["n1"], NodeChanges(all_nics=True))
    assert store.get("n1").macs == (mac(1), mac(3)), "n2's stays n2's, and a BMC's is nobody's"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "not valid YAML"),
        ("rules: 7\n", "rules: expected a list"),
        ("rules:\n- {name: a, match: {mac: zz}, become: {names: n1, image: tiny}}\n", "rules[0].match.mac"),
        ("rules:\n- {name: a, match: {}, become: {names: n1, image: ..}}\n", "rules[0].become.image"),
    ],
)
def test_a_file_of_rules_with_a_fault(desk: Desk, text: str, said: str) -> None:
    assert discovery.read_rules(desk.state) == ()
    desk.state.rules.write_text(text)
    with pytest.raises(BadInput) as raised:
        discovery.read_rules(desk.state)
    assert said in str(raised.value) and str(desk.state.rules) in str(raised.value)


def test_an_empty_file_of_rules(desk: Desk) -> None:
    desk.state.rules.write_text("# later\n")
    assert discovery.read_rules(desk.state) == ()
