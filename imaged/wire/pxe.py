"""What a DHCP request tells of a network boot (PXE 2.1, RFC 4578, UEFI HTTP boot, iPXE)."""

import re
import uuid

from imaged.model.boot import Arch, BootClient, Stage
from imaged.wire import dhcp_options as opt
from imaged.wire.dhcp import Packet

PXE_CLASS, HTTP_CLASS = "PXEClient", "HTTPClient"

# IANA, "Processor Architecture Types". 9 is what EDK2 once sent for x64 (erratum of RFC 4578), 16 and 19 boot by HTTP.
_ARCHES = {
    0: Arch.BIOS,
    7: Arch.X86_64, 9: Arch.X86_64, 16: Arch.X86_64,
    11: Arch.ARM64, 19: Arch.ARM64,
}  # fmt: skip
_CLASS_ARCH = re.compile(r"(?:PXE|HTTP)Client:Arch:(\d{5})")


def read(packet: Packet) -> BootClient | None:
    """The machine that is network-booting, or None for any other client (an installed system, say)."""
    mac = packet.mac
    vendor_class = packet.get(opt.VENDOR_CLASS) or ""
    ipxe = _is_ipxe(packet)
    if mac is None or not (ipxe or vendor_class.startswith((PXE_CLASS, HTTP_CLASS))):
        return None
    stage = Stage.IPXE if ipxe else Stage.HTTP if vendor_class.startswith(HTTP_CLASS) else Stage.ROM
    return BootClient(mac, _arch(packet, vendor_class), stage, machine_uuid(packet))


def machine_uuid(packet: Packet) -> str:
    """The SMBIOS UUID of option 97 as dmidecode(8) and /sys print it, or an empty string."""
    raw = packet.get(opt.CLIENT_UUID)
    # Type 0 is the only one (RFC 4578, section 2.3); all zeros or ones is a board that was never given one.
    if raw is None or len(raw) != 17 or raw[0] != 0 or raw[1:] in (b"\0" * 16, b"\xff" * 16):
        return ""
    # Firmware sends the bytes as they lie in SMBIOS, whose first three fields are little-endian since version 2.6.
    return str(uuid.UUID(bytes_le=raw[1:]))


def _is_ipxe(packet: Packet) -> bool:
    """iPXE says so in option 77: bare text in its own releases, RFC 3004's length first in patched builds."""
    user_class = packet.get(opt.USER_CLASS)
    if user_class is not None and b"iPXE" in (user_class, *_user_classes(user_class)):
        return True
    return user_class is None and packet.get(opt.ETHERBOOT) is not None  # a script may have unset option 77


def _user_classes(raw: bytes) -> list[bytes]:
    """RFC 3004: a list of length and text; empty when it is not that."""
    classes: list[bytes] = []
    at = 0
    while at < len(raw):
        end = at + 1 + raw[at]
        if raw[at] == 0 or end > len(raw):
            return []
        classes.append(raw[at + 1 : end])
        at = end
    return classes


def _arch(packet: Packet, vendor_class: str) -> Arch:
    """The first architecture we know (the client lists what it can run, best first)."""
    codes = packet.get(opt.CLIENT_ARCH)
    if codes is None:
        # Old ROMs have it in the class only; one that says nothing at all is older than UEFI.
        match = _CLASS_ARCH.match(vendor_class)
        codes = (int(match[1]) if match else 0,)
    return next((_ARCHES[code] for code in codes if code in _ARCHES), Arch.OTHER)
