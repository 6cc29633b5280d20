"""Plans of updates: which fixups run again, what triggers a program, what stays with the node, and the serial."""

import json

import pytest
from attrs import evolve

from imaged.model.codec import from_json, to_json
from imaged.model.errors import CannotPlan
from imaged.model.hardware import Firmware
from imaged.model.image import Kernel
from imaged.model.plan import CheckFile, KeepSecret, MoveFile, RemovePath, RunInTarget, WriteFile
from imaged.model.stack import Filesystem, Unlock
from imaged.model.system import PlannedCrypt, PlannedFilesystem, PlannedSwap
from imaged.model.uefi import InstallGrub, MirrorEsp
from imaged.model.update import Guard, Protected, Script, Triggered, UpdatePlan
from imaged.planning.fixups.order import FIXUPS, UPDATE_FIXUPS, apply
from imaged.planning.install import plan_with_system, target_of
from imaged.planning.protect import STATIC
from imaged.planning.update import Layers, newest_first, plan_update
from tests.planning.test_install import FACTS, LAYOUT, MACHINE, NODE, SITE, VERSION

INSTALL, SYSTEM = plan_with_system(NODE, VERSION, LAYOUT, MACHINE, SITE)
LAYERS = Layers("./etc/motd mode=0644\n", (Protected("/home/", "people's"),), (Script("10all.x", "true\n"),))
NONE = Layers()


def update(*, layers: Layers = NONE, node: object = None, machine: object = None, **facts: object) -> UpdatePlan:
    version = evolve(VERSION, number=2, facts=evolve(FACTS, **facts))
    return plan_update(node or NODE, version, SYSTEM, machine or MACHINE, SITE, layers, 8730)


def writes(triggered: tuple[Triggered, ...]) -> dict[str, str]:
    return {each.step.path: each.step.content for each in triggered if isinstance(each.step, WriteFile)}


def runs(triggered: tuple[Triggered, ...]) -> dict[str, tuple[str, ...]]:
    return {
        " ".join(each.step.argv): each.when for each in triggered if isinstance(each.step, RunInTarget | InstallGrub)
    }


def test_an_update_writes_what_the_install_wrote() -> None:
    """The same fixups on the same disks: a node that was just installed has nothing to be written."""
    phase = next(phase for phase in INSTALL.phases if phase.name == "fixups")
    installed = {step.path: step.content for step in phase.steps if isinstance(step, WriteFile)}
    assert writes(update().fixups) == installed
    assert {"/etc/fstab", "/etc/hostname", "/etc/machine-id", "/var/lib/imaged/server"} <= set(installed)


def test_what_others_keep_no_fixup_writes() -> None:
    kept, usual = update(layers=Layers(synced=("/etc/hosts",))), update()
    assert "/etc/hosts" in writes(usual.fixups) and "/etc/hosts" not in writes(kept.fixups)
    assert writes(usual.fixups).keys() - writes(kept.fixups).keys() == {"/etc/hosts"}
    assert kept.serial != usual.serial


def test_each_fixup_of_an_install_is_run_again_or_left_out_on_purpose() -> None:
    again = {fixup.__name__ for fixup in UPDATE_FIXUPS}
    once = {
        "quarantine", "golden_network", "cloud_state", "restore_identity", "node_secret", "merge_bases", "multipath",
        "crash_dump", "mount_points", "golden_kernels",
    }  # fmt: skip
    assert {fixup.__name__ for fixup in FIXUPS} - again == once
    assert [fixup for fixup in FIXUPS if fixup in UPDATE_FIXUPS] == [f for f in UPDATE_FIXUPS if f in FIXUPS], "order"


def test_what_an_install_made_the_nodes_own_stays() -> None:
    """The list that the node has is renewed, and what no step of the update looks after is left alone, with reasons."""
    system = evolve(SYSTEM, swaps=(*SYSTEM.swaps, PlannedSwap("/var/swapfile", "u", file=True)),
                    crypts=(PlannedCrypt("data", "/dev/sda4", "u", (Unlock.KEYFILE,)),))  # fmt: skip
    plan = plan_update(NODE, VERSION, system, MACHINE, SITE, LAYERS, 8730)
    kept = {each.pattern: each.reason for each in plan.protect}
    assert kept["/etc/imaged/keys/data"] == kept["/var/swapfile"] == "the node's own since its install"
    assert kept["/etc/machine-info"] == "removed at its install: name and place of the golden client"
    paths = {each["path"] for each in json.loads(writes(plan.fixups)["/var/lib/imaged/fixups.json"])}
    assert {"/etc/imaged/keys/data", "/var/swapfile", "/etc/fstab", "/boot/grub/", "/etc/machine-info"} <= paths
    said = Layers(protect=(Protected("/etc/imaged/keys/", "x"), Protected("/etc/machine-info", "x")))
    assert [each for each in plan_update(NODE, VERSION, system, MACHINE, SITE, said, 8730).protect
            if each.pattern.startswith(("/etc/imaged/keys", "/etc/machine-info"))] == list(said.protect)  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/etc/ssh/ssh_host_*", "/boot/grub/grubenv", "/var/lib/dhcp/*.leases", "/var/lib/NetworkManager/*.lease",
     "/var/lib/systemd/random-seed", "/var/lib/systemd/network/*", "/etc/udev/rules.d/70-persistent-*",
     "/etc/lvm/devices/*", "/var/lib/systemd/credential.secret", "/boot/grub/device.map"],
)  # fmt: skip
def test_what_the_node_has_by_right_is_not_removed(path: str) -> None:
    target_steps = [step for phase in INSTALL.phases for step in phase.steps if isinstance(step, RemovePath)]
    assert path in {step.path for step in target_steps}, "the install removes the golden client's"
    assert path not in {each.step.path for each in update().fixups if isinstance(each.step, RemovePath)}


def test_a_path_that_is_written_is_not_removed_first() -> None:
    steps = [each.step for each in update().fixups]
    assert any(isinstance(step, WriteFile) and step.path == "/etc/resolv.conf" for step in steps)
    assert not any(isinstance(step, RemovePath) and step.path == "/etc/resolv.conf" for step in steps)
    assert any(isinstance(step, RemovePath) for step in steps)


def test_no_secret_no_disk() -> None:
    plan = update()
    assert not any(isinstance(each.step, KeepSecret) for each in plan.fixups)
    assert from_json(to_json(plan), UpdatePlan) == plan


@pytest.mark.parametrize(
    ("program", "pattern"),
    [
        ("grub-install --target=i386-pc /dev/nvme0n1", "/usr/lib/grub/i386-pc/"),
        ("grub-install --target=x86_64-efi --no-nvram --uefi-secure-boot --force-extra-removable", "/usr/lib/shim/"),
        ("update-grub -o /boot/grub/grub.cfg.imaged-new", "/boot/vmlinu[xz]-*"),
        ("update-grub -o /boot/grub/grub.cfg.imaged-new", "/etc/default/grub"),
        ("update-grub -o /boot/grub/grub.cfg.imaged-new", "/etc/grub.d/"),
        ("debconf-set-selections", "/var/cache/debconf/config.dat"),
    ],
)  # fmt: skip
def test_programs_run_when_what_they_read_has_changed(program: str, pattern: str) -> None:
    assert pattern in runs(update().bootloader)[program]


def test_a_new_menu_gets_its_name_only_when_it_was_made() -> None:
    """A node that lost its power may have half of one lying there."""
    plan = update().bootloader
    moved = next(at for at, each in enumerate(plan) if isinstance(each.step, MoveFile))
    assert plan[moved].when == plan[moved - 1].when != ()
    assert isinstance(made := plan[moved - 1].step, RunInTarget) and made.argv[0] == "update-grub"


def test_grub_is_not_installed_for_a_new_kernel() -> None:
    for program, when in runs(update().bootloader).items():
        if program.startswith("grub-install"):
            assert not any(pattern.startswith(("/boot", "/etc")) for pattern in when)


def test_the_image_brings_its_initramfs_or_the_node_makes_one_for_each_kernel() -> None:
    kernels = (Kernel("6.1.0-9", "/boot/vmlinuz-6.1.0-9"), Kernel("6.1.0-13", "/boot/vmlinuz-6.1.0-13"))
    assert not any("initramfs" in program for program in runs(update().bootloader))
    plan = update(kernels=kernels, initramfs_generic=False)
    made = runs(plan.bootloader)
    assert list(made)[:2] == ["update-initramfs -c -k 6.1.0-13", "update-initramfs -c -k 6.1.0-9"], "newest first"
    when = made["update-initramfs -c -k 6.1.0-9"]
    assert {"/lib/modules/6.1.0-9/", "/boot/vmlinuz-6.1.0-9", "/etc/initramfs-tools/"} <= set(when)
    assert Protected("/boot/initrd.img-6.1.0-9", "built on the node") in plan.protect
    assert [each.initrd for each in plan.kernels] == ["/boot/initrd.img-6.1.0-13", "/boot/initrd.img-6.1.0-9"]


RED_HAT = {
    "commands": ("grub2-mkconfig", "grub2-install", "dracut", "kernel-install"),
    "files": tuple(f"/boot/efi/EFI/redhat/{name}" for name in ("shimx64.efi", "grubx64.efi", "mmx64.efi", "grub.cfg")),
    "grub_platforms": ("i386-pc",),
    "grub_signed": False,
}


@pytest.mark.parametrize(
    ("protect", "names"),
    [
        (STATIC, ["shimx64.efi", "grubx64.efi", "mmx64.efi"]),
        ((*STATIC, Protected("/boot/efi/EFI/*/mm*", "the site's")), ["shimx64.efi", "grubx64.efi"]),
        ((Protected("/boot/efi/", "the site's"), *STATIC[1:]), []),
    ],
)
def test_loaders_that_lie_on_the_esp_of_the_image_alone_follow_it(protect: tuple, names: list[str]) -> None:
    """The ESP is the node's own, but nothing else would bring it a new shim; the site's own lists come first."""
    plan = update(layers=Layers(protect=protect), **RED_HAT)
    assert plan.loaders == tuple(f"/boot/efi/EFI/redhat/{name}" for name in names)
    assert update(layers=Layers(protect=protect)).loaders == (), "grub-install makes Debian's"


def test_a_kernel_that_nothing_changed_stays_as_it_lies_on_the_esp() -> None:
    kernels = (Kernel("6.1.0-9", "/boot/vmlinuz-6.1.0-9"), Kernel("6.1.0-13", "/boot/vmlinuz-6.1.0-13"))
    stub = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
    facts = {"commands": ("bootctl", "kernel-install"), "files": (stub, "/efi/loader/loader.conf"), "kernels": kernels}
    made = runs(update(grub_platforms=("i386-pc",), **facts).bootloader)
    old = "kernel-install add 6.1.0-9 /boot/vmlinuz-6.1.0-9 /boot/initrd.img-6.1.0-9"
    assert set(made[old]) == {
        "/boot/vmlinuz-6.1.0-9", "/boot/initrd.img-6.1.0-9", "/lib/modules/6.1.0-9/", "/usr/lib/modules/6.1.0-9/",
        "/etc/kernel/", "/usr/lib/kernel/",
    }  # fmt: skip


def test_every_copy_of_the_esp_is_refreshed_after_all_that_writes_the_first() -> None:
    """By the filesystem's own number: another disk may have the name by now."""
    spare = PlannedFilesystem("/dev/sdb1", Filesystem.VFAT, "AAAA-BBBB", "")
    system = evolve(SYSTEM, spare=(spare,), esp_mirrors=("/dev/sdb1", "/dev/sdc1"))
    steps = plan_update(NODE, VERSION, system, MACHINE, SITE, Layers(), 8730).bootloader
    others = [each for each in steps if not isinstance(each.step, CheckFile)]
    assert others[-1] == Triggered(MirrorEsp("/boot/efi", ("UUID=AAAA-BBBB", "/dev/sdc1")))
    assert not any(isinstance(each.step, MirrorEsp) for each in update().bootloader)


def test_promises_are_checked_after_what_keeps_them() -> None:
    plan = update()
    first = [each.step.path for each in plan.fixups if isinstance(each.step, CheckFile)]
    last = [each.step.path for each in plan.bootloader if isinstance(each.step, CheckFile)]
    assert "/etc/machine-id" in first
    assert {"/boot/grub/grub.cfg", "/boot/vmlinuz-6.1.0-1-amd64"} <= set(last)
    assert isinstance(plan.bootloader[-1].step, CheckFile)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (
            ("6.1.0-9-amd64", "6.1.0-13-amd64", "5.10.0-28-amd64"),
            ("6.1.0-13-amd64", "6.1.0-9-amd64", "5.10.0-28-amd64"),
        ),
        (("6.12-rc1", "6.12", "6.12.1"), ("6.12.1", "6.12", "6.12-rc1")),
        (
            ("4.18.0-80.el8.x86_64", "4.18.0-80.7.1.el8_0.x86_64"),
            ("4.18.0-80.7.1.el8_0.x86_64", "4.18.0-80.el8.x86_64"),
        ),
        ((), ()),
    ],
)
def test_kernels_newest_first(versions: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert tuple(kernel.version for kernel in newest_first(Kernel(each, "") for each in versions)) == expected


@pytest.mark.parametrize(
    ("facts", "machine", "said"),
    [
        ({"arch": "aarch64"}, MACHINE, "is for aarch64"),
        ({"grub_platforms": ("x86_64-efi",)}, MACHINE, "no boot loader"),
        ({"grub_platforms": ("i386-pc",)}, evolve(MACHINE, firmware=Firmware.UEFI), "no boot loader"),
    ],
)
def test_an_image_that_cannot_run_there_is_refused(facts: dict, machine: object, said: str) -> None:
    with pytest.raises(CannotPlan, match=said):
        update(machine=machine, **facts)


def test_a_loader_for_the_other_firmware_is_left_alone_when_the_image_has_it_no_more() -> None:
    assert not any("x86_64-efi" in program for program in runs(update(grub_platforms=("i386-pc",)).bootloader))


def test_the_serial_names_everything() -> None:
    base = update()
    assert base.serial == update().serial
    assert len(base.serial) == 16
    others = [
        update(layers=LAYERS), update(layers=evolve(LAYERS, scripts=())), update(layers=evolve(LAYERS, protect=())),
        update(layers=evolve(LAYERS, overrides="")), update(node=evolve(NODE, console="ttyS7")),
        update(layers=Layers(guard=Guard(deletes=5))), update(commands=("update-grub",)),
        plan_update(NODE, evolve(VERSION, number=2, manifest_sha256="1" * 64), SYSTEM, MACHINE, SITE, Layers(), 8730),
    ]  # fmt: skip
    assert len({base.serial, *(each.serial for each in others)}) == len(others) + 1


def test_layers_go_into_the_plan() -> None:
    plan = update(layers=LAYERS, os_id="debian")
    assert (plan.overrides, plan.scripts) == (LAYERS.overrides, LAYERS.scripts)
    assert plan.protect[: len(LAYERS.protect)] == LAYERS.protect
    assert plan.guard == Guard(1000, "debian")
    assert plan.merge[:2] == ("/etc/passwd", "/etc/shadow")
    assert plan.variables["IMAGED_VERSION"] == "2"
    holes = {"/var/log/lastlog": 4096}
    assert plan_update(NODE, evolve(VERSION, sparse=holes), SYSTEM, MACHINE, SITE, LAYERS, 8730).sparse == holes


def test_what_the_install_keeps_for_updates() -> None:
    """Bases of the merge are copied before anything is written, and the menu keeps its default."""
    first, *rest = apply(FIXUPS, target_of(NODE, VERSION, SYSTEM, MACHINE, SITE))
    assert isinstance(first, RunInTarget)
    copy = next(step for step in rest if isinstance(step, RunInTarget) and step.argv[0] == "find")
    assert {"passwd", "shadow", "group", "gshadow", "subuid", "subgid"} <= set(copy.argv)
    menu = next(s.content for s in rest if isinstance(s, WriteFile) and s.path == "/etc/default/grub.d/zz-imaged.cfg")
    assert {"GRUB_DEFAULT=saved", "GRUB_SAVEDEFAULT=false"} <= set(menu.splitlines())
    up = next(s.content for s in rest if isinstance(s, WriteFile) and s.path == "/usr/lib/imaged/report-up")
    assert up.index("2??)") < up.index("/usr/sbin/imaged promote") < up.index("4??)")
