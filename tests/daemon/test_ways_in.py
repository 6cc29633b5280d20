"""Boot media, rescue and wishes at the server: whose machine it is, what is refused, and what changes."""

import hashlib
from pathlib import Path

import pytest

from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput, Conflict, Denied, NotFound
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Node, NodeState
from imaged.model.report import Report, Status
from imaged.model.talk import Claim, MediumBoot, Rescue
from imaged.model.wishes import Break, Then, Wishes
from imaged.store.media import Media
from tests.daemon.test_provisioning import MAC, MACHINE, STRANGER, Clock, with_tiny

OTHER = Mac.parse("52:54:00:00:00:02")
KEY = "ssh-ed25519 AAAA"
UUID = "00112233-4455-6677-8899-aabbccddeeff"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Provisioning:
    provisioning = with_tiny(tmp_path, clock)
    provisioning.nodes.add(Node("n1", (MAC,), ImageRef.parse("tiny"), uuid=UUID))
    provisioning.nodes.add(Node("n2", (OTHER,), ImageRef.parse("tiny")))
    return provisioning


@pytest.fixture
def media(server: Provisioning) -> Media:
    return Media(server.engine)


@pytest.mark.parametrize(
    ("macs", "uuid", "node"),
    [((MAC,), "", "n1"), ((STRANGER, OTHER), "", "n2"), ((STRANGER,), UUID, "n1"), ((), UUID, "n1")],
)
def test_a_medium_starts_the_install_of_whatever_node_it_is_in(server, media, macs, uuid, node):
    answer = server.boot_by_medium(MediumBoot(media.mint(2000.0), macs, uuid))
    assert answer.node == node
    assert server.claim(Claim(answer.token, "secret")).node == node


def test_the_ramdisks_host_key_is_known_as_long_as_the_node_is_in_it(server, media):
    def known(name):
        return server.nodes.fact(name, "installer_key")

    token = server.boot_by_medium(MediumBoot(media.mint(2000.0), (MAC,))).token
    for wrong in ("x", f"{KEY}\nn2 {KEY}"):
        with pytest.raises(BadInput):
            server.claim(Claim(token, "secret", wrong))
    for _ in range(2):  # the answer was lost
        server.claim(Claim(token, "secret", KEY))
    assert (known("n1"), known("n2")) == (KEY, None)
    server.answer_plan("n1", MACHINE)
    server.record_report("n1", Report("reboot", Status.DONE, 1.0))
    assert known("n1") == KEY, "it may stay there for a person"
    server.record_up("n1")
    assert known("n1") is None
    server.rescue(Rescue(media.mint(2000.0, "n1"), KEY))
    assert known("n1") == KEY
    server.rescue(Rescue(media.mint(2000.0), KEY))
    assert known("n2") is None, "nobody knows whose it is"


def test_a_medium_may_be_used_again_and_each_time_for_one_install(server, media):
    asked = MediumBoot(media.mint(2000.0), (MAC,))
    first, second = server.boot_by_medium(asked), server.boot_by_medium(asked)
    assert first.token != second.token
    server.claim(Claim(first.token, "one"))
    with pytest.raises(Denied, match="used already"):
        server.claim(Claim(first.token, "two"))


@pytest.mark.parametrize(
    ("only", "macs", "now", "kind", "what"),
    [
        (None, (STRANGER,), 1000.0, NotFound, "no node .52:54:00:00:00:99"),
        (None, (), 1000.0, NotFound, "no network card"),
        ("n1", (OTHER,), 1000.0, Denied, "this boot medium is for n1"),
        (None, (MAC,), 2001.0, Denied, "too old"),
    ],
)
def test_refused_media(server, media, clock, only, macs, now, kind, what):
    token = media.mint(2000.0, only)
    clock.now = now
    with pytest.raises(kind, match=what):
        server.boot_by_medium(MediumBoot(token, macs))


def test_an_unknown_and_a_revoked_medium_are_the_same(server, media):
    token = media.mint(2000.0)
    assert media.revoke() == 1
    for each in (token, "guess"):
        with pytest.raises(Denied, match="not known"):
            server.boot_by_medium(MediumBoot(each, (MAC,)))


def test_a_medium_that_stays_in_its_drive_wipes_nothing(server, media):
    token = media.mint(2000.0)
    for action in (BootAction.LOCAL, BootAction.RESCUE):
        server.nodes.set_action(["n1"], action)
        with pytest.raises(Conflict, match="n1 is not to be installed"):
            server.boot_by_medium(MediumBoot(token, (MAC,)))


def test_rescue_gives_keys_and_changes_nothing(server, media):
    server.nodes.set_action(["n1"], BootAction.RESCUE)
    script = server.boot_script(MAC, "")
    token = script.partition("imaged.token=")[2].split()[0]
    assert "imaged.rescue=1" in script
    before = server.nodes.get("n1")
    assert [server.rescue(Rescue(token)).node for _ in range(2)] == ["n1", "n1"]
    assert server.rescue(Rescue(media.mint(2000.0, "n2"))).node == "n2"
    assert server.rescue(Rescue(media.mint(2000.0))).node == ""
    assert server.nodes.get("n1") == before
    with pytest.raises(Denied):
        server.rescue(Rescue("guess"))


def test_wishes_hold_for_the_next_install_that_is_carried_through(server):
    wishes = Wishes((Break("fixups"),), Then.SHELL)
    server.nodes.keep("n1", wishes=to_json(wishes))

    def claim() -> Wishes:
        token = server.boot_script(MAC, "").partition("imaged.token=")[2].split()[0]
        return server.claim(Claim(token, "secret")).wishes

    assert claim() == wishes
    server.answer_plan("n1", MACHINE)
    server.record_report("n1", Report("wipe", Status.FAILED, 1.0, "no"))
    assert claim() == wishes
    server.answer_plan("n1", MACHINE)
    server.record_report("n1", Report("reboot", Status.DONE, 2.0))
    assert server.nodes.get("n1").state is NodeState.INSTALLED
    assert server.nodes.fact("n1", "wishes") is None
    server.nodes.set_action(["n1"], BootAction.INSTALL)
    assert claim() == Wishes()
    assert from_json(to_json(wishes), Wishes) == wishes


def test_grub_is_told_what_ipxe_is_told(server):
    script = server.generated(f"grub/node/{MAC}").decode()
    token = script.partition("imaged.token=")[2].split()[0]
    assert "linux /ramdisk/x86_64/vmlinuz rdinit=/sbin/imaged-init" in script
    assert "BOOTIF=01-52-54-00-00-00-01" in script
    assert server.claim(Claim(token, "secret")).node == "n1"
    server.nodes.set_action(["n1"], BootAction.LOCAL)
    for mac in (MAC, STRANGER):
        local = server.generated(f"grub/node/{mac}").decode()
        assert "imaged.token" not in local
        assert "/EFI/debian/shim$arch.efi" in local


def test_names_that_tftp_generates(server):
    assert b"configfile /grub/node/$net_default_mac" in server.generated("grub/grub.cfg")
    for name in ("grub/x86_64-efi/command.lst", "loaders/snponly.efi", "", "grub/node"):
        assert server.generated(name) is None
    with pytest.raises(NotFound):
        server.generated("grub/node/not-a-mac")


def test_secure_boot_is_known_once_the_agent_was_there(server):
    assert server.nodes.get("n1").secure_boot is None
    server.answer_plan("n1", MACHINE)
    assert server.nodes.get("n1").secure_boot is False
    assert server.nodes.find(MAC).secure_boot is False


def test_a_running_node_gets_the_installer_only_while_it_is_to_be_installed(server, tmp_path):
    ramdisk = tmp_path / "boot/ramdisk/x86_64"
    ramdisk.mkdir(parents=True)
    token = server.boot_script(MAC, "").partition("imaged.token=")[2].split()[0]
    server.claim(Claim(token, "secret"))
    with pytest.raises(NotFound, match="no boot ramdisk"):
        server.reinstall("secret")
    for name in ("vmlinuz", "initrd.img"):
        (ramdisk / name).write_bytes(b"x")
    found = server.reinstall("secret")
    assert found.ramdisk.path == "/boot/ramdisk/x86_64/initrd.img"
    assert found.kernel.sha256 == hashlib.sha256(b"x").hexdigest()
    again = found.arguments.partition("imaged.token=")[2].split()[0]
    server.nodes.set_action(["n1"], BootAction.LOCAL)
    with pytest.raises(Conflict, match="not to be installed"):
        server.reinstall("secret")
    with pytest.raises(Denied):
        server.reinstall("guess")
    assert server.claim(Claim(again, "new")).node == "n1"
