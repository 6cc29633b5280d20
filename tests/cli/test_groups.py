"""Groups and overrides as a person types them."""

import json
from pathlib import Path

import pytest

from tests.cli.test_nodes import ADD, call, said, site

__all__ = ["site"]
NOTHING = {"image": "", "layout": "", "console": "", "variables": {}, "first": ""}


def test_groups_are_made_listed_in_their_order_and_removed(site: Path) -> None:
    assert "addgroup" in call(site, "lsgroup").output
    assert call(site, "addgroup", "gpu", "--priority", "10").output.startswith("gpu: priority 10, overrides in ")
    assert call(site, "addgroup", "lab").exit_code == 0
    assert call(site, *ADD, "--group", "gpu", "--group", "lab", "--group", "gpu").exit_code == 0
    assert json.loads(call(site, "lsgroup", "--json").output) == [
        {"name": "lab", "priority": 100, **NOTHING, "nodes": ["n1"]},
        {"name": "gpu", "priority": 10, **NOTHING, "nodes": ["n1"]},
    ]
    assert "n1" in call(site, "lsgroup").output
    assert "--force" in said(call(site, "rmgroup", "gpu"))
    assert call(site, "rmgroup", "gpu", "--force").output == "gpu: removed\nn1: groups lab gpu -> lab\n"
    rendered = site.parent / "state/run/overrides/n1/0/tree/etc"
    rendered.mkdir(parents=True)
    assert call(site, "rmnode", "n1").exit_code == 0
    assert not rendered.parents[2].exists(), "secrets of a node go with it"
    assert call(site, "rmgroup", "lab").exit_code == 0, "a node that is gone is in no group"


REFUSED = [
    (("addgroup", "A/b"), "is not a group name"),
    (("addgroup", "lab"), "there is a group 'lab' already"),
    (("rmgroup", "lab", "none"), "no group 'none'"),
    ((*ADD, "--group", "none"), "no group 'none'"),
    ((*ADD, "--var", "row"), "'row' is not NAME=TEXT"),
    ((*ADD, "--var", "get=x"), "'get' is a word of the template language"),
    (("setgroup", "lab"), "nothing to change"),
    (("setgroup", "none", "--image", "tiny"), "no group 'none'"),
    (("setgroup", "lab", "--image", "no"), "no image 'no'"),
    (("setgroup", "lab", "--priority", "-1"), "is not in the range"),
    (("lsoverride", "none"), "no node 'none'"),
]


@pytest.mark.parametrize(("words", "what"), REFUSED)
def test_what_is_refused_changes_nothing(site: Path, words: tuple[str, ...], what: str) -> None:
    call(site, "addgroup", "lab")
    result = call(site, *words)
    assert result.exit_code != 0 and what in said(result)
    assert [group["name"] for group in json.loads(call(site, "lsgroup", "--json").output)] == ["lab"]
    assert json.loads(call(site, "lsnode", "--json").output)["nodes"] == []


def test_which_layer_a_path_comes_from(site: Path) -> None:
    call(site, "addgroup", "lab")
    call(site, *ADD, "--group", "lab")
    overrides = site.parent / "state/overrides"
    for path in ("all/etc/motd", "group/lab/etc/motd.j2", "node/n1/etc/a\nb", "node/n1/opt", "all/opt/x"):
        (overrides / path).parent.mkdir(parents=True, exist_ok=True)
        (overrides / path).write_text("{{ nothing }}")
    listed = call(site, "lsoverride", "n1")
    assert listed.exit_code == 0, said(listed)
    assert "/etc/a\\x0ab" in listed.output
    assert "a file of node/n1 takes the place of a directory of all" in " ".join(listed.output.split())
    paths = {each["path"]: each for each in json.loads(call(site, "lsoverride", "n1", "--json").output)["paths"]}
    assert (paths["/etc/motd"]["layer"], paths["/etc/motd"]["over"]) == ("group/lab", ["all"])
    assert paths["/usr/share/imaged/cron.d-example"]["layer"] == "imaged"
    assert not (site.parent / "state/run/overrides").exists(), "nothing was made"


def test_nodes_have_from_their_groups_what_they_do_not_say(site: Path) -> None:
    added = call(site, "addgroup", "gpu", "--priority", "10", "--image", "tiny", "--console", "ttyS0", "--var", "row=7")
    assert added.output.startswith("gpu: priority 10, image tiny@stable, console ttyS0, var.row=7, overrides in ")
    made = call(site, "addnode", "n1", "--mac", "52:54:00:00:00:01", "--group", "gpu", "--var", "slot=3")
    assert made.output == "n1: tiny@stable, next network boot: install\n"
    alone = call(site, "addnode", "n2", "--mac", "52:54:00:00:00:02")
    assert alone.output.startswith("n2: no image, next network boot: install\nn2: nobody said an image, so no network")
    listed = call(site, "lsnode").output
    assert ["n2", "defined", "(install)", "-"] in [line.split()[:4] for line in listed.splitlines()]
    assert "\nn2: nobody said an image, so no network boot installs it: `imaged setnode" in listed
    assert call(site, "lsgroup").output.split()[-8:] == ["gpu", "10", "tiny@stable", "-", "ttyS0", "-", "row=7", "n1"]
    (n1, n2) = json.loads(call(site, "lsnode", "--json").output)["nodes"]
    assert (n1["console"], n1["variables"]) == ("ttyS0", {"row": "7", "slot": "3"})
    assert (n2["image"], n2["layout"]) == ("", "one-disk")
    assert call(site, "setgroup", "gpu", "--console", "", "--no-var", "row", "--var", "rack=a=b").output == (
        "gpu: priority 10, image tiny@stable, var.rack=a=b\n"
        "n1: console ttyS0 -> (none)\nn1: var.row 7 -> (none)\nn1: var.rack (none) -> a=b\n"
    )
    assert call(site, "setgroup", "gpu", "--priority", "11").output == (
        "gpu: priority 11, image tiny@stable, var.rack=a=b\nno node is another one by this\n"
    )
    assert call(site, "setnode", "n1", "--image", "tiny@1", "--console", "none").output.startswith("n1: tiny@1, ")
    assert call(site, "setgroup", "gpu", "--image", "").output.endswith("no node is another one by this\n")
    assert call(site, "setnode", "n[1-2]", "--image", "", "--no-var", "slot").output.startswith(
        "n1: no image, one-disk"
    )
    assert "n1: nobody said an image" in call(site, "boot", "n1", "install").output
    assert call(site, "boot", "n1", "rescue").output == "n1: next network boot: rescue\n"
    assert "nobody said an image for it" in said(call(site, "lsscript", "n1"))
    assert call(site, "rmgroup", "gpu", "--force").output == (
        "gpu: removed\nn1: groups gpu -> (none)\nn1: var.rack a=b -> (none)\n"
    )


def test_a_group_says_how_new_nodes_begin_and_changes_none_that_is_there(site: Path) -> None:
    call(site, "addgroup", "old", "--priority", "200", "--first", "rescue")
    added = call(site, "addgroup", "lab", "--image", "tiny", "--first", "local").output
    assert added.startswith("lab: priority 100, image tiny@stable, first boot local, overrides in ")
    both = ("--group", "lab", "--group", "old")
    assert call(site, "addnode", "n1", "--mac", "52:54:00:00:00:01", *both).output.endswith("boot: local\n")
    said_itself = call(site, "addnode", "n2", "--mac", "52:54:00:00:00:02", *both, "--action", "inventory")
    assert said_itself.output.endswith("boot: inventory\n")
    assert call(site, "setgroup", "lab", "--first", "install").output == (
        "lab: priority 100, image tiny@stable, first boot install\nno node is another one by this\n"
    )
    found = json.loads(call(site, "lsnode", "--json").output)["nodes"]
    assert [node["action"] for node in found] == ["local", "inventory"], "nobody is wiped by a group"
    assert "first-boot" in call(site, "shownode", "n1", "--explain").output
    assert call(site, "addnode", "n3", "--mac", "52:54:00:00:00:03", *both).output.endswith("boot: install\n")
    call(site, "setgroup", "lab", "--first", "")
    assert call(site, "addnode", "n4", "--mac", "52:54:00:00:00:04", *both).output.endswith("boot: rescue\n")
    exported = call(site, "export", "yaml").output
    assert 'first: "rescue"' in exported
    assert "memtest" in said(call(site, "setgroup", "lab", "--first", "memtest"))
    history = call(site, "lsevent", "n1").output
    assert "action: local" in history


def test_a_node_is_shown_with_where_each_thing_was_said(site: Path) -> None:
    call(site, "addgroup", "lab", "--image", "tiny", "--var", "rack=a\\b", "--timezone", "UTC")
    call(site, *ADD[:4], "--group", "lab", "--console", "ttyS1")
    for path in ("overrides/group/lab/etc/motd", "scripts/post-install/10all.x"):
        file = site.parent / "state" / path
        file.parent.mkdir(parents=True)
        file.write_text("#!/bin/sh\n")
    plain = call(site, "shownode", "n1").output
    assert plain.startswith("n1: defined, next network boot: install\non disk: nothing, in step: -\n")
    assert "group lab" not in plain.partition("history:")[0]
    assert "n1: node added: console: ttyS1" in plain
    rows = [line.split() for line in call(site, "shownode", "n1", "--explain").output.splitlines()]
    for row in (
        ["image", "tiny@stable", "group", "lab"], ["console", "ttyS1", "node"], ["layout", "one-disk", "default"],
        ["var.rack", "a\\b", "group", "lab"], ["timezone", "UTC", "group", "lab"],
        ["/etc/motd", "override", "group/lab"], ["scripts/post-install/10all.x", "script", "all"],
    ):  # fmt: skip
        assert row in rows
    shown = json.loads(call(site, "shownode", "n1", "--explain", "--json", "--events", "1").output)
    assert {"what": "image", "value": "tiny@stable", "source": "group lab"} in shown["values"]
    assert (shown["standing"]["node"]["groups"], len(shown["history"])) == (["lab"], 1)
    call(site, "setgroup", "lab", "--image", "")
    bare = call(site, "shownode", "n1", "--explain").output
    assert "files:\nnobody said an image for it or for its groups\n" in bare
    assert bare.rstrip().splitlines()[-1].startswith("n1: nobody said an image, so no network boot installs it")
    assert "no node 'n9'" in said(call(site, "shownode", "n9"))
