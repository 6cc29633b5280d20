"""The page in a real browser: a rack is named and installed, who may not cannot, and a restart costs nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from imaged.model.node import BootAction
from imaged.model.report import Status
from tests.daemon.pages.house import CHROMIUM, PASSWORD, House, Machine, Reader, browser, opened, until, visitor

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="chromium is not installed"),
]
PAGES = (
    "/", "/nodes/node01", "/nodes/node01/hardware", "/nodes/node01/plan", "/nodes/node01/history", "/nodes/node01/log",
    "/nodes/node01/change", "/images", "/images/compute", "/images/compute/diff?old=1&new=2", "/discovery", "/events",
    "/images/compute/publish?version=1&channel=stable", "/layouts/one-disk", "/setup/network", "/setup/image",
    "/setup/layout", "/setup/nodes", "/setup/collect", "/setup/rehearse", "/setup/install", "/setup/test",
    "/confirm?do=install&nodes=node01", "/confirm?do=remove&nodes=node[01-03]",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "house") as found:
        yield found


@pytest.fixture
def reader(house: House, chromium: Browser) -> Iterator[Reader]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    somebody = visitor(house, context)
    yield somebody
    somebody.check()
    context.close()


@pytest.fixture
def phone(house: House, chromium: Browser) -> Iterator[Reader]:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    somebody = visitor(house, context)
    yield somebody
    somebody.check()
    context.close()


def define_places(reader: Reader) -> None:
    reader.goto("/setup")
    page = reader.page
    page.get_by_role("link", name="4 Nodes").click()
    page.get_by_label("Names of the places").fill("node[01-03]")
    page.get_by_label("Address of the first place").fill("127.0.0.11")
    page.get_by_role("button", name="Use these places").click()


def name_three(reader: Reader, house: House) -> list[Machine]:
    """By a click, by a drag, and as it comes; each shows without anybody loading the page again."""
    machines = [Machine(house, number) for number in (1, 2, 3)]
    define_places(reader)
    page = reader.page
    expect(page.get_by_role("status").filter(has_text="node[01-03]")).to_be_visible()
    page.evaluate("window.__same = true")
    machines[0].power_on()
    row = page.get_by_role("row", name=str(machines[0].mac))
    expect(row).to_be_visible()
    row.get_by_role("button", name="Give").click()
    expect(page.get_by_text(f"{machines[0].mac} is node01 now.")).to_be_visible()
    machines[1].power_on()
    row = page.get_by_role("row", name=str(machines[1].mac))
    row.drag_to(page.get_by_role("listitem").filter(has_text="node03"))
    expect(page.get_by_text(f"{machines[1].mac} is node03 now.")).to_be_visible()
    page.get_by_role("button", name="Name machines as they come").click()
    expect(page.get_by_text("Machines are named as they network-boot")).to_be_visible()
    page.evaluate("window.__same = true")
    machines[2].power_on()
    expect(page.get_by_text("3 of 3 places taken")).to_be_visible()
    assert page.evaluate("window.__same"), "the page was not loaded again"
    assert {node.name: node.macs[0] for node in house.desk.nodes.all()} == {
        "node01": machines[0].mac, "node02": machines[2].mac, "node03": machines[1].mac
    }  # fmt: skip
    return machines


def test_a_rack_is_named_installed_and_followed(reader: Reader, house: House) -> None:
    reader.log_in("operator")
    machines = name_three(reader, house)
    page = reader.page
    page.get_by_role("link", name="Nodes", exact=True).click()
    page.get_by_role("link", name="node01").click()
    page.evaluate("window.__same = true")
    first = machines[0]
    first.claim()
    standing = page.locator("#node")
    expect(standing).to_contain_text("installing")
    first.plan()
    first.report("transfer", Status.STARTED)
    first.report("transfer", Status.PROGRESS, percent=40.0)
    expect(page.locator("#phase-transfer")).to_contain_text("40 %")
    expect(page.locator("#phase-claim")).to_contain_text("done")
    first.report("transfer", Status.FAILED, "rsync ended with 12 <b>bold</b>")
    expect(standing).to_contain_text("failed")
    expect(standing).to_contain_text("rsync ended with 12 <b>bold</b>")
    assert page.evaluate("window.__same")
    page.get_by_role("link", name="Log", exact=True).click()
    first.say("one more line")
    expect(page.get_by_label("Log")).to_contain_text("one more line")
    page.goto(house.url + "/")
    expect(page.get_by_text("1 node needs a person")).to_be_visible()
    for machine in machines:
        machine.install()
    expect(page.locator("#summary")).to_contain_text("3 ready")
    expect(page.get_by_text("1 node needs a person")).to_be_hidden()
    page.goto(house.url + "/nodes/node01/history")
    expect(page.get_by_role("row", name=re.compile("state of a node")).first).to_contain_text("ready")
    reader.goto("/setup/test")
    expect(page.locator("#step-install")).to_contain_text("3 of 3 ready")


def test_an_install_is_asked_for_and_confirmed(reader: Reader, house: House) -> None:
    reader.log_in("operator")
    machines = name_three(reader, house)
    for machine in machines:
        machine.install()
    page = reader.page
    reader.goto("/nodes/node01")
    page.get_by_role("link", name="Install…").click()
    expect(page.get_by_text("lost for good")).to_be_visible()
    expect(page.get_by_text("serial disk1")).to_be_visible()
    page.get_by_role("button", name="Install").click()
    assert page.url.startswith(f"{house.url}/confirm"), "the browser asks for the tick"
    page.get_by_label("yes, wipe and install 1 node").check()
    page.get_by_role("button", name="Install").click()
    expect(page.get_by_text("node01 will be installed at the next network boot.")).to_be_visible()
    assert house.desk.nodes.get("node01").action is BootAction.INSTALL
    assert re.search('"plan":"[0-9a-f]{16}"', house.desk.nodes.fact("node01", "wishes").replace(" ", ""))
    page.get_by_role("link", name="Boot from own disk…").click()
    page.get_by_role("button", name="Boot from own disk").click()
    assert house.desk.nodes.get("node01").action is BootAction.LOCAL
    reader.goto("/")
    page.get_by_label("Select node02").check()
    page.get_by_label("Select node03").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Install…").click()
    expect(page.get_by_role("heading", name="Install: node[02-03]")).to_be_visible()
    expect(page.get_by_text("2 nodes are in use now.")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", name="Nodes")).to_be_visible()
    assert {node.action for node in house.desk.nodes.all()} == {BootAction.LOCAL}


def test_who_comes_in(reader: Reader, house: House) -> None:
    page = reader.page
    reader.goto("/nodes/nobody?x=1")
    page.get_by_label("Password").fill("imaged_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("did not work")
    page.get_by_label("User", exact=True).fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("no node 'nobody'")
    expect(page.get_by_text("user:anna")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    reader.goto("/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_who_may_only_look(reader: Reader, house: House) -> None:
    reader.log_in("admin")
    name_three(reader, house)
    page = reader.page
    page.get_by_role("button", name="Log out").click()
    reader.log_in("read")
    for path in ("/", "/nodes/node01", "/discovery", "/images/compute", "/setup/nodes"):
        reader.goto(path)
        expect(page.get_by_role("button", name=re.compile("Install|Forget|Name|Use these|Publish|Add"))).to_have_count(
            0
        )
        expect(page.get_by_role("link", name=re.compile("Install…|Forget|Change|Rescue|Roll back"))).to_have_count(0)
    reader.goto("/confirm?do=install&nodes=node01")
    expect(page.get_by_role("alert")).to_contain_text("this needs the role operator")
    send = """async ([path, fields]) => {
        const csrf = document.querySelector('form[action="/logout"] input').value;
        const body = new URLSearchParams({ csrf, ...fields });
        return (await fetch(path, { method: "POST", body, redirect: "manual" })).status;
    }"""
    reader.goto("/")
    assert page.evaluate(send, ["/do", {"do": "install", "nodes": "node01", "sure": "1"}]) == 403
    assert page.evaluate(send, ["/do", {"do": "remove", "nodes": "node01", "sure": "1"}]) == 403
    assert page.evaluate(send, ["/discovery/stop", {}]) == 403
    assert len(house.desk.nodes.all()) == 3


def test_a_token_that_is_taken_away_ends_what_is_open(reader: Reader, house: House) -> None:
    reader.log_in("read")
    expect(reader.page.locator("body:not(.cut)")).to_be_attached()
    from imaged.admin import tokens

    tokens.remove(house.desk, ["read"])
    expect(reader.page.get_by_role("heading", name="Log in")).to_be_visible()


def test_the_daemon_is_restarted_while_a_page_is_open(reader: Reader, house: House) -> None:
    reader.log_in("operator")
    machines = name_three(reader, house)
    page = reader.page
    reader.goto("/")
    page.get_by_label("Select node02").check()
    page.evaluate("window.__same = true")
    machines[0].claim()
    expect(page.locator("#n-node01")).to_contain_text("installing")
    house.stop()
    expect(page.get_by_text("Connection lost")).to_be_visible()
    house.start()
    machines[0].report("transfer", Status.STARTED)
    machines[0].report("transfer", Status.PROGRESS, percent=50.0)
    expect(page.locator("#n-node01")).to_contain_text("transfer")
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    assert page.evaluate("window.__same"), "it was neither loaded again nor asked to log in"
    expect(page.get_by_label("Select node02")).to_be_checked()
    reader.goto("/discovery")
    expect(page.get_by_text("3 of 3 places taken")).to_be_visible()


def test_by_keyboard_alone(reader: Reader, house: House) -> None:
    reader.log_in("operator")
    name_three(reader, house)
    page, keys = reader.page, reader.page.keyboard
    reader.goto("/?open=-")
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Enter")
    keys.press("/")
    expect(page.get_by_label("Nodes", exact=True)).to_be_focused()
    keys.type("node[01-02]")
    keys.press("Enter")
    expect(page.locator("#summary")).to_contain_text("2 nodes")
    expect(page.get_by_label("Nodes", exact=True)).to_have_value("node[01-02]")
    reader.goto("/?open=-")
    fold = page.get_by_role("link", name="in no group")
    fold.focus()
    keys.press("Enter")
    expect(page.get_by_role("link", name="node03")).to_be_visible()
    expect(fold).to_be_focused()
    keys.press("Tab")
    expect(page.get_by_label("Select node01")).to_be_focused()
    keys.press("Space")
    expect(page.get_by_text("1 selected")).to_be_visible()
    for machine in (Machine(house, 1),):
        machine.claim()
    expect(page.locator("#n-node01")).to_contain_text("installing")
    expect(page.get_by_label("Select node01")).to_be_focused()
    expect(page.get_by_label("Select node01")).to_be_checked()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out(reader: Reader, house: House, scheme: str) -> None:
    reader.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    reader.log_in()
    for machine in name_three(reader, house)[:2]:
        machine.install()
    faults = {}
    for path in PAGES:
        reader.goto(path)
        found = Axe().run(reader.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        if found.violations_count:
            faults[path] = found.generate_report()
    assert faults == {}


def test_every_page_fits_a_phone(phone: Reader, house: House) -> None:
    phone.log_in()
    define_places(phone)
    machine = Machine(house, 1)
    machine.power_on()
    phone.page.get_by_role("button", name="Give").tap()
    machine.install()
    house.desk.nodes.keep("node01", state="failed", reason="mkfs: " + "no-space-to-break-a-line-at" * 10)
    wide = {}
    for path in PAGES[:-1]:
        phone.goto(path)
        width = phone.page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[path] = width
    assert wide == {}


def test_without_scripts(house: House, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    reader = visitor(house, context).log_in("operator")
    page = reader.page
    define_places(reader)
    machine = Machine(house, 1)
    machine.power_on()
    until(lambda: house.desk.machines.discovered(), "the machine to be seen")
    page.reload()
    page.get_by_role("button", name="Give").click()
    expect(page.get_by_text("is node01 now.")).to_be_visible()
    machine.install()
    reader.goto("/")
    page.get_by_label("Select node01").check()
    page.get_by_role("button", name="Install…").click()
    page.get_by_label("yes, wipe").check()
    page.get_by_role("button", name="Install").click()
    expect(page.get_by_text("will be installed")).to_be_visible()
    assert house.desk.nodes.get("node01").action is BootAction.INSTALL
    context.close()
