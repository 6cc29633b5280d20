"""One layout, one node, and the footprints of each family: the steps that make its image start, as golden lists.

The facts are those of such trees as their packages lay them, with what an install by their own installers leaves in
/etc and /boot. ``make golden`` writes the lists anew.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.hardware import Bus, Disk, Firmware, Inventory, Nic
from imaged.model.host import Host, Identity
from imaged.model.image import ImageFacts, Kernel
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.plan import CheckFile, CheckInitrd, MoveFile, RemovePath, RunInTarget, Step, WriteFile
from imaged.model.stack import Filesystem, Unlock
from imaged.model.system import PlannedArray, PlannedCrypt, PlannedFilesystem, PlannedSwap, RootOn, System
from imaged.model.uefi import MirrorEsp, SetBootEntries
from imaged.planning.fixups.bls import rescue_kernel
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.console import console_getty
from imaged.planning.fixups.initramfs import crash_dump
from imaged.planning.fixups.multipath import multipath
from imaged.planning.fixups.order import BOOTLOADER, COMMAND_LINE, FIRMWARE, apply
from imaged.planning.fixups.target import Target
from imaged.planning.show import step_lines
from imaged.store.facts import read
from imaged.store.tree import Tree
from tests.planning.trees import lay

GOLDEN = Path(__file__).parent.parent / "data/fixups"
OLD = "0123456789abcdef0123456789abcdef"  # the golden client's machine-id
DEAD = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"  # its root filesystem
FSTAB = f"UUID={DEAD} / xfs defaults 0 0\n"
RHEL_OPTIONS = (
    "root=/dev/mapper/rl-root ro crashkernel=auto resume=/dev/mapper/rl-swap rd.lvm.lv=rl/root rd.lvm.lv=rl/swap"
    " rd.md.uuid=1:2:3:4 ip=10.9.8.7::10.9.8.1:255.255.255.0:golden:eth0:none quiet mitigations=auto $tuned_params"
)


def bls(version: str, options: str, title: str) -> str:
    return (
        f"title {title}\nversion {version}\nlinux /vmlinuz-{version}\ninitrd /initramfs-{version}.img $tuned_initrd\n"
        f"options {options}\ngrub_users $grub_users\ngrub_arg --unrestricted\ngrub_class {title.split()[0].lower()}\n"
    )


ROCKY_KERNEL = "5.14.0-503.el9.x86_64"
ROCKY = ImageFacts(
    arch="x86_64",
    os_id="rocky",
    os_name="Rocky Linux 9.5 (Blue Onyx)",
    kernels=(Kernel(ROCKY_KERNEL, f"/boot/vmlinuz-{ROCKY_KERNEL}", f"/boot/initramfs-{ROCKY_KERNEL}.img"),),
    grub_platforms=("i386-pc",),
    commands=("bootctl", "dracut", "findmnt", "grub2-editenv", "grub2-install", "grub2-mkconfig", "kernel-install",
              "lvm", "mdadm", "nmcli", "setfiles", "ssh-keygen", "systemctl"),
    units=("NetworkManager.service", "sshd.service"),
    files=("/boot", "/boot/efi", "/boot/loader/entries", "/etc/default/grub", "/etc/kdump.conf", "/etc/lvm/devices",
           "/etc/multipath", "/boot/efi/EFI/BOOT/BOOTX64.EFI", "/boot/efi/EFI/BOOT/fbx64.efi",
           "/boot/efi/EFI/rocky/BOOTX64.CSV", "/boot/efi/EFI/rocky/grubx64.efi", "/boot/efi/EFI/rocky/mmx64.efi",
           "/boot/efi/EFI/rocky/shimx64.efi", f"/boot/loader/entries/{OLD}-{ROCKY_KERNEL}.conf",
           f"/boot/vmlinuz-0-rescue-{OLD}", f"/boot/initramfs-0-rescue-{OLD}.img"),
    texts={
        "/etc/fstab": FSTAB,
        "/etc/default/grub": (
            'GRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR="$(sed \'s, release .*$,,g\' /etc/system-release)"\nGRUB_DEFAULT=saved\n'
            'GRUB_DISABLE_SUBMENU=true\nGRUB_TERMINAL_OUTPUT="console"\n'
            'GRUB_CMDLINE_LINUX="crashkernel=auto resume=/dev/mapper/rl-swap rd.lvm.lv=rl/root mitigations=auto"\n'
            "GRUB_DISABLE_RECOVERY=\"true\"\nGRUB_ENABLE_BLSCFG=true\n"
        ),
        f"/boot/loader/entries/{OLD}-{ROCKY_KERNEL}.conf": bls(ROCKY_KERNEL, RHEL_OPTIONS, "Rocky Linux"),
        f"/boot/loader/entries/{OLD}-0-rescue.conf": bls(f"0-rescue-{OLD}", RHEL_OPTIONS, "Rocky Linux"),
    },
)  # fmt: skip
LEAP_KERNEL = "6.4.0-150600.23.42-default"
LEAP = ImageFacts(
    arch="x86_64",
    os_id="opensuse-leap",
    os_name="openSUSE Leap 15.6",
    kernels=(Kernel(LEAP_KERNEL, f"/boot/vmlinuz-{LEAP_KERNEL}", f"/boot/initrd-{LEAP_KERNEL}"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    commands=("dracut", "findmnt", "grub2-editenv", "grub2-install", "grub2-mkconfig", "ssh-keygen", "systemctl"),
    units=("sshd.service", "wicked.service"),
    files=("/boot", "/boot/efi", "/etc/HOSTNAME", "/etc/default/grub", "/etc/default/grub_installdevice",
           "/etc/sysconfig/bootloader", "/etc/sysconfig/kdump", "/usr/share/efi/x86_64/MokManager.efi",
           "/usr/share/efi/x86_64/fallback.efi", "/usr/share/efi/x86_64/grub.efi", "/usr/share/efi/x86_64/shim.efi"),
    texts={
        "/etc/fstab": FSTAB,
        "/etc/default/grub": (
            'GRUB_DISTRIBUTOR=\nGRUB_DEFAULT=saved\nGRUB_TIMEOUT=8\n'
            'GRUB_CMDLINE_LINUX_DEFAULT="splash=silent resume=/dev/disk/by-uuid/x quiet security=apparmor"\n'
            'GRUB_CMDLINE_LINUX=""\nGRUB_TERMINAL="gfxterm"\n'
        ),
        "/etc/sysconfig/bootloader": '## Type: list\nLOADER_TYPE="grub2"\nSECURE_BOOT="yes"\n',
    },
)  # fmt: skip
FEDORA_KERNEL = "6.11.4-301.fc41.x86_64"
FEDORA = ImageFacts(
    arch="x86_64",
    os_id="fedora",
    os_name="Fedora Linux 41",
    kernels=(Kernel(FEDORA_KERNEL, f"/boot/vmlinuz-{FEDORA_KERNEL}", f"/boot/initramfs-{FEDORA_KERNEL}.img"),),
    grub_platforms=("i386-pc",),
    commands=("bootctl", "btrfs", "dracut", "findmnt", "grub2-editenv", "grub2-install", "grub2-mkconfig",
              "kernel-install", "ssh-keygen", "systemctl"),
    units=("NetworkManager.service", "sshd.service", "systemd-resolved.service"),
    files=("/boot", "/boot/efi", "/boot/loader/entries", "/etc/default/grub", "/etc/kernel/cmdline",
           "/boot/efi/EFI/BOOT/BOOTIA32.EFI", "/boot/efi/EFI/BOOT/BOOTX64.EFI", "/boot/efi/EFI/BOOT/fbia32.efi",
           "/boot/efi/EFI/BOOT/fbx64.efi", "/boot/efi/EFI/fedora/BOOTIA32.CSV", "/boot/efi/EFI/fedora/BOOTX64.CSV",
           "/boot/efi/EFI/fedora/grubia32.efi", "/boot/efi/EFI/fedora/grubx64.efi",
           "/boot/efi/EFI/fedora/mmia32.efi", "/boot/efi/EFI/fedora/mmx64.efi", "/boot/efi/EFI/fedora/shimia32.efi",
           "/boot/efi/EFI/fedora/shimx64.efi"),
    texts={
        "/etc/fstab": FSTAB,
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX="rhgb quiet"\nGRUB_ENABLE_BLSCFG=true\n',
        "/etc/kernel/cmdline": f"root=UUID={DEAD} rootflags=subvol=root ro rhgb quiet\n",
    },
)  # fmt: skip
ARCH = ImageFacts(
    arch="x86_64",
    os_id="arch",
    os_name="Arch Linux",
    kernels=(Kernel("6.11.6-arch1-1", "/boot/vmlinuz-linux", "/boot/initramfs-linux.img"),),
    commands=("bootctl", "findmnt", "kernel-install", "mkinitcpio", "ssh-keygen", "systemctl"),
    units=("systemd-networkd.service", "sshd.service"),
    files=("/boot", "/boot/EFI/BOOT/BOOTX64.EFI", "/boot/EFI/systemd/systemd-bootx64.efi", "/boot/loader/loader.conf",
           "/usr/lib/systemd/boot/efi/systemd-bootia32.efi", "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"),
    texts={
        "/etc/fstab": FSTAB,
        "/boot/loader/entries/arch.conf": (
            "title Arch Linux\nlinux /vmlinuz-linux\ninitrd /amd-ucode.img\ninitrd /initramfs-linux.img\n"
            f"options root=UUID={DEAD} cryptdevice=UUID={DEAD}:root rw quiet\n"
        ),
        "/etc/mkinitcpio.conf": (
            "MODULES=()\nBINARIES=()\nFILES=()\n# HOOKS=(base)\n"
            "HOOKS=(base udev autodetect microcode modconf kms keyboard keymap consolefont block filesystems fsck)\n"
        ),
    },
)  # fmt: skip
ALPINE = ImageFacts(
    arch="x86_64",
    os_id="alpine",
    os_name="Alpine Linux v3.20",
    kernels=(Kernel("6.6.58-0-lts", "/boot/vmlinuz-lts", "/boot/initramfs-lts"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    commands=("grub-install", "grub-mkconfig", "ifup", "mkinitfs", "ssh-keygen"),
    files=("/boot", "/boot/efi", "/etc/default/grub", "/etc/network/interfaces", "/boot/efi/EFI/alpine/grubx64.efi",
           "/boot/efi/EFI/boot/bootx64.efi"),
    texts={
        "/etc/fstab": FSTAB,
        "/etc/default/grub": (
            "GRUB_TIMEOUT=2\nGRUB_DISABLE_SUBMENU=y\nGRUB_DISABLE_RECOVERY=true\n"
            'GRUB_CMDLINE_LINUX_DEFAULT="modules=sd-mod,usb-storage,ext4 quiet rootfstype=ext4"\n'
        ),
        "/etc/inittab": (
            "::sysinit:/sbin/openrc sysinit\ntty1::respawn:/sbin/getty 38400 tty1\n"
            "#ttyS0::respawn:/sbin/getty -L 115200 ttyS0 vt100\n"
        ),
        "/etc/mkinitfs/mkinitfs.conf": 'features="ata base cdrom ext4 keymap kms mmc scsi usb virtio"\n',
        "/etc/securetty": "console\ntty1\n",
    },
)  # fmt: skip
UBUNTU = ImageFacts(
    arch="x86_64",
    os_id="ubuntu",
    os_name="Ubuntu 24.04.1 LTS",
    kernels=(Kernel("6.8.0-48-generic", "/boot/vmlinuz-6.8.0-48-generic", "/boot/initrd.img-6.8.0-48-generic"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    grub_signed=True,
    commands=("bootctl", "debconf-set-selections", "findmnt", "grub-install", "grub-mkconfig", "kernel-install",
              "netplan", "ssh-keygen", "systemctl", "update-grub", "update-initramfs"),
    units=("cloud-init.service", "ssh.service", "systemd-networkd.service", "systemd-resolved.service"),
    files=("/boot", "/boot/efi", "/etc/cloud", "/etc/default/grub", "/etc/default/grub.d", "/etc/default/kdump-tools",
           "/etc/netplan", "/boot/efi/EFI/ubuntu/grubx64.efi", "/boot/efi/EFI/ubuntu/shimx64.efi"),
    initramfs_generic=True,
    texts={
        "/etc/fstab": FSTAB,
        "/etc/default/grub": (
            "GRUB_DEFAULT=0\nGRUB_TIMEOUT_STYLE=hidden\n"
            f'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash resume=UUID={DEAD}"\nGRUB_CMDLINE_LINUX="console=ttyS9"\n'
        ),
        "/etc/default/grub.d/50-cloudimg-settings.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"\n',
    },
)  # fmt: skip
DEBIAN = ImageFacts(
    arch="x86_64",
    os_id="debian",
    os_name="Debian GNU/Linux 12 (bookworm)",
    kernels=(Kernel("6.1.0-1-amd64", "/boot/vmlinuz-6.1.0-1-amd64", "/boot/initrd.img-6.1.0-1-amd64"),),
    grub_platforms=("i386-pc", "x86_64-efi"),
    grub_signed=True,
    commands=("bootctl", "debconf-set-selections", "findmnt", "grub-install", "grub-mkconfig", "kernel-install",
              "ssh-keygen", "systemctl", "update-grub", "update-initramfs"),
    units=("systemd-networkd.service", "ssh.service"),
    files=("/boot", "/etc/default/grub", "/etc/default/grub.d"),
    initramfs_generic=True,
    texts={"/etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n'},
)  # fmt: skip


def of_tree(name: str) -> ImageFacts:
    """Of those that are here as whole trees only."""
    with TemporaryDirectory() as directory:
        return evolve(read(Tree(lay(name, Path(directory)))), labelled=True)


FAMILIES = {
    "rhel-8": of_tree("rhel-8"), "sles-15.6": of_tree("sles-15.6"),
    "debian-12": DEBIAN, "ubuntu-24.04": UBUNTU, "rocky-9": ROCKY, "fedora-41": FEDORA, "opensuse-leap-15.6": LEAP,
    "arch": ARCH, "alpine": ALPINE,
}  # fmt: skip

MAC = Mac.parse("52:54:00:00:00:01")
DISK = Disk("/dev/nvme0n1", 2**34, bus=Bus.NVME, by_path="pci-0000:00:03.0-nvme-1")
ROOT = PlannedFilesystem("/dev/nvme0n1p4", Filesystem.EXT4, "11111111-1111-5111-8111-111111111111", "/")
ESP = PlannedFilesystem("/dev/nvme0n1p2", Filesystem.VFAT, "AAAA-BBBB", "/boot/efi", "umask=0077")
SWAP = PlannedSwap("/dev/nvme0n1p3", "22222222-2222-5222-8222-222222222222")
SYSTEM = System(filesystems=(ESP, ROOT), swaps=(SWAP,), boot_disks=("/dev/nvme0n1",))
STACK = evolve(
    SYSTEM,
    filesystems=(
        ESP,
        PlannedFilesystem("/dev/md/boot", Filesystem.EXT4, "33333333-3333-5333-8333-333333333333", "/boot"),
        evolve(ROOT, device="/dev/sys/root"),
    ),
    swaps=(PlannedSwap("/dev/sys/swap", SWAP.uuid),),
    arrays=(PlannedArray("/dev/md/boot", "aa:bb:cc:01", 1, "1.2"), PlannedArray("/dev/md/pv", "aa:bb:cc:02", 1, "1.2")),
    crypts=(PlannedCrypt("crypt0", "/dev/md/pv", "44444444-4444-5444-8444-444444444444", (Unlock.PASSPHRASE,)),),
    groups=("sys",),
    root_on=(RootOn.ARRAY, RootOn.CRYPT, RootOn.VOLUME),
)


def target(facts: ImageFacts, system: System = SYSTEM) -> Target:
    if facts is ARCH:
        system = evolve(system, filesystems=(evolve(ESP, mount="/boot"), evolve(ROOT, device=system.root.device)))
    if not {"i386-pc"} & set(facts.grub_platforms):
        system = evolve(system, bios=False)
    return Target(
        node=Node("node07", (MAC,), ImageRef.parse("compute"), console="ttyS1,57600n8"),
        facts=facts,
        inventory=Inventory("x86_64", Firmware.UEFI, 2**31, 2, (DISK,), (Nic("eth0", MAC),), boot_mac=MAC),
        site=UUID("6f1d0d5e-8f2c-4d0e-9d57-8f5d3f0d1a11"),
        server="http://10.0.0.1:8080",
        system=system,
    )


def boot_steps(of: Target) -> tuple[Step, ...]:
    """All that concerns booting, in the order of an install."""
    before = (*multipath(of), *crash_dump(of), *apply(COMMAND_LINE, of), *console_getty(of))
    return (*before, *apply(BOOTLOADER, of), *apply(FIRMWARE, of), *checks(of))


def told(steps: tuple[Step, ...]) -> str:
    """Every step in its line, and below a file what is written into it."""
    lines = []
    for step in steps:
        lines += step_lines(step)
        if isinstance(step, WriteFile):
            lines += [f"    {line}".rstrip() for line in step.content.splitlines()]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("name", "system"), [("", SYSTEM), ("-stack", STACK)], ids=["plain", "stack"])
def test_what_makes_each_family_start(family: str, name: str, system: System) -> None:
    text = told(boot_steps(target(FAMILIES[family], system)))
    path = GOLDEN / f"{family}{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.processes
@pytest.mark.skipif(not shutil.which("grub-script-check"), reason="needs grub-script-check of grub-common")
@pytest.mark.parametrize("system", [SYSTEM, STACK], ids=["plain", "stack"])
def test_grub_itself_can_read_the_stubs(system: System, tmp_path: Path) -> None:
    for facts in FAMILIES.values():
        for step in apply(BOOTLOADER, target(facts, system)):
            if isinstance(step, WriteFile) and step.path.endswith("/grub.cfg"):
                (tmp_path / "grub.cfg").write_text(step.content)
                subprocess.run(("grub-script-check", tmp_path / "grub.cfg"), check=True)


@pytest.mark.processes
@pytest.mark.parametrize("family", FAMILIES)
def test_a_shell_reads_what_it_was_meant_to_read(family: str, tmp_path: Path) -> None:
    """/etc/default/grub is a script that grub-mkconfig sources: quotes must have come out whole."""
    for step in apply(COMMAND_LINE, target(FAMILIES[family])):
        if isinstance(step, WriteFile) and re.match(r"/etc/default/grub(\.d/|$)", step.path):
            (tmp_path / "grub").write_text(step.content)
            script = '. "$1" 2> /dev/null; printf "%s" "$GRUB_CMDLINE_LINUX"'
            said = subprocess.run(
                ("sh", "-c", script, "sh", tmp_path / "grub"), check=True, capture_output=True, text=True
            )
            ours = "console=tty0 console=ttyS1,57600n8"
            debian = step.path.startswith("/etc/default/grub.d/") or family in ("debian-12", "ubuntu-24.04")
            assert said.stdout.endswith(ours) is (step.path.endswith("/zz-imaged.cfg") or not debian)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_the_golden_client_is_written(family: str) -> None:
    for step in boot_steps(target(FAMILIES[family])):
        if isinstance(step, WriteFile):
            gone = (DEAD, "rl/root", "rl-swap", "10.9.8.7", "by-uuid/x", f"{OLD}-{ROCKY_KERNEL}")
            assert not [word for word in gone if word in step.content], step.path


@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_time_writes_the_same(family: str) -> None:
    """An update runs on facts of a version sealed from such a node: what was written is then what is read."""
    first = target(FAMILIES[family])
    written = {step.path: step.content for step in apply(COMMAND_LINE, first) if isinstance(step, WriteFile)}
    texts = {**first.facts.texts, **written}
    for step in apply(COMMAND_LINE, first):
        if isinstance(step, RemovePath):
            texts.pop(step.path, None)
    again = apply(COMMAND_LINE, evolve(first, facts=evolve(first.facts, texts=texts)))
    assert {step.path: step.content for step in again if isinstance(step, WriteFile)}.items() <= written.items()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_file_of_ours_that_is_checked_is_written(family: str) -> None:
    steps = boot_steps(target(FAMILIES[family]))
    written = {step.path for step in steps if isinstance(step, WriteFile)}
    for step in steps:
        if isinstance(step, CheckFile) and (
            "/loader/entries/" in step.path or step.path.endswith("/EFI/rocky/grub.cfg")
        ):
            assert step.path in written
    assert [step for step in steps if isinstance(step, SetBootEntries)]
    assert not [s for s in steps if isinstance(s, RunInTarget) and s.argv[0] == "grub2-install" and "efi" in s.argv[1]]


TWIN = "fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize(
    ("identities", "identity", "moved", "gone"),
    [
        ((OLD,), None, (OLD,), ()),
        ((OLD,), Identity.GOLDEN, (), ()),
        ((OLD, TWIN), None, (OLD,), (TWIN,)),
        ((target(ROCKY).machine_id,), None, (), ()),
        ((), None, (), ()),
    ],
    ids=["renamed", "a twin of the golden client", "one is enough", "captured from this very node", "none"],
)
def test_rescue_kernels_have_the_nodes_name(identities: tuple, identity: Identity, moved: tuple, gone: tuple) -> None:
    def files(names: tuple[str, ...]) -> list[str]:
        return sorted(
            f"/boot/{each}" for name in names for each in (f"vmlinuz-0-rescue-{name}", f"i-0-rescue-{name}.img")
        )

    of = target(evolve(ROCKY, files=tuple(files(identities))))
    of = evolve(of, host=Host(identity=identity) if identity else Host())
    steps = rescue_kernel(of)
    assert [each.source for each in steps if isinstance(each, MoveFile)] == files(moved)
    assert [each.path for each in steps if isinstance(each, MoveFile)] == files((of.machine_id,) * len(moved))
    assert sorted(each.path for each in steps if isinstance(each, RemovePath)) == files(gone)


def test_an_initramfs_that_is_made_here_must_hold_what_the_root_needs() -> None:
    """Its disk's driver, its filesystem and all between; one for any hardware came with the image and is not opened."""
    facts = evolve(ROCKY, commands=(*ROCKY.commands, "lsinitrd"))
    wanted = [step for step in checks(target(facts, STACK)) if isinstance(step, CheckInitrd)]
    assert [(each.kernel, each.lister, each.modules) for each in wanted] == [
        (ROCKY_KERNEL, "lsinitrd", (("nvme",), ("raid1",), ("dm_crypt",), ("dm_mod",), ("ext4",)))
    ]
    (plain,) = (step for step in checks(target(facts)) if isinstance(step, CheckInitrd))
    assert plain.modules == (("nvme",), ("ext4",))
    generic = evolve(facts, initramfs_generic=True)
    assert not any(isinstance(step, CheckInitrd) for step in (*checks(target(generic)), *checks(target(ROCKY))))


def test_each_copy_of_the_esp_is_read_back() -> None:
    of = target(ROCKY, evolve(SYSTEM, esp_mirrors=("/dev/sdb1",)))
    assert [step for step in checks(of) if isinstance(step, MirrorEsp)] == [
        MirrorEsp("/boot/efi", ("/dev/sdb1",), check=True)
    ]
