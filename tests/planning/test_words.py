"""Kernel command lines: what stays of the golden client's, word for word."""

from uuid import UUID

import pytest
from attrs import evolve

from imaged.model.hardware import Firmware, Inventory
from imaged.model.image import ImageFacts, Kernel
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node
from imaged.model.stack import Filesystem
from imaged.model.system import PlannedFilesystem, System
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.words import kept, split, whole

TARGET = Target(
    Node("n", (Mac.parse("52:54:00:00:00:01"),), ImageRef.parse("i")),
    ImageFacts("x86_64", kernels=(Kernel("5.14.0-1", ""),), commands=("dracut",)),
    Inventory("x86_64", Firmware.BIOS, 0, 1, (), ()),
    UUID(int=1),
    "http://10.0.0.1",
    System((PlannedFilesystem("/dev/sda2", Filesystem.EXT4, "1111", "/"),)),
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("quiet splash mitigations=auto", "quiet splash mitigations=auto"),
        ("root=/dev/sda1 rootfstype=xfs rootflags=subvol=@ resume=UUID=x resume_offset=1 ro", "ro"),
        ("rd.lvm.lv=a/b rd.lvm.vg=a rd.md.uuid=1 rd.luks.uuid=1 rd.luks=1 luks.uuid=1 rd.auto rd.x", "rd.auto rd.x"),
        ("cryptdevice=UUID=1:a BOOT_IMAGE=/vmlinuz initrd=/i BOOTIF=01-aa systemd.machine_id=1 quiet", "quiet"),
        ("ip=dhcp ip=eth0:dhcp rd.neednet=1", "ip=dhcp ip=eth0:dhcp"),
        ("ip=10.0.0.2::10.0.0.1:255.255.255.0:h:eth0:none ip=10.0.0.2 ip=:::::eth0:dhcp", ""),
        ('dyndbg="file a.c +p; file b.c +p" x', 'dyndbg="file a.c +p; file b.c +p" x'),
        ("console=ttyS3 console=tty0", "console=ttyS3 console=tty0"),
        ("crashkernel=512M", "crashkernel=512M"),
        ("crashkernel=auto", "crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M"),
        ("rooty=1 noresume iproute=1", "rooty=1 noresume iproute=1"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_stays(line: str, expected: str) -> None:
    assert kept(line, TARGET) == split(expected)


def test_an_elder_kernel_knows_crashkernel_auto() -> None:
    elder = evolve(TARGET, facts=evolve(TARGET.facts, kernels=(Kernel("4.18.0-80.el8", ""),)))
    assert kept("crashkernel=auto", elder) == ("crashkernel=auto",)


def test_a_console_of_the_nodes_own_takes_the_golden_clients_place() -> None:
    own = evolve(TARGET, node=evolve(TARGET.node, console="ttyS0"))
    assert whole("ro console=ttyS3 quiet", own) == "root=UUID=1111 ro quiet console=tty0 console=ttyS0"


@pytest.mark.parametrize(
    ("fs", "subvolume", "line", "expected"),
    [
        (Filesystem.EXT4, "", "", "root=UUID=1111 ro"),
        (Filesystem.EXT4, "", "rw", "root=UUID=1111 rw"),
        (Filesystem.BTRFS, "@", "", "root=UUID=1111 rootflags=subvol=@ rw"),
        (Filesystem.BTRFS, "/@/root", "ro", "root=UUID=1111 rootflags=subvol=@/root ro"),
    ],
)
def test_root(fs: Filesystem, subvolume: str, line: str, expected: str) -> None:
    root = evolve(TARGET.system.root, fs=fs, subvolume=subvolume)
    assert whole(line, evolve(TARGET, system=evolve(TARGET.system, filesystems=(root,)))) == expected


def test_twice_is_once() -> None:
    first = whole("root=/dev/sda1 quiet", TARGET)
    assert whole(first, TARGET) == first
