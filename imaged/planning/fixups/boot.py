"""What starts the node from its own disk: kernel command line, initramfs, GRUB for BIOS and for UEFI."""

import re

from imaged.model.image import Kernel
from imaged.model.plan import RunInTarget, Step, WriteFile
from imaged.planning.fixups.target import Target

# Kernel notation of a PC serial port: ttyS1,57600n8 (kernel's serial-console.rst).
_UART = re.compile(r"ttyS(\d+)(?:,(\d+))?")
_DROP_IN = "/etc/default/grub.d/zz-imaged.cfg"


def kernel_command_line(target: Target) -> tuple[Step, ...]:
    """A drop-in that /etc/default/grub of Debian's family reads last: the admin's own words stay.

    The menu starts what its environment block names, so that a new kernel can be tried once and the old one stays the
    default; what somebody picks by hand does not become the default (info grub, "Simple configuration").
    """
    lines = ["# Written when the node was installed.", "GRUB_DISABLE_OS_PROBER=true"]
    lines += ["GRUB_DEFAULT=saved", "GRUB_SAVEDEFAULT=false"]
    if target.console:
        lines.append(f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX console=tty0 console={target.console}"')
        if uart := _UART.match(target.console):
            lines.append('GRUB_TERMINAL="console serial"')
            lines.append(f'GRUB_SERIAL_COMMAND="serial --unit={uart[1]} --speed={uart[2] or 115200}"')
    return (WriteFile(_DROP_IN, "\n".join(lines) + "\n", reason="the node's console"),)


def initramfs(target: Target) -> tuple[Step, ...]:
    """Kept when the image carries a generic one for every kernel; else the image's own tool builds it here.

    A generic initramfs (MODULES=most) has every disk driver. A root on an array, encrypted or in a volume group needs
    the node's own mdadm.conf, crypttab and programs in it.
    """
    generic = target.facts.initramfs_generic and all(kernel.initrd for kernel in target.facts.kernels)
    if generic and not target.system.root_on:
        return ()
    return tuple(_build(target, kernel) for kernel in target.facts.kernels)


def grub(target: Target) -> tuple[Step, ...]:
    """Every platform that layout and image both have, so that the disk also starts on a board of the other kind.

    --no-nvram: a boot entry of ours could take the network's place; the removable path (UEFI 2.10, 3.5.1.1) starts
    even after the board's NVRAM is lost.
    """
    steps: list[Step] = []
    if target.system.bios:
        steps += [
            RunInTarget(("grub-install", "--target=i386-pc", disk), reason="boot loader for BIOS")
            for disk in target.system.boot_disks
        ]
    if target.system.uefi and target.system.esp:
        shim = ("--uefi-secure-boot", "--force-extra-removable") if target.facts.grub_signed else ("--removable",)
        directory = f"--efi-directory={target.system.esp.mount}"
        argv = ("grub-install", "--target=x86_64-efi", directory, "--no-nvram", *shim)
        steps.append(RunInTarget(argv, reason="boot loader for UEFI"))
    steps.append(RunInTarget(("update-grub",), reason="menu with the node's own UUIDs"))
    return tuple(steps)


def remember_install_disk(target: Target) -> tuple[Step, ...]:
    """The next upgrade of grub-pc writes to the disks debconf remembers: the golden client's, were it not for this.

    (LP#1891680: new modules beside an old core image do not boot.)
    """
    if "debconf-set-selections" not in target.facts.commands or not target.system.bios:
        return ()
    names = ", ".join(_stable_name(target, disk) for disk in target.system.boot_disks)
    answers = f"grub-pc grub-pc/install_devices multiselect {names}\n"
    return (RunInTarget(("debconf-set-selections",), stdin=answers, reason="upgrades write to the right disk"),)


def _build(target: Target, kernel: Kernel) -> Step:
    tools = {
        "update-initramfs": ("update-initramfs", "-c" if not kernel.initrd else "-u", "-k", kernel.version),
        "dracut": ("dracut", "--force", "--no-hostonly", "--kver", kernel.version),
    }
    argv = next(argv for name, argv in tools.items() if name in target.facts.commands)
    return RunInTarget(argv, timeout=1800, reason="the image brings no generic initramfs for this kernel")


def _stable_name(target: Target, path: str) -> str:
    disk = next(disk for disk in target.inventory.disks if disk.path == path)
    return f"/dev/disk/by-path/{disk.by_path}" if disk.by_path else path
