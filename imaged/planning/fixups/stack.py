"""Files that say how to reach what stands on arrays, encrypted devices and volume groups: crypttab, mdadm.conf."""

from imaged.model.plan import RemovePath, RunInTarget, Step, WriteFile
from imaged.model.stack import Unlock
from imaged.model.system import PlannedCrypt
from imaged.planning.fixups.target import Target

KEYS = "/etc/imaged/keys"


def mdadm_conf(target: Target) -> tuple[Step, ...]:
    """The node's own arrays by UUID, and no others: an array of another machine is not started by its name.

    Debian's family reads /etc/mdadm/mdadm.conf, all others /etc/mdadm.conf (mdadm.conf(5)).
    """
    path = "/etc/mdadm/mdadm.conf" if "/etc/mdadm/mdadm.conf" in target.facts.files else "/etc/mdadm.conf"
    if not target.system.arrays:
        if path not in target.facts.files:
            return ()
        return (WriteFile(path, f"HOMEHOST {target.node.name}\n", reason="arrays of the golden client are not here"),)
    lines = [f"HOMEHOST {target.node.name}", "MAILADDR root", "AUTO -all"]
    lines += [f"ARRAY {each.device} metadata={each.metadata} UUID={each.uuid}" for each in target.system.arrays]
    return (WriteFile(path, "\n".join(lines) + "\n", reason="the node's own arrays"),)


def crypttab(target: Target) -> tuple[Step, ...]:
    """crypttab(5) by the UUID of each header. Debian's initramfs opens what says ``initramfs`` or holds the root.

    What a key file opens is opened later, when the filesystem with the key is mounted (systemd sees to the order): an
    initramfs lies in the clear on /boot, and a key in it would be anybody's.
    """
    if not target.system.crypts:
        if "/etc/crypttab" not in target.facts.files:
            return ()
        return (WriteFile("/etc/crypttab", "", reason="encrypted devices of the golden client are not here"),)
    lines = [_line(target, each) for each in target.system.crypts]
    return (WriteFile("/etc/crypttab", "\n".join(lines) + "\n", reason="the node's own encrypted devices"),)


def _line(target: Target, crypt: PlannedCrypt) -> str:
    key = f"{KEYS}/{crypt.name}" if Unlock.KEYFILE in crypt.unlock else "none"
    options = ["luks"]
    if Unlock.TPM2 in crypt.unlock:
        options.append("tpm2-device=auto")
    if _debian(target) and Unlock.KEYFILE not in crypt.unlock:
        options.append("initramfs")
    return f"{crypt.name} UUID={crypt.uuid} {key} {','.join(options)}"


def _debian(target: Target) -> bool:
    return "update-initramfs" in target.facts.commands


def lvm_devices(target: Target) -> tuple[Step, ...]:
    """RHEL 9 and later see only the disks that a file lists (lvmdevices(8)): without the file they see all.

    A system id of the golden client would hide the node's groups (lvmsystemid(7)).
    """
    if not target.system.groups or "lvm" not in target.facts.commands:
        return ()
    steps: list[Step] = [RemovePath("/etc/lvm/devices/*", "disk ids of the golden client")]
    if "/etc/lvm/lvmlocal.conf" in target.facts.files:
        argv = ("sed", "-i", "-E", "s/^([[:space:]]*system_id)/# \\1/", "/etc/lvm/lvmlocal.conf")
        steps.append(RunInTarget(argv, reason="a system id hides groups made without it"))
    return tuple(steps)
