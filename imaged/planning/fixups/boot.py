"""GRUB of Debian's family, and of all others that have grub-install: for BIOS and for UEFI."""

import re

from imaged.model.layout import BootOrder
from imaged.model.plan import MoveFile, RunInTarget, Step, WriteFile
from imaged.model.uefi import InstallGrub
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import Tool, tool
from imaged.planning.fixups.words import console, devices
from imaged.planning.platforms import efis

# Kernel notation of a PC serial port: ttyS1,57600n8 (kernel's serial-console.rst).
_UART = re.compile(r"ttyS(\d+)(?:,(\d+))?")
_DROP_IN = "/etc/default/grub.d/zz-imaged.cfg"
PASSING = ".imaged-new"  # the end of names that files have until they are whole
_GRUB_PACKAGES = {"x86_64": "grub-efi-amd64", "i686": "grub-efi-ia32", "aarch64": "grub-efi-arm64"}


def kernel_command_line(target: Target) -> tuple[Step, ...]:
    """A drop-in that /etc/default/grub of Debian's family reads last: the admin's own words stay.

    The menu starts what its environment block names, so that a new kernel can be tried once and the old one stays the
    default; what somebody picks by hand does not become the default (info grub, "Simple configuration").

    The initramfs of the image may have the golden client's swap in it, and would wait half a minute for it at every
    start: what is said here wins (resume= and noresume, initramfs-tools' init).
    """
    if "update-grub" not in target.facts.commands:
        return ()
    lines = ["# Written when the node was installed.", "GRUB_DISABLE_OS_PROBER=true"]
    lines += ["GRUB_DEFAULT=saved", "GRUB_SAVEDEFAULT=false"]
    if own := (*(devices(target) or _resume(target)), *console(target)):
        lines.append(f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {" ".join(own)}"')
    lines += grub_terminal(target)
    return (WriteFile(_DROP_IN, "\n".join(lines) + "\n", reason="the node's own swap and console"),)


def grub_terminal(target: Target) -> tuple[str, ...]:
    """GRUB's own menu on the node's serial console; it can drive PC serial ports only (info grub, serial)."""
    uart = _UART.match(target.console)
    if not uart:
        return ()
    port = f"serial --unit={uart[1]} --speed={uart[2] or 115200}"
    return ('GRUB_TERMINAL="console serial"', f'GRUB_SERIAL_COMMAND="{port}"')


def _resume(target: Target) -> tuple[str, ...]:
    """Swap on volumes and the like only where the root is on such, and the initramfs can start them."""
    if tool(target.facts) is not Tool.INITRAMFS_TOOLS:
        return ()
    swap = next((each for each in target.system.swaps if not each.file), None)
    return (f"resume=UUID={swap.uuid}",) if swap and target.system.root_on else ("noresume",)


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
        for efi in efis(target.facts):
            argv = ("grub-install", f"--target={efi.platform}", "--no-nvram", *shim)
            steps.append(InstallGrub(target.system.esp.mount, argv, reason="boot loader for UEFI"))
    return tuple(steps)


def menu(*argv: str, path: str) -> tuple[Step, ...]:
    """grub-mkconfig(8) would write over the menu that is there: a node that loses its power then has half of one."""
    new = path + PASSING
    return (
        RunInTarget((*argv, "-o", new), reason="menu with the node's own UUIDs"),
        MoveFile(new, path, "the old menu or the whole new one is there"),
    )


def remember_install_disk(target: Target) -> tuple[Step, ...]:
    """The next upgrade of GRUB writes to the disks debconf remembers: the golden client's, were it not for this.

    (LP#1891680: new modules beside an old core image do not boot.) Of UEFI it remembers Ubuntu's list of ESPs, whether
    the removable path is written as well, and whether the firmware gets an entry, which would come before the network.
    """
    if "debconf-set-selections" not in target.facts.commands:
        return ()
    answers: list[str] = []
    if target.system.bios:
        disks = ", ".join(target.stable_name(disk) for disk in target.system.boot_disks)
        answers.append(f"grub-pc grub-pc/install_devices multiselect {disks}\n")
    esp, boot = target.system.esp, target.system.boot
    if target.system.uefi and esp:
        esps = ", ".join(target.stable_partition(each) for each in (esp.device, *target.system.esp_mirrors))
        entry = str(boot.order is BootOrder.DISK_FIRST).lower()
        package = _GRUB_PACKAGES.get(target.facts.arch, "grub-pc")
        answers.append(f"{package} grub-efi/install_devices multiselect {esps}\n")
        answers.append(f"{package} grub2/force_efi_extra_removable boolean {str(boot.removable_path).lower()}\n")
        answers.append(f"{package} grub2/update_nvram boolean {entry}\n")
    if not answers:
        return ()
    return (
        RunInTarget(("debconf-set-selections",), stdin="".join(answers), reason="upgrades write to the right disk"),
    )
