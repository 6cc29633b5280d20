"""The initramfs of every kernel: kept where it is generic, else built by the image's own tool, for any machine."""

import re

from imaged.model.image import Kernel
from imaged.model.plan import MoveFile, RemovePath, RunInTarget, Step, WriteFile
from imaged.model.stack import Unlock
from imaged.model.system import RootOn
from imaged.planning.fixups.boot import PASSING
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import Tool, initrd_of, tool
from imaged.planning.fixups.words import crypts_below, mkinitcpio_hooks

_CONF = {Tool.MKINITCPIO: "/etc/mkinitcpio.conf", Tool.MKINITFS: "/etc/mkinitfs/mkinitfs.conf"}
_DRACUT_MODULES = {RootOn.ARRAY: "mdraid", RootOn.CRYPT: "crypt", RootOn.VOLUME: "lvm"}
_MKINITFS_FEATURES = {RootOn.ARRAY: "raid", RootOn.CRYPT: "cryptsetup", RootOn.VOLUME: "lvm"}
_DISKS = ("ata", "base", "mmc", "nvme", "scsi", "usb", "virtio")  # mkinitfs(1): features that bring disk drivers
# kdump's: made for the golden client's hardware and its dump target, and made again by its service.
_DUMPS = {
    "/etc/kdump.conf": "/boot/initramfs-*kdump.img",
    "/etc/sysconfig/kdump": "/boot/initrd-*-kdump",
    "/etc/default/kdump-tools": "/var/lib/kdump/initrd.img-*",
}


def initramfs(target: Target) -> tuple[Step, ...]:
    """Kept when the image carries a generic one for every kernel; else the image's own tool builds it here.

    A generic initramfs (MODULES=most) has every disk driver. A root on an array, encrypted or in a volume group needs
    the node's own mdadm.conf, crypttab and programs in it; that of a golden client with encrypted devices would wait
    for them. A rescue kernel's is generic by its making and stays.
    """
    kernels = target.facts.kernels
    generic = target.facts.initramfs_generic and all(kernel.initrd for kernel in kernels)
    if generic and not target.system.root_on and not _names_crypts(target.facts.texts.get("/etc/crypttab", "")):
        return ()
    made = tool(target.facts)
    if made is Tool.MKINITCPIO:  # its presets know each kernel's files, unified images among them
        return (_run(("mkinitcpio", "-P")),) if kernels else ()
    return tuple(step for kernel in kernels if made for step in _made(target, kernel, made))


def initramfs_conf(target: Target) -> tuple[Step, ...]:
    """What mkinitcpio and mkinitfs put into it is said by files of theirs; the others are told by arguments."""
    made = tool(target.facts)
    path = _CONF.get(made, "") if made else ""
    text = target.facts.texts.get(path, "")
    if made is Tool.MKINITCPIO:
        line = f"HOOKS=({' '.join(_hooks(target))})"
        reason = "hooks for the node's own disks, and for any hardware"
        return (WriteFile(path, _replaced(text, r"HOOKS=.*", line), reason=reason),)
    if made is Tool.MKINITFS:
        line = f'features="{" ".join(_features(target, text))}"'
        return (WriteFile(path, _replaced(text, r"features=.*", line), reason="drivers for any hardware"),)
    return ()


def crash_dump(target: Target) -> tuple[Step, ...]:
    """The crash kernel's initramfs goes; ``crashkernel=`` stays on the command line."""
    reason = "a crash kernel's initramfs for the golden client's hardware: its service makes a new one"
    return tuple(RemovePath(image, reason) for conf, image in _DUMPS.items() if conf in target.facts.files)


def _names_crypts(crypttab: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in crypttab.splitlines())


def _made(target: Target, kernel: Kernel, made: Tool) -> tuple[Step, ...]:
    """update-initramfs sees to it itself that the old one is there until the new one is whole."""
    if made is Tool.INITRAMFS_TOOLS:
        return (_run(("update-initramfs", "-c" if not kernel.initrd else "-u", "-k", kernel.version)),)
    at = initrd_of(kernel, target.facts)
    new = at + PASSING
    if made is Tool.MKINITFS:
        argv: tuple[str, ...] = ("mkinitfs", "-o", new, kernel.version)
    else:  # without a place it would prefer /boot/<machine-id>, were there such a directory (dracut(8))
        argv = ("dracut", "--force", "--no-hostonly", *_dracut_adds(target), "--kver", kernel.version, new)
    return _run(argv), MoveFile(new, at, "the old initramfs or the whole new one is there")


def _dracut_adds(target: Target) -> tuple[str, ...]:
    """A module that is asked for and cannot be built in ends dracut; one left to itself is silently missing."""
    on = target.system.root_on
    adds = [f"--add={_DRACUT_MODULES[each]}" for each in RootOn if each in on]
    if RootOn.ARRAY in on:
        adds.append("--mdadmconf")
    if RootOn.VOLUME in on:
        adds.append("--lvmconf")
    if RootOn.CRYPT in on:  # a generic initramfs leaves crypttab out (dracut's modules.d/90crypt)
        crypts = crypts_below(target)
        adds.append("--install=/etc/crypttab")
        if any(Unlock.TPM2 in each.unlock for each in crypts):
            adds.append("--add=tpm2-tss")
    return tuple(adds)


def _hooks(target: Target) -> tuple[str, ...]:
    """mkinitcpio.conf(5). ``autodetect`` would leave out all that the machine at hand does not have."""
    hooks = [hook for hook in mkinitcpio_hooks(target.facts) if hook != "autodetect"]
    hooks = hooks or ["base", "udev", "modconf", "keyboard", "block", "filesystems", "fsck"]
    encrypt = "sd-encrypt" if "systemd" in hooks else "encrypt"
    wanted = {RootOn.ARRAY: "mdadm_udev", RootOn.CRYPT: encrypt, RootOn.VOLUME: "lvm2"}
    added = [wanted[each] for each in RootOn if each in target.system.root_on and wanted[each] not in hooks]
    at = hooks.index("filesystems") if "filesystems" in hooks else len(hooks)
    return (*hooks[:at], *added, *hooks[at:])


def _features(target: Target, text: str) -> tuple[str, ...]:
    said = re.findall(r"(?m)^\s*features=[\"']?([^\"'\n]*)", text)
    stack = [_MKINITFS_FEATURES[each] for each in RootOn if each in target.system.root_on]
    words = (*(said[-1].split() if said else ()), *_DISKS, "keymap", target.system.root.fs.value, *stack)
    return tuple(dict.fromkeys(words))


def _replaced(text: str, pattern: str, line: str) -> str:
    """``line`` where the last one like it stood, else at the end."""
    kept = [each for each in text.splitlines() if not re.match(rf"\s*{pattern}", each)]
    return "\n".join((*kept, line)) + "\n"


def _run(argv: tuple[str, ...]) -> Step:
    return RunInTarget(argv, timeout=1800, reason="the image brings no generic initramfs for this kernel")
