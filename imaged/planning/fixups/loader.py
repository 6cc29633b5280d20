"""Which boot loader an image uses, by what lies in it, and what installs it on the node."""

from enum import Enum

from imaged.model.image import ImageFacts
from imaged.model.plan import RunInTarget, Step
from imaged.model.uefi import InstallGrub
from imaged.planning.fixups.boot import grub, menu
from imaged.planning.fixups.efi import ready_loaders
from imaged.planning.fixups.extlinux import extlinux
from imaged.planning.fixups.systemd_boot import systemd_boot
from imaged.planning.fixups.target import Target
from imaged.planning.platforms import ESPS, chains, efis


class Loader(Enum):
    """By how its menu is made."""

    UPDATE_GRUB = "update-grub"
    GRUB = "grub-mkconfig"
    GRUB2 = "grub2-mkconfig"
    SYSTEMD_BOOT = "bootctl"
    EXTLINUX = "extlinux"


def loader(facts: ImageFacts) -> Loader | None:
    """What is in use wins over what is merely installed: every systemd brings bootctl, and Arch its loader too."""
    if "bootctl" in facts.commands and _has_menu_of_systemd_boot(facts):
        return Loader.SYSTEMD_BOOT
    for each in (Loader.UPDATE_GRUB, Loader.GRUB, Loader.GRUB2):
        if each.value in facts.commands:
            return each
    if "/boot/extlinux/extlinux.conf" in facts.files or "update-extlinux" in facts.commands:
        return Loader.EXTLINUX
    stub = any(path.startswith("/usr/lib/systemd/boot/efi/") for path in facts.files)
    return Loader.SYSTEMD_BOOT if stub and "bootctl" in facts.commands else None


def menu_of(target: Target) -> str:
    """The file that holds GRUB's menu; empty for other loaders."""
    match loader(target.facts):
        case Loader.UPDATE_GRUB | Loader.GRUB:
            return "/boot/grub/grub.cfg"
        case Loader.GRUB2:
            return "/boot/grub2/grub.cfg"
        case _:
            return ""


def boot_loader(target: Target) -> tuple[Step, ...]:
    """Every platform that layout and image both have. Nothing is told to the firmware here: see ``boot_entries``."""
    match loader(target.facts):
        case Loader.UPDATE_GRUB:
            return (*grub(target), *menu("update-grub", path=menu_of(target)))
        case Loader.GRUB:
            return (*grub(target), *menu("grub-mkconfig", path=menu_of(target)))
        case Loader.GRUB2:
            return _grub2(target)
        case Loader.SYSTEMD_BOOT:
            return systemd_boot(target)
        case Loader.EXTLINUX:
            return extlinux(target)
        case None:
            return ()


def _grub2(target: Target) -> tuple[Step, ...]:
    """Red Hat's and SUSE's. Their grub2-install makes a GRUB for UEFI that no shim trusts, so it is for BIOS only."""
    system = target.system
    steps: list[Step] = []
    if system.bios:
        steps += [
            RunInTarget(("grub2-install", "--target=i386-pc", disk), reason="boot loader for BIOS")
            for disk in system.boot_disks
        ]
    if system.uefi and chains(target.facts):
        steps += ready_loaders(target)
    elif system.uefi and system.esp:
        argv = ("grub2-install", f"--target={efis(target.facts)[0].platform}", "--no-nvram", "--removable")
        steps.append(InstallGrub(system.esp.mount, argv, reason="boot loader for UEFI"))
    return (*steps, *menu("grub2-mkconfig", path=menu_of(target)))


def _has_menu_of_systemd_boot(facts: ImageFacts) -> bool:
    """Entries alone prove nothing: Red Hat's GRUB reads the same files."""
    return any(f"{esp}/loader/loader.conf" in facts.files for esp in ESPS)
