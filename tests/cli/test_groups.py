"""Groups and overrides as a person types them."""

import json
from pathlib import Path

import pytest

from tests.cli.test_nodes import ADD, call, said, site

__all__ = ["site"]


def test_groups_are_made_listed_in_their_order_and_removed(site: Path) -> None:
    assert "addgroup" in call(site, "lsgroup").output
    assert call(site, "addgroup", "gpu", "--priority", "10").output.startswith("gpu: priority 10, overrides in ")
    assert call(site, "addgroup", "lab").exit_code == 0
    assert call(site, *ADD, "--group", "gpu", "--group", "lab", "--group", "gpu").exit_code == 0
    assert json.loads(call(site, "lsgroup", "--json").output) == [
        {"name": "lab", "priority": 100, "nodes": ["n1"]},
        {"name": "gpu", "priority": 10, "nodes": ["n1"]},
    ]
    assert "n1" in call(site, "lsgroup").output
    assert "--force" in said(call(site, "rmgroup", "gpu"))
    assert call(site, "rmgroup", "gpu", "--force").output == "gpu: removed\n"
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
