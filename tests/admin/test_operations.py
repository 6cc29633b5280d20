"""What administrators do, as functions: what is refused says why, and changes nothing."""

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from attrs import evolve

from imaged.admin import boot, collecting, exporting, groups, images, importing, nodes, power
from imaged.admin.desk import Desk
from imaged.admin.groups import GroupChanges, NewGroup
from imaged.admin.nodes import NewNode, NodeChanges
from imaged.admin.power import Limits
from imaged.model.codec import to_plain
from imaged.model.errors import BadInput, Conflict, ImagedError, NotFound
from imaged.model.group import Group
from imaged.model.host import Host
from imaged.model.lease import Lease, LeaseState
from imaged.model.machine import Machine
from imaged.model.names import NO_IMAGE, ImageRef
from imaged.model.network import Interface, Network
from imaged.model.next_boot import NextBoot
from imaged.model.node import BootAction
from imaged.model.places import Places
from imaged.model.power import WAKE_ON_LAN, PowerAccess, PowerAddress
from imaged.model.setup import Setup
from imaged.model.wishes import Wishes
from imaged.planning.effects import Effect
from imaged.planning.roster.entries import Roster
from imaged.planning.roster.ours import of_plain, values, write_values, write_yaml
from imaged.store import next_boots, yamlfile
from imaged.store.leases import LeaseStore
from imaged.store.powers import Powers
from tests.admin.site import desk, mac, make

__all__ = ["desk"]
LAST = IPv4Address("10.0.0.254")
TINY = ImageRef.parse("tiny")
LOCAL, INSTALL = NextBoot(BootAction.LOCAL), NextBoot(BootAction.INSTALL)
IPMI = PowerAccess(PowerAddress.parse("ipmi://admin@{name}-bmc"), "secret")
REDFISH = PowerAccess(PowerAddress.parse("redfish://admin@{name}-bmc"), "secret")


def everything(desk: Desk) -> object:
    """All that an administrator could have changed."""
    powers = Powers(desk.engine)
    rows = [
        (to_plain(node), desk.nodes.booting(node.name), desk.nodes.definition(node.name), desk.hosts.node(node.name))
        for node in desk.nodes.all()
    ]
    versions = {name: (desk.images.numbers(name), desk.images.channels(name)) for name in desk.images.names()}
    groups = [(group, desk.hosts.group(group.name)) for group in desk.groups.all()]
    return rows, groups, versions, powers.nodes(), powers.groups()


def new(**said: object) -> NewNode:
    return NewNode(**{"name": "n9", "macs": (mac(9),), "image": TINY, **said})  # type: ignore[arg-type]


REFUSED: tuple[tuple[Callable[[Desk], object], type[ImagedError], str], ...] = (
    (lambda d: nodes.add(d, new(macs=())), BadInput, "needs a MAC"),
    (lambda d: nodes.add(d, new(name="N9")), BadInput, "not a node name"),
    (lambda d: nodes.add(d, new(name="n1")), Conflict, "the name is taken"),
    (lambda d: nodes.add(d, new(macs=(mac(1),))), Conflict, "belongs to node n1"),
    (lambda d: nodes.add(d, new(address="10.0.0.300")), BadInput, "not an IPv4 address"),
    (lambda d: nodes.add(d, new(address="10.1.0.1")), BadInput, "none of our subnets"),
    (lambda d: nodes.add(d, new(address="10.0.0.1")), BadInput, "the server's"),
    (lambda d: nodes.add(d, new(groups=("no",))), NotFound, "no group 'no'"),
    (lambda d: nodes.add(d, new(layout="no")), NotFound, "no layout 'no'"),
    (lambda d: nodes.add(d, new(host=Host(timezone="../x"))), BadInput, "timezone"),
    (lambda d: nodes.add(d, new(host=Host(Network((Interface("lan0"),))))), BadInput, "interfaces[0]"),
    (lambda d: nodes.change(d, ("n1",), NodeChanges()), BadInput, "nothing to change"),
    (lambda d: nodes.change(d, ("n1",), NodeChanges(macs=())), BadInput, "needs a MAC"),
    (lambda d: nodes.change(d, ("n[1-2]",), NodeChanges(address="10.0.0.7")), BadInput, "same address"),
    (lambda d: nodes.change(d, ("n[1-4]",), NodeChanges(console="ttyS0")), NotFound, "no node 'n4'"),
    (lambda d: nodes.change(d, ("n1",), NodeChanges(console="a;b")), BadInput, "not a console"),
    (lambda d: nodes.remove(d, ("n1", "n9")), NotFound, "no node 'n9'"),
    (lambda d: nodes.replace(d, "n1", ()), BadInput, "needs a MAC"),
    (lambda d: nodes.replace(d, "n1", (mac(2),)), Conflict, "belongs to node n2"),
    (lambda d: nodes.replace(d, "n1", (mac(9),), "7"), BadInput, "not a UUID"),
    (lambda d: boot.choose(d, ("n1",), LOCAL, wishes=Wishes(plan="0" * 16)), BadInput, "go with install"),
    (lambda d: boot.choose(d, ("n[1-2]",), INSTALL, wishes=Wishes(plan="0" * 16)), BadInput, "one node only"),
    (lambda d: boot.choose(d, ("n1",), evolve(LOCAL, kernel="custom/x")), BadInput, "kernel needs a kernel"),
    (lambda d: boot.choose(d, ("n1",), NextBoot(BootAction.KERNEL)), BadInput, "kernel needs a kernel"),
    (lambda d: boot.choose(d, ("n1",), NextBoot(BootAction.KERNEL, "../../etc/passwd")), NotFound, "no such file"),
    (lambda d: boot.choose(d, ("n1",), NextBoot(BootAction.IPXE, script="echo")), BadInput, "begins with #!ipxe"),
    (lambda d: boot.choose(d, ("n1",), evolve(INSTALL, script="#!ipxe")), BadInput, "ipxe needs a script"),
    (lambda d: power.define(d, ("n[1-9]",), IPMI), NotFound, "no node"),
    (lambda d: power.define(d, ("n1",), evolve(IPMI, password="")), BadInput, "a BMC wants a password"),
    (lambda d: power.define(d, ("n1",), evolve(WAKE_ON_LAN, password="x")), BadInput, "wake-on-LAN none"),
    (lambda d: power.define(d, ("n1",), evolve(IPMI, verify=False)), BadInput, "only Redfish"),
    (lambda d: power.define(d, ("n1",), evolve(REDFISH, fingerprint="AB")), BadInput, "SHA-256"),
    (lambda d: power.define_group(d, "no", IPMI), NotFound, "no group 'no'"),
    (lambda d: power.install(d, (), Limits()), Conflict, "no node left"),
    (lambda d: groups.add(d, NewGroup("rack")), Conflict, "there is a group 'rack'"),
    (lambda d: groups.add(d, NewGroup("x", -1)), BadInput, "not within 0 to"),
    (lambda d: groups.add(d, NewGroup("x", host=Host(keyboard="de;x"))), BadInput, "keyboard"),
    (lambda d: groups.add(d, NewGroup("x", setup=Setup(ImageRef("no")))), NotFound, "no image 'no'"),
    (lambda d: groups.add(d, NewGroup("x", setup=Setup(layout="no"))), NotFound, "no layout 'no'"),
    (lambda d: groups.add(d, NewGroup("x", setup=Setup(variables={"keys": ""}))), BadInput, "template language"),
    (lambda d: groups.change(d, "no", GroupChanges(priority=1)), NotFound, "no group 'no'"),
    (lambda d: groups.change(d, "rack", GroupChanges()), BadInput, "nothing to change"),
    (lambda d: groups.change(d, "rack", GroupChanges(ImageRef("tiny", 9, ""))), NotFound, "no version 9"),
    (lambda d: groups.change(d, "rack", GroupChanges(priority=-1)), BadInput, "not within 0 to"),
    (lambda d: groups.change(d, "rack", GroupChanges(console="a;b")), BadInput, "not a console"),
    (lambda d: nodes.change(d, ("n1",), NodeChanges(variables={"a b": "x"})), BadInput, "not the name of a variable"),
    (lambda d: nodes.add(d, new(variables={"x": "\0"})), BadInput, "not a text"),
    (lambda d: groups.remove(d, ("rack",)), Conflict, "2 nodes are in it"),
    (lambda d: groups.remove(d, ("rack", "no"), force=True), NotFound, "no group 'no'"),
    (lambda d: groups.set_host(d, "n9", Host(timezone="UTC")), NotFound, "no node 'n9'"),
    (lambda d: groups.set_host(d, "no", Host(timezone="UTC"), group=True), NotFound, "no group 'no'"),
    (lambda d: collecting.free(d, Places("n[1-3]", TINY)), BadInput, "taken or reserved"),
    (lambda d: collecting.free(d, Places("m[1-2]", TINY, address=LAST)), BadInput, "no address of our subnets"),
    (lambda d: collecting.free(d, Places("m1", TINY, console="a b")), BadInput, "not a console"),
    (lambda d: images.publish(d, ImageRef.parse("tiny@9")), NotFound, "no version 9"),
    (lambda d: images.publish(d, ImageRef.parse("tiny@1"), "7"), BadInput, "not a channel name"),
    (lambda d: images.roll_back(d, ImageRef.parse("tiny@1")), BadInput, "only channels move"),
    (lambda d: images.rename(d, "tiny", "huge"), Conflict, "is used by n1, n2, n3"),
    (lambda d: images.rename(d, "no", "huge"), NotFound, "no image 'no'"),
    (lambda d: images.remove(d, ("tiny",)), Conflict, "is used by"),
    (lambda d: images.remove(d, ("tiny@1", "tiny@9")), NotFound, "no version 9"),
)  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[2])
def test_what_is_refused_changes_nothing(desk: Desk, case: tuple[Callable[[Desk], object], type, str]) -> None:
    act, kind, what = case
    before = everything(desk)
    with pytest.raises(kind) as raised:
        act(desk)
    assert what in str(raised.value)
    assert everything(desk) == before


def test_a_node_with_all_that_is_said_of_it(desk: Desk) -> None:
    node = nodes.add(desk, new(address="10.0.0.9", groups=("rack",), host=Host(timezone="UTC"), macs=(mac(9), mac(9))))
    assert (desk.nodes.get("n9"), node.macs) == (node, (mac(9),))
    assert (desk.groups.of("n9"), desk.hosts.node("n9")) == (("rack",), Host(timezone="UTC"))


def test_machines_take_places_in_the_order_in_which_they_came(desk: Desk) -> None:
    for number, seen in ((8, 30.0), (7, 10.0)):
        desk.machines.saw(Machine(mac(number), last_seen=seen))
    places = Places("m[1-3]", TINY, address=IPv4Address("10.0.0.20"), groups=("rack",))
    assert len(collecting.begin(desk, places)) == 3
    named, left = collecting.fill(desk, places, since=0.0)
    assert left == 1
    assert [(each.node.name, str(each.node.address), each.machine.mac) for each in named] == [
        ("m1", "10.0.0.20", mac(7)), ("m2", "10.0.0.21", mac(8))
    ]  # fmt: skip
    assert desk.groups.nodes("rack") == ("m1", "m2", "n1", "n2")


def test_channels_move_there_and_back(desk: Desk) -> None:
    assert images.publish(desk, ImageRef.parse("tiny@1")).number == 1
    moved = images.roll_back(desk, TINY)
    assert (moved.channel, moved.before, moved.version.number) == ("stable", 1, 2)
    assert [(each.ref, each.goes) for each in images.prune(desk, "tiny", 0, {}, dry_run=True)] == [
        ("tiny@1", False), ("tiny@2", False)
    ]  # fmt: skip


def test_a_group_says_which_nodes_become_what(desk: Desk) -> None:
    group = groups.add(
        desk, NewGroup("gpu", 5, setup=Setup(ImageRef("tiny", 1, ""), "one-disk-mbr", "ttyS0", {"row": "1"}))
    )
    node = nodes.add(desk, NewNode("n9", (mac(9),), groups=("gpu", "rack"), variables={"x": "y"}))
    assert (node.image, node.layout, node.console) == (group.setup.image, "one-disk-mbr", "ttyS0")
    changed, told = groups.change(desk, "gpu", GroupChanges(TINY, "", variables={"row": None, "site": "a"}))
    assert changed == desk.groups.get("gpu") == Group("gpu", 5, Setup(TINY, "", "ttyS0", {"site": "a"}))
    assert told == (
        Effect("image", "tiny@1", "tiny@stable", ("n9",)), Effect("layout", "one-disk-mbr", "one-disk", ("n9",)),
        Effect("var.row", "1", "", ("n9",)), Effect("var.site", "", "a", ("n9",)),
    )  # fmt: skip
    assert groups.change(desk, "gpu", GroupChanges(priority=500))[1] == (
        Effect("groups", "rack gpu", "gpu rack", ("n9",)),
    )
    (n9, n1) = nodes.change(desk, ("n9,n1",), NodeChanges(console="none", join=("gpu",), variables={"x": None}))
    assert (n9.console, n9.variables, n1.variables, n1.image) == ("", {"site": "a"}, {"site": "a"}, TINY)
    assert groups.remove(desk, ("gpu", "rack"), force=True) == (
        Effect("groups", "gpu rack", "", ("n1", "n9")), Effect("var.site", "a", "", ("n1", "n9")),
        Effect("groups", "rack", "", ("n2",)), Effect("image", "tiny@stable", "", ("n9",)),
    )  # fmt: skip
    assert desk.nodes.get("n9").left_alone


def test_an_image_that_only_a_group_names_is_used(desk: Desk) -> None:
    groups.add(desk, NewGroup("gpu", setup=Setup(ImageRef("tiny", 1, ""))))
    with pytest.raises(Conflict, match=r"tiny@1: is used by group gpu"):
        images.remove(desk, ("tiny@1",))
    with pytest.raises(Conflict, match="is used by n1, n2, n3, group gpu"):
        images.rename(desk, "tiny", "huge")


@pytest.mark.parametrize("write", [write_values, write_yaml])
def test_what_is_exported_makes_the_same_site_again(desk: Desk, tmp_path: Path, write: Callable[[Roster], str]) -> None:
    groups.change(desk, "rack", GroupChanges(TINY, console="ttyS0,115200", priority=7, variables={"row": "a 'b'"}))
    nodes.change(desk, ("n[1-2]",), NodeChanges(NO_IMAGE, "", variables={"slot": "x=1"}))
    nodes.add(desk, new(macs=(mac(9), mac(8)), address="10.0.0.9", console="none", uuid="0" * 31 + "1"))
    text = write(exporting.roster(desk, [node.name for node in desk.nodes.all()]))
    again = make(tmp_path / "again")
    nodes.remove(again, ("n[1-3]",))
    groups.remove(again, ("rack",))
    read = values(text) if write is write_values else of_plain(yamlfile.parse(text, where="export"))
    importing.define(again, importing.prepare(again, read, NO_IMAGE, ""), BootAction.INSTALL)
    assert (again.nodes.all(), again.groups.all()) == (desk.nodes.all(), desk.groups.all())
    names = [node.name for node in desk.nodes.all()]
    assert again.nodes.definitions(names) == desk.nodes.definitions(names)


def test_who_is_replaced_has_no_lease_any_more(desk):
    leases = LeaseStore(desk.engine)
    given = [Lease(IPv4Address(f"10.0.0.10{number}"), mac(number), LeaseState.BOUND, 2e9) for number in (1, 2)]
    leases.save(given)
    nodes.replace(desk, "n1", (mac(9),))
    assert leases.load() == (given[1],)


def test_who_cannot_be_replaced_whole_is_not_replaced(desk, monkeypatch):
    before = desk.nodes.get("n1")

    def fails(*_, **__):
        raise Conflict("no")

    monkeypatch.setattr(next_boots, "set_boot", fails)
    with pytest.raises(Conflict, match="no"):
        nodes.replace(desk, "n1", (mac(9),))
    assert desk.nodes.get("n1") == before
