"""Fixups are pure: facts in, steps out. Tables of what each writes, and when it stays away."""

from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.image import ImageFacts, Kernel
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import CheckDevice, CheckFile, KeepSecret, MakeLink, MoveFile, RemovePath, RunInTarget, WriteFile
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, PlannedSwap, System
from imaged.model.uefi import InstallGrub
from imaged.planning.fixups.boot import grub, kernel_command_line, remember_install_disk
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.first_boot import report_up
from imaged.planning.fixups.identity import hostname, machine_identity, node_secret, ssh_host_keys
from imaged.planning.fixups.initramfs import initramfs
from imaged.planning.fixups.loader import boot_loader
from imaged.planning.fixups.network import network
from imaged.planning.fixups.order import BOOTLOADER, FIXUPS, apply
from imaged.planning.fixups.quarantine import quarantine
from imaged.planning.fixups.storage import fstab, resume
from imaged.planning.fixups.target import Target
from imaged.planning.touched import touches

SITE = UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11")
MAC = Mac.parse("52:54:00:00:00:01")
DISK = Disk("/dev/nvme0n1", 2**34, bus=Bus.NVME, by_path="pci-0000:00:03.0-nvme-1")
FACTS = ImageFacts(
    arch="x86_64",
    kernels=(Kernel("6.1.0-1-amd64", "/boot/vmlinuz-6.1.0-1-amd64", "/boot/initrd.img-6.1.0-1-amd64"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    grub_signed=True,
    commands=("debconf-set-selections", "findmnt", "grub-install", "ssh-keygen", "update-grub", "update-initramfs"),
    units=("systemd-networkd.service", "ssh.service"),
    initramfs_generic=True,
)
TARGET = Target(
    node=Node("node07", (MAC,), ImageRef.parse("debian-12"), console="ttyS0,115200n8"),
    facts=FACTS,
    inventory=Inventory("x86_64", Firmware.UEFI, 2**31, 2, (DISK,), (Nic("eth0", MAC),), boot_mac=MAC),
    site=SITE,
    server="http://10.0.0.1:8080",
    system=System(
        filesystems=(
            PlannedFilesystem("/dev/nvme0n1p2", Filesystem.VFAT, "AAAA-BBBB", "/boot/efi", "umask=0077"),
            PlannedFilesystem("/dev/nvme0n1p4", Filesystem.EXT4, "11111111-1111-5111-8111-111111111111", "/"),
        ),
        swaps=(PlannedSwap("/dev/nvme0n1p3", "22222222-2222-5222-8222-222222222222"),),
        boot_disks=("/dev/nvme0n1",),
    ),
)


def with_facts(**changes: object) -> Target:
    return evolve(TARGET, facts=evolve(FACTS, **changes))


def with_system(**changes: object) -> Target:
    return evolve(TARGET, system=evolve(TARGET.system, **changes))


def written(steps: tuple, path: str) -> str:
    return next(step.content for step in steps if isinstance(step, WriteFile) and step.path == path)


def commands(steps: tuple) -> list[tuple[str, ...]]:
    return [step.argv for step in steps if isinstance(step, RunInTarget | InstallGrub)]


def test_fstab_names_filesystems_by_uuid_and_keeps_what_is_on_no_disk() -> None:
    golden = (
        "# comment\n"
        "UUID=dead / ext4 defaults 0 1\n"
        "/dev/sda2 none swap sw 0 0\n"
        "LABEL=data /srv xfs nofail 0 2\n"
        "home:/export /home nfs4 rw,nofail 0 0\n"
        "tmpfs /tmp tmpfs size=1G 0 0\n"
        "/srv/a\\040b /mnt none bind 0 0\n"
        "broken\n"
    )
    text = written(fstab(with_facts(texts={"/etc/fstab": golden})), "/etc/fstab")
    assert text.splitlines()[1:] == [
        "UUID=11111111-1111-5111-8111-111111111111 / ext4 errors=remount-ro 0 1",
        "UUID=AAAA-BBBB /boot/efi vfat umask=0077 0 2",
        "UUID=22222222-2222-5222-8222-222222222222 none swap sw 0 0",
        "home:/export /home nfs4 rw,nofail 0 0",
        "tmpfs /tmp tmpfs size=1G 0 0",
        "/srv/a\\040b /mnt none bind 0 0",
    ]


def test_fstab_escapes_what_would_end_a_field() -> None:
    odd = evolve(TARGET.system.filesystems[1], mount="/srv/two words", fs=Filesystem.XFS)
    text = written(fstab(with_system(filesystems=(*TARGET.system.filesystems, odd))), "/etc/fstab")
    assert f"UUID={odd.uuid} /srv/two\\040words xfs defaults,nofail 0 0" in text.splitlines()


def test_a_mirror_starts_without_the_disk_that_has_its_esp() -> None:
    text = written(fstab(with_system(esp_mirrors=("/dev/nvme1n1p2",))), "/etc/fstab")
    assert "UUID=AAAA-BBBB /boot/efi vfat umask=0077,nofail 0 2" in text.splitlines()


@pytest.mark.parametrize(
    ("swaps", "expected"),
    [(TARGET.system.swaps, "RESUME=UUID=22222222-2222-5222-8222-222222222222\n"), ((), "RESUME=none\n")],
)
def test_resume(swaps: tuple, expected: str) -> None:
    assert written(resume(with_system(swaps=swaps)), "/etc/initramfs-tools/conf.d/resume") == expected


def test_resume_leaves_other_initramfs_tools_alone() -> None:
    assert resume(with_facts(commands=("dracut",))) == ()


def test_identity_is_the_nodes_own_and_stays_when_it_is_imaged_again() -> None:
    first, again = machine_identity(TARGET), machine_identity(TARGET)
    other = machine_identity(evolve(TARGET, node=evolve(TARGET.node, name="node08")))
    elsewhere = machine_identity(evolve(TARGET, site=UUID(int=1)))
    assert first == again
    assert len({written(steps, "/etc/machine-id") for steps in (first, other, elsewhere)}) == 3
    assert len(written(first, "/etc/machine-id")) == 33


def test_dbus_machine_id_becomes_a_link_only_where_the_image_has_one() -> None:
    assert len(machine_identity(TARGET)) == 1
    linked = machine_identity(with_facts(files=("/var/lib/dbus/machine-id",)))
    assert linked[1] == MakeLink("/var/lib/dbus/machine-id", "/etc/machine-id", "one identity, not two")


@pytest.mark.parametrize(
    ("golden", "domain", "expected"),
    [
        ("", "", ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback", "127.0.1.1 node07"]),
        ("127.0.0.1 localhost\n127.0.1.1 golden\n10.0.0.9 nas\n", "a.example",
         ["127.0.0.1 localhost", "10.0.0.9 nas", "127.0.1.1 node07.a.example node07"]),
    ],
)  # fmt: skip
def test_hosts(golden: str, domain: str, expected: list[str]) -> None:
    steps = hostname(evolve(with_facts(texts={"/etc/hosts": golden} if golden else {}), domain=domain))
    assert written(steps, "/etc/hostname") == "node07\n"
    assert written(steps, "/etc/hosts").splitlines() == expected


@pytest.mark.parametrize(
    ("units", "path", "expected", "mode"),
    [
        (("systemd-networkd.service",),
         "/etc/systemd/network/10-imaged-lan0.network", "MACAddress=52:54:00:00:00:01", "0644"),
        (("NetworkManager.service", "networking.service"),
         "/etc/NetworkManager/system-connections/imaged-lan0.nmconnection", "mac-address=52:54:00:00:00:01", "0600"),
        (("networking.service",), "/etc/network/interfaces", "iface lan0 inet dhcp", "0644"),
    ],
)  # fmt: skip
def test_network_is_written_for_the_renderer_that_is_enabled(
    units: tuple[str, ...], path: str, expected: str, mode: str
) -> None:
    steps = network(with_facts(units=units))
    assert expected in written(steps, path)
    assert next(step.mode for step in steps if step.path == path) == mode


def test_no_renderer_means_no_file_of_ours() -> None:
    assert network(with_facts(units=())) == ()


@pytest.mark.parametrize(
    ("units", "dns", "expected"),
    [
        (("systemd-networkd.service",), ("10.0.0.1",), "search a.example\nnameserver 10.0.0.1\n"),
        (("systemd-networkd.service", "systemd-resolved.service"), ("10.0.0.1",), None),
        (("systemd-networkd.service",), (), None),
        (("networking.service",), ("10.0.0.1",), None),
    ],
)
def test_resolv_conf_only_where_nobody_else_writes_it(units: tuple, dns: tuple, expected: str | None) -> None:
    steps = network(evolve(with_facts(units=units), dns=dns, domain="a.example"))
    found = [step.content for step in steps if isinstance(step, WriteFile) and step.path == "/etc/resolv.conf"]
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [
            ("grub-install", "--target=i386-pc", "/dev/nvme0n1"),
            ("grub-install", "--target=x86_64-efi", "--no-nvram", "--uefi-secure-boot",
             "--force-extra-removable")]),
        ({"system": evolve(TARGET.system, bios=False), "facts": evolve(FACTS, grub_signed=False)}, [
            ("grub-install", "--target=x86_64-efi", "--no-nvram", "--removable")]),
        ({"system": evolve(TARGET.system, uefi=False)}, [("grub-install", "--target=i386-pc", "/dev/nvme0n1")]),
    ],
)  # fmt: skip
def test_grub(changes: dict, expected: list) -> None:
    assert commands(grub(evolve(TARGET, **changes))) == expected


def test_a_menu_is_whole_before_it_has_its_name() -> None:
    new, menu = "/boot/grub/grub.cfg.imaged-new", "/boot/grub/grub.cfg"
    *_, made, moved = boot_loader(TARGET)
    assert isinstance(made, RunInTarget) and made.argv == ("update-grub", "-o", new)
    assert isinstance(moved, MoveFile) and (moved.source, moved.path) == (new, menu)
    assert [each.path for each in touches((made, moved))] == [menu]


OWN_WORDS = f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX resume=UUID={TARGET.system.swaps[0].uuid}'


@pytest.mark.parametrize(
    ("console", "lines"),
    [
        ("ttyS1,57600n8", [f'{OWN_WORDS} console=tty0 console=ttyS1,57600n8"',
                           'GRUB_TERMINAL="console serial"', 'GRUB_SERIAL_COMMAND="serial --unit=1 --speed=57600"']),
        ("ttyAMA0", [f'{OWN_WORDS} console=tty0 console=ttyAMA0"']),
        ("", [f'{OWN_WORDS}"']),
    ],
)  # fmt: skip
def test_console(console: str, lines: list[str]) -> None:
    steps = kernel_command_line(evolve(TARGET, node=evolve(TARGET.node, console=console)))
    assert written(steps, "/etc/default/grub.d/zz-imaged.cfg").splitlines()[4:] == lines


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"initramfs_generic": False}, [("update-initramfs", "-u", "-k", "6.1.0-1-amd64")]),
        ({"kernels": (Kernel("6.1", "/boot/vmlinuz-6.1"),)}, [("update-initramfs", "-c", "-k", "6.1")]),
        ({"initramfs_generic": False, "commands": ("dracut",)},
         [("dracut", "--force", "--no-hostonly", "--kver", "6.1.0-1-amd64",
           "/boot/initrd.img-6.1.0-1-amd64.imaged-new")]),
    ],
)  # fmt: skip
def test_initramfs_is_built_only_where_the_image_brings_no_generic_one(changes: dict, expected: list) -> None:
    assert commands(initramfs(with_facts(**changes))) == expected


def test_debconf_remembers_the_disk_by_a_stable_name() -> None:
    (step,) = remember_install_disk(TARGET)
    by_path = "/dev/disk/by-path/pci-0000:00:03.0-nvme-1"
    bios, *uefi = step.stdin.splitlines()
    assert bios == f"grub-pc grub-pc/install_devices multiselect {by_path}"
    assert uefi == [
        f"grub-efi-amd64 grub-efi/install_devices multiselect {by_path}-part2",
        "grub-efi-amd64 grub2/force_efi_extra_removable boolean true",
        "grub-efi-amd64 grub2/update_nvram boolean false",
    ]
    (without_bios,) = remember_install_disk(with_system(bios=False))
    assert without_bios.stdin.splitlines() == uefi
    assert remember_install_disk(with_system(bios=False, uefi=False)) == ()


def test_report_up_speaks_to_this_server_with_the_nodes_secret() -> None:
    steps = report_up(TARGET)
    assert "ExecStart=/usr/lib/imaged/report-up 10.0.0.1 8080" in written(
        steps, "/etc/systemd/system/imaged-up.service"
    )
    assert "$(cat /var/lib/imaged/secret)" in written(steps, "/usr/lib/imaged/report-up")
    assert node_secret(TARGET) == (KeepSecret("/var/lib/imaged/secret"),)


def test_golden_host_keys_go_before_new_ones_are_made() -> None:
    steps = apply(FIXUPS, TARGET)
    gone = next(at for at, step in enumerate(steps) if getattr(step, "path", "") == "/etc/ssh/ssh_host_*")
    made = next(
        at for at, step in enumerate(steps) if isinstance(step, RunInTarget) and step.argv == ("ssh-keygen", "-A")
    )
    assert gone < made
    assert ssh_host_keys(with_facts(commands=())) == ()
    assert all(isinstance(step, RemovePath) for step in quarantine(TARGET))


def test_every_promise_has_a_check() -> None:
    steps = checks(TARGET)
    devices = {(step.device, step.uuid) for step in steps if isinstance(step, CheckDevice)}
    files = {step.path: step for step in steps if isinstance(step, CheckFile)}
    assert devices == {
        ("/dev/nvme0n1p2", "AAAA-BBBB"), ("/dev/nvme0n1p3", TARGET.system.swaps[0].uuid),
        ("/dev/nvme0n1p4", TARGET.system.root.uuid),
    }  # fmt: skip
    assert files["/boot/grub/grub.cfg"].contains == TARGET.system.root.uuid
    assert files["/etc/ssh/ssh_host_ed25519_key"].mode == "0600"
    assert {"/boot/grub/i386-pc/core.img", "/boot/efi/EFI/BOOT/BOOTX64.EFI", "/etc/machine-id"} <= set(files)


def test_every_promise_is_kept_in_the_fixups_phase_or_by_the_boot_loader() -> None:
    """A check of a file that nothing writes would fail every install."""
    writes = {step.path for step in apply(FIXUPS, TARGET) if isinstance(step, WriteFile | KeepSecret)}
    made_by_tools = ("/boot/", "/etc/ssh/ssh_host_")
    for step in checks(TARGET):
        if isinstance(step, CheckFile) and not step.path.startswith(made_by_tools):
            assert step.path in writes
    assert [argv[0] for argv in commands(apply(BOOTLOADER, TARGET))][-1] == "update-grub"
