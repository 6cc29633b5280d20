"""Makes the pictures of docs/web.md: ``python -m tests.daemon.pages.shoot docs/web``."""

import random
import sys
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path

from playwright.sync_api import Page

from imaged.admin import rack
from imaged.admin.desk import Desk
from imaged.model.codec import to_json
from imaged.model.group import Group
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic, Smbios
from imaged.model.machine import Machine as Seen
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeEvent
from imaged.model.places import Places
from imaged.model.report import Report, Status
from imaged.model.size import GIB
from tests.daemon.pages.house import House, browser, opened, visitor

WIDE, PHONE = (1180, 740), (360, 720)
_BEFORE = ("claim", "inventory", "plan", "wipe", "partition", "mkfs", "mount")


def mac(number: int) -> Mac:
    """Of the machine in a place."""
    return Mac.from_bytes(b"\x3c\xec\xef" + (0x4A1000 + number).to_bytes(3, "big"))


def hardware(number: int) -> Inventory:
    """What its agent has told."""
    disks = (
        Disk(
            "/dev/nvme0n1", 960_197_124_096, bus=Bus.NVME, model="SAMSUNG MZQL2960HCJR", serial=f"S64FNE0R{number:05}"
        ),
    )
    nics = (
        Nic("enp65s0f0", mac(number), "mlx5_core", True, 25000), Nic("enp65s0f1", mac(number + 500), "mlx5_core"),
    )  # fmt: skip
    board = Smbios("Supermicro", "AS-2015CS-TNR", f"A4120{number:05}", f"4c4c4544-0042-3510-8054-{number:012x}")
    return Inventory(
        "x86_64", Firmware.BIOS, 384 * GIB, 64, disks, nics, "AMD EPYC 9354P", smbios=board, boot_mac=mac(number)
    )


def begin(desk: Desk, name: str, number: int, now: float) -> None:
    """It is being installed."""
    desk.nodes.record(name, NodeEvent.CLAIMED)
    desk.nodes.keep(name, installing="compute@2", inventory=to_json(hardware(number)))
    for at, phase in enumerate(_BEFORE):
        desk.nodes.add_report(name, now - 60 + 2 * at, Report(phase, Status.STARTED, 1.0))
        desk.nodes.add_report(name, now - 59 + 2 * at, Report(phase, Status.DONE, 1.0))


def fill(desk: Desk) -> list[str]:
    """Three racks; the names of those that transfer."""
    chance, now, moving = random.Random(3), time.time(), []
    for number in range(1, 97):
        name = f"node{number:03}"
        desk.nodes.add(Node(name, (mac(number),), ImageRef("compute"), console="ttyS1,115200"))
        number_of_rack = (number - 1) // 32 + 1
        if number % 32 == 1:
            desk.groups.add(Group(f"rack{number_of_rack}"))
        desk.groups.put(name, (f"rack{number_of_rack}",))
        if number_of_rack == 2 and number not in (40, 41):
            begin(desk, name, number, now)
            if number == 37:
                desk.nodes.add_report(name, now - 45, Report("mkfs", Status.STARTED, 1.0))
                why = "mkfs.ext4 ended with 1: /dev/nvme0n1p3: Input/output error"
                desk.nodes.record(name, NodeEvent.FAILED, reason=f"mkfs: {why}")
                desk.nodes.add_report(name, now - 44, Report("mkfs", Status.FAILED, 1.0, why))
            else:
                desk.nodes.add_report(name, now - 30, Report("transfer", Status.STARTED, 1.0))
                moving.append(name)
        elif number_of_rack != 2:
            installed = "compute@2" if chance.random() < 0.8 else "compute@1"
            said = {"state": "ready", "action": "local", "installed": installed, "inventory": to_json(hardware(number))}
            desk.nodes.keep(name, **said, last_seen=now - chance.random() * 9000)
    for number in range(200, 204):
        desk.machines.saw(Seen(mac(number), f"4c4c4544-0042-3510-8054-{number:012x}", "x86_64", "PXEClient",
                            address=f"127.0.0.{number}", last_seen=now - 100 + number % 4 * 20))  # fmt: skip
    rack.define(desk, Places("node[097-128]", ImageRef("compute"), address=IPv4Address("127.0.0.97")))
    return moving


def move(desk: Desk, moving: list[str], at: float) -> None:
    """Their transfers go on."""
    now = time.time()
    desk.nodes.add_progress([
        (name, now, Report("transfer", Status.PROGRESS, 9.0, percent=min(99.0, 5 + number * 2.1 + at)))
        for number, name in enumerate(moving)
    ])  # fmt: skip


def shoot(house: House, out: Path) -> None:
    """All of them."""
    desk = house.desk
    moving = fill(desk)
    with browser() as chromium:
        for size, name, scheme, path in (
            (WIDE, "nodes", "light", "/?open=rack2"), (WIDE, "node", "light", "/nodes/node045"),
            (WIDE, "confirm", "light", "/confirm?do=install&nodes=node001"), (WIDE, "discovery", "light", "/discovery"),
            (WIDE, "images", "light", "/images/compute"), (WIDE, "setup", "light", "/setup/collect"),
            (WIDE, "dark", "dark", "/?open=rack2"), (PHONE, "phone", "light", "/?open=rack2"),
        ):  # fmt: skip
            context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
            reader = visitor(house, context).log_in()
            for at in range(4):
                move(desk, moving, at * 3.0)
                reader.goto(path)
                _settled(reader.page)
            reader.page.screenshot(path=str(out / f"{name}.png"))
            reader.check()
            context.close()


def _settled(page: Page) -> None:
    page.wait_for_load_state("load")
    page.wait_for_timeout(1200)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="imaged-shoot-") as scratch, opened(Path(scratch) / "house") as home:
        shoot(home, Path(sys.argv[1]))
