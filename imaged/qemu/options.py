"""PURE: words of a QEMU command line that do not depend on what the machine is for. See qemu(1)."""

from enum import Enum


class Accel(Enum):
    """What runs the guest's instructions."""

    KVM = "kvm"
    TCG = "tcg"


def processor(accel: Accel, arch: str = "x86_64") -> tuple[str, ...]:
    """The accelerator, and the processor of ``arch`` (uname -m) that goes with it."""
    if accel is Accel.KVM:
        return "-accel", "kvm", "-cpu", "host"
    if arch == "aarch64":
        # Not max: its pointer authentication is a hash for each function's return, emulated.
        return "-accel", "tcg,thread=multi", "-cpu", "cortex-a72"
    # qemu64 and what x86-64-v2 adds (distributions are built for it). Not an Intel model: Linux would then isolate
    # its page tables against Meltdown, and every system call flushes the TLB, which emulation pays dearly.
    return "-accel", "tcg,thread=multi", "-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt"


def quoted(path: str) -> str:
    """QEMU splits its options at commas; a doubled one is a comma."""
    return path.replace(",", ",,")
