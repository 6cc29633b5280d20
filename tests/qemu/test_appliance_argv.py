"""The appliance's command line: the image is only read, its format is said, and nothing it names is opened."""

import json
from itertools import pairwise

import pytest

from imaged.planning.disk_format import DiskFormat, DiskImage
from imaged.qemu.appliance import ApplianceFiles, argv, overlay_argv
from imaged.qemu.options import Accel, quoted

FILES = ApplianceFiles("/b/vmlinuz", "/b/initrd.img", "/d/a,b.img", "/s/overlay.qcow2", "/s/ex,port")


def words(format: DiskFormat, partition: str = "", arch: str = "x86_64", accel: Accel = Accel.TCG) -> tuple[str, ...]:
    return argv(arch, accel, FILES, DiskImage(format, 1 << 30), partition)


def after(option: str, command: tuple[str, ...]) -> list[str]:
    return [value for word, value in pairwise(command) if word == option]


@pytest.mark.parametrize(
    ("format", "extra"),
    [(DiskFormat.RAW, {}), (DiskFormat.QCOW2, {"backing": None}), (DiskFormat.VMDK, {"backing": None})],
)
def test_the_image_is_read_in_the_format_that_we_found(format: DiskFormat, extra: dict[str, None]) -> None:
    source, overlay = map(json.loads, after("-blockdev", words(format)))
    assert source == {
        "driver": format.value, "node-name": "source", "read-only": True,
        "file": {"driver": "file", "filename": "/d/a,b.img"}, **extra,
    }  # fmt: skip
    assert overlay["backing"] == "source"
    assert overlay["file"]["filename"] == "/s/overlay.qcow2"
    assert "virtio-blk-pci,drive=overlay,serial=source" in after("-device", words(format))


@pytest.mark.parametrize(
    ("partition", "end"),
    [("", " imaged.appliance=export"), ("vg/root", " imaged.appliance=export imaged.partition=vg/root")],
)
def test_the_kernel_is_told_what_to_do(partition: str, end: str) -> None:
    (append,) = after("-append", words(DiskFormat.RAW, partition))
    assert append.startswith("rdinit=/sbin/imaged-init console=ttyS0 ")
    assert append.endswith(end)


@pytest.mark.parametrize(
    ("arch", "accel", "expected"),
    [
        ("x86_64", Accel.KVM, ("q35,graphics=off", "host", "2", "ttyS0")),
        ("x86_64", Accel.TCG, ("q35,graphics=off", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt", "1", "ttyS0")),
        ("aarch64", Accel.KVM, ("virt,gic-version=max", "host", "2", "ttyAMA0")),
        ("aarch64", Accel.TCG, ("virt,gic-version=max", "max", "1", "ttyAMA0")),
    ],
)
def test_the_machine_suits_the_host(arch: str, accel: Accel, expected: tuple[str, ...]) -> None:
    command = words(DiskFormat.RAW, arch=arch, accel=accel)
    assert command[0] == f"qemu-system-{arch}"
    (machine,), (cpu,), (count,) = (after(option, command) for option in ("-machine", "-cpu", "-smp"))
    assert (machine, cpu, count) == expected[:3]
    assert f"console={expected[3]} " in after("-append", command)[0]


def test_it_has_no_network_and_starts_nothing() -> None:
    command = words(DiskFormat.RAW)
    assert "spawn=deny" in after("-sandbox", command)[0]
    assert "-nodefaults" in command
    assert not {"-nic", "-netdev", "-net"} & set(command)
    assert "socket,id=export,path=/s/ex,,port" in after("-chardev", command)


def test_the_overlay_is_as_large_as_the_disk() -> None:
    assert overlay_argv("/s/o", DiskImage(DiskFormat.RAW, 512)) == (
        "qemu-img", "create", "-q", "-f", "qcow2", "/s/o", "512",
    )  # fmt: skip


@pytest.mark.parametrize(("path", "expected"), [("/a", "/a"), ("/a,b,,c", "/a,,b,,,,c")])
def test_a_comma_is_doubled(path: str, expected: str) -> None:
    assert quoted(path) == expected
