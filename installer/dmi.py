"""What firmware and kernel tell about the machine itself: SMBIOS, firmware, Secure Boot, memory, processors."""

import os
from pathlib import Path

from imaged.model.hardware import Firmware, Smbios

_FILES = {
    "vendor": "sys_vendor",
    "product": "product_name",
    "serial": "product_serial",
    "uuid": "product_uuid",
    "board": "board_name",
    "bios_version": "bios_version",
}
_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"  # UEFI 2.x, section 3.3


def smbios(sys: Path = Path("/sys")) -> Smbios:
    """DMI strings as the kernel decoded them; the UUID in lower case."""
    texts = {name: _read(sys / "class/dmi/id" / file) for name, file in _FILES.items()}
    return Smbios(**{**texts, "uuid": texts["uuid"].lower()})


def firmware(sys: Path = Path("/sys")) -> Firmware:
    """UEFI exactly where the kernel was started by it."""
    return Firmware.UEFI if (sys / "firmware/efi").is_dir() else Firmware.BIOS


def efi_bits(sys: Path = Path("/sys")) -> int:
    """32 or 64, of the firmware; a kernel that was not started by UEFI says nothing of it.

    (Documentation/ABI/testing/sysfs-firmware-efi.)
    """
    return 32 if _read(sys / "firmware/efi/fw_platform_size") == "32" else 64


def secure_boot(sys: Path = Path("/sys")) -> bool:
    """The variable's last byte; efivarfs puts four bytes of attributes before it."""
    try:
        return (sys / "firmware/efi/efivars" / _SECURE_BOOT).read_bytes()[4:] == b"\x01"
    except OSError:
        return False


def memory(proc: Path = Path("/proc")) -> int:
    """Usable memory in bytes."""
    for line in _read(proc / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    return 0


def cpu_model(proc: Path = Path("/proc")) -> str:
    """Marketing name of the first processor; empty where /proc/cpuinfo has none (arm64)."""
    for line in _read(proc / "cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return ""


def cpus() -> int:
    """Processors that this kernel can use."""
    return os.cpu_count() or 1


def tpm2(sys: Path = Path("/sys")) -> bool:
    """Whether there is a TPM of version 2 that the kernel has a driver for (since Linux 5.6)."""
    return any(_read(each) == "2" for each in sys.glob("class/tpm/tpm*/tpm_version_major"))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # absent without SMBIOS, and unreadable for some strings without root
        return ""
