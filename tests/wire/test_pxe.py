"""Which machine asks, with what firmware, at which stage."""

from pathlib import Path

import pytest

from imaged.model.boot import Arch, BootClient, Stage
from imaged.model.net import Mac
from imaged.wire import dhcp_options as opt
from imaged.wire import pxe
from imaged.wire.dhcp import Op, Packet, decode

MAC = Mac.parse("52:54:00:12:34:56")
DATA = Path(__file__).parents[1] / "data/dhcp"
UUID = "00112233-4455-6677-8899-aabbccddeeff"


def packet(*options, chaddr=MAC.packed):
    return Packet(Op.REQUEST, 1, chaddr, options=dict(options))


def vendor(text):
    return opt.VENDOR_CLASS.of(text)


def arch(*codes):
    return opt.CLIENT_ARCH.of(codes)


IPXE = (opt.USER_CLASS.code, b"iPXE")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), None),
        ((vendor("dhcpcd-9.4.1"),), None),
        ((vendor("U-Boot.armv8"), arch(0x16)), None),
        ((arch(7),), None),  # says nothing of PXE
        ((vendor("PXEClient:Arch:00000:UNDI:002001"), arch(0)), (Arch.BIOS, Stage.ROM)),
        ((vendor("PXEClient"),), (Arch.BIOS, Stage.ROM)),  # older than option 93
        ((vendor("PXEClient:Arch:00007:UNDI:003016"),), (Arch.X86_64, Stage.ROM)),  # 93 is missing
        ((vendor("PXEClient:Arch:00007:UNDI:003016"), arch(7)), (Arch.X86_64, Stage.ROM)),
        ((vendor("PXEClient"), arch(9)), (Arch.X86_64, Stage.ROM)),
        ((vendor("PXEClient"), arch(6)), (Arch.OTHER, Stage.ROM)),
        ((vendor("PXEClient"), arch(6, 7)), (Arch.X86_64, Stage.ROM)),  # a list: the first that we have
        ((vendor("PXEClient"), arch(11)), (Arch.ARM64, Stage.ROM)),
        ((vendor("PXEClient"), (93, b"\x07")), (Arch.BIOS, Stage.ROM)),  # no list of 16-bit numbers: not said
        ((vendor("HTTPClient:Arch:00016:UNDI:003001"), arch(16)), (Arch.X86_64, Stage.HTTP)),
        ((vendor("HTTPClient"), arch(19)), (Arch.ARM64, Stage.HTTP)),
        ((vendor("HTTPClient"), arch(18)), (Arch.OTHER, Stage.HTTP)),
        ((vendor("PXEClient:Arch:00000:UNDI:002001"), arch(0), IPXE), (Arch.BIOS, Stage.IPXE)),
        ((arch(7), (77, b"\x04iPXE")), (Arch.X86_64, Stage.IPXE)),  # RFC 3004
        ((arch(7), (77, b"\x03abc\x04iPXE")), (Arch.X86_64, Stage.IPXE)),
        ((arch(7), (175, b"\xb1\x01\x01")), (Arch.X86_64, Stage.IPXE)),
        ((vendor("PXEClient"), arch(0), (77, b"gPXE"), (175, b"\xb1\x01\x01")), (Arch.BIOS, Stage.ROM)),
        ((vendor("PXEClient"), arch(0), (77, b"\x09iPXE")), (Arch.BIOS, Stage.ROM)),
        ((vendor("PXEClient"), arch(0), (77, b"\0\0\0")), (Arch.BIOS, Stage.ROM)),
        ((vendor("PXEClient"), arch(0), (175, b"\xb1\x09")), (Arch.BIOS, Stage.ROM)),
    ],
)
def test_clients(options, expected):
    assert pxe.read(packet(*options)) == (BootClient(MAC, *expected) if expected else None)


@pytest.mark.parametrize("chaddr", [b"", bytes(6), b"\xff" * 6, bytes(16)])
def test_what_has_no_mac_is_no_machine(chaddr):
    assert pxe.read(packet(vendor("PXEClient"), chaddr=chaddr)) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\0" + bytes.fromhex("33221100554477668899aabbccddeeff"), UUID),
        (b"\0" + b"\xff" * 16, ""),
        (b"\0" + b"\0" * 16, ""),
        (b"\1" + b"\1" * 16, ""),
        (b"\0" + b"\1" * 15, ""),
        (b"", ""),
    ],
)
def test_machine_uuid(value, expected):
    assert pxe.machine_uuid(packet((97, value))) == expected


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        ("ipxe-bios-discover", BootClient(MAC, Arch.BIOS, Stage.IPXE, UUID)),
        ("ipxe-bios-request", BootClient(MAC, Arch.BIOS, Stage.IPXE, UUID)),
        ("ovmf-x64-discover", BootClient(MAC, Arch.X86_64, Stage.ROM, UUID)),
        ("ovmf-x64-request", BootClient(MAC, Arch.X86_64, Stage.ROM, UUID)),
        ("snponly-x64-discover", BootClient(MAC, Arch.X86_64, Stage.IPXE, UUID)),
        ("snponly-x64-request", BootClient(MAC, Arch.X86_64, Stage.IPXE, UUID)),
        ("ovmf-x64-http-discover", BootClient(MAC, Arch.X86_64, Stage.HTTP, UUID)),
        ("ovmf-x64-http-request", BootClient(MAC, Arch.X86_64, Stage.HTTP, UUID)),
        ("udhcpc-discover", None),
        ("dhclient-discover", None),
        ("dhcpcd-discover", None),
    ],
)
def test_captured_clients(capture, expected):
    assert pxe.read(decode(bytes.fromhex((DATA / f"{capture}.hex").read_text()))) == expected
