"""A rack as an admin meets it on the page: three machines are named in a browser and installed, one of them again."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imaged import process
from imaged.model.node import BootAction, NodeState
from imaged.rehearsal import namespace
from imaged.rehearsal.machine import CONSOLES, MachineSpec
from imaged.rehearsal.rehearsal import Rehearsal

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.daemon.pages.house import CHROMIUM, browser

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="chromium is not installed"),
]
NAMES = ("node01", "node02", "node03")
URL = f"http://{namespace.SERVER}:8080"
_HOUR = 3600 * 1000.0


@pytest.fixture
def rack(rehearse: Callable[..., Rehearsal], tmp_path: Path) -> Iterator[tuple[Rehearsal, Page]]:
    """A rehearsal, and an operator who looks at its page from within its network."""
    r = rehearse()
    secret = process.run(r.imaged("addtoken", "page", "--role", "operator")).output.strip()
    program = tmp_path / "chromium"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(r.network.inside((CHROMIUM,)))} "$@"\n')
    program.chmod(0o755)
    with browser(str(program)) as found:
        page = found.new_page()
        page.goto(f"{URL}/login")
        page.get_by_label("Password").fill(secret)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Nodes").wait_for()
        yield r, page


def test_three_machines_become_a_cluster_in_a_browser(rack: tuple[Rehearsal, Page]) -> None:
    r, page = rack
    page.goto(f"{URL}/setup/nodes")
    page.get_by_label("Names of the places").fill("node[01-03]")
    page.get_by_label("Image").fill("debian-12@stable")
    page.get_by_label("Address of the first place").fill(str(namespace.FIRST_NODE))
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Serial console").fill(CONSOLES["x86_64"])
    page.get_by_role("button", name="Use these places").click()
    page.get_by_role("button", name="Name machines as they come").click()
    expect(page.get_by_text("Machines are named as they network-boot")).to_be_visible()
    for place, name in enumerate(NAMES, start=1):
        guest = r.stranger(name, MachineSpec())
        guest.power_on()
        expect(page.get_by_text(f"{place} of 3 places taken")).to_be_visible()
    assert [node.macs for node in r.nodes.all()] == [r.guests[name].who.macs for name in NAMES]

    page.goto(f"{URL}/")
    for name in NAMES:
        expect(page.locator(f"#n-{name}")).to_contain_text("transfer", timeout=_HOUR)
    expect(page.locator("#summary")).to_contain_text("3 ready", timeout=_HOUR)
    assert {node.state for node in r.nodes.all()} == {NodeState.READY}

    page.get_by_role("link", name="node02").click()
    page.get_by_role("link", name="Install…").click()
    expect(page.get_by_text("lost for good")).to_be_visible()
    page.get_by_label("yes, wipe and install 1 node").check()
    page.get_by_role("button", name="Install").click()
    expect(page.get_by_text("node02 will be installed at the next network boot.")).to_be_visible()
    r.guests["node02"].power_off()
    r.guests["node02"].power_on()
    expect(page.locator("#node")).to_contain_text("installing", timeout=_HOUR)
    expect(page.locator("#phase-verify")).to_contain_text("done", timeout=_HOUR)
    expect(page.locator("#node")).to_contain_text("ready", timeout=_HOUR)
    node = r.nodes.get("node02")
    assert (node.state, node.action) == (NodeState.READY, BootAction.LOCAL)
