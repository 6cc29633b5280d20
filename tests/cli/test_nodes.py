"""The verbs for nodes as a person types them: what they print, what they refuse, that a refusal changes nothing."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import VERBS, imaged
from imaged.model.codec import to_json
from imaged.model.errors import ImagedError
from imaged.model.machine import Machine
from imaged.model.net import Mac
from imaged.model.outcome import Drift, Outcome, Updated
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.keys import Keys
from imaged.store.machines import Machines
from imaged.store.nodes import Nodes
from tests.daemon.test_provisioning import MACHINE, fill

GOLDEN = Path(__file__).parents[1] / "data/help"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A settings file of a site with one image."""
    images = Images(tmp_path / "state/images")
    with images.working("tiny") as working:
        fill(working.tree)
        images.publish(images.seal(working, origin="test"), "stable")
    settings = tmp_path / "imaged.yaml"
    subnet = "{network: 10.0.0.0/24, pool: 10.0.0.100-10.0.0.199}"
    settings.write_text(f"address: 10.0.0.1\nstate: {tmp_path}/state\ndhcp: {{mode: off, subnets: [{subnet}]}}\n")
    return settings


def call(site: Path, *words: str) -> Result:
    return CliRunner().invoke(imaged, ["--settings", str(site), *words])


def said(result: Result) -> str:
    """What a person reads: `main` prints the error that ended the verb."""
    return result.output + (str(result.exception) if isinstance(result.exception, ImagedError) else "")


def nodes(site: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(call(site, "lsnode", "--json").output)["nodes"]
    return found


def test_keys_are_listed_and_shown_only_when_asked_for(site: Path) -> None:
    assert "no keys" in said(call(site, "lskey", "n1"))
    key = Keys(open_database(site.parent / "state/imaged.sqlite")).of("n1", "crypt0")
    listed = call(site, "lskey", "n1").output
    assert ("crypt0" in listed, key in listed) == (True, False)
    assert key in call(site, "lskey", "n1", "--show").output
    assert "not a node name" in said(call(site, "lskey", "../n1"))


ADD = ("addnode", "n1", "--mac", "52:54:00:00:00:01", "--image", "tiny")


def test_a_node_is_added_told_what_to_boot_and_removed(site: Path) -> None:
    assert call(site, *ADD, "--address", "10.0.0.7").output == "n1: tiny@stable, next network boot: install\n"
    assert call(site, "boot", "n1", "local").output == "n1: next network boot: local\n"
    (node,) = nodes(site)
    assert (node["name"], node["action"], node["address"]) == ("n1", "local", "10.0.0.7")
    assert "n1" in call(site, "lsnode").output
    assert call(site, "rmnode", "n1").output == "n1: removed\n"
    assert nodes(site) == []
    assert "imaged addnode" in call(site, "lsnode").output


def test_what_nodes_told_of_their_updates_is_shown(site: Path) -> None:
    call(site, *ADD)
    store = Nodes(open_database(site.parent / "state/imaged.sqlite"))
    failed = Updated("tiny@2", "s", Outcome.FAILED, 'the disk [is] full of "outcome": "done"', changed=3)
    store.keep(
        "n1", installed="tiny@1", updated=to_json(failed), updated_at=5.0, drift=to_json(Drift("tiny@1", "s", 7)),
        drift_count=7,
    )  # fmt: skip
    shown = call(site, "lsnode").output
    assert shown.splitlines()[1].split()[5:7] == ["failed", "7"]
    assert "n1: update to tiny@2 failed: the disk [is] full" in shown
    (node,) = nodes(site)
    assert (node["installed"], node["updated"]["changed"], node["drift"]["count"]) == ("tiny@1", 3, 7)  # type: ignore[index]
    store.keep("n1", touched='[{"path": "/etc/fstab", "action": "written"}]')
    told = json.loads(call(site, "lsnode", "--json", "n1").output)["nodes"][0]["touched"]
    assert told == [{"path": "/etc/fstab", "action": "written"}]
    assert "touched" not in nodes(site)[0], "a list of files is for the node that was asked for"
    store.keep("n1", updated=None, drift=None, drift_count=None)
    assert call(site, "lsnode").output.splitlines()[1].split()[4:7] == ["tiny@1", "installed", "-"]


SECOND = ("addnode", "n2", "--mac", "52:54:00:00:00:02", "--image", "tiny")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("addnode", "N1", "--mac", "52:54:00:00:00:01", "--image", "tiny"), "'N1' is not a node name"),
        (("addnode", "x" * 10_000, "--mac", "52:54:00:00:00:01", "--image", "tiny"), "is not a node name"),
        (("addnode", "n2", "--mac", "zz", "--image", "tiny"), "'zz' is not a MAC"),
        (("addnode", "n2", "--mac", "01:00:5e:00:00:01", "--image", "tiny"), "group address"),
        (("addnode", "n2", "--mac", "52:54:00:00:00:02", "--image", "none"), "there is no image 'none'"),
        (("addnode", "n2", "--mac", "52:54:00:00:00:02", "--image", "../tiny"), "'../tiny' is not an image name"),
        (("addnode", "n2", "--mac", "52:54:00:00:00:02", "--image", "/etc"), "'/etc' is not an image name"),
        (("addnode", "n2", "--mac", "52:54:00:00:00:02", "--image", "tiny@9"), "tiny"),
        (("addnode", "n2", "--mac", "52:54:00:00:00:02", "--image", "tiny@canary"), "canary"),
        ((*SECOND, "--layout", "no"), "no layout 'no'"),
        ((*SECOND, "--address", "10.9.0.1"), "none of our subnets"),
        ((*SECOND, "--address", "10.0.0.1"), "the server's"),
        ((*SECOND, "--address", "10.0.0.0"), "the network's"),
        ((*SECOND, "--uuid", "7"), "is not a UUID"),
        ((*SECOND, "--console", "a b"), "is not a console"),
        (("addnode", "n2", "--mac", "52:54:00:00:00:01", "--image", "tiny"), "belongs to node n1"),
        (ADD, "the name is taken"),
        (("boot", "n1", "n9", "local"), "no node 'n9'"),
        (("boot", "n1", "instal"), "'instal' is no boot action"),
        (("rmnode", "n1", "n9"), "no node 'n9'"),
        (("plan", "n9"), "no node 'n9'"),
        (("plan", "n1"), "its hardware is not known yet"),
        (("plan", "n1", "--inventory", "/nowhere"), "/nowhere: cannot be read"),
        (("lsnode", "n9"), "no node 'n9'"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_and_changes_nothing(site: Path, words: tuple[str, ...], why: str) -> None:
    call(site, *ADD)
    before = nodes(site)
    result = call(site, *words)
    assert result.exit_code != 0
    assert why in said(result)
    assert nodes(site) == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("address: 10.0.0.1\nadress: 2\n", "unknown key 'adress' (did you mean 'address'?)"),
        ("address: 10.0.0.1\naddress: 10.0.0.2\n", "line 2: the key 'address' is there twice"),
        ("address: 10.0.0.300\n", "address: "),
        ("address: 10.0.0.1\nhttp: {port: high}\n", "http.port: expected a whole number"),
        ("address: [\n", "not valid YAML"),
        ("", "the key 'address' is missing"),
    ],
)
def test_a_settings_file_with_a_fault_is_named_with_the_key(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "imaged.yaml"
    path.write_text(text)
    result = call(path, "lsnode")
    assert why in said(result)
    assert str(path) in said(result)


def test_plan_prints_the_plan_for_given_hardware_and_touches_nothing(site: Path, tmp_path: Path) -> None:
    call(site, *ADD)
    hardware = tmp_path / "hardware.json"
    hardware.write_text(to_json(MACHINE))
    text = call(site, "plan", "n1", "--inventory", str(hardware)).output
    assert text.startswith("Install of tiny@1 on n1, layout one-disk (plan ")
    assert "/dev/vda (virtio, 8 GiB): nothing recognised on it" in text
    plan = json.loads(call(site, "plan", "n1", "--inventory", str(hardware), "--json").output)
    assert [phase["name"] for phase in plan["phases"]][:3] == ["pre-install", "wipe", "partition"]
    hardware.write_text(to_json(MACHINE).replace('"arch"', '"ark"'))
    assert "unknown key 'ark'" in said(call(site, "plan", "n1", "--inventory", str(hardware)))
    assert "its hardware is not known yet" in said(call(site, "plan", "n1"))
    assert "Warning" not in text
    images = Images(site.parent / "state/images")
    with images.working("tiny") as working:
        fill(working.tree)
        (working.tree / "etc/smartd.conf").write_text("/dev/disk/by-id/ata-GOLDEN -a\n")
        images.publish(images.seal(working, origin="test"), "stable")
    hardware.write_text(to_json(MACHINE))
    text = call(site, "plan", "n1", "--inventory", str(hardware)).output
    assert "nothing rewrites them:\n  /etc/smartd.conf: /dev/disk/by-id/ata-GOLDEN\n" in text


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_is_what_was_reviewed(verb: str) -> None:
    text = (
        CliRunner().invoke(imaged, [*([verb] if verb else []), "--help"], prog_name="imaged", terminal_width=100).output
    )
    path = GOLDEN / f"{verb or 'imaged'}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_a_node_is_changed(site: Path) -> None:
    call(site, *ADD, "--address", "10.0.0.7")
    call(site, *SECOND)
    call(site, "addgroup", "rack1")
    call(site, "boot", "n1", "local")
    shown = call(site, "setnode", "n[1-2]", "--image", "tiny@1", "--console", "ttyS0,115200", "--join", "rack1").output
    assert shown.splitlines() == [
        "n1: tiny@1, one-disk, 10.0.0.7, 52:54:00:00:00:01, in rack1",
        "n2: tiny@1, one-disk, an address of the pool, 52:54:00:00:00:02, in rack1",
    ]
    assert [(node["action"], node["console"]) for node in nodes(site)] == [
        ("local", "ttyS0,115200"), ("install", "ttyS0,115200")
    ]  # fmt: skip
    words = ("--address", "", "--mac", "52:54:00:00:00:05", "--mac", "52:54:00:00:00:01", "--leave", "rack1")
    assert call(site, "setnode", "n1", *words).output == (
        "n1: tiny@1, one-disk, an address of the pool, 52:54:00:00:00:05, 52:54:00:00:00:01\n"
    )
    assert "n2" in call(site, "clist").output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "nothing to change"),
        (("--image", "none"), "there is no image 'none'"),
        (("--layout", "no"), "no layout 'no'"),
        (("--join", "rack9", "--console", "ttyS1"), "no group 'rack9'"),
        (("--mac", "52:54:00:00:00:02"), "belongs to node n2"),
        (("--address", "10.0.0.8"), "the address 10.0.0.8 is taken"),
        (("--address", "10.9.0.1"), "none of our subnets"),
    ],
)
def test_a_change_that_is_refused_changes_nothing(site: Path, words: tuple[str, ...], why: str) -> None:
    call(site, *ADD)
    call(site, *SECOND, "--address", "10.0.0.8")
    before = nodes(site)
    assert why in said(call(site, "setnode", "n1", *words))
    assert "the same mac" in said(call(site, "setnode", "n[1-2]", "--mac", "52:54:00:00:00:09"))
    assert "no node 'n3'" in said(call(site, "setnode", "n[1-3]", "--image", "tiny@1"))
    assert nodes(site) == before


def test_another_machine_takes_a_nodes_place(site: Path) -> None:
    call(site, *ADD, "--address", "10.0.0.7", "--uuid", "00112233-4455-6677-8899-aabbccddeeff")
    call(site, "boot", "n1", "local")
    store = Nodes(open_database(site.parent / "state/imaged.sqlite"))
    store.keep("n1", inventory="{}", plan_hash="x", installed="tiny@1")
    said_so = call(site, "replacenode", "n1", "--mac", "52:54:00:00:00:09").output
    assert said_so == "n1: 52:54:00:00:00:09, was 52:54:00:00:00:01; next network boot: install\n"
    (node,) = nodes(site)
    assert (node["macs"], node["address"], node["uuid"]) == (["52:54:00:00:00:09"], "10.0.0.7", "")
    facts = store.facts("n1")
    assert (facts["inventory"], facts["plan_hash"], facts["installed"]) == (None, None, "tiny@1")
    assert call(site, "replacenode", "n1", "--mac", "52:54:00:00:00:0a", "--disks-moved").output.endswith("local\n")
    call(site, *SECOND)
    assert "belongs to node n2" in said(call(site, "replacenode", "n1", "--mac", "52:54:00:00:00:02"))


def test_machines_are_named_in_the_order_in_which_they_came(site: Path) -> None:
    call(site, *ADD)
    store = Machines(open_database(site.parent / "state/imaged.sqlite"))
    uuid = "11112222-3333-4444-5555-666677778888"
    for number, seen in ((7, 30.0), (8, 10.0), (9, 20.0)):
        mac = Mac.parse(f"52:54:00:00:00:0{number}")
        store.saw(Machine(mac, uuid if number == 8 else "", "bios", last_seen=seen))
    words = ("--names", "n[1-5]", "--skip", "n3", "--address", "10.0.0.21", "--image", "tiny", "--seen")
    result = call(site, "collect", *words)
    assert [line for line in result.output.splitlines() if ":" in line] == [
        "n2: 52:54:00:00:00:08, 10.0.0.22 (bios); 2 to go",
        "n4: 52:54:00:00:00:09, 10.0.0.24 (bios); 1 to go",
        "n5: 52:54:00:00:00:07, 10.0.0.25 (bios); 0 to go",
    ]
    assert [(node["name"], node["uuid"]) for node in nodes(site)][1] == ("n2", uuid)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--names", "n1", "--image", "tiny"), "taken or reserved"),
        (("--names", "n[1-", "--image", "tiny"), "Write names like"),
        (("--names", "N[1-2]", "--image", "tiny"), "is not a node name"),
        (("--names", "n[1-2]", "--image", "no"), "there is no image 'no'"),
        (("--names", "n[1-2]", "--image", "tiny", "--address", "10.0.0.254"), "no address of our subnets"),
        (("--names", "n[1-2]", "--image", "tiny", "--group", "g"), "no group 'g'"),
        (("--names", "n[1-2]", "--image", "tiny", "--relay", "x"), "'x' is not an IPv4 address"),
    ],
)
def test_a_collection_that_is_refused(site: Path, words: tuple[str, ...], why: str) -> None:
    call(site, *ADD)
    assert why in said(call(site, "collect", *words))


def test_nodes_of_other_programs(site: Path) -> None:
    data = Path(__file__).parents[1] / "data/rosters"
    call(site, *ADD)
    files = [str(data / name) for name in ("c3.conf", "ethers", "hosts")]
    dry = call(site, "importnodes", *files, "--image", "tiny", "--dry-run")
    assert "node01: 10.0.0.11, 52:54:00:00:00:01, image tiny@stable\n" in dry.output
    assert "belongs to node n1" in said(call(site, "importnodes", *files, "--image", "tiny"))
    assert len(nodes(site)) == 1, "all of it or nothing"
    call(site, "rmnode", "n1")
    done = call(site, "importnodes", *files, "--image", "tiny")
    assert "left out, no file tells a MAC of them: login1,node[04,08-09]" in done.output
    assert [(node["name"], node["address"], node["action"]) for node in nodes(site)] == [
        ("node01", "10.0.0.11", "local"), ("node02", "10.0.0.12", "local")
    ]  # fmt: skip
    assert "@auto-gen: node[01-02]" in call(site, "clist").output
    again = call(site, "importnodes", *files, "--image", "tiny")
    assert "left out, there already: node[01-02]" in again.output


@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_what_is_exported_is_imported_again(site: Path, tmp_path: Path, form: str) -> None:
    call(site, "addgroup", "rack1")
    call(site, *ADD, "--address", "10.0.0.7", "--group", "rack1", "--console", "ttyS0,115200", "--action", "local")
    call(site, *SECOND, "--uuid", "00112233-4455-6677-8899-aabbccddeeff", "--action", "local")
    before, file = nodes(site), tmp_path / f"nodes.{form}"
    file.write_text(call(site, "export", form).output)
    call(site, "rmnode", "@*")
    assert call(site, "importnodes", str(file)).exit_code == 0
    assert nodes(site) == before
    assert call(site, "clist").output.splitlines()[1] == "@rack1: n1"


def test_what_was_changed_is_listed(site: Path) -> None:
    call(site, *ADD)
    call(site, "setnode", "n1", "--console", "ttyS0", "--mac", "52:54:00:00:00:07")
    call(site, "setnode", "n1", "--console", "")
    lines = [line.split("  ", 2)[2] for line in call(site, "lsevent", "n1").output.splitlines()]
    assert lines == [
        "n1: node added: image: tiny@stable, macs: 52:54:00:00:00:01",
        "n1: node changed: macs: 52:54:00:00:00:01 -> 52:54:00:00:00:07, console: ttyS0",
        "n1: node changed: console: ttyS0 -> none",
    ]
    assert json.loads(call(site, "lsevent", "--json", "-n", "1").output)[0]["subject"] == "n1"
