"""Machines without a name at the server and over real HTTP: asked, inventoried by the real agent, named, left alone."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor as installed
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from imaged.daemon.app import state_scripts
from imaged.daemon.nodeapi import NodeApi
from imaged.daemon.nodelog import NodeLogs
from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json, to_json
from imaged.model.dialect import HEADER
from imaged.model.errors import BadInput, Denied
from imaged.model.hardware import Smbios
from imaged.model.machine import Discovery, Label, Machine, Next
from imaged.model.net import Mac
from imaged.model.node import BootAction
from imaged.model.settings import Settings
from imaged.model.talk import Told, ToldAnswer
from imaged.model.wishes import Then
from installer import cmdline, telling
from installer.console import Console
from installer.server import Server
from tests.daemon.test_nodeapi import Api
from tests.daemon.test_provisioning import MACHINE, STRANGER, Clock, fill, settings_in

reactor: Any = installed
HARDWARE = evolve(MACHINE, boot_mac=STRANGER, smbios=Smbios("QEMU", "Standard PC", "SN-1", "u-1"))
RULES = """
rules:
  - name: by-serial
    match: {serial: "SN-*"}
    become: {names: "rack[1-2]", image: tiny}
    approve: %s
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(tmp_path: Path, clock: Clock) -> Callable[..., Provisioning]:
    """A server with one image and a ramdisk; ``serve(discovery=...)`` has other settings."""
    ramdisk = tmp_path / "boot/ramdisk/x86_64"
    ramdisk.mkdir(parents=True)
    (ramdisk / "initrd.img").write_bytes(b"x")

    def begin(**changes: Any) -> Provisioning:
        settings: Settings = evolve(settings_in(tmp_path), **changes)
        server = Provisioning(settings, clock)
        if not server.images.names():
            with server.images.working("tiny") as working:
                fill(working.tree)
                server.images.publish(server.images.seal(working, origin="test"), "stable")
        return server

    return begin


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[Provisioning], Api]]:
    ports: list[Any] = []

    def begin(server: Provisioning) -> Api:
        logs = NodeLogs(tmp_path / "logs", lambda: 0.0)
        states = state_scripts(server, logs, settings_in(tmp_path), reactor)
        api = NodeApi(server, states, logs, tmp_path / "boot", on_claim=lambda _: None)
        ports.append(reactor.listenTCP(0, Site(api.resource()), interface="127.0.0.1"))
        return Api(ports[-1].getHost().port, [], api)

    yield begin
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


def token_of(script: str) -> str:
    return script.split("imaged.token=")[1].split()[0]


def grub(server: Provisioning) -> str:
    script = server.generated(f"grub/node/{STRANGER}")
    assert script is not None
    return script.decode()


LABEL = Label("QEMU", "Standard PC", "SN-1")


@pytest.mark.parametrize(
    ("mode", "label", "expected"),
    [
        (Discovery.OFF, None, "boots from its own disk"),
        (Discovery.OFF, LABEL, "boots from its own disk"),
        (Discovery.ASK, None, "${serial:hexraw}"),
        (Discovery.ASK, LABEL, "boots from its own disk"),
        (Discovery.INVENTORY, None, "${serial:hexraw}"),
        (Discovery.INVENTORY, LABEL, "imaged.inventory=1"),
    ],
)
def test_the_script_of_a_machine_without_a_name(serve, mode, label, expected):
    server = serve(discovery=mode)
    script = server.boot_script(STRANGER, "", label)
    assert script.startswith("#!ipxe\n") and expected in script
    assert server.nodes.all() == ()


def test_one_that_is_ignored_or_has_told_is_left_alone(serve):
    server = serve(discovery=Discovery.INVENTORY)
    token = token_of(server.boot_script(STRANGER, "", LABEL))
    assert server.strangers.machines.find(STRANGER).serial == "SN-1"
    server.strangers.told(Told(token, HARDWARE))
    assert "boots from its own disk" in server.boot_script(STRANGER, "", LABEL)
    other = Mac.parse("52:54:00:00:00:98")
    server.strangers.saw(Machine(other, last_seen=1.0))
    server.strangers.machines.ignore([other], ignored=True)
    assert "boots from its own disk" in server.boot_script(other, "")


def test_behind_shim_and_without_a_ramdisk(serve, tmp_path):
    server = serve(discovery=Discovery.INVENTORY)
    script = grub(server)
    assert "linux /ramdisk/x86_64/vmlinuz" in script and "imaged.inventory=1" in script
    server.strangers.saw(Machine(STRANGER, arch="arm64-efi", last_seen=1.0))
    for left in (grub(server), server.boot_script(STRANGER, "", LABEL)):
        assert "boots from its own disk" in left, "there is no ramdisk for it"


@pytest.mark.parametrize("then", list(Next))
def test_a_stranger_that_tells_its_hardware(serve, clock, then):
    server = serve(discovery=Discovery.INVENTORY, after_inventory=then, authorized_keys=("key",))
    token = token_of(server.boot_script(STRANGER, "", LABEL))
    answer = server.strangers.told(Told(token, HARDWARE))
    assert (answer.node, answer.then, answer.authorized_keys) == ("", then, ("key",))
    assert server.strangers.machines.inventory(STRANGER) == HARDWARE
    clock.now += 3000
    again = server.strangers.told(Told(answer.token))
    clock.now += 3000
    assert again.then is then, "while it waits its token is renewed"
    with pytest.raises(Denied, match="too old"):
        server.strangers.told(Told(token))
    with pytest.raises(Denied):
        server.strangers.told(Told("guess", HARDWARE))
    huge = evolve(HARDWARE, cpu_model="x" * 2**20)
    with pytest.raises(BadInput, match="more than"):
        server.strangers.told(Told(again.token, huge))


def test_a_node_tells_its_hardware_once_and_goes_on_from_its_disk(serve, tmp_path):
    server = serve(after_inventory=Next.SHUTDOWN)
    (tmp_path / "rules.yaml").write_text(RULES % "false")
    server.strangers.saw(Machine(STRANGER, arch="bios", last_seen=1.0))
    assert server.nodes.all() == (), "nothing tells a serial number here"
    server.boot_script(STRANGER, "", LABEL)
    server.nodes.set_action(["rack1"], BootAction.INVENTORY)
    script = server.boot_script(STRANGER, "")
    assert "tells its hardware" in script and "imaged.inventory=1" in script
    assert "imaged.inventory=1" in grub(server)
    answer = server.strangers.told(Told(token_of(script), evolve(HARDWARE, secure_boot=True)))
    assert (answer.node, answer.then) == ("rack1", Next.REBOOT)
    node = server.nodes.get("rack1")
    assert (node.action, node.secure_boot, server.nodes.inventory("rack1").smbios.serial) == (
        BootAction.LOCAL, True, "SN-1"
    )  # fmt: skip
    server.nodes.set_action(["rack1"], BootAction.INSTALL)
    assert server.strangers.told(Told(answer.token, HARDWARE)).then is Next.REBOOT
    assert server.nodes.get("rack1").action is BootAction.INSTALL, "an old inventory changes no order"


def test_rules_name_at_the_script_and_a_fault_in_them_stops_only_them(serve, tmp_path):
    server = serve(discovery=Discovery.ASK)
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES % "maybe")
    assert "boots from its own disk" in server.boot_script(STRANGER, "", LABEL)
    rules.write_text(RULES % "true")
    assert "boots from its own disk" in server.boot_script(STRANGER, "", LABEL)
    rules.write_text(RULES % "false")
    script = server.boot_script(STRANGER, "", LABEL)
    assert "rack1 will be installed" in script
    other, third = Mac.parse("52:54:00:00:00:97"), Mac.parse("52:54:00:00:00:96")
    assert "rack2 will be installed" in server.boot_script(other, "", LABEL)
    assert "boots from its own disk" in server.boot_script(third, "", LABEL), "no place is left"
    rules.unlink()
    assert "boots from its own disk" in server.boot_script(third, "", LABEL)


def test_rules_name_at_a_dhcp_request(serve, tmp_path):
    server = serve()
    (tmp_path / "rules.yaml").write_text(
        "rules: [{name: r, match: {mac: '52:54'}, become: {names: 'a[1-2]', image: tiny}, approve: false}]\n"
    )
    server.strangers.saw(Machine(STRANGER, last_seen=1.0))
    server.strangers.saw(Machine(STRANGER, last_seen=2.0))
    server.strangers.saw(Machine(Mac.parse("02:00:00:00:00:01"), last_seen=2.0))
    assert [(node.name, node.macs) for node in server.nodes.all()] == [("a1", (STRANGER,))]


def hexed(label: Label) -> str:
    pairs = zip(
        ("vendor", "product", "serial", "asset"), (label.vendor, label.product, label.serial, label.asset), strict=True
    )
    return "&".join(f"{key}={value.encode().hex()}" for key, value in pairs)


@pytest_twisted.ensureDeferred
async def test_what_ipxe_tells_by_http(serve, listen) -> None:
    server = serve(discovery=Discovery.ASK)
    api = listen(server)
    status, script = await api.call("GET", f"/ipxe/{STRANGER}?uuid=x")
    assert status == 200
    assert f"chain --autofree http://10.0.0.1:8080/ipxe/{STRANGER}?uuid=${{uuid}}&vendor=${{" in script.decode()
    label = Label("Hewlett & Packard", "50% <b>", "A+B=C")
    status, script = await api.call("GET", f"/ipxe/{STRANGER}?uuid=x&{hexed(label)}")
    assert (status, b"boots from its own disk" in script) == (200, True)
    found = server.strangers.machines.find(STRANGER)
    assert Label(found.vendor, found.product, found.serial, found.asset) == label
    for odd in ("vendor=zz&serial=4", "vendor=&serial=", "vendor=ff00&vendor=41", "vendor=" + "41" * 5000):
        assert (await api.call("GET", f"/ipxe/{STRANGER}?{odd}"))[0] == 200
        assert len(server.strangers.machines.find(STRANGER).vendor) <= 64


def agent(api: Api, kernel_arguments: str) -> tuple[list[Then], list[float], str]:
    """Run the agent's own code as the ramdisk would, with this machine's hardware as given."""
    orders = cmdline.read(kernel_arguments.replace("http://10.0.0.1:8080", f"http://127.0.0.1:{api.port}"))
    assert orders.inventory
    slept: list[float] = []
    left: list[Then] = []
    screen = io.StringIO()
    server = Server(orders.server, "secret", lambda _: None, lambda seconds: slept.append(seconds))
    telling.tell(
        server, Console((screen,), lambda: 1.0), orders.token, HARDWARE, lambda _: None,
        lambda then: left.append(then) or 0,
    )  # fmt: skip
    return left, slept, screen.getvalue()


def arguments_of(script: str) -> str:
    return next(line for line in script.splitlines() if line.startswith("kernel "))


@pytest_twisted.ensureDeferred
async def test_the_agent_tells_and_leaves(serve, listen) -> None:
    server = serve(discovery=Discovery.INVENTORY, after_inventory=Next.SHUTDOWN)
    api = listen(server)
    script = (await api.call("GET", f"/ipxe/{STRANGER}?{hexed(LABEL)}"))[1].decode()
    left, slept, said = await deferToThread(agent, api, arguments_of(script))
    assert (left, slept) == ([Then.SHUTDOWN], [])
    assert "inventory: /dev/vda (virtio, 8 GiB)" in said and "nothing is done to this machine" in said
    found = server.strangers.machines.find(STRANGER)
    assert (found.serial, found.uuid, found.inventoried) == ("SN-1", "u-1", 1000.0)


@pytest_twisted.ensureDeferred
async def test_the_agent_waits_until_the_machine_has_a_name(serve, listen, tmp_path) -> None:
    server = serve(discovery=Discovery.INVENTORY, after_inventory=Next.WAIT)
    api = listen(server)
    script = (await api.call("GET", f"/ipxe/{STRANGER}?{hexed(LABEL)}"))[1].decode()
    asked = 0
    told = server.strangers.told

    def approve_at_the_third(said: Told) -> ToldAnswer:
        nonlocal asked
        asked += 1
        if asked == 3:
            (tmp_path / "rules.yaml").write_text(RULES % "false")
            server.strangers.saw(Machine(STRANGER, last_seen=5.0))
        return told(said)

    server.strangers.told = approve_at_the_third
    left, slept, said = await deferToThread(agent, api, arguments_of(script))
    assert (left, slept, asked) == ([Then.REBOOT], [15.0, 15.0], 3)
    assert f"waiting for a name (imaged approve {STRANGER})" in said and "reboot as rack1" in said


@pytest_twisted.ensureDeferred
async def test_bad_inventories_by_http(serve, listen) -> None:
    server = serve(discovery=Discovery.INVENTORY)
    api = listen(server)
    token = token_of(server.boot_script(STRANGER, "", LABEL))
    for body, status, said in (
        (to_json(Told("guess", HARDWARE)), 403, "not of a boot script"),
        ('{"token": 7}', 400, "expected a string"),
        (to_json(Told(token, HARDWARE)).replace('"arch"', '"ark"'), 400, "unknown key 'ark'"),
        ("[", 400, "not JSON"),
    ):
        code, answer = await api.call("POST", "/v1/inventory", body)
        assert (code, said in json.loads(answer)["what"]) == (status, True), answer
    assert server.strangers.machines.find(STRANGER).inventoried is None
    code, answer = await api.call("POST", "/v1/inventory", to_json(Told(token)), **{HEADER: "0123456789abcdef"})
    assert (code, b"another release" in answer) == (409, True)
    code, answer = await api.call("POST", "/v1/inventory", to_json(Told(token, HARDWARE)))
    assert (code, from_json(answer, ToldAnswer).then) == (200, Next.REBOOT)
