"""How nodes' own systems shall be set up, as a person says it."""

import json
from pathlib import Path

import pytest

from imaged.model.codec import to_json
from tests.cli.test_nodes import ADD, MACHINE, call, said, site

__all__ = ["site"]

NETWORK = """\
interfaces:
- {name: lan0, boot: true, ip: {addresses: [node/24], gateway4: 10.0.0.254}}
"""


def test_a_network_that_was_said_is_in_the_plan(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "network.yaml"
    file.write_text(
        NETWORK.replace("node/24", "10.9.0.7/24").replace("10.0.0.254", "10.9.0.1") + "renderer: networkd\n"
    )
    assert call(site, "addgroup", "rack", "--network", str(file), "--timezone", "UTC").exit_code == 0
    assert call(site, *ADD, "--group", "rack").exit_code == 0
    hardware = tmp_path / "hardware.json"
    hardware.write_text(to_json(MACHINE))
    plan = json.loads(call(site, "plan", "n1", "--inventory", str(hardware), "--json").output)
    written = {
        step["path"]: step["content"] for phase in plan["phases"] for step in phase["steps"] if "content" in step
    }
    assert "Address=10.9.0.7/24" in written["/etc/systemd/network/10-imaged-lan0.network"]


def test_what_is_said_adds_up_and_is_forgotten(site: Path) -> None:
    call(site, *ADD, "--timezone", "UTC")
    assert call(site, "sethost", "n1", "--keyboard", "us:intl", "--identity", "new").output.splitlines() == [
        "identity: new", "timezone: UTC", "keyboard: us:intl",
    ]  # fmt: skip
    assert call(site, "sethost", "n1").output.splitlines()[0] == "identity: new"
    assert call(site, "sethost", "n1", "--clear", "--locale", "de_DE.UTF-8").output == "locale: de_DE.UTF-8\n"
    call(site, "addgroup", "lab")
    assert call(site, "sethost", "lab", "--group", "--cloud-init", "seed").output == "cloud_init: seed\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--timezone", "../../etc/passwd"), "is not what it should be"),
        (("--locale", "a b"), "is not what it should be"),
        (("--keyboard", "de;reboot"), "is not what it should be"),
        (("--network", "/nowhere.yaml"), "no such file"),
    ],
)
def test_what_is_no_setting_is_refused(site: Path, words: tuple[str, ...], what: str) -> None:
    result = call(site, *ADD, *words)
    assert result.exit_code != 0 and what in said(result)
    assert json.loads(call(site, "lsnode", "--json").output)["nodes"] == []
    assert "no node 'none'" in said(call(site, "sethost", "none", "--timezone", "UTC"))
