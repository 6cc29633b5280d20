"""The order of fixups, which is a contract: each depends on those before it. A new fixup gets its lines here.

Network comes before the initramfs (Debian 13 copies .link files into it), the command line before the boot loader,
machine-id before anything that names a kernel entry by it. The copies of users and groups come first: they are the
image's only as long as nothing else was done.
"""

from collections.abc import Callable

from imaged.model.plan import Step
from imaged.planning.fixups.bls import boot_entries_files, rescue_kernel
from imaged.planning.fixups.boot import kernel_command_line, remember_install_disk
from imaged.planning.fixups.boot_entries import boot_entries
from imaged.planning.fixups.cloud import cloud_init, cloud_state
from imaged.planning.fixups.command_line import cmdline_d, default_grub, kernel_cmdline, kernelopts, loader_type
from imaged.planning.fixups.console import console_getty
from imaged.planning.fixups.extlinux import extlinux_conf
from imaged.planning.fixups.first_boot import report_up
from imaged.planning.fixups.identity import (
    hostname,
    machine_identity,
    merge_bases,
    node_secret,
    restore_identity,
    server_address,
    ssh_host_keys,
)
from imaged.planning.fixups.initramfs import crash_dump, initramfs, initramfs_conf
from imaged.planning.fixups.loader import boot_loader
from imaged.planning.fixups.locale import locale
from imaged.planning.fixups.multipath import multipath
from imaged.planning.fixups.network import network
from imaged.planning.fixups.network_golden import golden_network
from imaged.planning.fixups.quarantine import quarantine, quarantine_again
from imaged.planning.fixups.selinux import selinux_labels
from imaged.planning.fixups.stack import crypttab, lvm_devices, mdadm_conf
from imaged.planning.fixups.storage import fstab, mount_points, resume
from imaged.planning.fixups.storage_names import storage_names
from imaged.planning.fixups.systemd_boot import golden_kernels
from imaged.planning.fixups.target import Target

Fixup = Callable[[Target], tuple[Step, ...]]

# Every file that a kernel's command line comes from, and what the initramfs is built by: all say the same.
COMMAND_LINE: tuple[Fixup, ...] = (
    default_grub,
    kernel_command_line,
    kernel_cmdline,
    cmdline_d,
    kernelopts,
    loader_type,
    extlinux_conf,
    rescue_kernel,
    boot_entries_files,
    initramfs_conf,
)

FIXUPS: tuple[Fixup, ...] = (
    merge_bases,
    quarantine,
    golden_kernels,
    golden_network,
    machine_identity,
    storage_names,
    hostname,
    locale,
    cloud_init,
    cloud_state,
    fstab,
    mount_points,
    crypttab,
    mdadm_conf,
    lvm_devices,
    multipath,
    crash_dump,
    resume,
    *COMMAND_LINE,
    console_getty,
    network,
    restore_identity,
    ssh_host_keys,
    node_secret,
    server_address,
    report_up,
)

# What an update runs again. Left out: the copies of users (the node renews them when it has merged), what the node
# has legitimately made since (most of the quarantine, unified kernels), mount points (a look at one of a server that is
# gone hangs), and the secret (the server knows only its hash).
UPDATE_FIXUPS: tuple[Fixup, ...] = (
    quarantine_again,
    machine_identity,
    storage_names,
    hostname,
    locale,
    cloud_init,
    fstab,
    crypttab,
    mdadm_conf,
    lvm_devices,
    resume,
    *COMMAND_LINE,
    console_getty,
    network,
    ssh_host_keys,
    server_address,
    report_up,
    selinux_labels,
)

# Labels last: these, too, write files.
BOOTLOADER: tuple[Fixup, ...] = (initramfs, remember_install_disk, boot_loader, selinux_labels)

# After the copies of the ESP: entries may name them.
FIRMWARE: tuple[Fixup, ...] = (boot_entries,)


def apply(fixups: tuple[Fixup, ...], target: Target) -> tuple[Step, ...]:
    """The steps of all ``fixups``, in their order."""
    return tuple(step for fixup in fixups for step in fixup(target))
