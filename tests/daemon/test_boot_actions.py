"""What machines are told to run by each boot action, for how long, and when an install is not begun again."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from imaged.daemon.provisioning import Provisioning
from imaged.model.errors import BadInput, Conflict, NotFound
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.next_boot import NextBoot
from imaged.model.node import BootAction, Node, NodeState
from imaged.model.report import Report, Status
from imaged.model.talk import Claim, MediumBoot
from imaged.store.events import Events
from imaged.store.media import Media
from tests.daemon.test_provisioning import MAC, MACHINE, Clock, with_tiny

OTHER = Mac.parse("52:54:00:00:00:02")
KERNEL = NextBoot(
    BootAction.KERNEL, "custom/0a-vmlinuz", ("custom/0b-initrd.img", "custom/0c-more.img"), "quiet ip=dhcp x=~1"
)
SCRIPT = "#!ipxe\necho {{ node }} {{ address }} {{ macs[0] }} {{ groups | length }}\nchain {{ server }}/tool\n"
IPXE = NextBoot(BootAction.IPXE, script=SCRIPT)
MEMTEST = NextBoot(BootAction.MEMTEST)
PLAIN = {action: NextBoot(action) for action in (BootAction.INSTALL, BootAction.RESCUE, BootAction.LOCAL)}
ALL = (*PLAIN.values(), MEMTEST, KERNEL, IPXE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Provisioning:
    provisioning = with_tiny(tmp_path, clock)
    provisioning.nodes.add(Node("n1", (MAC,), ImageRef.parse("tiny"), console="ttyS1,57600n8"))
    provisioning.nodes.add(Node("n2", (OTHER,), ImageRef.parse("gone")))
    return provisioning


def script(server: Provisioning, loader: str = "ipxe", mac: Mac = MAC) -> str:
    if loader == "ipxe":
        return server.boot_script(mac, "")
    made = server.generated(f"grub/node/{mac}")
    assert made is not None
    return made.decode()


def kind(text: str) -> str:
    """Which of the scripts it is."""
    words = {
        "install": "will be installed", "rescue": "starts for rescue", "memtest": "tests its memory",
        "kernel": "custom/0a-vmlinuz", "ipxe": "/tool", "local": "boots from its own disk",
    }  # fmt: skip
    return next(name for name, word in words.items() if word in text)


@pytest.mark.parametrize("boot", ALL, ids=lambda boot: boot.action.value)
def test_ipxe_is_told_a_script_of_ipxe(server: Provisioning, boot: NextBoot) -> None:
    """No line of it holds what is left of a template, and each jumps to a label that is there."""
    server.nodes.set_boot(["n1"], boot, once=False)
    text = script(server)
    assert kind(text) == boot.action.value
    assert text.startswith("#!ipxe\n")
    assert not re.search(r"\{\{|\{%|%\}", text)
    assert set(re.findall(r"goto (\w+)", text)) <= set(re.findall(r"^:(\w+)$", text, re.MULTILINE))


@pytest.mark.processes
@pytest.mark.skipif(not shutil.which("grub-script-check"), reason="grub-common is not installed")
@pytest.mark.parametrize("boot", ALL, ids=lambda boot: boot.action.value)
def test_grub_is_told_a_script_of_grub(server: Provisioning, boot: NextBoot, tmp_path: Path) -> None:
    server.nodes.set_boot(["n1"], boot, once=False)
    text = script(server, "grub")
    assert kind(text) == ("local" if boot is IPXE else boot.action.value)
    assert "http" not in text or "imaged.server=http" in text, "it has TFTP only"
    path = tmp_path / "grub.cfg"
    path.write_text(text)
    checked = subprocess.run(("grub-script-check", path), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_memtest_by_firmware_and_on_the_serial_port(server: Provisioning) -> None:
    server.nodes.set_boot(["n1"], MEMTEST, once=False)
    files = "http://10.0.0.1:8080/boot/memtest/memtest86+x64"
    text = script(server)
    assert f"kernel {files}.bin console=ttyS1,57600 || goto failed" in text
    assert text.index("goto efi") < text.index(f"{files}.bin") < text.index(":efi") < text.index(f"{files}.efi")
    assert "chainloader /memtest/memtest86+x64.efi console=ttyS1,57600; then" in script(server, "grub")
    server.nodes.set_boot(["n2"], MEMTEST, once=False)
    assert f"kernel {files}.efi  || goto failed" in script(server, mac=OTHER), "an image is not needed for it"


def test_a_kernel_of_ones_own(server: Provisioning) -> None:
    server.nodes.set_boot(["n1", "n2"], KERNEL, once=False)
    names = "initrd=0b-initrd.img initrd=0c-more.img quiet ip=dhcp x=~1 console=tty0"
    files = "http://10.0.0.1:8080/boot/custom"
    lines = script(server).splitlines()
    assert f"kernel {files}/0a-vmlinuz {names} console=ttyS1,57600n8 || goto failed" in lines
    assert [line for line in lines if line.startswith("initrd")] == [
        f"initrd {files}/0b-initrd.img || goto failed", f"initrd {files}/0c-more.img || goto failed",
    ]  # fmt: skip
    text = script(server, "grub", OTHER)
    assert f"linux /custom/0a-vmlinuz {names}; then" in text
    assert "initrd /custom/0b-initrd.img /custom/0c-more.img; then" in text
    assert f"configfile /grub/node/{OTHER}" in text


def test_a_script_of_ones_own_is_made_for_each_node(server: Provisioning) -> None:
    server.nodes.set_boot(["n1"], IPXE, once=False)
    assert script(server) == f"#!ipxe\necho n1  {MAC} 0\nchain http://10.0.0.1:8080/tool\n"
    server.nodes.set_boot(["n1"], NextBoot(BootAction.IPXE, script="#!ipxe\n{{ wrong }}\n"), once=False)
    with pytest.raises(BadInput, match="iPXE script of n1, line 2"):
        script(server)


@pytest.mark.parametrize("loader", ["ipxe", "grub"])
@pytest.mark.parametrize("lasting", list(PLAIN))
@pytest.mark.parametrize("boot", [MEMTEST, KERNEL, PLAIN[BootAction.RESCUE], PLAIN[BootAction.LOCAL]])
def test_once_is_for_one_boot(
    server: Provisioning, clock: Clock, boot: NextBoot, lasting: BootAction, loader: str
) -> None:
    """A machine that asks again in the same boot is told the same."""
    server.nodes.set_action(["n1"], lasting)
    (booting,) = server.nodes.set_boot(["n1"], boot, once=True)
    assert str(booting) == (lasting.value if boot.action is lasting else f"{boot.action.value}, then {lasting.value}")
    first = script(server, loader)
    assert kind(first) == boot.action.value
    assert server.nodes.get("n1").action is lasting
    if boot.action is not lasting:
        clock.now += 60
        assert script(server, loader) == first
    clock.now += 120
    assert kind(script(server, loader)) == lasting.value


def test_a_later_word_counts_at_once(server: Provisioning) -> None:
    server.nodes.set_action(["n1"], BootAction.LOCAL)
    server.nodes.set_boot(["n1"], MEMTEST, once=True)
    assert kind(script(server)) == "memtest"
    server.nodes.set_action(["n1"], BootAction.RESCUE)
    assert kind(script(server)) == "rescue"


def test_another_loader_of_the_same_machine_begins_another_boot(server: Provisioning) -> None:
    server.nodes.set_action(["n1"], BootAction.LOCAL)
    server.nodes.set_boot(["n1"], MEMTEST, once=True)
    assert [kind(script(server, loader)) for loader in ("ipxe", "grub")] == ["memtest", "local"]


def test_once_over_once_keeps_what_lasts(server: Provisioning) -> None:
    server.nodes.set_boot(["n1"], KERNEL, once=False)
    server.nodes.set_boot(["n1"], MEMTEST, once=True)
    (booting,) = server.nodes.set_boot(["n1"], PLAIN[BootAction.RESCUE], once=True)
    assert str(booting) == "rescue, then kernel"
    assert kind(script(server)) == "rescue"
    assert server.nodes.booting("n1").now == KERNEL
    told = [(event.before, event.after) for event in Events(server.engine).last(9, ["n1"]) if event.what == "next boot"]
    kernel = {
        "kernel": KERNEL.kernel, "initrds": list(KERNEL.initrds), "append": KERNEL.append,
    }  # fmt: skip
    assert told == [
        ({"action": "install"}, {"action": "kernel", **kernel}),
        ({"action": "kernel", **kernel}, {"action": "memtest, then kernel"}),
        ({"action": "memtest, then kernel"}, {"action": "rescue, then kernel"}),
        ({"action": "rescue, then kernel"}, {"action": "kernel", **kernel}),
    ]


def claim(server: Provisioning, secret: str) -> None:
    token = script(server).partition("imaged.token=")[2].split()[0]
    server.claim(Claim(token, secret))


def test_an_install_that_never_ends_is_not_begun_for_ever(server: Provisioning) -> None:
    for number in range(3):
        assert kind(script(server)) == "install"
        claim(server, f"secret {number}")
    server.record_report("n1", Report("mkfs", Status.FAILED, 1.0, "no"))
    medium = Media(server.engine).mint(2000.0)
    assert "n1, whose install is given up, boots from its own disk" in script(server)
    node = server.nodes.get("n1")
    assert (node.state, node.action) == (NodeState.FAILED, BootAction.LOCAL)
    assert node.reason == "its install was begun 3 times and never ended (the last time: mkfs: no)"
    assert "n1, whose last install failed, boots from its own disk" in script(server, "grub")
    with pytest.raises(Conflict, match="not to be installed"):
        server.boot_by_medium(MediumBoot(medium, (MAC,)))
    server.nodes.set_action(["n1"], BootAction.INSTALL)
    assert kind(script(server)) == "install"


def test_a_medium_begins_it_no_more_often_than_the_network(server: Provisioning) -> None:
    media = Media(server.engine)
    for number in range(3):
        answer = server.boot_by_medium(MediumBoot(media.mint(2000.0), (MAC,)))
        server.claim(Claim(answer.token, f"secret {number}"))
    with pytest.raises(Conflict, match="not to be installed"):
        server.boot_by_medium(MediumBoot(media.mint(2000.0), (MAC,)))
    assert server.nodes.get("n1").state is NodeState.FAILED


def test_an_install_that_ends_counts_for_nothing(server: Provisioning) -> None:
    """Wishing for another one begins the count anew, and so does the end of one."""
    for number in range(5):
        claim(server, f"secret {number}")
        server.answer_plan("n1", MACHINE)
        server.record_report("n1", Report("reboot", Status.DONE, 2.0))
        assert server.nodes.get("n1").action is BootAction.LOCAL
        assert kind(script(server)) == "local"
        server.nodes.set_action(["n1"], BootAction.INSTALL)


def test_an_install_for_one_boot_is_carried_through_and_leaves_local(server: Provisioning) -> None:
    server.nodes.set_action(["n1"], BootAction.RESCUE)
    server.nodes.set_boot(["n1"], PLAIN[BootAction.INSTALL], once=True)
    claim(server, "secret")
    assert server.nodes.get("n1").action is BootAction.RESCUE
    server.answer_plan("n1", MACHINE)
    server.record_report("n1", Report("reboot", Status.DONE, 2.0))
    assert server.nodes.get("n1").action is BootAction.LOCAL


def test_a_machine_without_a_name_and_one_whose_image_is_gone(server: Provisioning) -> None:
    stranger = Mac.parse("52:54:00:00:00:99")
    assert "52:54:00:00:00:99 boots from its own disk" in script(server, mac=stranger)
    with pytest.raises(NotFound, match="gone"):
        script(server, mac=OTHER)
