"""extlinux.conf and its makers: boards that start by U-Boot, and Alpine's syslinux."""

import re

from imaged.model.plan import RunInTarget, Step, WriteFile
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.words import console, devices, kept, mkinitfs_modules, root, whole

MENU = "/boot/extlinux/extlinux.conf"
_UPDATE = "/etc/update-extlinux.conf"
_UBOOT = "/etc/default/u-boot"
_REASON = "the node's own root filesystem"


def extlinux(target: Target) -> tuple[Step, ...]:
    """The maker of the menu is run where there is one (u-boot-menu, Alpine's update-extlinux)."""
    commands = target.facts.commands
    names = (name for name in ("u-boot-update", "update-extlinux") if name in commands)
    return tuple(RunInTarget((name,), reason="menu with the node's own UUIDs") for name in names)


def extlinux_conf(target: Target) -> tuple[Step, ...]:
    """Every place that a command line of extlinux comes from, and Raspberry Pi's cmdline.txt beside it."""
    texts = target.facts.texts
    steps: list[Step] = []
    if text := texts.get(MENU):
        steps.append(WriteFile(MENU, _appended(text, target), reason=_REASON))
    if text := texts.get(_UPDATE):
        steps.append(WriteFile(_UPDATE, _update_extlinux(text, target), reason=_REASON))
    if (text := texts.get(_UBOOT)) is not None:
        steps.append(WriteFile(_UBOOT, _u_boot(text, target), reason=_REASON))
    for path in ("/boot/cmdline.txt", "/boot/firmware/cmdline.txt"):
        if text := texts.get(path):
            steps.append(WriteFile(path, whole(text, target) + "\n", reason=_REASON))
    return tuple(steps)


def _appended(text: str, target: Target) -> str:
    """``append`` lines of extlinux.conf (the Boot Loader Specification's elder)."""
    lines = []
    for line in text.splitlines():
        found = re.match(r"(\s*append\s+)(.*)", line, re.IGNORECASE)
        lines.append(f"{found[1]}{whole(found[2], target)}" if found else line)
    return "\n".join(lines) + "\n"


def _update_extlinux(text: str, target: Target) -> str:
    """``root=`` and the modules have lines of their own."""
    said = dict(re.findall(r"(?m)^(\w+)=[\"']?([^\"'\n]*)", text))
    options = (*kept(said.get("default_kernel_opts", ""), target), *root(target)[1:], *devices(target))
    values = {
        "root": f"UUID={target.system.root.uuid}",
        "modules": mkinitfs_modules(said.get("modules", ""), target),
        "default_kernel_opts": f'"{" ".join(dict.fromkeys((*options, *console(target))))}"',
    }
    lines = [line for line in text.splitlines() if line.partition("=")[0] not in values]
    return "\n".join((*lines, *(f"{key}={value}" for key, value in values.items()))) + "\n"


def _u_boot(text: str, target: Target) -> str:
    said = dict(re.findall(r"(?m)^(U_BOOT_\w+)=[\"']?([^\"'\n]*)", text))
    parameters = (*kept(said.get("U_BOOT_PARAMETERS", ""), target), *devices(target), *console(target))
    values = {
        "U_BOOT_ROOT": " ".join(root(target)),
        "U_BOOT_PARAMETERS": " ".join(dict.fromkeys(parameters)),
    }
    lines = [line for line in text.splitlines() if line.partition("=")[0] not in values]
    return "\n".join((*lines, *(f'{key}="{value}"' for key, value in values.items()))) + "\n"
