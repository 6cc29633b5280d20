"""Partition types, in MBRs and GPTs, as roles and mount points (UAPI Discoverable Partitions Specification)."""

from imaged.model.layout import Role

EXTENDED = ("5", "f", "85", "c5")
PREP = "41"
MBR = {"82": Role.SWAP, "fd": Role.RAID, "8e": Role.PV, "ef": Role.ESP, "ea": Role.XBOOTLDR, "e8": Role.LUKS}
PLAIN_MBR = ("83", "")
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
GPT = {
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B": Role.ESP,
    "21686148-6449-6E6F-744E-656564454649": Role.BIOS_GRUB,
    "BC13C2FF-59E6-4262-A352-B275FD6F7172": Role.XBOOTLDR,
    "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F": Role.SWAP,
    "A19D880F-05FC-4D3B-A006-743F0F84911E": Role.RAID,
    "E6D6D379-F507-44C2-A23C-238F2A3DF928": Role.PV,
    "CA7D7CCB-63ED-4C53-861C-1742536059CC": Role.LUKS,
}
MOUNTS = {
    "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709": "/",  # x86-64
    "44479540-F297-41B2-9AF7-D131D5F0458A": "/",  # x86
    "B921B045-1DF0-41C3-AF44-4C6F280D3FAE": "/",  # arm64
    "933AC7E1-2EB4-4F13-B844-0E14E2AEF915": "/home",
    "3B8F8425-20E0-4F3B-907F-1A25A76F98E8": "/srv",
    "4D21B016-B534-45C2-A9FB-5C16E091FD2D": "/var",
    "8484680C-9521-48C6-9C11-B0720656F69E": "/usr",
}


def mbr(code: str) -> str:
    """``8e`` of ``8E``, ``0x8e`` and ``8e``; without a leading nought."""
    return code.strip().lower().removeprefix("0x").lstrip("0")
