"""A house for tests in a browser: `imaged serve` on loopback, machines that boot from it for all it knows, a browser.

The machines have no hardware: what they send is what firmware, iPXE and the agent send. DHCP comes as by a relay, the
one way that needs neither root nor an address of one's own.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from attrs import define, field
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

import imaged
from imaged.admin import people
from imaged.admin.desk import Desk
from imaged.model.access import Role
from imaged.model.codec import to_json
from imaged.model.dialect import HEADER, dialect
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.net import Mac
from imaged.model.report import Report, Status
from imaged.model.size import GIB
from imaged.model.talk import Claim, PlanRequest
from imaged.store import settings
from imaged.store.apitokens import ApiTokens
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp import Op, Packet, encode
from tests.daemon.test_provisioning import fill

CHROMIUM = "/usr/bin/chromium"
LOOPBACK = "127.0.0.1"
PASSWORD = "correct horse"
PATIENCE = 60.0  # seconds, on a machine that tests other things meanwhile
_SETTINGS = """
address: 127.0.0.1
state: {state}
interfaces: [lo]
http: {{port: {ports[0]}}}
rsync: {{port: {ports[1]}}}
tftp: {{port: {ports[2]}}}
dhcp:
  mode: authoritative
  port: {ports[3]}
  client_port: {ports[4]}
  subnets:
    - network: 127.0.0.0/24
      pool: 127.0.0.100-127.0.0.199
"""
# What a page must never cause, told to us by the browser itself.
_WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation",
    (event) => window.__violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
# Of a daemon that is gone for a while, and of answers that a test asks for.
# The last is what htmx prints of a stream that broke off.
_EXPECTED = re.compile(r"Failed to load resource|net::ERR_|htmx:sseError|^\[object Event\]$")


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)
    return found


@define(eq=False)
class House:
    """The server. ``secrets`` are tokens by role; user ``anna`` is an admin with the password ``PASSWORD``."""

    root: Path
    ports: tuple[int, ...]
    secrets: dict[str, str] = field(factory=dict)
    _child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports[0]}"

    @property
    def desk(self) -> Desk:
        """As a verb beside the daemon has it."""
        return Desk(settings.read(self.root / "imaged.yaml"))

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(imaged.__file__).parents[1])}
        argv = (sys.executable, "-m", "imaged", "--settings", str(self.root / "imaged.yaml"), "serve")
        log = self.root / "daemon.log"
        said = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self._child = subprocess.Popen(argv, stdout=out, stderr=out, env=environment)
        until(lambda: b"ready:" in log.read_bytes()[said:] or self._child.poll() is not None, "the daemon")
        assert self._child.poll() is None, log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._child is not None:
            self._child.send_signal(number)
            self._child.wait(30)
            self._child = None

    def faults(self) -> list[str]:
        """What the daemon says when something happens that should not."""
        log = (self.root / "daemon.log").read_text()
        return [line for line in log.splitlines() if "Traceback" in line or "Unhandled" in line]


def build(root: Path) -> House:
    """The state of a server with an image of two versions, a token of each role and a user; nothing runs yet."""
    root.mkdir(parents=True)
    house = House(root, _free_ports(5))
    (root / "imaged.yaml").write_text(_SETTINGS.format(state=root / "state", ports=house.ports))
    desk = house.desk
    for text in ("one", "two"):
        with desk.images.working("compute") as working:
            fill(working.tree)
            (working.tree / "etc/motd").write_text(text)
            desk.images.publish(desk.images.seal(working, origin="recipe compute"), "stable")
    tokens = ApiTokens(desk.engine)
    house.secrets.update({role.value: tokens.add(role.value, role, None) for role in Role})
    people.add(desk, "anna", Role.ADMIN, PASSWORD)
    return house


@contextmanager
def opened(root: Path) -> Iterator[House]:
    """A house whose daemon runs; nothing that should not happen may have happened at the end."""
    house = build(root)
    try:
        house.start()
        yield house
        assert not house.faults(), house.faults()
    finally:
        house.stop(signal.SIGKILL)


def _free_ports(count: int) -> tuple[int, ...]:
    held = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM,) * 2 + (socket.SOCK_DGRAM,) * count]
    for each in held:
        each.bind((LOOPBACK, 0))
    ports = tuple(each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    return ports[:count]


@define(eq=False)
class Machine:
    """A machine with one disk and one card, as the network knows it."""

    house: House
    number: int
    secret: str = ""

    @property
    def mac(self) -> Mac:
        return Mac.parse(f"52:54:00:aa:00:{self.number:02x}")

    @property
    def uuid(self) -> str:
        return str(uuid.UUID(int=0x4C4C4544_0000_2010_8020_B0C04F200000 + self.number))

    def power_on(self) -> None:
        """Its firmware asks for an address and a program."""
        options = (
            (opt.MESSAGE_TYPE.code, b"\x01"),
            (opt.VENDOR_CLASS.code, b"PXEClient:Arch:00000:UNDI:002001"),
            (opt.CLIENT_ARCH.code, b"\0\0"),
            (opt.CLIENT_UUID.code, b"\0" + uuid.UUID(self.uuid).bytes_le),
        )
        relay = IPv4Address(LOOPBACK)
        packet = Packet(Op.REQUEST, 0x1000 + self.number, bytes.fromhex(str(self.mac).replace(":", "")), dict(options),
                        hops=1, giaddr=relay)  # fmt: skip
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(encode(packet), (LOOPBACK, self.house.ports[3]))

    def script(self) -> str:
        """What its iPXE is told."""
        return self._ask("GET", f"/ipxe/{self.mac}?uuid={self.uuid}").decode()

    def claim(self) -> None:
        """Its agent begins."""
        token = until(lambda: re.search(r"imaged\.token=(\S+)", self.script()), "a boot script that installs")[1]
        self.secret = f"secret of {self.number}"
        self._ask("POST", "/v1/claim", to_json(Claim(token, self.secret)))
        self.report("claim", Status.DONE)

    def plan(self) -> None:
        """It tells its hardware and is given a plan."""
        disk = Disk("/dev/vda", 20 * GIB, bus=Bus.VIRTIO, model="QEMU", serial=f"disk{self.number}")
        nics = (Nic("eth0", self.mac, driver="virtio_net", link=True),)
        found = Inventory("x86_64", Firmware.BIOS, 4 * GIB, 2, (disk,), nics, boot_mac=self.mac)
        self._ask("POST", "/v1/plan", to_json(PlanRequest(found)))

    def report(self, phase: str, status: Status, message: str = "", percent: float | None = None) -> None:
        self._ask("POST", "/v1/report", to_json(Report(phase, status, 1.0, message, percent)))

    def say(self, text: str) -> None:
        """A line of its log."""
        self._ask("POST", "/v1/log", text)

    def up(self) -> None:
        """Its installed system runs."""
        self._ask("POST", "/v1/up")

    def install(self) -> None:
        """All of it, at once."""
        self.claim()
        self.plan()
        for phase in ("wipe", "partition", "mkfs", "mount", "transfer", "fixups", "bootloader", "reboot"):
            self.report(phase, Status.STARTED)
            self.report(phase, Status.DONE)
        self.up()

    def _ask(self, method: str, path: str, body: str = "") -> bytes:
        connection = HTTPConnection(LOOPBACK, self.house.ports[0], timeout=30)
        said = {HEADER: dialect(), **({"Authorization": f"Bearer {self.secret}"} if self.secret else {})}
        connection.request(method, path, body.encode() or None, said)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 300, (path, answer.status, content)
        return content


@define(eq=False)
class Reader:
    """Somebody with a browser. What the browser complains of fails the test that ``check`` ends."""

    house: House
    page: Page
    complaints: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.page.add_init_script(_WATCH)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self._told(message))
        self.page.set_default_timeout(PATIENCE * 1000)

    def _told(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.search(message.text):
            self.complaints.append(message.text)

    def goto(self, path: str) -> None:
        self.page.goto(self.house.url + path)

    def log_in(self, role: str = "admin") -> "Reader":
        self.goto("/login")
        self.page.get_by_label("Password").fill(self.house.secrets[role])
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("heading", name="Nodes").wait_for()
        return self

    def check(self) -> None:
        """Nothing was complained of, and no policy was violated."""
        violations = self.page.evaluate("window.__violations") if not self.page.is_closed() else []
        assert not self.complaints and not violations, f"{self.complaints} {violations}"


@contextmanager
def browser(program: str = CHROMIUM) -> Iterator[Browser]:
    """Debian's Chromium, without the sandbox that root cannot have."""
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=PATIENCE * 1000)
        try:
            yield found
        finally:
            found.close()


def visitor(house: House, context: BrowserContext) -> Reader:
    """Somebody new."""
    return Reader(house, context.new_page())
