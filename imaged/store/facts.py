"""Reads a tree's footprints. What exists decides, never what a distribution's name suggests."""

import fnmatch
import re
import shlex
from collections.abc import Iterator

from imaged.model.image import DRACUT_GENERIC, ImageFacts, Kernel
from imaged.store.facts_devices import device_names
from imaged.store.facts_network import links, started_by_init
from imaged.store.labels import labelled
from imaged.store.tree import Tree

# Programs that fixups and updates may run in the image.
COMMANDS = (
    "bootctl", "btrfs", "cryptsetup", "debconf-set-selections", "dracut", "findmnt", "grub-install", "grub-mkconfig",
    "grub2-editenv", "grub2-install", "grub2-mkconfig", "ifup", "kernel-install", "locale-gen", "lsinitcpio",
    "lsinitramfs", "lsinitrd", "lvm", "mdadm", "mkinitcpio", "mkinitfs", "netplan", "nmcli", "sdbootutil", "setfiles",
    "ssh-keygen", "systemctl", "u-boot-update", "udevadm", "update-extlinux", "update-grub", "update-initramfs",
)  # fmt: skip
# What opens devices of /etc/crypttab: systemd's generator (Debian 13 has it in a package of its own), and the scripts
# of systems without systemd. Debian's cryptdisks beside systemd is masked by it.
_OPENS_CRYPTS = (
    "/usr/lib/systemd/system-generators/systemd-cryptsetup-generator",
    "/lib/systemd/system-generators/systemd-cryptsetup-generator", "/etc/init.d/dmcrypt",
)  # fmt: skip
# Units whose being enabled changes what is written. Sockets and targets count as what they start.
UNITS = (
    "NetworkManager.service", "cloud-init.service", "cloud-init.target", "network.service", "networking",
    "networking.service", "ssh.service",
    "ssh.socket", "sshd.service", "systemd-networkd.service", "systemd-resolved.service",
    "systemd-timesyncd.service", "wicked.service",
)  # fmt: skip
# Paths that fixups ask about. A link that leads nowhere inside the tree does not count: a listed /etc/resolv.conf
# is a file of the image's own, an unlisted one is absent or a link into /run.
FILES = (
    "/boot", "/boot/efi", "/boot/loader/entries", "/efi", "/etc/mdev.conf", "/etc/sysconfig/network/config",
    "/usr/lib/udev/rename_device", "/etc/conf.d/hostname", "/etc/default/keyboard", "/etc/default/locale",
    "/etc/iscsi", "/etc/locale.conf", "/etc/locale.gen", "/etc/nvme", "/etc/timezone", "/etc/vconsole.conf",
    "/etc/HOSTNAME", "/etc/cloud", "/etc/crypttab",
    "/etc/default/grub", "/etc/default/grub.d", "/etc/dracut.conf", "/etc/fstab", "/etc/hostname", "/etc/hosts",
    "/etc/initramfs-tools/initramfs.conf", "/etc/iscsi/initiatorname.iscsi", "/etc/kernel/cmdline",
    "/etc/lvm/devices", "/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf", "/etc/machine-id", "/etc/mailname",
    "/etc/mdadm.conf", "/etc/mdadm/mdadm.conf", "/etc/mke2fs.conf", "/etc/multipath", "/etc/netplan",
    "/etc/network/interfaces", "/etc/nvme/hostnqn", "/etc/resolv.conf", "/etc/selinux/config",
    "/etc/ssh/sshd_config", "/etc/sysconfig/network", "/etc/sysconfig/network-scripts", "/etc/systemd/network",
    "/var/lib/dbus/machine-id", "/boot/extlinux/extlinux.conf", "/boot/loader/loader.conf",
    "/boot/efi/loader/loader.conf", "/efi/loader/loader.conf", "/etc/default/grub_installdevice",
    "/etc/default/kdump-tools", "/etc/kdump.conf", "/etc/kernel/entry-token", "/etc/sysconfig/bootloader",
    "/etc/sysconfig/kdump", "/etc/multipath.conf", "/etc/runlevels/default",
)  # fmt: skip
# Boot programs and entries whose names an image chooses itself.
FILE_PATTERNS = (
    "/boot/efi/EFI/*/*", "/efi/EFI/*/*", "/boot/EFI/*/*", "/boot/loader/entries/*.conf",
    "/boot/*-0-rescue-*", "/usr/share/efi/*/*.efi", "/usr/lib/systemd/boot/efi/*.efi",
)  # fmt: skip
TEXTS = (
    "/etc/crypttab", "/etc/fstab", "/etc/hostname", "/etc/hosts", "/etc/selinux/config",
    "/boot/cmdline.txt", "/boot/extlinux/extlinux.conf", "/boot/firmware/cmdline.txt",
    "/boot/grub2/grubenv", "/etc/default/grub", "/etc/default/u-boot", "/etc/inittab", "/etc/kernel/cmdline",
    "/etc/kernel/entry-token", "/etc/mkinitcpio.conf", "/etc/mkinitfs/mkinitfs.conf", "/etc/securetty",
    "/etc/sysconfig/bootloader", "/etc/update-extlinux.conf",
)  # fmt: skip
TEXT_PATTERNS = (
    "/boot/loader/entries/*.conf", "/boot/efi/loader/entries/*.conf", "/efi/loader/entries/*.conf",
    "/etc/cmdline.d/*.conf", "/etc/default/grub.d/*.cfg", "/etc/mkinitcpio.d/*.preset",
)  # fmt: skip

_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_GRUB = ("/usr/lib/grub", "/usr/lib/grub2", "/usr/share/grub2")  # SUSE has the latter two
_UNIT_DIRS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_MACHINES = {
    3: "i686",
    20: "ppc",
    21: "ppc64le",
    22: "s390x",
    40: "armv7l",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
}
_KERNELS = ("/boot/vmlinuz-{0}", "/boot/vmlinux-{0}", "/boot/Image-{0}", "/usr/lib/modules/{0}/vmlinuz",
            "/lib/modules/{0}/vmlinuz")  # fmt: skip
_INITRDS = ("/boot/initrd.img-{0}", "/boot/initramfs-{0}.img", "/boot/initrd-{0}", "/boot/initramfs-{0}")


def read(tree: Tree) -> ImageFacts:
    """Everything that plans may depend on. Never raises for what an image lacks: it is then not in the facts."""
    release = _os_release(tree)
    return ImageFacts(
        arch=_arch(tree),
        os_id=release.get("ID", ""),
        os_version=release.get("VERSION_ID", ""),
        os_name=release.get("PRETTY_NAME", ""),
        kernels=_kernels(tree),
        grub_platforms=_grub_platforms(tree),
        grub_signed=_is_signed(tree),
        commands=tuple(name for name in COMMANDS if any(tree.exists(f"{path}/{name}") for path in _PATH)),
        units=_enabled(tree),
        files=(*(path for path in FILES if tree.exists(path)), *_named(tree, FILE_PATTERNS)),
        mke2fs_conf=tree.text("/etc/mke2fs.conf"),
        texts={path: text for path in (*TEXTS, *_named(tree, TEXT_PATTERNS)) if (text := tree.text(path))},
        opens_crypts=any(map(tree.exists, _OPENS_CRYPTS)),
        initramfs_generic=_initramfs_generic(tree),
        os_release=release,
        links=links(tree),
        device_names=device_names(tree),
        labelled=labelled(tree),
    )


def _arch(tree: Tree) -> str:
    """As ``uname -m`` says it, from e_machine of a program that every image has (elf(5))."""
    for path in ("/bin/sh", "/sbin/init", "/usr/bin/env"):
        at = tree.locate(path)
        if at is None or not at.is_file():
            continue
        with at.open("rb") as file:
            header = file.read(20)
        if len(header) == 20 and header[:4] == b"\x7fELF":
            machine = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
            return _MACHINES.get(machine, f"elf-{machine}")
    return ""


def _os_release(tree: Tree) -> dict[str, str]:
    """os-release(5): shell assignments, /etc before /usr/lib. A line that is none is skipped."""
    text = tree.text("/etc/os-release") or tree.text("/usr/lib/os-release")
    values = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", key):
            try:
                values[key] = "".join(shlex.split(value))
            except ValueError:
                continue
    return values


def _kernels(tree: Tree) -> tuple[Kernel, ...]:
    """Every version that has modules and a kernel to boot, newest first."""
    versions = {*tree.names("/usr/lib/modules"), *tree.names("/lib/modules")}
    kernels = []
    for version in sorted(versions, key=_by_number, reverse=True):
        name = _package(tree, version)
        image = (_first(tree, _KERNELS[:1], name) if name else "") or _first(tree, _KERNELS, version)
        if image:
            kernels.append(Kernel(version, image, _first(tree, _INITRDS, name or version)))
    return tuple(kernels)


def _package(tree: Tree, version: str) -> str:
    """What Arch (by a file beside the modules) and Alpine (by the end of the version) call a kernel in /boot: it has
    no version there (``vmlinuz-linux``, ``vmlinuz-lts``)."""
    said = tree.text(f"/usr/lib/modules/{version}/pkgbase").strip()
    flavour = version.rpartition("-")[2]
    return said or (flavour if tree.exists("/etc/mkinitfs") and tree.exists(f"/boot/vmlinuz-{flavour}") else "")


def _named(tree: Tree, patterns: tuple[str, ...]) -> Iterator[str]:
    for pattern in patterns:
        for at in tree.glob(pattern):
            yield f"/{at.relative_to(tree.root)}"


def _first(tree: Tree, forms: tuple[str, ...], version: str) -> str:
    return next((path for form in forms if tree.exists(path := form.format(version))), "")


def _by_number(version: str) -> list[tuple[int, str]]:
    """6.10 is newer than 6.9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", version)]


def _grub_platforms(tree: Tree) -> tuple[str, ...]:
    """Directories of GRUB's modules; ``x86_64-efi-signed`` and ``grub-mkconfig_lib`` beside them are none."""
    found = (name for place in _GRUB for name in tree.names(place) if tree.exists(f"{place}/{name}/moddep.lst"))
    return tuple(sorted(set(found)))


def _is_signed(tree: Tree) -> bool:
    """Secure Boot needs both: a shim that the firmware trusts and a GRUB that the shim trusts."""
    grub = any(True for _ in tree.glob("/usr/lib/grub/*-signed/*.signed"))
    return grub and any(True for _ in tree.glob("/usr/lib/shim/shim*.signed"))


def _enabled(tree: Tree) -> tuple[str, ...]:
    """Units that some target pulls in or that an alias names, and that are not masked (systemd.unit(5))."""
    pulled = set(started_by_init(tree))
    for directory in _UNIT_DIRS:
        for name in tree.names(directory):
            if fnmatch.fnmatch(name, "*.wants") or fnmatch.fnmatch(name, "*.requires"):
                pulled.update(tree.names(f"{directory}/{name}"))
    for name in tree.names("/etc/systemd/system"):
        at = tree.root / "etc/systemd/system" / name
        if at.is_symlink():
            pulled.update((name, at.readlink().name))
    return tuple(unit for unit in UNITS if unit in pulled and not _is_masked(tree, unit))


def _is_masked(tree: Tree, unit: str) -> bool:
    at = tree.locate(f"/etc/systemd/system/{unit}", follow=False)
    if at is None:
        return False
    return (at.is_symlink() and str(at.readlink()) == "/dev/null") or (at.is_file() and at.stat().st_size == 0)


def _initramfs_generic(tree: Tree) -> bool:
    """initramfs.conf(5): MODULES=most, said last by initramfs.conf or, after it, a file of conf.d.

    MODULES=list is what an admin chose by hand: made on another machine, it would have the same drivers.
    Of dracut it is known by a file of ours, unless one that is read later says otherwise (dracut.conf(5)).
    """
    if tree.exists(DRACUT_GENERIC):
        names = {*tree.names("/usr/lib/dracut/dracut.conf.d"), *tree.names("/etc/dracut.conf.d")}
        said = "\n".join(
            tree.text(f"/etc/dracut.conf.d/{name}") or tree.text(f"/usr/lib/dracut/dracut.conf.d/{name}")
            for name in sorted(names)
            if name.endswith(".conf")
        )
        return re.findall(r"(?m)^\s*hostonly=[\"']?(\w+)", said)[-1:] == ["no"]
    files = ["/etc/initramfs-tools/initramfs.conf"]
    files += [f"/etc/initramfs-tools/conf.d/{name}" for name in tree.names("/etc/initramfs-tools/conf.d")]
    said = ""
    for path in files:
        for match in re.finditer(r"(?m)^\s*MODULES=[\"']?([a-z]+)", tree.text(path)):
            said = match[1]
    return said in ("most", "list")
