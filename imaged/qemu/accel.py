"""Whether KVM works here. An emulated or nested host may offer /dev/kvm and then hang every guest in its firmware."""

import os
import tempfile
import time
from pathlib import Path

from imaged import process
from imaged.qemu.options import Accel

_KVM = Path("/dev/kvm")
_SECONDS = 3.0
# SeaBIOS and the card's iPXE print to the serial port; real hardware is through both in half a second.
_PROBE = (
    "setpriv", "--pdeathsig", "KILL", "--",
    "qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-machine", "q35,graphics=off", "-m", "64", "-nodefaults",
    "-no-user-config", "-display", "none", "-serial", "stdio", "-device", "virtio-net-pci",
)  # fmt: skip
_WORKED = b"iPXE"


def accelerator() -> Accel:
    """KVM when a guest gets through its firmware under it within seconds, else emulation."""
    return Accel.KVM if os.access(_KVM, os.R_OK | os.W_OK) and _boots() else Accel.TCG


def _boots() -> bool:
    with tempfile.TemporaryDirectory(prefix="imaged-kvm-") as directory:
        console = Path(directory) / "console"
        guest = process.start(_PROBE, output=console)
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
