"""Trees: of golden clients and of images, what is in them, and the facts of an image that is one."""

from collections.abc import Mapping
from pathlib import Path

from imaged.model.image import ImageFacts
from imaged.store import facts as facts_of_tree
from imaged.store.tree import Tree

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)
DEAD = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"  # the golden client's root
OLD = "0123456789abcdef0123456789abcdef"  # the golden client's machine-id
OPENS_CRYPTS = "usr/lib/systemd/system-generators/systemd-cryptsetup-generator"
PROBES = Path(__file__).parents[1] / "data/probes"

DEBIAN: dict[str, str | bytes] = {
    "bin/sh": ELF,
    "boot/vmlinuz-6.1.0-1-amd64": "kernel",
    "boot/initrd.img-6.1.0-1-amd64": "initramfs",
    "lib/modules/6.1.0-1-amd64/modules.dep": "",
    "usr/lib/grub/i386-pc/moddep.lst": "",
    "usr/lib/grub/x86_64-efi/moddep.lst": "",
    "usr/sbin/debconf-set-selections": "",
    "usr/sbin/grub-install": "",
    "usr/sbin/update-grub": "",
    "usr/sbin/update-initramfs": "",
    "etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
    OPENS_CRYPTS: "",
    "etc/fstab": f"UUID={DEAD} / ext4 defaults 0 1\n",
}
RED_HAT: dict[str, str | bytes] = {
    "bin/sh": ELF,
    "boot/vmlinuz-5.14.0-503.el9.x86_64": "kernel",
    "boot/initramfs-5.14.0-503.el9.x86_64.img": "initramfs",
    "usr/lib/modules/5.14.0-503.el9.x86_64/modules.dep": "",
    "usr/lib/grub/i386-pc/moddep.lst": "",
    "usr/sbin/grub2-install": "",
    "usr/sbin/grub2-mkconfig": "",
    "usr/bin/kernel-install": "",
    "usr/bin/dracut": "",
    OPENS_CRYPTS: "",
    "etc/default/grub": "GRUB_ENABLE_BLSCFG=true\n",
    "etc/fstab": f"UUID={DEAD} / xfs defaults 0 0\n",
}
RED_HAT_ESP: dict[str, str | bytes] = {
    "boot/efi/EFI/redhat/shimx64.efi": "a signed shim",
    "boot/efi/EFI/redhat/grubx64.efi": "a signed GRUB",
    "boot/efi/EFI/redhat/mmx64.efi": "keys",
    "boot/efi/EFI/redhat/grub.cfg": f"search --no-floppy --fs-uuid --set=dev {DEAD}\n",
    "boot/efi/EFI/BOOT/BOOTX64.EFI": "a signed shim",
    "boot/efi/EFI/BOOT/fbx64.efi": "fallback",
}
OLDER, NEWER = "5.14.0-427.el9.x86_64", "5.14.0-503.el9.x86_64"


def lay(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files of a tree, with all directories on the way."""
    for path, content in files.items():
        at = root / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def image(root: Path, *parts: Mapping[str, str | bytes], without: tuple[str, ...] = ()) -> ImageFacts:
    """The facts of a real tree below ``root``."""
    files = {name: content for part in parts for name, content in part.items() if name not in without}
    return facts_of_tree.read(Tree(lay(root, files)))


def entry(kernel: str) -> str:
    return (
        f"title Red Hat ({kernel})\nversion {kernel}\nlinux /vmlinuz-{kernel}\ninitrd /initramfs-{kernel}.img\n"
        f"options root=UUID={DEAD} ro resume=UUID={DEAD} crashkernel=1G\ngrub_class rhel\n"
    )


def two_kernels(golden: str) -> dict[str, str | bytes]:
    return {
        f"boot/vmlinuz-{OLDER}": "kernel",
        f"boot/initramfs-{OLDER}.img": "initramfs",
        f"usr/lib/modules/{OLDER}/modules.dep": "",
        "etc/kernel/entry-token": f"{golden}\n",
        **{f"boot/loader/entries/{golden}-{kernel}.conf": entry(kernel) for kernel in (OLDER, NEWER)},
    }
