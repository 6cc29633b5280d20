"""The order of fixups, which is a contract: each depends on those before it. A new fixup gets its line here.

Network comes before the initramfs (Debian 13 copies .link files into it), the command line before the boot loader,
machine-id before anything that names a kernel entry by it.
"""

from collections.abc import Callable

from imaged.model.plan import Step
from imaged.planning.fixups.boot import grub, initramfs, kernel_command_line, remember_install_disk
from imaged.planning.fixups.first_boot import report_up
from imaged.planning.fixups.identity import hostname, machine_identity, node_secret, ssh_host_keys
from imaged.planning.fixups.network import network
from imaged.planning.fixups.quarantine import quarantine
from imaged.planning.fixups.storage import fstab, resume
from imaged.planning.fixups.target import Target

Fixup = Callable[[Target], tuple[Step, ...]]

FIXUPS: tuple[Fixup, ...] = (
    quarantine,
    machine_identity,
    hostname,
    fstab,
    resume,
    kernel_command_line,
    network,
    ssh_host_keys,
    node_secret,
    report_up,
)

BOOTLOADER: tuple[Fixup, ...] = (initramfs, remember_install_disk, grub)


def apply(fixups: tuple[Fixup, ...], target: Target) -> tuple[Step, ...]:
    """The steps of all ``fixups``, in their order."""
    return tuple(step for fixup in fixups for step in fixup(target))
