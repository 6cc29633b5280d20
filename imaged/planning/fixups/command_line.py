"""The files that a kernel command line comes from: the golden client's disks out, the rest kept, the node's own in.

All of them must agree: each is read by one tool only, and a kernel that comes later is given what its tool reads.
"""

import re

from imaged.model.plan import RunInTarget, Step, WriteFile
from imaged.planning.fixups.boot import grub_terminal
from imaged.planning.fixups.loader import Loader, loader
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import Tool, tool
from imaged.planning.fixups.words import console, devices, kept, root, split, whole
from imaged.planning.platforms import presets

_GRUB = "/etc/default/grub"
_CMDLINE = "/etc/kernel/cmdline"
_CMDLINE_D = "/etc/cmdline.d/"
_CMDLINE_D_OWN = f"{_CMDLINE_D}zz-imaged.conf"
_SYSCONFIG = "/etc/sysconfig/bootloader"
_GRUBENV = "/boot/grub2/grubenv"
_VARIABLE = re.compile(r"""\s*(GRUB_CMDLINE_LINUX\w*)=(["']?)(.*)\2\s*$""")


def default_grub(target: Target) -> tuple[Step, ...]:
    """GRUB's words. Debian's family adds its own by a file of ours, so here only the golden client's go."""
    debian = loader(target.facts) is Loader.UPDATE_GRUB
    steps: list[Step] = []
    for path, text in sorted(target.facts.texts.items()):
        if path != _GRUB and not (path.startswith("/etc/default/grub.d/") and not path.endswith("/zz-imaged.cfg")):
            continue
        written = _words(text, target, add=path == _GRUB and not debian)
        if written != text:
            steps.append(WriteFile(path, written, reason="the golden client's disks out of the command line"))
    return tuple(steps)


def kernel_cmdline(target: Target) -> tuple[Step, ...]:
    """/etc/kernel/cmdline, which kernel-install(8), SUSE's sdbootutil and, for unified kernels, mkinitcpio(8) read.
    Without it they would take the command line of the running system, in an install the ramdisk's."""
    facts = target.facts
    reads = {"kernel-install", "sdbootutil"} & set(facts.commands)
    read = reads and loader(facts) in (Loader.GRUB2, Loader.SYSTEMD_BOOT)
    unified = presets(facts) and not any(path.startswith(_CMDLINE_D) for path in facts.texts)
    if not (_CMDLINE in facts.files or read or unified):
        return ()
    text = facts.texts.get(_CMDLINE) or _said_by_grub(target)
    return (WriteFile(_CMDLINE, whole(text, target) + "\n", reason="for kernels that come later"),)


def cmdline_d(target: Target) -> tuple[Step, ...]:
    """/etc/cmdline.d, where mkinitcpio(8) finds the words of unified kernels, and dracut.cmdline(7) more of them."""
    golden = {path: text for path, text in target.facts.texts.items() if path.startswith(_CMDLINE_D)}
    steps: list[Step] = []
    for path, text in sorted(golden.items()):
        lines = [each if each.lstrip().startswith("#") else " ".join(kept(each, target)) for each in text.splitlines()]
        if lines != text.splitlines() and path != _CMDLINE_D_OWN:
            steps.append(WriteFile(path, "\n".join(lines) + "\n", reason="the golden client's disks out of it"))
    if golden and tool(target.facts) is Tool.MKINITCPIO:
        words = " ".join((*root(target), *devices(target), *console(target)))
        steps.append(WriteFile(_CMDLINE_D_OWN, f"{words}\n", reason="the node's own disks"))
    return tuple(steps)


def kernelopts(target: Target) -> tuple[Step, ...]:
    """RHEL 8 keeps the words of all its boot entries in GRUB's environment block."""
    said = environment(target).get("kernelopts")
    if said is None or "grub2-editenv" not in target.facts.commands:
        return ()
    argv = ("grub2-editenv", _GRUBENV, "set", f"kernelopts={whole(said, target)}")
    return (RunInTarget(argv, reason="boot entries take their words from it"),)


def loader_type(target: Target) -> tuple[Step, ...]:
    """SUSE's tools ask this file which GRUB is the machine's: the firmware may be another than the golden client's.

    /etc/default/grub_installdevice tells upgrades of GRUB for BIOS where to write.
    """
    steps: list[Step] = []
    if text := target.facts.texts.get(_SYSCONFIG):
        kind = "grub2-efi" if target.starts_by_uefi else "grub2"
        lines = [line for line in text.splitlines() if not line.startswith("LOADER_TYPE=")]
        whole_text = "\n".join((*lines, f'LOADER_TYPE="{kind}"')) + "\n"
        steps.append(WriteFile(_SYSCONFIG, whole_text, reason="the node's firmware"))
    if "/etc/default/grub_installdevice" in target.facts.files and target.system.bios:
        names = "".join(f"{target.stable_name(disk)}\n" for disk in target.system.boot_disks)
        steps.append(WriteFile("/etc/default/grub_installdevice", names, reason="upgrades write to the right disk"))
    return tuple(steps)


def environment(target: Target) -> dict[str, str]:
    """GRUB's environment block as the image has it (info grub, "Environment block")."""
    lines = target.facts.texts.get(_GRUBENV, "").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _words(text: str, target: Target, *, add: bool) -> str:
    lines: list[str] = []
    added = not add
    for line in text.splitlines():
        found = _VARIABLE.match(line)
        if found:
            stay = kept(found[3], target, consoles=not add)  # a file of ours appends Debian's, and the last one wins
            if not added and found[1] == "GRUB_CMDLINE_LINUX":
                stay, added = (*stay, *devices(target), *console(target)), True
            said = " ".join(dict.fromkeys(stay))
            quote = found[2] or '"'
            line = line if stay == split(found[3]) else f"{found[1]}={quote}{said}{quote}"
        lines.append(line)
    if not added and (own := (*devices(target), *console(target))):
        lines.append(f'GRUB_CMDLINE_LINUX="{" ".join(own)}"')
    if add:
        settings = ("GRUB_DISABLE_OS_PROBER=true", *grub_terminal(target))
        names = {each.partition("=")[0] for each in settings}
        lines = [line for line in lines if line.partition("=")[0] not in names]
        lines += settings
    return "\n".join(lines) + "\n" if lines else text


def _said_by_grub(target: Target) -> str:
    found = (_VARIABLE.match(line) for line in target.facts.texts.get(_GRUB, "").splitlines())
    return " ".join(each[3] for each in found if each)
