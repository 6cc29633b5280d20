"""A node's way through the server without HTTP: token, plan, transfer, reports, ready; and what is refused on it."""

from pathlib import Path, PurePosixPath

import pytest
from attrs import evolve

from imaged.daemon.provisioning import Provisioning
from imaged.model.codec import to_json
from imaged.model.errors import BadInput, CannotPlan, Conflict, Denied, NotFound
from imaged.model.group import Group
from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.host import Host, Identity
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import BootAction, Definition, Node, NodeState
from imaged.model.plan import InstallPlan, WriteFile
from imaged.model.report import Report, Status
from imaged.model.settings import Settings
from imaged.model.setup import Setup
from imaged.model.size import GIB
from imaged.model.system import PlannedCrypt, System
from imaged.model.talk import Claim
from imaged.model.vault import KeptFiles, kept
from imaged.store.groups import Groups
from imaged.store.hosts import Hosts
from imaged.store.settings import build

MAC = Mac.parse("52:54:00:00:00:01")
STRANGER = Mac.parse("52:54:00:00:00:99")
DISK = Disk("/dev/vda", 8 * GIB, bus=Bus.VIRTIO)
MACHINE = Inventory("x86_64", Firmware.BIOS, 2 * GIB, 2, (DISK,), (Nic("eth0", MAC),), boot_mac=MAC)


def settings_in(directory: Path) -> Settings:
    return evolve(build({"address": "10.0.0.1"}, where="test"), state=PurePosixPath(directory))


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def with_tiny(directory: Path, clock: Clock) -> Provisioning:
    """A server with one image."""
    provisioning = Provisioning(settings_in(directory), clock)
    with provisioning.images.working("tiny") as working:
        fill(working.tree)
        provisioning.images.publish(provisioning.images.seal(working, origin="test"), "stable")
    return provisioning


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Provisioning:
    provisioning = with_tiny(tmp_path, clock)
    provisioning.nodes.add(Node("n1", (MAC,), ImageRef.parse("tiny"), console="ttyS0"))
    return provisioning


def fill(tree: Path) -> None:
    """The least that planning takes for a system of this machine's kind."""
    for directory in ("usr/lib/grub/i386-pc", "usr/sbin", "usr/bin", "boot", "etc", "lib/modules/6.1", "bin"):
        (tree / directory).mkdir(parents=True)
    for program in ("usr/sbin/grub-install", "usr/sbin/update-grub", "usr/sbin/update-initramfs", "usr/bin/bash"):
        (tree / program).write_bytes(ELF_X86_64)
        (tree / program).chmod(0o755)
    for name in ("bin/sh", "bin/bash"):
        (tree / name).write_bytes(ELF_X86_64)
    (tree / "usr/lib/grub/i386-pc/boot.img").write_text("x")
    (tree / "usr/lib/grub/i386-pc/moddep.lst").write_text("x")
    (tree / "boot/vmlinuz-6.1").write_text("kernel")
    (tree / "boot/initrd.img-6.1").write_text("initrd")
    (tree / "etc/os-release").write_text("ID=tiny\n")


ELF_X86_64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)


def token_of(server: Provisioning) -> str:
    script = server.boot_script(MAC, "")
    return script.split("imaged.token=")[1].split()[0]


def report(server: Provisioning, phase: str, status: Status, message: str = "") -> None:
    server.record_report("n1", Report(phase, status, 10.0, message))


def test_from_boot_script_to_ready(server: Provisioning, tmp_path: Path) -> None:
    claimed = server.claim(Claim(token_of(server), "secret"))
    assert (claimed.node, server.nodes.get("n1").state) == ("n1", NodeState.INSTALLING)
    assert server.grant("n1", "secret") is None, "nothing to read before there is a plan"
    answer = server.answer_plan("n1", MACHINE)
    assert answer.plan.image == "tiny@1"
    grant = server.grant("n1", "secret")
    assert grant is not None
    assert {module.name: module.path for module in grant.modules} == {
        "image": tmp_path / "images/tiny/1/tree",
        "overrides": server.overrides.current("n1"),
    }
    report(server, "reboot", Status.DONE)
    node = server.nodes.get("n1")
    assert (node.state, node.action) == (NodeState.INSTALLED, BootAction.LOCAL)
    assert server.grant("n1", "secret") is None, "nothing to read after the install"
    server.record_up("n1")
    assert server.nodes.get("n1").state is NodeState.READY
    assert server.nodes.fact("n1", "installed") == "tiny@1"


def test_a_failure_names_phase_and_reason_and_the_next_boot_starts_afresh(server: Provisioning) -> None:
    server.claim(Claim(token_of(server), "secret"))
    report(server, "mkfs", Status.FAILED, "mkfs.ext4 ended with 1")
    node = server.nodes.get("n1")
    assert (node.state, node.reason, node.action) == (
        NodeState.FAILED,
        "mkfs: mkfs.ext4 ended with 1",
        BootAction.INSTALL,
    )
    server.claim(Claim(token_of(server), "another secret"))
    assert (server.nodes.get("n1").state, server.nodes.reports("n1")) == (NodeState.INSTALLING, ())


@pytest.mark.parametrize(("mac", "uuid"), [(STRANGER, ""), (STRANGER, "nobody"), (MAC, "")])
def test_only_a_node_that_shall_be_installed_gets_a_token(server: Provisioning, mac: Mac, uuid: str) -> None:
    server.nodes.set_action(["n1"], BootAction.LOCAL)
    script = server.boot_script(mac, uuid)
    assert "imaged.token" not in script
    assert script.splitlines()[-1] == "exit"


def test_a_token_that_is_too_old_is_refused(server: Provisioning, clock: Clock) -> None:
    token = token_of(server)
    clock.now += 3601
    with pytest.raises(Denied, match="too old"):
        server.claim(Claim(token, "secret"))
    assert server.nodes.get("n1").state is NodeState.DEFINED


@pytest.mark.parametrize(("name", "secret"), [("n1", "wrong"), ("n2", "secret"), ("", "")])
def test_rsync_is_granted_to_the_holder_of_the_secret_under_its_own_name(
    server: Provisioning, name: str, secret: str
) -> None:
    server.claim(Claim(token_of(server), "secret"))
    server.answer_plan("n1", MACHINE)
    assert server.grant("n1", "secret") is not None
    assert server.grant(name, secret) is None


def test_a_version_that_is_published_meanwhile_does_not_change_a_running_install(server: Provisioning) -> None:
    server.claim(Claim(token_of(server), "secret"))
    server.answer_plan("n1", MACHINE)
    with server.images.working("tiny") as working:
        fill(working.tree)
        server.images.publish(server.images.seal(working, origin="test"), "stable")
    grant = server.grant("n1", "secret")
    assert grant is not None
    assert grant.modules[0].path.parent.name == "1"


def test_a_plan_that_cannot_be_made_leaves_the_inventory_known(server: Provisioning) -> None:
    server.claim(Claim(token_of(server), "secret"))
    with pytest.raises(CannotPlan):
        server.answer_plan("n1", evolve(MACHINE, disks=()))
    assert server.nodes.inventory("n1") == evolve(MACHINE, disks=())
    assert server.grant("n1", "secret") is None


def test_an_image_that_is_gone_is_said_in_the_boot_script_request(server: Provisioning) -> None:
    server.nodes.add(Node("n2", (STRANGER,), ImageRef.parse("gone")))
    with pytest.raises(NotFound, match="gone"):
        server.boot_script(STRANGER, "")


def test_up_before_an_install_is_refused(server: Provisioning) -> None:
    with pytest.raises(Conflict):
        server.record_up("n1")


CRYPT = to_json(System((), crypts=(PlannedCrypt("crypt0", "/dev/vda3", "u"),)))


def test_a_key_is_for_the_encrypted_devices_of_a_running_install(server: Provisioning) -> None:
    server.claim(Claim(token_of(server), "secret"))
    server.answer_plan("n1", MACHINE)
    with pytest.raises(NotFound, match="crypt0"):
        server.key("n1", "crypt0")
    server.nodes.keep("n1", system=CRYPT)
    key = server.key("n1", "crypt0")
    assert server.key("n1", "crypt0") == key
    report(server, "reboot", Status.DONE)
    with pytest.raises(Conflict, match="nothing is being installed"):
        server.key("n1", "crypt0")
    server.nodes.set_action(["n1"], BootAction.INSTALL)
    server.claim(Claim(token_of(server), "another secret"))
    assert server.key("n1", "crypt0") == key, "what a re-install preserves is still encrypted with it"
    assert not [each for each in (*server.nodes.facts("n1").values(), *server.nodes.reports("n1")) if key in str(each)]


def _installed(server: Provisioning) -> str:
    """One whole install; the machine-id that its plan gave the node."""
    server.claim(Claim(token_of_install(server), "secret"))
    plan = server.answer_plan("n1", MACHINE).plan
    report(server, "reboot", Status.DONE)
    return _machine_id(plan)


def _machine_id(plan: InstallPlan) -> str:
    steps = (step for phase in plan.phases for step in phase.steps)
    return next(step.content for step in steps if isinstance(step, WriteFile) and step.path == "/etc/machine-id")


def test_a_node_stays_who_it_is_until_it_shall_become_another(server: Provisioning) -> None:
    hosts = Hosts(server.engine)
    files = KeptFiles((kept("/etc/ssh/ssh_host_rsa_key", 0o600, b"x"),))
    first = _installed(server)
    assert _installed(server) == first
    hosts.put_node("n1", Host(identity=Identity.NEW))
    shown = _machine_id(server.plan(server.nodes.get("n1"), MACHINE))
    server.claim(Claim(token_of_install(server), "again"))
    server.keep_identity("n1", files)
    assert server.identity("n1") == KeptFiles(), "it gets none of its old keys"
    assert _machine_id(server.answer_plan("n1", MACHINE).plan) == shown != first
    report(server, "reboot", Status.DONE)
    server.record_up("n1")
    update = server.updates.plan(server.nodes.get("n1"))
    assert shown in [each.step.content for each in update.fixups if isinstance(each.step, WriteFile)]
    hosts.put_node("n1", Host())
    assert _installed(server) == shown, "who it has become is who it stays"


def token_of_install(server: Provisioning) -> str:
    server.nodes.set_action(("n1",), BootAction.INSTALL)
    return token_of(server)


def grub_script(server: Provisioning, mac: Mac) -> str:
    return (server.generated(f"grub/node/{mac}") or b"").decode()


def test_a_node_without_an_image_is_left_alone(server: Provisioning) -> None:
    server.nodes.define([Definition("n2", (STRANGER,))], BootAction.INSTALL)
    assert "exit" in server.boot_script(STRANGER, "")
    assert "imaged.token" not in server.boot_script(STRANGER, "") + grub_script(server, STRANGER)
    Groups(server.engine).add(Group("all", setup=Setup(ImageRef("tiny"))))
    Groups(server.engine).put("n2", ["all"])
    assert "imaged.token" in server.boot_script(STRANGER, "")


def test_boot_scripts_of_the_site_use_variables(server: Provisioning, tmp_path: Path) -> None:
    own = tmp_path / "autoinstall_scripts/boot"
    own.mkdir(parents=True)
    for name in ("install.ipxe", "local.ipxe", "install.grub", "local.grub"):
        (own / name).write_text(name + " {{ var.row }}")
    node = Definition("n2", (STRANGER,), Setup(ImageRef("tiny"), variables={"row": "7"}))
    server.nodes.define([node], BootAction.INSTALL)
    assert (server.boot_script(STRANGER, ""), grub_script(server, STRANGER)) == ("install.ipxe 7", "install.grub 7")
    server.nodes.set_action(["n2"], BootAction.LOCAL)
    assert (server.boot_script(STRANGER, ""), grub_script(server, STRANGER)) == ("local.ipxe 7", "local.grub 7")
    with pytest.raises(BadInput, match=r"boot/install.ipxe: .*no attribute 'row'"):
        server.boot_script(MAC, "")
