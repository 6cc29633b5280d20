"""The boot ramdisk's command line and GRUB's serial port, as tables."""

import pytest

from imaged.planning.script import Serial, install_arguments, inventory_arguments, medium_arguments, serial

SERVER = "http://192.168.100.200:8080"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (install_arguments("S", "T", ""), "imaged.server=S imaged.token=T console=tty0"),
        (install_arguments("S", "T", "ttyS0"), "imaged.server=S imaged.token=T console=tty0 console=ttyS0"),
        (install_arguments("S", "T", "", rescue=True), "imaged.server=S imaged.token=T imaged.rescue=1 console=tty0"),
        (inventory_arguments("S", "T", ""), "imaged.server=S imaged.token=T imaged.inventory=1 console=tty0"),
        (medium_arguments("S", "M", ""), "imaged.server=S imaged.medium=M console=tty0"),
        (medium_arguments("S", "M", "", "ip=::::n:eth0:dhcp"),
         "imaged.server=S imaged.medium=M ip=::::n:eth0:dhcp console=tty0"),
    ],
)  # fmt: skip
def test_arguments(arguments: str, expected: str) -> None:
    assert arguments == expected


def test_short_enough_for_loaders_that_cut_at_255() -> None:
    longest = "ip=192.168.100.201::192.168.100.254:255.255.255.0:node001:52-54-00-12-34-56:off"
    for line in (
        install_arguments(SERVER, "x" * 32, "ttyS0,115200n8", rescue=True) + " BOOTIF=01-52-54-00-12-34-56",
        medium_arguments(SERVER, "x" * 32, "ttyS0,115200n8", longest),
        inventory_arguments(SERVER, "x" * 61, "ttyS0,115200n8") + " BOOTIF=01-52-54-00-12-34-56",
    ):
        assert len(line) + len("rdinit=/sbin/imaged-init ") <= 255


@pytest.mark.parametrize(
    ("console", "expected"),
    [
        ("ttyS0,115200n8", Serial(0, 115200)),
        ("ttyS1", Serial(1, 9600)),
        ("ttyAMA0", None),
        ("hvc0", None),
        ("", None),
    ],
)
def test_serial(console: str, expected: Serial | None) -> None:
    assert serial(console) == expected
