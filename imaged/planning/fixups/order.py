"""The order of fixups, which is a contract: each depends on those before it. A new fixup gets its lines here.

Network comes before the initramfs (Debian 13 copies .link files into it), the command line before the boot loader,
machine-id before anything that names a kernel entry by it. The copies of users and groups come first: they are the
image's only as long as nothing else was done.
"""

from collections.abc import Callable

from imaged.model.plan import Step
from imaged.planning.fixups.boot import grub, initramfs, kernel_command_line, remember_install_disk
from imaged.planning.fixups.first_boot import report_up
from imaged.planning.fixups.identity import (
    hostname,
    machine_identity,
    merge_bases,
    node_secret,
    server_address,
    ssh_host_keys,
)
from imaged.planning.fixups.network import network
from imaged.planning.fixups.quarantine import quarantine, quarantine_again
from imaged.planning.fixups.stack import crypttab, lvm_devices, mdadm_conf
from imaged.planning.fixups.storage import fstab, resume
from imaged.planning.fixups.target import Target

Fixup = Callable[[Target], tuple[Step, ...]]

FIXUPS: tuple[Fixup, ...] = (
    merge_bases,
    quarantine,
    machine_identity,
    hostname,
    fstab,
    crypttab,
    mdadm_conf,
    lvm_devices,
    resume,
    kernel_command_line,
    network,
    ssh_host_keys,
    node_secret,
    server_address,
    report_up,
)

# What an update runs again. Left out: the copies of users (the node renews them when it has merged), what the node
# has legitimately made since (most of the quarantine), and the secret (the server knows only its hash).
UPDATE_FIXUPS: tuple[Fixup, ...] = (
    quarantine_again,
    machine_identity,
    hostname,
    fstab,
    crypttab,
    mdadm_conf,
    lvm_devices,
    resume,
    kernel_command_line,
    network,
    ssh_host_keys,
    server_address,
    report_up,
)

BOOTLOADER: tuple[Fixup, ...] = (initramfs, remember_install_disk, grub)


def apply(fixups: tuple[Fixup, ...], target: Target) -> tuple[Step, ...]:
    """The steps of all ``fixups``, in their order."""
    return tuple(step for fixup in fixups for step in fixup(target))
