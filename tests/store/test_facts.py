"""Facts are footprints: files in, facts out."""

import struct
from pathlib import Path

import pytest

from imaged.model.image import DRACUT_GENERIC, ImageFacts, Kernel
from imaged.store.facts import read
from imaged.store.tree import Tree


def elf(machine: int, order: str = "<") -> bytes:
    """The first 20 bytes of a program for ``machine``."""
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + bytes(10)
    return ident + struct.pack(f"{order}HH", 2, machine)


def facts_of(root: Path, files: dict[str, str | bytes], links: dict[str, str] | None = None) -> ImageFacts:
    for name, content in files.items():
        at = root / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, target in (links or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    return read(Tree(root))


def test_an_empty_tree_has_no_facts(tmp_path: Path) -> None:
    assert read(Tree(tmp_path)) == ImageFacts(arch="", opens_crypts=False)


@pytest.mark.parametrize(
    ("header", "arch"),
    [
        (elf(62), "x86_64"),
        (elf(183), "aarch64"),
        (elf(22, ">"), "s390x"),
        (elf(999), "elf-999"),
        (b"#!/bin/busybox sh\n", ""),
        (b"\x7fELF", ""),
    ],
)
def test_arch_is_a_programs_own(tmp_path: Path, header: bytes, arch: str) -> None:
    assert facts_of(tmp_path, {"usr/bin/dash": header}, {"bin": "usr/bin", "usr/bin/sh": "dash"}).arch == arch


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'}, ("debian", "12", "Debian 12")),
        ({"usr/lib/os-release": "ID=arch\n"}, ("arch", "", "")),
        ({"etc/os-release": "ID=a\n", "usr/lib/os-release": "ID=b\n"}, ("a", "", "")),
        ({"etc/os-release": "# ID=x\nnonsense\nID='un\nVERSION_ID=9\n"}, ("", "9", "")),
    ],
)
def test_os_release(tmp_path: Path, files: dict[str, str | bytes], expected: tuple[str, str, str]) -> None:
    facts = facts_of(tmp_path, files)
    assert (facts.os_id, facts.os_version, facts.os_name) == expected


@pytest.mark.parametrize(
    ("path", "opens"),
    [
        ("usr/lib/systemd/system-generators/systemd-cryptsetup-generator", True),
        ("lib/systemd/system-generators/systemd-cryptsetup-generator", True),
        ("etc/init.d/dmcrypt", True),
        ("etc/init.d/cryptdisks", False),
    ],
)
def test_who_opens_encrypted_devices(tmp_path: Path, path: str, opens: bool) -> None:
    assert facts_of(tmp_path, {path: ""}).opens_crypts is opens


def test_kernels_newest_first_and_only_those_that_can_boot(tmp_path: Path) -> None:
    names = {
        "usr/lib/modules/6.9.0/modules.dep": "", "usr/lib/modules/6.10.0/modules.dep": "",
        "usr/lib/modules/5.1.0/modules.dep": "", "boot/vmlinuz-6.9.0": "k", "boot/initrd.img-6.9.0": "i",
        "boot/vmlinuz-6.10.0": "k", "boot/vmlinuz-0-rescue": "k",
    }  # fmt: skip
    assert facts_of(tmp_path, {**names}, {"lib": "usr/lib"}).kernels == (
        Kernel("6.10.0", "/boot/vmlinuz-6.10.0"),
        Kernel("6.9.0", "/boot/vmlinuz-6.9.0", "/boot/initrd.img-6.9.0"),
    )


def test_kernels_of_other_families(tmp_path: Path) -> None:
    names = {"usr/lib/modules/5.14/vmlinuz": "k", "boot/initramfs-5.14.img": "i"}
    expected = (Kernel("5.14", "/usr/lib/modules/5.14/vmlinuz", "/boot/initramfs-5.14.img"),)
    assert facts_of(tmp_path, {**names}).kernels == expected


GRUB = "usr/lib/grub"


@pytest.mark.parametrize(
    ("names", "platforms", "signed"),
    [
        ([f"{GRUB}/i386-pc/moddep.lst", f"{GRUB}/grub-mkconfig_lib"], ("i386-pc",), False),
        (
            [f"{GRUB}/x86_64-efi/moddep.lst", f"{GRUB}/x86_64-efi-signed/grubx64.efi.signed"],
            ("x86_64-efi",),
            False,  # a signed GRUB without a shim starts nowhere
        ),
        (
            ["usr/share/grub2/x86_64-efi/moddep.lst", "usr/lib/grub2/i386-pc/moddep.lst"],
            ("i386-pc", "x86_64-efi"),
            False,
        ),
        ([f"{GRUB}/x86_64-efi-signed/grubx64.efi.signed", "usr/lib/shim/shimx64.efi.signed"], (), True),
        ([f"{GRUB}/i386-pc/monitor.txt"], (), False),
    ],
)
def test_grub(tmp_path: Path, names: list[str], platforms: tuple[str, ...], signed: bool) -> None:
    facts = facts_of(tmp_path, dict.fromkeys(names, "x"))
    assert (facts.grub_platforms, facts.grub_signed) == (platforms, signed)


WANTS = "etc/systemd/system/multi-user.target.wants"


@pytest.mark.parametrize(
    ("links", "units"),
    [
        ({f"{WANTS}/ssh.service": "/lib/systemd/system/ssh.service"}, ("ssh.service",)),
        (
            {"usr/lib/systemd/system/network.target.wants/systemd-networkd.service": "../x"},
            ("systemd-networkd.service",),
        ),
        ({"etc/systemd/system/sshd.service": "/lib/systemd/system/ssh.service"}, ("ssh.service", "sshd.service")),
        (
            {
                f"{WANTS}/NetworkManager.service": "/lib/systemd/system/NetworkManager.service",
                "etc/systemd/system/NetworkManager.service": "/dev/null",
            },
            (),
        ),
        ({f"{WANTS}/cron.service": "/lib/systemd/system/cron.service"}, ()),
        ({"lib/systemd/system/ssh.service": "x"}, ()),
    ],
)
def test_enabled_units(tmp_path: Path, links: dict[str, str], units: tuple[str, ...]) -> None:
    assert facts_of(tmp_path, {}, links).units == units


def test_commands_and_files_are_looked_for_inside_the_tree(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {"usr/sbin/update-grub": "", "usr/bin/findmnt": "", "etc/default/grub": "", "etc/hosts": "::1 localhost\n"},
        {
            "sbin": "usr/sbin",
            "usr/bin/systemctl": "/etc/hostname",  # exists out here, not in there
            "etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
        },
    )
    assert facts.commands == ("findmnt", "update-grub")
    assert facts.files == ("/etc/default/grub", "/etc/hosts")
    assert facts.texts == {"/etc/hosts": "::1 localhost\n"}


CONF = "etc/initramfs-tools/initramfs.conf"


@pytest.mark.parametrize(
    ("files", "generic"),
    [
        ({CONF: "# MODULES=dep\nMODULES=most\n"}, True),
        ({CONF: "MODULES=dep\n"}, False),
        ({CONF: "MODULES=most\n", "etc/initramfs-tools/conf.d/few": "MODULES=list\n"}, True),
        ({CONF: "MODULES=most\n", "etc/initramfs-tools/conf.d/driver-policy": "MODULES=dep\n"}, False),
        ({CONF: "MODULES=dep\n", "etc/initramfs-tools/conf.d/site": 'MODULES="most"\n'}, True),
        ({CONF: "BUSYBOX=auto\n"}, False),
        ({}, False),
        ({DRACUT_GENERIC[1:]: 'hostonly="no"\n', "usr/lib/dracut/dracut.conf.d/01-dist.conf": 'hostonly="yes"'}, True),
        ({DRACUT_GENERIC[1:]: 'hostonly="no"\n', "etc/dracut.conf.d/99-site.conf": "hostonly=yes\n"}, False),
        ({DRACUT_GENERIC[1:]: 'hostonly="no"\n', "usr/lib/dracut/dracut.conf.d/99-x.conf": " hostonly=yes"}, False),
        ({DRACUT_GENERIC[1:]: "# gone\n"}, False),
        # Not of ours: it may have been written after the initramfs was built.
        ({"usr/lib/dracut/dracut.conf.d/02-generic-image.conf": 'hostonly="no"\n'}, False),
    ],
)
def test_generic_initramfs(tmp_path: Path, files: dict[str, str | bytes], generic: bool) -> None:
    assert facts_of(tmp_path, files).initramfs_generic == generic


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"usr/lib/modules/6.11.6-arch1-1/vmlinuz": "k", "usr/lib/modules/6.11.6-arch1-1/pkgbase": "linux\n",
          "boot/vmlinuz-linux": "k", "boot/initramfs-linux.img": "i"},
         Kernel("6.11.6-arch1-1", "/boot/vmlinuz-linux", "/boot/initramfs-linux.img")),
        ({"usr/lib/modules/6.11.6-arch1-1/vmlinuz": "k", "usr/lib/modules/6.11.6-arch1-1/pkgbase": "linux\n"},
         Kernel("6.11.6-arch1-1", "/usr/lib/modules/6.11.6-arch1-1/vmlinuz", "")),
        ({"lib/modules/6.6.58-0-lts/modules.dep": "", "boot/vmlinuz-lts": "k", "boot/initramfs-lts": "i",
          "etc/mkinitfs/mkinitfs.conf": "features=base"},
         Kernel("6.6.58-0-lts", "/boot/vmlinuz-lts", "/boot/initramfs-lts")),
        ({"usr/lib/modules/5.14.0-503.el9/modules.dep": "", "boot/vmlinuz-5.14.0-503.el9": "k",
          "boot/initramfs-5.14.0-503.el9.img": "i", "boot/initramfs-5.14.0-503.el9kdump.img": "i"},
         Kernel("5.14.0-503.el9", "/boot/vmlinuz-5.14.0-503.el9", "/boot/initramfs-5.14.0-503.el9.img")),
    ],
    ids=["arch", "arch without /boot", "alpine", "rocky"],
)  # fmt: skip
def test_kernels_that_have_no_version_in_their_name(tmp_path: Path, files: dict, expected: Kernel) -> None:
    assert facts_of(tmp_path, files).kernels == (expected,)


def test_names_that_an_image_chooses_itself(tmp_path: Path) -> None:
    entry = "boot/loader/entries/0123-5.14.conf"
    facts = facts_of(
        tmp_path,
        {"boot/efi/EFI/rocky/grubx64.efi": "g", entry: "title x\n", "etc/default/grub.d/50-cloud.cfg": "A=1\n"},
        {"etc/default/grub": "../../nowhere"},
    )
    assert {"/boot/efi/EFI/rocky/grubx64.efi", f"/{entry}"} <= set(facts.files)
    assert facts.texts == {f"/{entry}": "title x\n", "/etc/default/grub.d/50-cloud.cfg": "A=1\n"}
