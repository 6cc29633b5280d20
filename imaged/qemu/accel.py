"""Whether KVM works here. An emulated or nested host may offer /dev/kvm and then hang every guest."""

import os
import tempfile
import time
from pathlib import Path

from imaged import process
from imaged.model.boot import RAMDISK_DIR
from imaged.qemu.options import Accel

_KVM = Path("/dev/kvm")
_SECONDS = 5.0
# Firmware, the card's iPXE and the kernel print to the serial port; real hardware is through all of it in a second.
# Some hosts get through the firmware and hang while the kernel unpacks itself.
_PROBE = (
    "setpriv", "--pdeathsig", "KILL", "--",
    "qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-machine", "q35,graphics=off", "-m", "512", "-nodefaults",
    "-no-user-config", "-display", "none", "-serial", "stdio", "-device", "virtio-net-pci", "-append", "console=ttyS0",
    "-kernel",
)  # fmt: skip
_WORKED = b"Linux version"


def accelerator(boot: Path) -> Accel:
    """KVM when a guest starts the kernel of the boot ramdisk under it within seconds, else emulation."""
    kernel = boot / RAMDISK_DIR / "x86_64" / "vmlinuz"
    usable = os.access(_KVM, os.R_OK | os.W_OK) and kernel.is_file()
    return Accel.KVM if usable and _starts(kernel) else Accel.TCG


def _starts(kernel: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix="imaged-kvm-") as directory:
        console = Path(directory) / "console"
        guest = process.start((*_PROBE, str(kernel)), output=console)
        try:
            deadline = time.monotonic() + _SECONDS
            while guest.poll() is None and time.monotonic() < deadline:
                if _WORKED in console.read_bytes():
                    return True
                time.sleep(0.05)
            return _WORKED in console.read_bytes()
        finally:
            guest.kill()
            guest.wait()
