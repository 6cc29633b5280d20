"""What must hold before an install may be called a success: read back from the disk, not remembered."""

from imaged.model.plan import CheckDevice, CheckFile, RunInTarget, Step
from imaged.model.stack import Filesystem
from imaged.planning.fixups.identity import SECRET_PATH
from imaged.planning.fixups.target import Target
from imaged.planning.identity import machine_id


def checks(target: Target) -> tuple[Step, ...]:
    """One step per promise that the fixups made."""
    system = target.system
    steps: list[Step] = [CheckDevice(each.device, each.uuid) for each in (*system.filesystems, *system.spare)]
    steps += [CheckDevice(each.device, each.uuid) for each in system.swaps]
    steps += [
        CheckFile("/etc/machine-id", "0444", machine_id(target.site, target.node.name)),
        CheckFile("/etc/hostname", "0644", target.node.name),
        CheckFile(SECRET_PATH, "0600"),
    ]
    if "ssh-keygen" in target.facts.commands:
        steps.append(CheckFile("/etc/ssh/ssh_host_ed25519_key", "0600"))
    for kernel in target.facts.kernels:
        steps += [CheckFile(kernel.image), CheckFile(kernel.initrd or initrd_beside(kernel.image))]
    steps.append(CheckFile("/boot/grub/grub.cfg", contains=_boot_uuid(target)))
    if target.system.bios:
        steps.append(CheckFile("/boot/grub/i386-pc/core.img"))
    if target.system.uefi and target.system.esp:
        steps.append(CheckFile(f"{target.system.esp.mount}/EFI/BOOT/BOOTX64.EFI"))
    if "findmnt" in target.facts.commands:
        steps.append(RunInTarget(("findmnt", "--verify", "--tab-file", "/etc/fstab"), reason="fstab is sound"))
    return tuple(steps)


def _boot_uuid(target: Target) -> str:
    holder = target.system.at("/boot")
    return holder.uuid if holder and holder.fs is not Filesystem.VFAT else target.system.root.uuid


def initrd_beside(image: str) -> str:
    """Where an initramfs is made for a kernel that the image has none for."""
    return image.replace("vmlinuz-", "initrd.img-")
