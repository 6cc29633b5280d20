"""The verbs for machines without a name as a person types them."""

import json
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.codec import to_json
from imaged.model.hardware import Nic, Smbios
from imaged.model.machine import Label, Machine
from imaged.model.net import Mac
from imaged.store.database import open_database
from imaged.store.machines import Machines
from imaged.store.nodes import Nodes
from tests.cli.test_nodes import ADD, call, nodes, said, site
from tests.daemon.test_provisioning import MACHINE

__all__ = ["site"]
RULES = """
rules:
  - name: dells
    match: {vendor: "Dell*"}
    become: {names: "n[1-3]", image: tiny, address: 10.0.0.21}
  - name: at-once
    match: {mac: "02:"}
    become: {names: "v[1-3]", image: tiny}
    approve: false
"""
ONE, TWO, THREE = (Mac.parse(f"52:54:00:00:02:0{number}") for number in (1, 2, 3))


@pytest.fixture
def machines(site: Path) -> Machines:
    store = Machines(open_database(site.parent / "state/imaged.sqlite"))
    for at, mac in enumerate((ONE, TWO, THREE), start=1):
        store.saw(Machine(mac, arch="bios", address="10.0.0.150", last_seen=float(at)))
        store.told(mac, Label("Dell Inc.", "R[6]40", f"SN{at}"), 9.0)
    return store


def rules(site: Path, text: str = RULES) -> None:
    (site.parent / "state/rules.yaml").write_text(text)


def test_what_was_seen_is_listed_with_what_the_rules_make_of_it(site: Path, machines: Machines) -> None:
    bare = call(site, "lsmachine").output
    assert "Dell Inc. R[6]40 serial SN1" in bare and "by rack" not in bare
    rules(site)
    shown = call(site, "lsmachine").output
    assert "n2 (10.0.0.22) by dells, waits for approval" in shown
    assert "n2 (10.0.0.22) by dells, waits for approval" in call(site, "lsnode").output
    machines.saw(Machine(Mac.parse("02:00:00:00:00:09"), last_seen=20.0))
    machines.saw(Machine(Mac.parse("06:00:00:00:00:09"), last_seen=21.0))
    plain = json.loads(call(site, "lsmachine", "--json").output)
    assert [each["proposal"]["name"] for each in plain] == ["n1", "n2", "n3", "v1", None]
    assert (plain[3]["proposal"]["approve"], plain[4]["proposal"]["why"]) == (False, "no rule matches")
    assert len(json.loads(call(site, "lsnode", "--json").output)["discovered"]) == 5
    rules(site, "rules: 7")
    assert "rules: expected a list" in said(call(site, "lsmachine"))
    assert "Dell" in call(site, "lsnode").output, "a fault in the rules hides no node"


def test_approving(site: Path, machines: Machines) -> None:
    assert "there are no rules" in said(call(site, "approve", "--all"))
    rules(site)
    assert "name machines, or say --all" in said(call(site, "approve"))
    assert "name machines, or say --all" in said(call(site, "approve", "--all", "SN1"))
    assert "no machine 'SN9'" in said(call(site, "approve", "SN1", "SN9"))
    assert nodes(site) == []
    assert call(site, "approve", "sn2").output == f"n2: {TWO}, 10.0.0.22 (bios), by rule dells\n"
    assert call(site, "approve", "--all").output.splitlines() == [
        f"n1: {ONE}, 10.0.0.21 (bios), by rule dells", f"n3: {THREE}, 10.0.0.23 (bios), by rule dells"
    ]  # fmt: skip
    assert call(site, "approve", "--all").output == "No machine waits for approval.\n"
    assert "no machine 'SN2'" in said(call(site, "approve", "SN2"))
    assert call(site, "lsmachine").output == "No machine without a name was seen.\n"
    assert "machine named: node: n2, rule: dells" in call(site, "lsevent", str(TWO)).output


def test_ignoring_and_forgetting(site: Path, machines: Machines) -> None:
    rules(site)
    assert call(site, "ignore", "SN1", str(TWO)).output == f"{ONE}: ignored\n{TWO}: ignored\n"
    assert [each["mac"] for each in json.loads(call(site, "lsmachine", "--json").output)] == [str(THREE)]
    assert "ignored" in call(site, "lsmachine", "--all").output
    assert "another card" not in call(site, "lsmachine").output
    assert "waits for a name" in said(call(site, "approve", "SN1"))
    assert call(site, "ignore", "--undo", "SN1").output == f"{ONE}: offered again\n"
    assert call(site, "rmmachine", "SN1", "SN3").output == f"{ONE}: forgotten\n{THREE}: forgotten\n"
    assert "no machine 'SN1'" in said(call(site, "rmmachine", "SN1"))
    call(site, *ADD)
    assert "no machine 'n1'" in said(call(site, "ignore", "n1"))


def test_by_hand_with_the_place_that_was_collected_for(site: Path, machines: Machines) -> None:
    words = ("--names", "c[1-3]", "--skip", "c2", "--address", "10.0.0.41", "--image", "tiny", "--console", "ttyS0")
    assert "c1" in call(site, "collect", *words, "--seen").output
    machines.ignore([TWO], ignored=True)
    machines.ignore([TWO], ignored=False)
    left = {each["mac"] for each in json.loads(call(site, "lsmachine", "--json").output)}
    assert left == {str(THREE)}
    assert call(site, "assign", "c2", "SN3").output == f"c2: {THREE}, 10.0.0.42 (bios)\n"
    assert [(node["name"], node["address"], node["console"]) for node in nodes(site)] == [
        ("c1", "10.0.0.41", "ttyS0"), ("c2", "10.0.0.42", "ttyS0"), ("c3", "10.0.0.43", "ttyS0")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("x1", "SN1"), "what shall x1 run?"),
        (("X1", "SN1", "--image", "tiny"), "not a node name"),
        (("x1", "SN9", "--image", "tiny"), "no machine 'SN9'"),
        (("x1", "SN1", "--image", "none"), "no image 'none'"),
        (("x1", "SN1", "--image", "tiny", "--layout", "no"), "no layout 'no'"),
        (("x1", "SN1", "--image", "tiny", "--group", "no"), "no group 'no'"),
        (("x1", "SN1", "--image", "tiny", "--address", "10.9.0.1"), "none of our subnets"),
        (("x1", "SN1", "--image", "tiny", "--console", "a b"), "not a console"),
        (("n1", "SN1", "--image", "tiny"), "the name is taken"),
    ],
)
def test_by_hand_refused(site: Path, machines: Machines, words: tuple[str, ...], why: str) -> None:
    call(site, *ADD)
    assert why in said(call(site, "assign", *words))
    assert [node["name"] for node in nodes(site)] == ["n1"]


def test_all_that_a_machine_told(site: Path, machines: Machines) -> None:
    shown = call(site, "showmachine", "SN1").output
    assert "Dell Inc." in shown and "Its hardware is not known" in shown
    inventory = evolve(
        MACHINE, smbios=Smbios(board="B1"), nics=(Nic("eth0", ONE, "igb", True), Nic("eth1", TWO, "igb"))
    )
    found = machines.find(ONE)
    assert found
    machines.keep_inventory(found, inventory, 9.0)
    shown = call(site, "showmachine", str(ONE)).output
    for text in (
        "disk           /dev/vda (virtio, 8 GiB)",
        f"network card   eth1 {TWO} igb, no link",
        "memory         2 GiB",
    ):
        assert text in shown
    assert json.loads(call(site, "showmachine", "--json", "SN1").output)["inventory"]["cpus"] == 2
    call(site, "assign", "x1", "SN1", "--image", "tiny", "--all-nics", "--action", "local")
    assert nodes(site)[0]["macs"] == [str(ONE), str(TWO)]
    shown = call(site, "showmachine", "x1").output
    assert "x1, next network boot: local" in shown and "/dev/vda" in shown
    assert "no machine 'x9'" in said(call(site, "showmachine", "x9"))


def test_a_node_learns_its_cards(site: Path) -> None:
    call(site, *ADD)
    assert "its hardware is not known yet" in said(call(site, "setnode", "n1", "--all-nics"))
    store = Nodes(open_database(site.parent / "state/imaged.sqlite"))
    store.keep("n1", inventory=to_json(evolve(MACHINE, nics=(Nic("a", TWO, "igb"),))))
    assert call(site, "setnode", "n1", "--all-nics").output.endswith(f"52:54:00:00:00:01, {TWO}\n")
    assert call(site, "boot", "n1", "inventory").output == "n1: next network boot: inventory\n"
