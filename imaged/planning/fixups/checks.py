"""What must hold before an install may be called a success: read back from the disk, not remembered."""

import re

from imaged.model.hardware import Bus
from imaged.model.host import Identity
from imaged.model.plan import CheckDevice, CheckFile, CheckInitrd, RunInTarget, Step
from imaged.model.system import RootOn
from imaged.model.uefi import MirrorEsp
from imaged.planning.fixups.bls import entry_of
from imaged.planning.fixups.efi import boot_uuid
from imaged.planning.fixups.identity import SECRET_PATH
from imaged.planning.fixups.initramfs import initramfs
from imaged.planning.fixups.loader import Loader, loader, menu_of
from imaged.planning.fixups.systemd_boot import kernels_on_esp
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import LISTERS, initrd_of, tool
from imaged.planning.fixups.words import arrays_below
from imaged.planning.platforms import chains, efis, presets, unified

_DRIVERS = {  # of those that take more than one kind, each
    Bus.NVME: ("nvme",), Bus.VIRTIO: ("virtio_blk", "virtio_scsi"), Bus.SATA: ("ahci", "ata_piix"),
    Bus.MMC: ("mmc_block",), Bus.USB: ("usb_storage", "uas"),
}  # fmt: skip
_UUID = re.compile(r"UUID=\"?([0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})")


def checks(target: Target) -> tuple[Step, ...]:
    """One step per promise that the fixups made. Each says what a node would suffer from that breaks it."""
    return (
        *_devices(target),
        *_identity(target),
        *_kernels(target),
        *_menu(target),
        *_loaders(target),
        *_fstab(target),
    )


def golden_uuids(target: Target) -> tuple[str, ...]:
    """UUIDs that the golden client's fstab and command lines name, and that are none of the node's."""
    texts = (text for path, text in sorted(target.facts.texts.items()) if path != "/etc/hosts")
    said = dict.fromkeys(found for text in texts for found in _UUID.findall(text))
    system = target.system
    own = {each.uuid.lower() for each in (*system.filesystems, *system.spare)}
    own |= {each.uuid.lower() for each in system.swaps} | {each.uuid.lower() for each in system.crypts}
    return tuple(each for each in said if each.lower() not in own)


def _devices(target: Target) -> list[Step]:
    system = target.system
    reason = "fstab and the boot loader name it by this UUID"
    swaps = (each for each in system.swaps if not each.file)
    return [
        *(CheckDevice(each.device, each.uuid, reason) for each in (*system.filesystems, *system.spare)),
        *(CheckDevice(each.device, each.uuid, reason) for each in swaps),
        *(CheckDevice(each.device, each.uuid, "crypttab names it by this UUID") for each in system.crypts),
    ]


def _identity(target: Target) -> list[Step]:
    name = target.node.name
    golden = target.host.identity is Identity.GOLDEN
    mode, own = ("", "") if golden else ("0444", target.machine_id)
    steps: list[Step] = [
        CheckFile("/etc/machine-id", mode, own, reason="DHCP and journals would take the node for another"),
        CheckFile("/etc/hostname", "0644", name, reason="the node would go by the golden client's name"),
        CheckFile(SECRET_PATH, "0600", reason="the node could not report that it is up"),
    ]
    if "ssh-keygen" in target.facts.commands:
        reason = "sshd would not start, or not with a key of the node's own"
        steps.append(CheckFile("/etc/ssh/ssh_host_ed25519_key", "0600", reason=reason))
    return steps


def _kernels(target: Target) -> list[Step]:
    steps: list[Step] = []
    for kernel in target.facts.kernels:
        steps.append(CheckFile(kernel.image, reason="the menu names this kernel"))
        if kernel.initrd or not unified(target.facts):
            steps.append(CheckFile(initrd_of(kernel, target.facts), reason="the kernel would not find its root"))
    steps += _initrds(target)
    if target.system.uefi:
        own, golden = f"root=UUID={target.system.root.uuid}", golden_uuids(target)
        reason = "the kernel would look for the golden client's root"
        steps += [CheckFile(path, contains=own, lacks=golden, reason=reason) for path in presets(target.facts)]
    return steps


def _initrds(target: Target) -> list[Step]:
    """Of those that are made here; one for any hardware came with the image."""
    made = tool(target.facts)
    lister = LISTERS.get(made, "") if made else ""
    if unified(target.facts) or lister not in target.facts.commands or not initramfs(target):
        return []
    reason, wanted = "the kernel would not find its root", _modules(target)
    return [
        CheckInitrd(initrd_of(each, target.facts), each.version, lister, wanted, reason)
        for each in target.facts.kernels
    ]


def _modules(target: Target) -> tuple[tuple[str, ...], ...]:
    """What drives the disks, what the root filesystem is, and what lies between."""
    system = target.system
    on = target.disk_of(system.root.device)
    buses = {_DRIVERS.get(each.bus, ()) for each in ((on,) if on else target.inventory.disks)}
    levels = {f"raid{'456' if each.level in (4, 5, 6) else each.level}" for each in arrays_below(target)}
    between = {RootOn.ARRAY: tuple(sorted(levels)), RootOn.CRYPT: ("dm_crypt",), RootOn.VOLUME: ("dm_mod",)}
    return (
        *(drivers for drivers in buses if drivers and len(buses) == 1),
        *(between[kind] for kind in RootOn if kind in system.root_on),
        (system.root.fs.value,),
    )


def _menu(target: Target) -> list[Step]:
    """The node's own UUID in it, and none of the golden client's."""
    steps: list[Step] = []
    golden = golden_uuids(target)
    system = target.system
    if menu := menu_of(target):
        reason = "the boot loader would look for the golden client's disk"
        steps.append(CheckFile(menu, contains=boot_uuid(target), lacks=golden, reason=reason))
    own = f"root=UUID={system.root.uuid}"
    if loader(target.facts) is Loader.GRUB2 or kernels_on_esp(target):
        for kernel in target.facts.kernels:
            if path := entry_of(target, kernel.version):
                reason = "the kernel would look for the golden client's root"
                steps.append(CheckFile(path, contains=own, lacks=golden, reason=reason))
    if "/boot/extlinux/extlinux.conf" in target.facts.texts:
        steps.append(CheckFile("/boot/extlinux/extlinux.conf", contains=own, reason="it would not find its root"))
    return steps


def _loaders(target: Target) -> list[Step]:
    system, esp = target.system, target.system.esp
    steps: list[Step] = []
    if system.bios and (menu := menu_of(target)):
        core = f"{menu.rpartition('/')[0]}/i386-pc/core.img"
        steps.append(CheckFile(core, reason="nothing would start by BIOS"))
    if system.uefi and esp:
        if system.esp_mirrors:
            steps.append(MirrorEsp(esp.mount, system.esp_mirrors, check=True))
        for efi in efis(target.facts) if system.boot.removable_path else ():
            reason = "the firmware looks there when it has lost its entries"
            steps.append(CheckFile(f"{esp.mount}/EFI/BOOT/{efi.removable}", reason=reason))
        for chain in chains(target.facts):
            stub = f"{esp.mount}/EFI/{chain.vendor}/grub.cfg"
            steps.append(CheckFile(stub, contains=boot_uuid(target), reason="GRUB would stop at its own prompt"))
    return steps


def _fstab(target: Target) -> list[Step]:
    root = CheckFile("/etc/fstab", contains=target.system.root.uuid, reason="the node would not mount its disks")
    if "findmnt" not in target.facts.commands:
        return [root]
    return [root, RunInTarget(("findmnt", "--verify", "--tab-file", "/etc/fstab"), reason="fstab is sound")]
