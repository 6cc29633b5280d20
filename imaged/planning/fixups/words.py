"""Kernel command lines as words: which of the golden client's stay, and which are the node's own. Pure."""

import re

from imaged.model.image import ImageFacts
from imaged.model.stack import Filesystem, Unlock
from imaged.model.system import PlannedArray, PlannedCrypt, RootOn
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import Tool, tool
from imaged.planning.kernel_version import numbers

_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_GOLDEN = frozenset(
    ("root", "rootflags", "rootfstype", "resume", "resume_offset", "cryptdevice", "cryptroot", "cryptdm", "cryptkey",
     "systemd.machine_id", "BOOT_IMAGE", "BOOTIF", "initrd")
)  # fmt: skip
_GOLDEN_BEGINNINGS = ("rd.lvm.", "rd.md.", "rd.luks", "luks.", "rd.dm.uuid", "rd.neednet")
_DYNAMIC = frozenset(("dhcp", "on", "any", "dhcp6", "auto6", "either6", "link6", "off", "none"))  # dracut.cmdline(7)
# RHEL 9's own ranges (kexec-tools' kdump-lib.sh): its kernels from 5.14 on do not know "auto" any more.
_CRASHKERNEL = "crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M"
_NO_AUTO = (5, 14)


def split(line: str) -> tuple[str, ...]:
    """Words as the kernel splits them: blanks within quotes do not count (lib/cmdline.c, next_arg)."""
    return tuple(_WORD.findall(line))


def kept(line: str, target: Target, *, consoles: bool = False) -> tuple[str, ...]:
    """The words that do not name the golden client's disks or addresses; its consoles go where the node has its own,
    unless ``consoles`` keeps them."""
    stay = (word for word in split(line) if not _is_golden(word))
    said = (word for word in stay if consoles or not (target.console and word.startswith("console=")))
    return tuple(_today(word, target) for word in said)


def _today(word: str, target: Target) -> str:
    """A word that stays, in the terms of this image's kernel and of this machine."""
    if word == "crashkernel=auto" and _knows_no_auto(target.facts):
        return _CRASHKERNEL
    if word.startswith("modules=") and tool(target.facts) is Tool.MKINITFS:
        return f"modules={mkinitfs_modules(word.removeprefix('modules='), target)}"
    return word


def mkinitfs_modules(said: str, target: Target) -> str:
    """mkinitfs-init loads these before it looks for the root, and no others."""
    more = ("nvme", "virtio_blk", target.system.root.fs.value)
    return ",".join(dict.fromkeys((*(each for each in said.split(",") if each), *more)))


def devices(target: Target) -> tuple[str, ...]:
    """What finds the node's own disks, but for ``root=``: GRUB's own scripts add that."""
    words = _stack(target)
    swap = next((each for each in target.system.swaps if not each.file and _is_partition(each.device)), None)
    return (*words, f"resume=UUID={swap.uuid}") if swap else words


def root(target: Target) -> tuple[str, ...]:
    """``root=`` and what belongs to it. Read-only first, so that fsck can run; btrfs and XFS need none (fstab)."""
    system = target.system
    words = [f"root=UUID={system.root.uuid}"]
    if system.root.subvolume:
        words.append(f"rootflags=subvol={system.root.subvolume.lstrip('/')}")
    if tool(target.facts) is Tool.MKINITFS:
        words.append(f"rootfstype={system.root.fs.value}")
    return tuple(words)


def console(target: Target) -> tuple[str, ...]:
    """The screen stays; the last one named is /dev/console (kernel's serial-console.rst)."""
    return ("console=tty0", f"console={target.console}") if target.console else ()


def whole(line: str, target: Target) -> str:
    """A complete command line: what stays of ``line``, with the node's own root, disks and console."""
    stay = kept(line, target)
    start = () if {"ro", "rw"} & set(stay) else ("rw",) if target.system.root.fs is Filesystem.BTRFS else ("ro",)
    words = (*root(target), *start, *stay, *devices(target), *console(target))
    return " ".join(dict.fromkeys(words))


def _stack(target: Target) -> tuple[str, ...]:
    system, facts = target.system, target.facts
    crypts = crypts_below(target) if RootOn.CRYPT in system.root_on else ()
    match tool(facts):
        case Tool.DRACUT:
            arrays = arrays_below(target) if RootOn.ARRAY in system.root_on else ()
            words = [f"rd.md.uuid={each.uuid}" for each in arrays]
            words += [f"rd.luks.uuid={each.uuid}" for each in crypts]
            if RootOn.VOLUME in system.root_on:
                words.append(f"rd.lvm.lv={system.root.device.removeprefix('/dev/')}")
            return tuple(words)
        case Tool.MKINITCPIO if "systemd" in mkinitcpio_hooks(facts):
            return tuple(f"rd.luks.name={each.uuid}={each.name}" for each in crypts)
        case Tool.MKINITCPIO:  # its encrypt hook opens one device only
            return tuple(f"cryptdevice=UUID={each.uuid}:{each.name}" for each in crypts[:1])
        case Tool.MKINITFS:
            return tuple(
                word for each in crypts[:1] for word in (f"cryptroot=UUID={each.uuid}", f"cryptdm={each.name}")
            )
        case _:
            return ()


def arrays_below(target: Target) -> tuple[PlannedArray, ...]:
    """Arrays that the root needs: not those that carry another filesystem or swap and nothing else."""
    return tuple(each for each in target.system.arrays if each.device not in _others(target))


def crypts_below(target: Target) -> tuple[PlannedCrypt, ...]:
    """Encrypted devices that the root needs; never one with a key file, which would have to lie on that root."""
    may = (each for each in target.system.crypts if Unlock.KEYFILE not in each.unlock)
    return tuple(each for each in may if f"/dev/mapper/{each.name}" not in _others(target))


def mkinitcpio_hooks(facts: ImageFacts) -> tuple[str, ...]:
    """HOOKS of mkinitcpio.conf(5), the last ones said."""
    found = re.findall(r"(?m)^\s*HOOKS=\(?[\"']?([^)\"'\n]*)", facts.texts.get("/etc/mkinitcpio.conf", ""))
    return tuple(found[-1].split()) if found else ()


def _others(target: Target) -> set[str]:
    system = target.system
    carrying = (*system.filesystems, *system.spare)
    return {each.device for each in carrying} - {system.root.device} | {each.device for each in system.swaps}


def _is_partition(device: str) -> bool:
    """Not on an array, encrypted device or volume: those would have to be started first, just to look for a hibernated
    system."""
    name = device.removeprefix("/dev/")
    return "/" not in name and not name.startswith("md")


def _is_golden(word: str) -> bool:
    key, _, value = word.partition("=")
    if key == "ip":  # a static address is the golden client's (kernel's nfsroot.rst, dracut.cmdline(7))
        return value.rpartition(":")[2] not in _DYNAMIC or value.count(":") > 1
    return key in _GOLDEN or key.startswith(_GOLDEN_BEGINNINGS)


def _knows_no_auto(facts: ImageFacts) -> bool:
    found = [numbers(each.version) for each in facts.kernels]
    return bool(found) and max(found) >= _NO_AUTO
